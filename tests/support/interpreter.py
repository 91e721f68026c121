"""A Python that another user can run, where the suite's own lies in a private folder.

Tests that change to an unprivileged user need an interpreter, a library and sources that this user
may read. Where they may not, a copy is made of hard links (or bytes, across filesystems).
"""

from __future__ import annotations

import importlib.metadata
import os
import re
import shutil
import stat
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import attrs

__all__ = ["Interpreter", "for_everybody", "needed", "own"]

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ROOT / "src"
#: What an interpreter that was moved needs to find itself.
_NEEDED = ("PYTHONHOME", "LD_LIBRARY_PATH")
#: Of the library, what a worker never imports and what is large.
_LEFT_OUT = shutil.ignore_patterns("site-packages", "test", "idlelib", "tkinter", "ensurepip")


@attrs.frozen
class Interpreter:
    """How to start Python with nxkernel and these tests on its path."""

    executable: str
    #: What must be in its environment.
    environment: Mapping[str, str]

    def command(self, module: str) -> list[str]:
        """Return the arguments that run *module* without the user's own site directories."""
        return [self.executable, "-s", "-P", "-S", "-m", module]


def needed() -> dict[str, str]:
    """Return what the interpreter of this process found in its environment, and workers need."""
    return {name: os.environ[name] for name in _NEEDED if name in os.environ}


def own() -> Interpreter:
    """Return the interpreter of this process."""
    paths = [str(SOURCES), str(ROOT), str(_site())]
    return Interpreter(sys.executable, {**needed(), "PYTHONPATH": os.pathsep.join(paths)})


def for_everybody(folder: Path) -> Interpreter:
    """Return an interpreter that any user may run; copies go to *folder*, which all may read."""
    library = Path(os.__file__).resolve().parent
    binary = Path(sys.executable).resolve()
    paths = [_shared_sources(folder), _shared_tests(folder / "root"), _libraries(folder / "site")]
    environment = {"PYTHONPATH": os.pathsep.join(str(path) for path in paths)}
    if _is_public(binary) and _is_public(library):
        return Interpreter(str(binary), environment)
    home = folder / "python"
    _link_tree(library, home / "lib" / library.name)
    for shared in library.parent.glob("libpython*.so*"):
        _link(shared, home / "lib" / shared.name)
    _link(binary, home / "bin" / binary.name)
    environment |= {"PYTHONHOME": str(home), "LD_LIBRARY_PATH": str(home / "lib")}
    return Interpreter(str(home / "bin" / binary.name), environment)


def _site() -> Path:
    return Path(attrs.__file__).resolve().parents[1]


def _libraries(copy: Path) -> Path:
    """What nxkernel needs, without its extras."""
    if _is_public(_site() / "attrs"):
        return _site()
    for name in sorted(set(_distributions("nxkernel"))):
        files = importlib.metadata.files(name) or []
        for top in sorted({file.parts[0] for file in files if ".." not in file.parts}):
            source = _site() / top
            if source.is_dir():
                _link_tree(source, copy / top)
            elif source.is_file():
                _link(source, copy / top)
    return copy


def _distributions(name: str, seen: frozenset[str] = frozenset()) -> Iterator[str]:
    """Yield what *name* requires, and what that requires."""
    for requirement in importlib.metadata.requires(name) or []:
        needed = re.split(r"[\s<>=!~;\[(]", requirement, maxsplit=1)[0]
        if ";" not in requirement and needed not in seen:
            yield needed
            yield from _distributions(needed, seen | {name, needed})


def _shared_sources(folder: Path) -> Path:
    if _is_public(SOURCES):
        return SOURCES
    _link_tree(SOURCES, folder / "src")
    _link_tree(ROOT / "contracts", folder / "contracts")
    return folder / "src"


def _shared_tests(copy: Path) -> Path:
    if _is_public(ROOT / "tests"):
        return ROOT
    for name in ("escapes", "support"):
        _link_tree(ROOT / "tests" / name, copy / "tests" / name)
    return copy


def _is_public(path: Path) -> bool:
    """Say whether every user can reach and read *path*."""
    if not path.stat().st_mode & stat.S_IROTH:
        return False
    return all(parent.stat().st_mode & stat.S_IXOTH for parent in path.parents)


def _link_tree(source: Path, target: Path) -> None:
    shutil.copytree(source, target, ignore=_LEFT_OUT, copy_function=_link)


def _link(source: str | Path, target: str | Path) -> None:
    Path(target).parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target, follow_symlinks=True)
    except OSError:
        shutil.copy2(source, target)
