"""A Python that another user can run, where the suite's own lies in a private folder.

Tests that change to an unprivileged user need an interpreter, a library and sources that this user
may read. Where they may not, a copy is made of hard links (or bytes, across filesystems).
"""

from __future__ import annotations

import os
import shutil
import stat
import sys
from collections.abc import Mapping
from pathlib import Path

import attr
import attrs

__all__ = ["NEEDED", "Interpreter", "for_everybody", "own"]

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ROOT / "src"
#: What an interpreter that was moved needs to find itself.
NEEDED = ("PYTHONHOME", "LD_LIBRARY_PATH")
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


def own() -> Interpreter:
    """Return the interpreter of this process."""
    paths = [str(SOURCES), str(ROOT), str(_site())]
    needed = {name: os.environ[name] for name in NEEDED if name in os.environ}
    return Interpreter(sys.executable, {**needed, "PYTHONPATH": os.pathsep.join(paths)})


def for_everybody(folder: Path) -> Interpreter:
    """Return an interpreter that any user may run; copies go to *folder*, which all may read."""
    library = Path(os.__file__).resolve().parent
    binary = Path(sys.executable).resolve()
    paths = [_shared(SOURCES, folder / "src"), _shared_tests(folder / "root"), _attrs(folder)]
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


def _attrs(folder: Path) -> Path:
    if _is_public(_site() / "attrs"):
        return _site()
    for package in (attr, attrs):
        source = Path(package.__file__).resolve().parent
        _link_tree(source, folder / "site" / source.name)
    return folder / "site"


def _shared(path: Path, copy: Path) -> Path:
    if _is_public(path):
        return path
    _link_tree(path, copy)
    return copy


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
