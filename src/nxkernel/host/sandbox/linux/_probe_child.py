"""The process behind `probe`: run by path, with the path of `_linux.py` and a feature's name.

It loads nothing else of nxkernel but what lies beside that file, tries the feature on itself, and
prints one JSON object with the keys ok, value, errno and detail.
"""

from __future__ import annotations

import errno
import importlib.util
import json
import os
import signal
import struct
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

# Loads the number of the call, refuses sched_yield with EDOM, allows the rest. EDOM is an answer
# that sched_yield never gives by itself.
_REFUSED, _REFUSAL = "sched_yield", errno.EDOM


def _load(path: str) -> ModuleType:
    """Load one module of nxkernel by its path, under the name by which others import it."""
    name = "nxkernel." + os.path.splitext(os.path.basename(path))[0]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _report(value: int, number: int | None = None, detail: str = "") -> dict[str, Any]:
    return {"ok": not detail, "value": value, "errno": number, "detail": detail}


def landlock(linux: ModuleType) -> dict[str, Any]:
    """Deny the reading of directories and try to list one."""
    version = linux.syscall("landlock_create_ruleset", None, 0, 1)
    read_dir = struct.pack("<Q", 1 << 3)
    ruleset = linux.syscall("landlock_create_ruleset", read_dir, len(read_dir), 0)
    linux.prctl(linux.PR_SET_NO_NEW_PRIVS, 1)
    linux.syscall("landlock_restrict_self", ruleset, 0)
    try:
        os.listdir("/")
    except PermissionError:
        return _report(version)
    return _report(0, 0, "the ruleset was accepted, but `/` can still be listed")


def seccomp(linux: ModuleType) -> dict[str, Any]:
    """Refuse one harmless call and make it."""
    program = struct.pack("<HBBI", 0x20, 0, 0, 0)
    program += struct.pack("<HBBI", 0x15, 0, 1, linux.SYSCALLS[_REFUSED])
    program += struct.pack("<HBBI", 0x06, 0, 0, 0x00050000 | _REFUSAL)
    program += struct.pack("<HBBI", 0x06, 0, 0, 0x7FFF0000)
    linux.prctl(linux.PR_SET_NO_NEW_PRIVS, 1)
    linux.load_filter(program)
    try:
        linux.syscall(_REFUSED)
    except OSError as error:
        if error.errno == _REFUSAL:
            return _report(1)
    return _report(0, 0, "the filter was accepted, but refuses nothing")


def namespaces(linux: ModuleType) -> dict[str, Any]:
    """Enter them all, as the zygote does, build a root, as a worker does, and look around."""
    here = os.path.dirname(os.path.abspath(str(linux.__file__)))
    module = _load(os.path.join(here, "_namespaces.py"))
    outside = module.identities()
    module.enter(module.NAMESPACES)
    module.fork_first()
    entered = sum(outside[name] != inode for name, inode in module.identities().items())
    scratch = "/scratch"
    module.build_root(read=[here], write=[], links=[], scratch=[scratch], scratch_mb=1, stage=here)
    wrong = _still_there(entered == len(outside), here, scratch)
    return _report(0, 0, f"accepted, but {wrong}") if wrong else _report(entered)


def processes(linux: ModuleType) -> dict[str, Any]:
    """Begin a pid namespace and bound it, as a worker does that may start programs."""
    here = os.path.dirname(os.path.abspath(str(linux.__file__)))
    module = _load(os.path.join(here, "_namespaces.py"))
    module.enter_processes()
    child = os.fork()
    if child == 0:
        try:
            module.bound_processes(1)
            os._exit(0 if _most_forks() < module.LEAST_TASKS else errno.EAGAIN)
        except OSError as error:
            os._exit(error.errno or 1)
    _, status = os.waitpid(child, 0)
    number = os.waitstatus_to_exitcode(status)
    if number == 0:
        return _report(1)
    return _report(0, number, f"pid_max: {os.strerror(abs(number))}")


def _most_forks() -> int:
    """Fork until it is refused: the end of this process ends them all."""
    for count in range(1000):
        try:
            if os.fork() == 0:
                signal.pause()
        except OSError:
            return count
    return 1000


def _still_there(entered: bool, granted: str, scratch: str) -> str:
    """Say what of the host is still there, or what is missing of the new root."""
    own = os.path.exists(granted) and not os.path.exists("/proc")
    findings = {
        "a namespace is still the host's": entered,
        "this is not the first process": os.getpid() == 1,
        "the machine has its name": os.uname().nodename == "nxkernel",
        "the root is still the host's": own,
        "the root can be written": _refused_with(errno.EROFS, lambda: os.mkdir("/new")),
        "a granted folder can be written": _refused_with(
            errno.EROFS, lambda: os.mkdir(os.path.join(granted, "new"))
        ),
        "the scratch folder has no limit": _refused_with(
            errno.ENOSPC, lambda: _fill(os.path.join(scratch, "file"))
        ),
    }
    return next((finding for finding, holds in findings.items() if not holds), "")


def _refused_with(number: int, attempt: Callable[[], object]) -> bool:
    try:
        attempt()
    except OSError as error:
        return error.errno == number
    return False


def _fill(path: str) -> None:
    with open(path, "wb", buffering=0) as file:
        for _ in range(3):
            file.write(bytes(1 << 20))


def main() -> None:
    """Try the feature that the command line names."""
    path, name = sys.argv[1:]
    attempts = {
        "landlock": landlock,
        "seccomp": seccomp,
        "namespaces": namespaces,
        "processes": processes,
    }
    try:
        report = attempts[name](_load(path))
    except OSError as error:
        report = _report(0, error.errno, f"{error.filename or name}: {error.strerror}")
    sys.stdout.write(json.dumps(report))


if __name__ == "__main__":
    main()
