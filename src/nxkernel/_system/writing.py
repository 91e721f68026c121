"""Small writes, in which no other thread takes over the interpreter.

``os.write`` gives up the interpreter's lock. A thread that holds a lock of its own meanwhile gets
the interpreter back only in its turn, and all who want that lock wait twice: with two threads or
more each row cost its caller several wake-ups, and a call twice as much. A write of a few hundred
bytes into the page cache is over before another thread could begin.
"""

from __future__ import annotations

import errno
import os
import sys
from typing import Final

__all__ = ["LONGEST", "put"]

#: Bytes of a write that are not worth another thread's turn: a page.
LONGEST: Final = 4096


def put(fd: int, data: bytes | memoryview) -> int:
    """Write *data* to *fd* in one step, as far as that goes; returns how far.

    Raises:
        OSError: as ``os.write`` does.
    """
    size = len(data)
    if size > LONGEST or type(data) is not bytes:
        return os.write(fd, data)
    written: int = _write(fd, data, size)
    return written if written >= 0 else _again(fd, data)


if sys.platform == "win32":

    def _write(fd: int, data: bytes, _size: int) -> int:
        return os.write(fd, data)

    def _again(fd: int, data: bytes) -> int:
        return os.write(fd, data)

else:
    import ctypes

    #: PyDLL and not CDLL: it keeps the interpreter's lock.
    _write = ctypes.PyDLL(None, use_errno=True).write
    _write.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_size_t)
    _write.restype = ctypes.c_ssize_t

    def _again(fd: int, data: bytes) -> int:
        """Do what a signal has kept from being done, or raise what else it was."""
        while (number := ctypes.get_errno()) == errno.EINTR:
            written = int(_write(fd, data, len(data)))
            if written >= 0:
                return written
        raise OSError(number, os.strerror(number))
