"""Interpreters: which Pythons there are, each asked rather than guessed at.

A name on the search path proves nothing: it may be a version manager's stand-in that starts
nothing. What counts is what answers, and where that really lies.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from nxkernel.errors import EnvironmentUnavailable
from nxkernel.plugins.environments import identity
from nxkernel.plugins.environments.request import is_name, is_path

__all__ = ["Interpreter", "ask", "choose", "here"]

#: Oldest Python on which the worker's side runs.
OLDEST = Version("3.11")
_TIMEOUT_S = 30.0
_NAMED = re.compile(r"python3\.\d+")


@attrs.frozen(kw_only=True)
class Interpreter:
    """An installed CPython."""

    #: The real file, never a virtual environment's link to it.
    executable: str
    #: ``3.12.1``
    version: str
    #: What compiled modules must be built for: ``cpython-312-x86_64-linux-gnu``.
    abi: str
    #: Folders and files of its standard library, without its installed packages.
    libraries: tuple[str, ...]

    @property
    def series(self) -> str:
        """``python3.12``, as its folders are called."""
        return "python" + ".".join(self.version.split(".")[:2])


def here() -> Interpreter:
    """Return the interpreter that runs this."""
    return _interpreter(identity.identity())


def ask(executable: str | Path) -> Interpreter | None:
    """Return the interpreter behind *executable*, or None if no usable CPython answers."""
    command = [str(executable), "-I", "-S", "-B", identity.__file__]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_TIMEOUT_S, check=False
        )
        facts = json.loads(done.stdout) if done.returncode == 0 else None
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None
    if not isinstance(facts, dict) or facts.get("implementation") != "cpython":
        return None
    found = _interpreter(facts)
    return found if Version(found.version) >= OLDEST else None


def _interpreter(facts: Mapping[str, Any]) -> Interpreter:
    return Interpreter(
        executable=facts["executable"],
        version=facts["version"],
        abi=facts["abi"],
        libraries=tuple(facts["libraries"]),
    )


def choose(python: str, environ: Mapping[str, str], override: str = "") -> Interpreter:
    """Return the interpreter that the request *python* is served with.

    The application's own goes first where specifiers allow it, then the oldest series that they
    allow: nearest to what the plugin's author tried. *override* replaces the search and must be
    what *python* allows.

    Raises:
        EnvironmentUnavailable: ``environment.interpreter`` when there is none.
    """
    if override:
        found = ask(override) if is_path(override) else _first(_named(override, environ))
        if found is not None and (not python or not _is_specifier(python) or _fits(found, python)):
            return found
        raise _missing(f"{override!r} is no CPython" + (f" {python}" if python else ""))
    if not python:
        return here()
    found = _search(python, environ)
    if found is None:
        raise _missing(f"no CPython {python!r} was found")
    return found


def _search(python: str, environ: Mapping[str, str]) -> Interpreter | None:
    if is_path(python):
        return _at(python, environ)
    if is_name(python):
        return _first(_named(python, environ))
    own = here()
    if _fits(own, python):
        return own
    fitting = [found for found in _all(environ) if _fits(found, python)]
    return min(fitting, key=_preference, default=None)


def _at(path: str, environ: Mapping[str, str]) -> Interpreter | None:
    """Ask the interpreter at *path*, which a manifest names, if it lies where interpreters do.

    Anything else may be a program that the plugin brought along: it would run here and now, and be
    the zygote of its workers later, outside of every wall.
    """
    folders = {os.path.realpath(folder) for folder in _folders(environ)}
    if os.path.realpath(os.path.dirname(path)) not in folders:
        raise EnvironmentUnavailable(
            f"{path!r} lies in no folder of interpreters, so it is not started on a manifest's "
            f"word; if you trust it, run `nxkernel plugins install DIR --python {path}`",
            code="environment.interpreter",
        )
    return ask(path)


def _preference(found: Interpreter) -> tuple[Any, ...]:
    version = Version(found.version)
    return (version.release[:2], -version.micro, found.executable)


def _missing(what: str) -> EnvironmentUnavailable:
    return EnvironmentUnavailable(
        f"{what} (3.11 or newer that starts); install it, or name one with "
        "`nxkernel plugins install DIR --python PATH`",
        code="environment.interpreter",
    )


def _is_specifier(python: str) -> bool:
    return not is_path(python) and not is_name(python)


def _fits(found: Interpreter, specifiers: str) -> bool:
    return SpecifierSet(specifiers).contains(found.version, prereleases=True)


def _first(candidates: Iterable[Path]) -> Interpreter | None:
    return next((found for found in map(ask, candidates) if found is not None), None)


def _named(name: str, environ: Mapping[str, str]) -> Iterator[Path]:
    for folder in _folders(environ):
        if os.access(folder / name, os.X_OK):
            yield folder / name


def _all(environ: Mapping[str, str]) -> Iterator[Interpreter]:
    seen: set[str] = set()
    for folder in _folders(environ):
        for name in sorted(os.listdir(folder)):
            if _NAMED.fullmatch(name) and (real := os.path.realpath(folder / name)) not in seen:
                seen.add(real)
                found = ask(folder / name)
                if found is not None:
                    yield found


def _folders(environ: Mapping[str, str]) -> Iterator[Path]:
    """Where interpreters lie: the search path, version managers, and beside this one."""
    home = environ.get("HOME", "")
    data = environ.get("XDG_DATA_HOME") or os.path.join(home, ".local", "share")
    managers = [
        os.path.join(environ.get("PYENV_ROOT") or os.path.join(home, ".pyenv"), "versions"),
        environ.get("UV_PYTHON_INSTALL_DIR") or os.path.join(data, "uv", "python"),
        os.path.dirname(sys.base_prefix),
    ]
    search = environ.get("PATH", "").split(os.pathsep)
    paths = [Path(folder) for folder in search if os.path.isabs(folder)]
    for manager in map(Path, managers):
        paths += sorted(manager.glob("*/bin")) if manager.is_dir() else []
    yield from (folder for folder in dict.fromkeys(paths) if folder.is_dir())
