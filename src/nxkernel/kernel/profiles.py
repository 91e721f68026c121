"""Launch profiles: what an interpreter is started with, and which workers can share a zygote."""

from __future__ import annotations

import importlib.util
import os
import sys
import sysconfig
from pathlib import Path

import nxkernel
from nxkernel import _forks
from nxkernel._namespaces import NAMESPACES
from nxkernel.errors import KernelConfigError
from nxkernel.host.imports import RUNTIME
from nxkernel.host.zygote import Profile
from nxkernel.kernel.vectors import pinned
from nxkernel.settings import Hosting
from nxkernel.types import Level

__all__ = [
    "code_folders",
    "default_profile",
    "environment_of",
    "namespaces",
    "worker_environment",
]

#: One thread per numeric library: results of BLAS depend on the number of threads.
_ONE_THREAD = (
    "BLIS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)


def worker_environment() -> dict[str, str]:
    """Return the environment that every worker shares; nothing of the host's is in it.

    The hash seed is a constant: derived from a run's seed it would make the zygote, and with it
    every start, belong to one run.
    """
    return {
        "LANG": "C.UTF-8",
        "LC_ALL": "C.UTF-8",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONHASHSEED": "0",
        "PYTHONUTF8": "1",
        "TZ": "UTC",
        **dict.fromkeys(_ONE_THREAD, "1"),
        **_of_the_machine(),
    }


def environment_of(
    hosting: Hosting, folder: Path | None = None, *, strict: bool = False
) -> dict[str, str]:
    """Return the environment of workers under *hosting*.

    Args:
        folder: the plugin's own, if any.
        strict: whether the guard's mode for randomness is that.
    """
    own = {}
    if folder is not None:
        home, temporary = ("tmp", "home") if hosting.surroundings.swapped else ("home", "tmp")
        own = {"HOME": str(folder / home), "TMPDIR": str(folder / temporary)}
    return {
        **worker_environment(),
        **(pinned() if strict else {}),
        **hosting.environment,
        **dict(hosting.surroundings.environment),
        **own,
    }


def _of_the_machine() -> dict[str, str]:
    """Return where Windows keeps its libraries: no interpreter starts there without."""
    names = ("SYSTEMROOT",) if sys.platform == "win32" else ()
    return {name: os.environ[name] for name in names if name in os.environ}


def code_folders() -> tuple[str, ...]:
    """Return the folders from which workers import packages, resolved and sorted."""
    # Python 3.12 makes the table of paths at the first question, under a lock of its own: a child
    # that was forked meanwhile would wait for that for ever.
    with _forks.whole():
        folders = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    for name in sorted(RUNTIME):
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.origin is not None:
            folders.add(str(Path(spec.origin).parent.parent))
    return tuple(sorted({os.path.realpath(f) for f in folders if os.path.isdir(f)}))


def namespaces(level: Level, *, network: bool) -> tuple[str, ...]:
    """Return the namespaces of a worker at *level*.

    A granted port needs the host's network: there Landlock and the filter hold it, as at
    ``confined``.
    """
    if level != "isolated":
        return ()
    return tuple(name for name in NAMESPACES if not (network and name == "net"))


def _own_python() -> Path:
    """Return this interpreter; on Windows the one behind it.

    There the python.exe of a virtual environment starts another process, and a worker's job holds
    one. The environment's packages are found by their folder anyway.
    """
    base = getattr(sys, "_base_executable", None) if sys.platform == "win32" else None
    return Path(base or sys.executable)


def default_profile(
    hosting: Hosting,
    level: Level,
    *,
    network: bool = False,
    fixed_addresses: bool = False,
    guarded: bool = False,
    folders: tuple[str, ...] = (),
) -> Profile:
    """Return the profile of every plugin that asks for no environment of its own.

    Args:
        network: whether the plugin has a granted port.
        fixed_addresses: whether its memory lies at the same addresses in every run.
        guarded: whether the randomness of most plugins is seen.
        folders: the code folders, if the caller has looked them up.

    Raises:
        KernelConfigError: when this program's executable is no Python interpreter.
    """
    if hosting.python is None and (getattr(sys, "frozen", False) or not sys.executable):
        raise KernelConfigError(
            "this program is frozen: its executable is no Python interpreter; "
            "give one with Hosting(python=...)"
        )
    return Profile(
        python=hosting.python or _own_python(),
        bootstrap=Path(nxkernel.__file__).parent / "worker" / "bootstrap.py",
        sys_path=folders or code_folders(),
        environment=environment_of(hosting),
        namespaces=namespaces(level, network=network),
        fixed_addresses=hosting.surroundings.fixed(fixed_addresses),
        surroundings=hosting.surroundings,
        guarded=guarded,
        spares=hosting.spares,
    )
