"""How many calls of the application are under way, so that a kernel closes after the last one."""

from __future__ import annotations

import threading
from collections.abc import Callable

__all__ = ["Traffic"]


class Traffic:
    """A context for each call. Thread-safe.

    A caller enters before it looks whether the kernel runs, and the kernel stops running before
    it looks for callers: so none slips through between the two.
    """

    def __init__(self, ring: Callable[[], None]) -> None:
        self._ring = ring
        self._lock = threading.Lock()
        #: Calls under way.
        self.calls = 0

    def __enter__(self) -> None:
        with self._lock:
            self.calls += 1

    def __exit__(self, *exc_info: object) -> None:
        with self._lock:
            self.calls -= 1
            last = self.calls == 0
        if last:
            self._ring()
