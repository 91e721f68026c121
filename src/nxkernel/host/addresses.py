"""Where the system puts a new process's memory: at random, or for every process alike.

`id()`, the order of a set of objects and what is shown of an object follow from addresses. The
personality that has them fixed belongs to a thread and is inherited by what the thread starts, so
that nothing has to run in between and no other process changes. What it costs: an attacker who has
found a fault in compiled code need not guess addresses.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

__all__ = ["can_be_fixed", "fixed"]

_NO_RANDOMIZE: Final = 0x0040000
#: Asks for the personality and changes nothing.
_ASK: Final = 0xFFFFFFFF


@contextmanager
def fixed(wanted: bool = True) -> Iterator[bool]:
    """Have what this thread starts meanwhile laid out alike; yields whether that is so.

    Containers may refuse it.
    """
    before = _personality(_ASK) if wanted and sys.platform == "linux" else -1
    if before < 0 or _personality(before | _NO_RANDOMIZE) < 0:
        yield False
        return
    try:
        yield True
    finally:
        _personality(before)


def can_be_fixed() -> bool:
    """Whether this process may start others with fixed addresses."""
    with fixed() as done:
        return done


def _personality(wanted: int) -> int:
    """Set this thread's personality; returns the one before, or -1 where that is refused."""
    # By the C library: the number of the call differs by processor.
    return int(ctypes.CDLL(None).personality(ctypes.c_ulong(wanted)))
