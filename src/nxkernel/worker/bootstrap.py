"""What the interpreter of a zygote, or of a spawned worker, executes first.

Standard library only, until ``sys.path`` is set.

Its configuration comes over the control socket, not as arguments: a process's arguments can be
read by every plugin that runs in a fork of it.
"""

from __future__ import annotations

import gc
import importlib.util
import json
import os
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

#: The control socket's descriptor, by agreement with the host.
CONTROL_FD = 3
#: The argument of a spawned worker, by agreement with the host.
SPAWNED = "spawned"
#: ``_wire.EXIT_CONFINE``, which cannot be imported yet when it is needed most.
EXIT_CONFINE = 70
#: Of the standard library, what the zygote's own modules import first of all.
LIBRARY = (
    "ctypes",
    "datetime",
    "inspect",
    "logging",
    "pathlib",
    "platform",
    "random",
    "secrets",
    "tempfile",
    "traceback",
    "typing",
    "uuid",
)


def main() -> None:
    """Read the launch profile and serve until the host is gone."""
    control = socket.socket(fileno=CONTROL_FD)
    profile = json.loads(control.recv(1 << 20))
    _prepare(profile)
    # Before the namespaces: in them the host has no number.
    host = os.pidfd_open(int(profile["host_pid"]))
    if os.getppid() != profile["host_pid"]:
        os._exit(0)  # The host died before it could be watched.
    if profile["namespaces"]:
        _move(control, profile["namespaces"])
    _import_library()
    from nxkernel.worker.zygote import serve

    serve(control, profile, host)


def alone() -> None:
    """Read the configuration of a spawned worker from standard input, and be that worker."""
    try:
        configuration = json.loads(sys.stdin.buffer.readline())
        _prepare(configuration)
        from nxkernel.worker.spawned import serve

        serve(configuration)
    except BaseException as error:
        # The log is the only place to say why.
        os.write(2, f"worker: {type(error).__name__}: {error}\n".encode("utf-8", "replace"))
        os._exit(EXIT_CONFINE)


def _prepare(profile: Mapping[str, Any]) -> None:
    """Find what is imported from here on: the runtime through its door, the rest by its path."""
    if sys.flags.ignore_environment:
        # -I and -E do: sets would have another order in each worker, and nobody would say so.
        raise RuntimeError("this interpreter ignores PYTHONHASHSEED; start it without -I and -E")
    package = Path(__file__).resolve().parents[1]
    _load("nxkernel.worker.door", package / "worker" / "door.py").open_door(package)
    sys.path.extend(path for path in profile["sys_path"] if path not in sys.path)
    # Of what is imported from here on, as any program does it; `outfit.put_on` ends it.
    sys.dont_write_bytecode = not profile["bytecode"]


def _import_library() -> None:
    """Import `LIBRARY`, and keep the collector of garbage away from it.

    All of that stays. Looked through again and again while more is imported, and once more at the
    end, it would take a tenth of the time in which a zygote gets ready.
    """
    gc.disable()
    for name in LIBRARY:
        importlib.import_module(name)
    gc.freeze()


def _move(control: socket.socket, names: Sequence[str]) -> None:
    """Go on as the first process in new namespaces, or say which step was refused."""
    from nxkernel import _namespaces

    outside = _namespaces.identities()
    try:
        _namespaces.enter(names)
        _namespaces.fork_first()
        shared = sorted(n for n, i in _namespaces.identities().items() if outside[n] == i)
    except OSError as error:
        refused = {"step": str(error.filename or "fork"), "errno": error.errno}
        control.send(b"refused " + json.dumps(refused).encode())
        os._exit(1)
    if set(shared) & set(names):
        raise RuntimeError(f"namespaces {shared} are still the host's")


def _load(name: str, path: Path) -> Any:
    """Load a module by its path: its package is to be imported through it."""
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    if sys.argv[1:] == [SPAWNED]:
        alone()
    else:
        main()
