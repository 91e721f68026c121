"""Descriptors that an interrupt cannot lose.

Python runs signal handlers between the steps of its functions. A KeyboardInterrupt between a call
and the assignment of its result loses the result, and with it the descriptors that it holds: two
thousand interrupts left a hundred behind. A function that is called from C, straight into a list
that somebody has already, leaves no such place: what it returned is in the list, or it was not
called.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from itertools import chain, repeat, starmap
from typing import Any

#: No descriptor: the end of those that are to be closed.
_LAST = -1

__all__ = ["close_all", "into", "open_pipes"]


def into(holder: list[Any], function: Callable[..., Any], *arguments: Any) -> None:
    """Append what ``function(*arguments)`` returns to *holder*, in one step."""
    holder.extend(starmap(function, (arguments,)))


def open_pipes(holder: list[int], count: int) -> None:
    """Append the two ends of *count* new pipes to *holder*, each pipe in one step."""
    holder.extend(chain.from_iterable(starmap(os.pipe, repeat((), count))))


def close_all(held: list[int]) -> None:
    """Take every descriptor out of *held* and close it, all in one step."""
    # Closed the other way round an interrupt could come again for what is closed already, and by
    # then its number may be another's.
    held.insert(0, _LAST)
    deque(map(os.close, iter(held.pop, _LAST)), maxlen=0)
