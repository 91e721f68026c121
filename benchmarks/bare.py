"""Forks that do nothing: what a start and an idle worker cost before any Python runs in them.

Run as a script it is a stand-in for a zygote: it imports and settles as one does, and then forks,
for each line that it reads, a child that makes the given system calls and waits. The calls are
made ready before the fork, so that one loop over a list is all of Python that the child executes.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import struct
import sys
from collections.abc import Callable, Iterator
from typing import Any

from nxkernel import _linux
from nxkernel.worker import zygote

__all__ = ["serve"]

_libc: Any = ctypes.CDLL(None, use_errno=True)
_DUPFD_CLOEXEC, _CLOEXEC = 1030, 0o2000000
_SECUREBITS, _CAPABILITIES = 0xEF, struct.pack("<Ii", 0x20080522, 0)
#: Above every number that a worker gives a meaning.
_ABOVE = 8
#: Where a worker's ruleset is put: after its two pipes, and its arena.
_RULESET = 6

Step = tuple[Callable[..., object], tuple[object, ...]]


def _call(name: str, *arguments: object) -> Step:
    """One system call, ready to be made."""
    longs = tuple(ctypes.c_long(each) if isinstance(each, int) else each for each in arguments)
    return _libc.syscall, (ctypes.c_long(_linux.SYSCALLS[name]), *longs)


def _descriptors(given: list[int]) -> Iterator[Step]:
    """As ``child._lay_out`` has them: *given* are two pipes, the log, the arena, the ruleset."""
    yield _call("openat", -100, b"/dev/null", os.O_RDWR)
    for number, each in enumerate(given):
        yield _call("fcntl", each, _DUPFD_CLOEXEC, _ABOVE)
        if number < 3:
            yield _call("dup2", each, (3, 4, 2)[number])
        else:
            yield _call("dup3", each, number + 2, _CLOEXEC)
    yield _call("close_range", _RULESET + 1, 1 << 20, 0)


def _walls(program: Any, limits: dict[str, list[int]]) -> Iterator[Step]:
    """As ``confine.confine`` builds them, without its looks at what it has done."""
    import resource

    yield _call("prctl", _linux.PR_SET_PDEATHSIG, 9)
    yield _call("getppid")
    yield _call("prctl", _linux.PR_SET_DUMPABLE, 0)
    yield _call("umask", 0o077)
    for name, (soft, hard) in sorted(limits.items()):
        kind = getattr(resource, "RLIMIT_" + name)
        most = [2**64 - 1 if each < 0 else each for each in (soft, hard)]
        yield _call("prlimit64", 0, kind, struct.pack("<QQ", *most), None)
    yield _call("prctl", _linux.PR_CAP_AMBIENT, _linux.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    yield _call("prctl", _linux.PR_SET_SECUREBITS, _SECUREBITS, 0, 0, 0)
    yield _call("capset", _CAPABILITIES, bytes(24))
    yield _call("prctl", _linux.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    yield _call("landlock_restrict_self", _RULESET, 1)
    yield _call("close", _RULESET)
    header = struct.pack("<H6xQ", len(program) // 8, ctypes.addressof(program))
    yield _call("seccomp", _linux.SECCOMP_SET_MODE_FILTER, 0, header)


def _places(program: bytes) -> list[int]:
    """Where the filter has the pid of the process that loads it."""
    marker = struct.pack("<I", _linux.SELF_PID)
    return [at + 4 for at in range(0, len(program), 8) if program[at + 4 : at + 8] == marker]


def serve(order: dict[str, Any]) -> None:
    """Fork for each byte of standard input: ``f`` a bare fork, ``w`` one with walls."""
    program = ctypes.create_string_buffer(bytes.fromhex(order["program"]))
    program = (ctypes.c_char * (len(program) - 1)).from_buffer_copy(program)
    places, byte = _places(program.raw), ctypes.create_string_buffer(1)
    told, wait = order["told"], order["wait"]
    bare = [_call("write", told, b".", 1), _call("read", wait, byte, 1)]
    given = [told, wait, told, told, order["ruleset"]]
    walled = [*_descriptors(given), *_walls(program, order["limits"])]
    walled += [_call("write", 3, b".", 1), _call("read", 4, byte, 1)]
    while kind := os.read(0, 1):
        steps = bare if kind == b"f" else walled
        pid = _linux.fork()
        if pid == 0:
            for place in places if steps is walled else ():
                struct.pack_into("<I", program, place, os.getpid())
            for function, arguments in steps:
                function(*arguments)
            os._exit(0)
        os.write(1, struct.pack("<i", pid))
        os.waitpid(pid, 0)


def main() -> None:
    """Settle as a zygote does, say so, and serve."""
    for name in zygote.PRELOAD:
        importlib.import_module(name)
    order = json.loads(sys.argv[1])
    zygote._settle(guarded=False)
    os.write(1, struct.pack("<i", 0))
    serve(order)


if __name__ == "__main__":
    main()
