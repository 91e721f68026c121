"""Fills the holes in this process's heap, so that forks of it lay their own objects side by side.

What was freed while modules were imported has left holes all over the heap, and the next objects
would go there: a fork that makes a few hundred of them would copy as many pages. Where the holes
are full, it takes new pages, and few. It changes where things lie, and nothing else.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable, Iterator
from functools import partial

__all__ = ["fill"]

#: Sizes of objects that Python's own allocator serves, in steps of 16 bytes, one pool for each.
_SMALL = range(16, 513, 16)
#: Sizes that C's allocator is asked for at a start: larger code, tables of dicts, types.
_LARGE = (4096, 2048, 1536, 1280, 1152, 1024, 896, 768, 704, 640, 592, 560, 544, 528)
#: Pieces in a row that say that there is a new page, and most bytes of one size that are spent.
_IN_A_ROW, _MOST = 8, 1 << 17
#: Never given back: their holes would be there again.
_kept: list[object] = []


def fill() -> None:
    """Fill them, for good."""
    for size in _SMALL:
        for _ in _until_new(_small_maker(size), size):
            continue
    if sys.platform == "linux":
        malloc = ctypes.CDLL(None).malloc
        malloc.argtypes, malloc.restype = (ctypes.c_size_t,), ctypes.c_size_t
        for size in _LARGE:
            # Each has a header of 8 bytes before it.
            for _ in _until_new(partial(malloc, size - 8), size):
                continue


def _until_new(make: Callable[[], int], size: int) -> Iterator[int]:
    """Call *make* until what it makes, of *size* bytes each, lies one after the other."""
    row = last = 0
    for number in range(_MOST // size):
        if row >= _IN_A_ROW:
            return
        at = make()
        row = row + 1 if at == last + size else 0
        last = at
        yield number


def _small_maker(size: int) -> Callable[[], int]:
    """Return what makes an object of *size* bytes, keeps it, and returns its address."""

    def make() -> int:
        # The smallest size that bytes have is that of 33 and what they hold.
        made: object = object() if size == 16 else float(size) if size == 32 else bytes(size - 33)
        _kept.append(made)
        return id(made)

    return make
