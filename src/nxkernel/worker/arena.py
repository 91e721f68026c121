"""This worker's arena: where the host puts large blobs, and where it finds ours.

The host uses the memory of a blob again once the call that brought it is answered. What the plugin
has kept of one by then, a view or an array over it, must go on showing the same bytes: it is given
a copy, at the same address, by the one system call that can put memory in the place of other
memory without a moment in which there is neither.
"""

from __future__ import annotations

import ctypes
import functools
import os
import weakref
from typing import Any

import attrs

from nxkernel._blob import Blob, name_of, named
from nxkernel._wire import ALIGNMENT, Slice

__all__ = ["Arena", "Loan"]

# Of Linux, where alone there are arenas: access to memory, kinds of mappings, and how to move one.
_READ, _WRITE = 1, 2
_SHARED, _PRIVATE, _FIXED, _ANONYMOUS = 0x1, 0x2, 0x10, 0x20
_MAYMOVE, _REMAP_FIXED = 1, 2
_FAILED = ctypes.c_void_p(-1).value
_BYTE = ctypes.c_ubyte


def _aligned(offset: int) -> int:
    return -(-offset // ALIGNMENT) * ALIGNMENT


@attrs.define(eq=False)
class Loan:
    """Memory of the arena in which a blob lies until its call is answered."""

    piece: Slice
    #: Dead once neither the blob nor a view of it is left.
    array: weakref.ref[Any]
    address: int
    #: Whether it is mapped by itself, beside the whole.
    apart: bool

    @property
    def held(self) -> bool:
        """Whether something of it is left."""
        return self.array() is not None


class Arena:
    """The worker's side of an arena."""

    def __init__(self, down: int, up: int) -> None:
        """*down*: what the host writes, to read alone. *up*: for what we send it."""
        self._down, self._up = down, up
        self._size = os.fstat(down).st_size
        #: Where they are mapped, once they are.
        self._theirs = 0
        self._ours: memoryview | None = None
        #: Parts of the first in whose place lies what the plugin has kept: begin -> end.
        self._holes: dict[int, int] = {}

    # -- from the host ---------------------------------------------------------------------------

    def lend(self, piece: Slice) -> tuple[Blob, Loan]:
        """Return the blob that the host has put into the arena."""
        array, address, apart = self._array(piece)
        return _blob(array, piece), Loan(piece, weakref.ref(array), address, apart)

    def again(self, loan: Loan) -> Blob:
        """Return the blob of a loan once more."""
        array = loan.array()
        if array is None:
            array, loan.address, loan.apart = self._array(loan.piece)
            loan.array = weakref.ref(array)
        return _blob(array, loan.piece)

    def _array(self, piece: Slice) -> tuple[Any, int, bool]:
        end = piece.offset + piece.size
        apart = any(begin < end and piece.offset < past for begin, past in self._holes.items())
        address = self._beside(piece) if apart else self._base() + piece.offset
        array = _array_of(piece.size).from_address(address)
        if apart:
            _at_end(array, _unmap, address, _aligned(piece.size))
        return array, address, apart

    def _base(self) -> int:
        if not self._theirs:
            self._theirs = _map(self._size, _READ, _SHARED, self._down, 0)
        return self._theirs

    def _beside(self, piece: Slice) -> int:
        size = _aligned(piece.size)
        return _map(size, _READ, _SHARED, self._down, piece.offset)

    def reclaim(self, loan: Loan) -> None:
        """The host is about to use the loan's memory again: copy what is held of it.

        Raises:
            OSError: when there is no memory for a copy.
        """
        array = loan.array()
        if array is None:
            return
        size = _aligned(len(array))
        private = _PRIVATE | _ANONYMOUS
        copy = _map(size, _READ | _WRITE, private, -1, 0)
        ctypes.memmove(copy, loan.address, len(array))
        _call("mremap", copy, size, size, _MAYMOVE | _REMAP_FIXED, loan.address)
        if not loan.apart:
            begin = loan.piece.offset
            self._holes[begin] = begin + size
            _at_end(array, self._mend, begin, size)

    def _mend(self, offset: int, size: int) -> None:
        """Map what the host writes again where something kept has lain."""
        flags = _SHARED | _FIXED
        _map(size, _READ, flags, self._down, offset, self._theirs + offset)
        self._holes.pop(offset, None)

    # -- from here -------------------------------------------------------------------------------

    def put(self, blob: Blob, begin: int) -> Slice | None:
        """Put *blob* into our file at or after *begin*, or return None where there is no room."""
        begin = _aligned(begin)
        if begin + blob.size > self._size:
            return None
        if self._ours is None:
            flags = _READ | _WRITE
            address = _map(self._size, flags, _SHARED, self._up, 0)
            self._ours = memoryview((_BYTE * self._size).from_address(address)).cast("B")
        self._ours[begin : begin + blob.size] = blob.view()
        return Slice(name_of(blob), begin, blob.size)


@functools.lru_cache(maxsize=64)  # a new class costs more than the rest
def _array_of(size: int) -> Any:
    return _BYTE * size


def _blob(array: Any, piece: Slice) -> Blob:
    return named(memoryview(array).cast("B").toreadonly(), piece.name)


def _at_end(array: Any, action: Any, *arguments: int) -> None:
    weakref.finalize(array, action, *arguments).atexit = False


@functools.cache
def _function(name: str) -> Any:
    function = getattr(ctypes.CDLL(None, use_errno=True), name)
    function.restype = ctypes.c_void_p
    return function


def _call(name: str, *arguments: int) -> int:
    """Call a function of the C library that returns an address. Raises OSError."""
    words = [ctypes.c_long(each) for each in arguments]
    address: int | None = _function(name)(*words)
    if address == _FAILED:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), name)
    return address or 0


def _map(size: int, access: int, flags: int, fd: int, offset: int, place: int = 0) -> int:
    return _call("mmap", place, size, access, flags, fd, offset)


def _unmap(address: int, size: int) -> None:
    _call("munmap", address, size)
