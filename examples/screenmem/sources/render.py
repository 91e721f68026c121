"""Render every screenshot of this example again.

Needs these Debian packages (the pictures were made on Debian 12)::

    apt-get install chromium xvfb xterm nano scite git fonts-liberation fonts-dejavu-core

and Pillow. Run ``python render.py`` for all screens, ``python render.py invoice huts`` for some.
The pages in ``pages/`` are shown by Chromium; the files in ``project/`` are shown by real
programs on a virtual X screen. Nothing is fetched from a network.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image, ImageGrab

HERE = Path(__file__).resolve().parent
SCREENS = HERE.parent / "screens"
DRAW_SECONDS = 3.0  # an X program has no signal for "drawn"; this is long on any machine

PAGES = {  # page: width and height in pixels
    "calendar": (1204, 800),
    "chat": (1080, 690),
    "dashboard": (1120, 664),
    "huts": (1120, 690),
    "invoice": (1040, 850),
    "mail": (1100, 640),
    "manual": (1000, 1290),
}
XTERM = (
    *("xterm", "-fa", "DejaVu Sans Mono", "-fs", "13", "-b", "12", "-bc", "+sb"),
    *("-xrm", "XTerm*cursorBlink: false"),
)
SCITE = (  # one size for every style, so that the picture does not hang on the desktop's settings
    "position.left=0\nposition.top=0\nposition.width=1040\nposition.height=780\n"
    "horizontal.scrollbar=0\n"
    "font.base=font:DejaVu Sans Mono,size:13\nfont.small=$(font.base)\nfont.comment=$(font.base)\n"
    "font.text=$(font.base)\nfont.text.comment=$(font.base)\nfont.monospace=$(font.base)\n"
    "font.embedded.base=$(font.base)\nfont.embedded.comment=$(font.base)\nfont.vbs=$(font.base)\n"
    "line.margin.visible=1\nline.margin.width=3\ncaret.period=0\nstatusbar.visible=1\n"
    "toolbar.visible=0\ntabbar.visible=1\ntabbar.hide.one=0\nsave.position=0\nsave.session=0\n"
    "check.if.already.open=0\n"
)
COMMITS = (  # message and day of March 2026
    ("Read the encoder of the North Mole", 2),
    ("Reject readings with too much drift", 4),
    ("Keep the archive for two years", 6),
    ("Smooth the levels over nine readings", 7),
)


def main() -> int:
    """Render the screens that the command line names, or all."""
    parser = argparse.ArgumentParser(description="Render the screenshots again.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="a screen, without .png")
    names = parser.parse_args().names or sorted(RENDERERS)
    unknown = sorted(set(names) - set(RENDERERS))
    if unknown:
        parser.error(f"no such screen: {', '.join(unknown)}; there are {', '.join(RENDERERS)}")
    SCREENS.mkdir(exist_ok=True)
    for name in names:
        with tempfile.TemporaryDirectory() as scratch:
            picture = RENDERERS[name](name, Path(scratch))
        save(picture, SCREENS / f"{name}.png")
    return 0


def save(picture: Image.Image, path: Path) -> None:
    """Write *picture* in true colours, without metadata.

    Not with a palette: some OCR engines take the numbers of a palette for shades of grey.
    """
    picture.convert("RGB").save(path, optimize=True)
    print(f"{path.name:<16}{picture.width}x{picture.height} {path.stat().st_size:>8} bytes")


def page(name: str, scratch: Path) -> Image.Image:
    """Let Chromium draw ``pages/<name>.html``."""
    width, height = PAGES[name]
    target = scratch / "page.png"
    command = [
        *("chromium", "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"),
        *("--disable-background-networking", "--hide-scrollbars", "--disable-lcd-text"),
        *("--force-device-scale-factor=1", f"--user-data-dir={scratch / 'profile'}"),
        *(f"--window-size={width},{height}", f"--screenshot={target}"),
        (HERE / "pages" / f"{name}.html").as_uri(),
    ]
    subprocess.run(command, check=True, timeout=120, stderr=subprocess.DEVNULL)
    return loaded(target)


def loaded(path: Path) -> Image.Image:
    """Return the picture at *path*, read into memory."""
    with Image.open(path) as picture:
        picture.load()
        return picture.copy()


def terminal(_name: str, scratch: Path) -> Image.Image:
    """Let xterm run the commands of ``project/session.sh``."""
    project = checkout(scratch)
    colours = ("-bg", "#1b1f27", "-fg", "#e8e8e8")
    session = ("-e", "bash", str(HERE / "project" / "session.sh"))
    return on_x_screen((1006, 576), (*XTERM, *colours, "-geometry", "98x25", *session), project)


def config(_name: str, scratch: Path) -> Image.Image:
    """Let nano show ``project/gauge.toml`` in an xterm."""
    project = checkout(scratch)
    colours = ("-bg", "#fbf7ec", "-fg", "#20242b")
    nano = ("-e", "nano", "--ignorercfiles", "gauge.toml")
    return on_x_screen((1006, 642), (*XTERM, *colours, "-geometry", "98x28", *nano), project)


def editor(_name: str, scratch: Path) -> Image.Image:
    """Let SciTE show ``project/calibrate.py``."""
    project = checkout(scratch)
    (scratch / ".SciTEUser.properties").write_text(SCITE, encoding="utf-8")
    return on_x_screen((1040, 780), ("SciTE", "calibrate.py"), project)


def checkout(scratch: Path) -> Path:
    """Copy the project into a git repository whose commits have fixed dates."""
    project = scratch / "tidegauge"
    wanted = shutil.ignore_patterns("session.sh", "__pycache__")
    shutil.copytree(HERE / "project", project, ignore=wanted)
    git(project, 1, "init", "-q", "-b", "main")
    for message, day in COMMITS:
        git(project, day, "commit", "-q", "--allow-empty", "-m", message)
    return project


def git(project: Path, day: int, *arguments: str) -> None:
    """Run git as the fictional author, on that day of March 2026."""
    date = f"2026-03-{day:02}T09:00:00+00:00"
    who = {"NAME": "Odalys Fenn", "EMAIL": "odalys@brackwater.example", "DATE": date}
    env = environment(project.parent)
    env |= {f"GIT_{role}_{k}": v for role in ("AUTHOR", "COMMITTER") for k, v in who.items()}
    subprocess.run(["git", *arguments], cwd=project, env=env, check=True, timeout=30)


def environment(home: Path) -> dict[str, str]:
    """Return the same small environment on every machine."""
    fixed = {"LANG": "C.UTF-8", "TZ": "UTC", "PYTHONDONTWRITEBYTECODE": "1", "GIT_PAGER": "cat"}
    return fixed | {"PATH": os.environ["PATH"], "HOME": str(home)}


def on_x_screen(size: tuple[int, int], command: tuple[str, ...], folder: Path) -> Image.Image:
    """Run *command* in *folder* on an X screen of that size and take its picture."""
    env = environment(folder.parent)
    with x_server(size, env) as display, running(command, folder, env | {"DISPLAY": display}):
        time.sleep(DRAW_SECONDS)
        return ImageGrab.grab(xdisplay=display)


@contextmanager
def x_server(size: tuple[int, int], env: dict[str, str]) -> Iterator[str]:
    """Start a virtual X server without network access and yield its display, a free one."""
    reader, writer = os.pipe()
    screen = ("-screen", "0", f"{size[0]}x{size[1]}x24", "-dpi", "96", "-nolisten", "tcp")
    command = ("Xvfb", "-displayfd", str(writer), *screen)
    with os.fdopen(reader) as pipe, running(command, HERE, env, pass_fds=(writer,)):
        os.close(writer)  # the server holds the other copy: its death ends the wait below
        number = pipe.readline().strip()
        if not number:
            sys.exit("Xvfb did not start: run `Xvfb -displayfd 1` to see why")
        yield f":{number}"


@contextmanager
def running(
    command: tuple[str, ...], folder: Path, env: dict[str, str], pass_fds: tuple[int, ...] = ()
) -> Iterator[None]:
    """Run *command* until the block ends."""
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(
        command, cwd=folder, env=env, stdout=quiet, stderr=quiet, pass_fds=pass_fds
    )
    try:
        yield
    finally:
        process.terminate()
        process.wait(timeout=10)


RENDERERS: dict[str, Callable[[str, Path], Image.Image]] = {
    **dict.fromkeys(PAGES, page),
    "config": config,
    "editor": editor,
    "terminal": terminal,
}

if __name__ == "__main__":
    sys.exit(main())
