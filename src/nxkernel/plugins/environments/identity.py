"""What an interpreter says about itself. Standard library only: foreign interpreters run this."""

from __future__ import annotations

import importlib.machinery
import json
import os
import sys
import sysconfig
from typing import Any

__all__ = ["identity"]

#: Installed packages of the interpreter itself; no part of its standard library.
_PACKAGES = ("site-packages", "dist-packages")


def identity() -> dict[str, Any]:
    """Return facts about this interpreter, apart from the virtual environment it may run in."""
    base = getattr(sys, "_base_executable", "") or sys.executable
    return {
        "executable": os.path.realpath(base),
        "implementation": sys.implementation.name,
        "version": ".".join(map(str, sys.version_info[:3])),
        "abi": importlib.machinery.EXTENSION_SUFFIXES[0].strip(".").rpartition(".")[0],
        "libraries": sorted(_libraries()),
    }


def _libraries() -> set[str]:
    """Return what code needs of this installation: its library, but none of its packages."""
    found: set[str] = set()
    for name in ("stdlib", "platstdlib"):
        found |= _without_packages(sysconfig.get_path(name))
    # In /usr these are the whole system's, which the loader's own folders cover.
    if os.path.realpath(sys.base_prefix) != "/usr":
        for folder in sorted({"lib", sys.platlibdir}):
            found |= _shared_libraries(os.path.join(sys.base_prefix, folder))
    return {os.path.realpath(path) for path in found}


def _without_packages(folder: str) -> set[str]:
    """A folder cannot be opened without what is in it, so one with packages is listed."""
    names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    if not set(_PACKAGES).intersection(names):
        return {folder} if names else set()
    return {os.path.join(folder, name) for name in names if name not in _PACKAGES}


def _shared_libraries(folder: str) -> set[str]:
    names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    paths = (os.path.join(folder, name) for name in names if ".so" in name or ".dylib" in name)
    return {path for path in paths if os.path.isfile(path)}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(identity()))
