"""Small reads, in which no other thread takes over the interpreter.

As for :mod:`nxkernel._system.writing`: ``os.read`` gives up the interpreter's lock, also where it
has nothing to wait for. With several threads whoever does so waits for all the others, each time.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable
from typing import Final

__all__ = ["CHUNK", "taker"]

#: Bytes that one read takes at most without letting anybody in.
CHUNK: Final = 1 << 16


if sys.platform == "win32":

    def taker(fd: int) -> Callable[[int], bytes]:
        """Return what reads up to so many bytes of *fd*, which does not block."""
        return lambda size: os.read(fd, size)

else:
    import ctypes

    #: PyDLL and not CDLL: it keeps the interpreter's lock.
    _read = ctypes.PyDLL(None, use_errno=True).read
    _read.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t)
    _read.restype = ctypes.c_ssize_t
    _copied = ctypes.string_at

    def taker(fd: int) -> Callable[[int], bytes]:
        """Return what reads up to so many bytes of *fd*, which does not block.

        It raises OSError as ``os.read`` does. Not for several threads at once.
        """
        buffer = ctypes.create_string_buffer(CHUNK)
        place = ctypes.addressof(buffer)

        def take(size: int, _owner: object = buffer) -> bytes:
            if size != CHUNK:
                return os.read(fd, size)
            taken: int = _read(fd, place, CHUNK)
            if taken < 0:
                number = ctypes.get_errno()
                if number == errno.EINTR:
                    return os.read(fd, size)  # which begins again by itself
                raise OSError(number, os.strerror(number))
            return _copied(place, taken)

        return take
