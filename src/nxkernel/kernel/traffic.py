"""How many calls of the application are under way, so that a kernel closes after the last one."""

from __future__ import annotations

from collections.abc import Callable
from threading import get_ident

from nxkernel import _forks

__all__ = ["Traffic"]


class Traffic:
    """A context for each call. Thread-safe.

    A caller enters before it looks whether the kernel runs, and the kernel stops running before
    it looks for callers: so none slips through between the two.

    Each thread counts for itself, so nobody waits for a lock, and the garbage collector may end a
    call anywhere. It may do so in another thread, which then has one less than none: the sum is
    right all the same.
    """

    def __init__(self, ring: Callable[[], None]) -> None:
        self._ring = ring
        #: Calls under way that each thread makes, or the tasks of its event loop.
        self.threads: dict[int, int] = {}
        _forks.register(self)

    def abandon(self) -> None:
        """In a forked child: those of other threads never end here."""
        own = self.threads.get(get_ident(), 0)
        self.threads = {get_ident(): own} if own else {}

    @property
    def calls(self) -> int:
        """Calls under way."""
        return self.count()

    def count(self) -> int:
        """Return how many calls are under way."""
        return sum(list(self.threads.values()))

    @property
    def here(self) -> int:
        """Calls under way in this thread."""
        return max(0, self.threads.get(get_ident(), 0))

    def __enter__(self) -> int:
        own, threads = get_ident(), self.threads
        # The last step, and no call: an interrupt strikes before it, or when the caller can leave.
        threads[own] = threads.get(own, 0) + 1
        return own

    #: For who has to leave whatever strikes: see :meth:`left`.
    enter = __enter__

    def __exit__(self, *exc_info: object) -> None:
        own = get_ident()
        self.threads[own] = self.threads.get(own, 0) - 1
        self.left(own)

    def left(self, own: int) -> None:
        """A call that the thread *own* has made is not counted for it any more."""
        threads = self.threads
        if threads.get(own) == 0:
            threads.pop(own, None)  # A handler of a signal may have been faster.
        if not threads or self.count() == 0:
            self._ring()
