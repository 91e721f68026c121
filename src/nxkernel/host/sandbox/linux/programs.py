"""What has to be executable for a program to start: itself, its interpreter, its dynamic loader.

Shared libraries are mapped, which needs the right to read alone.
"""

from __future__ import annotations

import os
import struct
from typing import Final

from nxkernel.errors import SandboxUnavailable

__all__ = ["needed"]

_ELF: Final = b"\x7fELF"
_PT_INTERP: Final = 3
#: A script's interpreter may be a script; the kernel follows as many.
_MOST_SCRIPTS: Final = 4
_MOST_HEADERS: Final = 256
_HEAD: Final = 4096


def needed(program: str) -> tuple[str, ...]:
    """Return what must be executable for *program* to run, in order, as the system calls it.

    These names may lead through symbolic links.

    Raises:
        SandboxUnavailable: it does not exist, or is no program of this machine.
    """
    found: list[str] = []
    path: str | None = program
    for _ in range(_MOST_SCRIPTS + 2):
        if path is None:
            return tuple(found)
        found.append(path)
        path = _interpreter(program, path)
    raise _refused(program, "its interpreters are scripts without an end")


def _interpreter(program: str, path: str) -> str | None:
    """The program that the kernel runs to run *path*, or None."""
    try:
        with open(path, "rb") as file:
            head = file.read(_HEAD)
            if head.startswith(b"#!"):
                words = head[2:].split(b"\n", 1)[0].split()
                return os.fsdecode(words[0]) if words else None
            if head.startswith(_ELF):
                return _loader(file.fileno(), head)
    except (OSError, struct.error) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is damaged"
        raise _refused(program, reason or "it cannot be read") from None
    raise _refused(program, "it is neither an ELF program nor a script with #!")


def _loader(file: int, head: bytes) -> str | None:
    """The dynamic loader that a 64-bit little-endian ELF program names, or None."""
    (offset,) = struct.unpack_from("<Q", head, 32)
    size, count = struct.unpack_from("<HH", head, 54)
    for index in range(min(count, _MOST_HEADERS)):
        header = os.pread(file, 56, offset + index * size)
        (kind,) = struct.unpack_from("<I", header)
        if kind == _PT_INTERP:
            at, _, _, length = struct.unpack_from("<QQQQ", header, 8)
            return os.fsdecode(os.pread(file, min(length, _HEAD), at).rstrip(b"\0"))
    return None


def _refused(program: str, reason: str) -> SandboxUnavailable:
    return SandboxUnavailable(
        f"cannot grant exec {program}: {reason}", details={"guarantee": "exec", "path": program}
    )
