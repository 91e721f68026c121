"""``nxkernel init``: begin something from a template."""

from __future__ import annotations

import keyword
import re
import sys
from collections.abc import Mapping
from pathlib import Path

import click

from nxkernel_cli.output import emit, json_option, note, say

__all__ = ["init"]

TEMPLATES = Path(__file__).parent / "templates"
#: A plugin's id, as the schema of manifests has it.
_ID = re.compile(r"[a-z][a-z0-9]*([._-][a-z0-9]+)*")
_PROJECT = re.compile(r"[a-z][a-z0-9]*([_-][a-z0-9]+)*")
_LONGEST = 64
#: Modules that every worker has; a plugin's own folder goes before them on its path.
_TAKEN = frozenset({"attr", "attrs", "cattrs", "conftest", "msgspec", "nxkernel", "pluggy"})


@click.group()
def init() -> None:
    """Begin a plugin from a template."""


@init.command(short_help="Make a plugin with a test that passes.")
@click.argument("name")
@click.option(
    "--dir",
    "parent",
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False),
    default=".",
    show_default="the current folder",
    help="Folder of plugins in which to make it.",
)
@click.option(
    "--app-project",
    metavar="NAME",
    default="myapp",
    show_default=True,
    help="The application's pluggy project.",
)
@click.option(
    "--hook", metavar="NAME", default="describe", show_default=True, help="The hook to implement."
)
@json_option
def plugin(name: str, parent: Path, app_project: str, hook: str, as_json: bool) -> None:
    """Make a folder with a manifest, a plugin, its schemas and a test that passes.

    NAME is the plugin's id: lower-case words joined by dots, dashes or underscores.
    """
    module = _checked(name, app_project, hook)
    folder = parent / module
    words = {
        "template_module": module,
        "template.id": name,
        "template_project": app_project,
        "template_hook": hook,
    }
    files = _write(TEMPLATES / "plugin", folder, words)
    if as_json:
        emit({"ok": True, "id": name, "folder": folder, "files": files})
        return
    for path in files:
        say(folder / path)
    note(f"next: cd {folder} && python -m pytest")


def _checked(name: str, project: str, hook: str) -> str:
    """Return the module's name for the plugin *name*.

    Raises:
        UsageError: for a name that a manifest, Python or pluggy cannot have.
    """
    if not _ID.fullmatch(name) or len(name) > _LONGEST:
        raise click.UsageError(
            f"{name!r} is no plugin id: give up to {_LONGEST} characters, lower-case words joined "
            "by dots, dashes or underscores, for example ocr.rapid"
        )
    module = re.sub(r"[.-]", "_", name)
    if keyword.iskeyword(module) or module in sys.stdlib_module_names or module in _TAKEN:
        raise click.UsageError(
            f"a module {module!r} exists already; choose another name, for example my.{name}"
        )
    if not _PROJECT.fullmatch(project):
        raise click.UsageError(f"--app-project {project!r}: expected a name such as screenmem")
    if not hook.isidentifier() or keyword.iskeyword(hook) or hook.startswith("_"):
        raise click.UsageError(f"--hook {hook!r}: expected a function's name such as read_tokens")
    return module


def _write(template: Path, folder: Path, words: Mapping[str, str]) -> list[str]:
    """Write each file of *template* with *words* put in; never over something.

    Raises:
        ClickException: when *folder* exists or cannot be made.
    """
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        raise click.ClickException(
            f"{folder.name} exists; nothing was written. Remove it or choose another name"
        ) from None
    except OSError as error:
        raise click.ClickException(f"{folder.name} cannot be made: {error.strerror}") from None
    files = {
        _filled(path.relative_to(template).as_posix(), words): path
        for path in sorted(template.rglob("*"))
        if _own(path)
    }
    for name, path in sorted(files.items()):
        text = _filled(path.read_text(encoding="utf-8"), words)
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return sorted(files)


def _own(path: Path) -> bool:
    return path.is_file() and not path.name.startswith(".") and path.suffix != ".pyc"


def _filled(text: str, words: Mapping[str, str]) -> str:
    """Put *words* in, in one pass: a name that holds a word of the template is left alone."""
    pattern = "|".join(map(re.escape, words))
    return re.sub(pattern, lambda match: words[match[0]], text)
