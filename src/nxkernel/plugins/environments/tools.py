"""Tools: uv and pip, which fetch and unpack wheels, and what their failures mean.

Both are told to take wheels alone unless the installing person says otherwise: a source
distribution is built by running its code, here, with the rights of whoever installs.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal

import attrs

from nxkernel.errors import EnvironmentUnavailable
from nxkernel.plugins.environments.interpreters import Interpreter

__all__ = ["Tool", "ToolName", "find_tool", "make_venv", "precompile"]

ToolName = Literal["uv", "pip"]
#: Lines of a tool's output that are kept.
_KEPT_LINES = 40
_UNREACHABLE = re.compile(
    r"Retrying \(|ConnectionError|NewConnectionError|ProxyError|Max retries exceeded"
    r"|error sending request|Failed to fetch|dns error|tcp connect error|Network connectivity"
)
_UNRESOLVED = re.compile(
    r"No matching distribution found|ResolutionImpossible|No solution found|has no usable wheels"
    r"|conflicting dependencies|THESE PACKAGES DO NOT MATCH THE HASHES|Hash mismatch"
    r"|In --require-hashes mode"
)
_WHICH = re.compile(r"No matching distribution found for (\S+)|Because (?:only )?(\S+)")

#: Runs a command with an environment, and returns exit status and output.
Run = Callable[[Sequence[str], Mapping[str, str], Path], tuple[int, str]]


def _run(command: Sequence[str], environ: Mapping[str, str], folder: Path) -> tuple[int, str]:
    done = subprocess.run(
        command,
        env=dict(environ),
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    return done.returncode, done.stdout.decode("utf-8", "replace")


@attrs.frozen(kw_only=True)
class Tool:
    """A program that installs requirements into a virtual environment."""

    name: ToolName
    #: How it begins on a command line.
    command: tuple[str, ...]
    environ: Mapping[str, str] = attrs.field(repr=False)
    run: Run = attrs.field(default=_run, repr=False)

    def install(self, python: Path, requirements: Path, *, allow_build: bool) -> None:
        """Install what the file *requirements* names for the interpreter *python*.

        Raises:
            EnvironmentUnavailable: ``environment.index``, ``environment.unresolved`` or
                ``environment.build``; what the tool said is in the details.
        """
        options = _uv_options(python) if self.name == "uv" else _pip_options(python)
        wheels = () if allow_build else ("--only-binary", ":all:")
        command = [*self.command, *options, *wheels, "-r", str(requirements)]
        status, said = self.run(command, self.environ, requirements.parent)
        if status != 0:
            raise _failure(self.name, said)


def _uv_options(python: Path) -> tuple[str, ...]:
    # Copies: of a link to its cache, the second load of a compiled module could be the first one.
    return ("pip", "install", "--no-progress", "--link-mode", "copy", "--python", str(python))


def _pip_options(python: Path) -> tuple[str, ...]:
    quiet = ("--no-input", "--disable-pip-version-check", "--no-color")
    install = ("install", "--no-compile", "--no-warn-script-location", "--progress-bar", "off")
    return ("--python", str(python), *quiet, *install)


def find_tool(environ: Mapping[str, str], wanted: ToolName | None = None) -> Tool:
    """Return uv where it is present, else pip, or the one that is *wanted*.

    Raises:
        EnvironmentUnavailable: ``environment.build`` when it is not there.
    """
    # Beside the interpreter as well: a virtual environment need not be activated.
    search = os.pathsep.join([environ.get("PATH", ""), os.path.dirname(sys.executable)])
    uv = shutil.which("uv", path=search)
    if uv is not None and wanted != "pip":
        return Tool(name="uv", command=(uv,), environ=_clean(environ))
    if wanted != "uv" and importlib.util.find_spec("pip") is not None:
        return Tool(name="pip", command=(sys.executable, "-m", "pip"), environ=_clean(environ))
    missing = wanted or "uv or pip"
    raise EnvironmentUnavailable(
        f"an environment is built with {missing}, which is not here; install uv, or run "
        "`python -m ensurepip` with the application's interpreter",
        code="environment.build",
    )


def _clean(environ: Mapping[str, str]) -> dict[str, str]:
    """Keep what configures index and proxy; drop what would point at another environment."""
    drop = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "PIP_TARGET", "PIP_PREFIX", "PIP_USER")
    return {name: value for name, value in environ.items() if name not in drop}


def make_venv(interpreter: Interpreter, prefix: Path, run: Run = _run) -> None:
    """Make *prefix* an empty virtual environment of *interpreter*, by its own ``venv``.

    Raises:
        EnvironmentUnavailable: ``environment.interpreter`` when it has no ``venv``.
    """
    command = [interpreter.executable, "-I", "-m", "venv", "--without-pip", str(prefix)]
    status, said = run(command, _clean(os.environ), prefix.parent)
    if status != 0:
        raise EnvironmentUnavailable(
            f"CPython {interpreter.version} cannot make a virtual environment; install its venv "
            "module (Debian: python3-venv)",
            code="environment.interpreter",
            details={"output": _last(said)},
        )


def precompile(interpreter: Interpreter, prefix: Path, run: Run = _run) -> None:
    """Compile every module below *prefix*.

    No worker may write beside its libraries, so what is not compiled now would be compiled at
    every start. A file that does not compile is none that can be imported. The import system sets
    the path of a module when it loads it; without one the result is the same in every place.
    """
    options = ("-q", "-f", "--invalidation-mode", "unchecked-hash", "-s", str(prefix))
    command = [interpreter.executable, "-I", "-S", "-m", "compileall", *options, str(prefix)]
    run(command, _clean(os.environ), prefix.parent)


def _failure(tool: ToolName, said: str) -> EnvironmentUnavailable:
    details = {"tool": tool, "output": _last(said)}
    if _UNREACHABLE.search(said):
        return EnvironmentUnavailable(
            f"{tool} could not reach its package index; check the network and {tool}'s settings, "
            "or take the other one with --tool",
            code="environment.index",
            details=details,
        )
    if _UNRESOLVED.search(said):
        match = _WHICH.search(said)
        which = next((name for name in match.groups() if name), "") if match else ""
        return EnvironmentUnavailable(
            f"no set of wheels satisfies the requirements{f': {which}' if which else ''}; change "
            "them, or accept code that runs at installation with --allow-build",
            code="environment.unresolved",
            details=details,
        )
    return EnvironmentUnavailable(
        f"{tool} could not install the requirements; its output is in the details",
        code="environment.build",
        details=details,
    )


def _last(said: str) -> list[str]:
    return said.strip().splitlines()[-_KEPT_LINES:]
