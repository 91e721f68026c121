"""The process behind `probe`: run by path, with the path of `_linux.py` and a feature's name.

It loads nothing else of nxkernel, tries the feature on itself, and prints one JSON object with the
keys ok, value, errno and detail.
"""

from __future__ import annotations

import errno
import importlib.util
import json
import os
import struct
import sys
from types import ModuleType
from typing import Any

# Loads the number of the call, refuses sched_yield with EDOM, allows the rest. EDOM is an answer
# that sched_yield never gives by itself.
_REFUSED, _REFUSAL = "sched_yield", errno.EDOM


def _load(path: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location("_linux", path)
    if spec is None or spec.loader is None:
        raise ImportError(path)
    module = importlib.util.module_from_spec(spec)
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


def main() -> None:
    """Try the feature that the command line names."""
    path, name = sys.argv[1:]
    try:
        report = {"landlock": landlock, "seccomp": seccomp}[name](_load(path))
    except OSError as error:
        report = _report(0, error.errno, f"{error.filename or name}: {error.strerror}")
    sys.stdout.write(json.dumps(report))


if __name__ == "__main__":
    main()
