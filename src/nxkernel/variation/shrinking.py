"""Shrinking: the smallest part of a set that still does what the whole of it does.

Delta debugging (Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input", 2002):
halves first, which is bisection where one thing is to blame, then finer parts and what is left
without them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TypeVar

__all__ = ["smallest"]

T = TypeVar("T")


def smallest(items: Sequence[T], does: Callable[[Sequence[T]], bool]) -> list[T]:
    """Return a part of *items*, in their order, that *does*, and that does not without any one.

    *items* as a whole must do it. The empty part is tried first: it is the answer where nothing of
    *items* is needed. *does* may be asked for the same part again.
    """
    if not items or does([]):
        return []
    left, pieces = list(items), 2
    while len(left) > 1:
        parts = _parts(left, pieces)
        smaller = _one_that_does(parts, does)
        if smaller is not None:
            left, pieces = smaller, 2
            continue
        without = _one_that_does([_without(left, part) for part in parts], does)
        if without is not None and pieces > 2:
            left, pieces = without, pieces - 1
        elif pieces < len(left):
            pieces = min(2 * pieces, len(left))
        else:
            break
    return left


def _parts(items: Sequence[T], number: int) -> list[list[T]]:
    """Cut *items* into *number* parts of about the same size."""
    cuts = [len(items) * n // number for n in range(number + 1)]
    return [list(items[a:b]) for a, b in pairwise(cuts)]


def _without(items: Sequence[T], part: Sequence[T]) -> list[T]:
    taken = set(map(id, part))
    return [item for item in items if id(item) not in taken]


def _one_that_does(
    parts: Sequence[Sequence[T]], does: Callable[[Sequence[T]], bool]
) -> list[T] | None:
    return next((list(part) for part in parts if does(part)), None)
