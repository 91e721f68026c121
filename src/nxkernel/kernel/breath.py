"""Breath: an event loop gets a turn now and then, also from calls that never wait for anything."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

__all__ = ["LONGEST_S", "Breath"]

#: Seconds of calls that an event loop may have to stand still for.
LONGEST_S: Final = 1e-3


class Breath:
    """Counts how long awaited calls have gone without giving up their event loop."""

    def __init__(self, now: Callable[[], float]) -> None:
        """*now*: seconds of the kernel's clock."""
        self._now = now
        self._taken = 0.0

    def is_due(self, since: float) -> bool:
        """Whether the call that was asked at *since* is to let others have the loop."""
        self._taken += self._now() - since
        if self._taken < LONGEST_S:
            return False
        self._taken = 0.0
        return True
