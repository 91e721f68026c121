"""How many calls of the application are under way, so that a kernel closes after the last one."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable

from nxkernel import _forks

__all__ = ["Traffic"]


class Traffic:
    """A context for each call. Thread-safe.

    A caller enters before it looks whether the kernel runs, and the kernel stops running before
    it looks for callers: so none slips through between the two.
    """

    def __init__(self, ring: Callable[[], None]) -> None:
        self._ring = ring
        self._lock = threading.Lock()
        #: Calls under way, and by thread those of it.
        self.calls = 0
        self._threads: Counter[int] = Counter()
        _forks.register(self)

    def abandon(self) -> None:
        """In a forked child: no thread that could hold the lock is there."""
        self._lock = threading.Lock()

    @property
    def here(self) -> int:
        """Calls under way that this thread makes, or the tasks of its event loop."""
        with self._lock:
            return self._threads.get(threading.get_ident(), 0)

    def __enter__(self) -> None:
        with self._lock:
            self.calls += 1
            self._threads[threading.get_ident()] += 1

    def __exit__(self, *exc_info: object) -> None:
        with self._lock:
            self.calls -= 1
            last = self.calls == 0
            self._threads[threading.get_ident()] -= 1
            if not self._threads[threading.get_ident()]:
                del self._threads[threading.get_ident()]
        if last:
            self._ring()
