"""How many calls of the application are under way, so that a kernel closes after the last one."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from threading import get_ident

from nxkernel import _forks
from nxkernel._locks import holding
from nxkernel.errors import CallRejected

__all__ = ["Traffic", "refuse_holder"]

#: One call that may end in another thread than it began in: that thread, and a number of its own.
Apart = tuple[int, int]


class Traffic:
    """Counts each call. Thread-safe.

    A caller enters before it looks whether the kernel runs, and the kernel stops running before
    it looks for callers: so none slips through between the two.

    Nobody waits for a lock: each thread counts for itself the calls that block it, and every other
    call has a place of its own, from which the garbage collector may take it in any thread.

    There is no context to enter with ``with``: an interrupt may strike where a function begins,
    ``__exit__`` as well, and the call would be under way ever after. So a caller takes its count
    back by a single step of its own, ``threads[own] -= 1`` or ``threads.pop(own, None)``, and says
    after that by :meth:`left` that it has.
    """

    def __init__(self, ring: Callable[[], None]) -> None:
        self._ring = ring
        self._numbers = itertools.count()
        #: Calls under way, by the thread that each blocks or by what :meth:`enter_apart` returned.
        self.threads: dict[int | Apart, int] = {}
        _forks.register(self)

    def abandon(self) -> None:
        """In a forked child: those of other threads never end here."""
        own = get_ident()
        self.threads = {key: n for key, n in self.threads.items() if _thread_of(key) == own}

    @property
    def calls(self) -> int:
        """Calls under way."""
        return self.count()

    def count(self) -> int:
        """Return how many calls are under way."""
        return sum(list(self.threads.values()))

    @property
    def here(self) -> int:
        """Calls under way in this thread, or in the event loop that it has begun them in."""
        own = get_ident()
        return sum(count for key, count in list(self.threads.items()) if _thread_of(key) == own)

    def enter(self) -> int:
        """Count a call that blocks this thread; returns its place in ``threads``, to count down.

        Raises:
            CallRejected: in the middle of a step of another call, as :func:`refuse_holder`.
        """
        own, threads = get_ident(), self.threads
        if own in threads:
            refuse_holder()
        # The last step, and no call: an interrupt strikes before it, or when the caller can leave.
        threads[own] = threads.get(own, 0) + 1
        return own

    def enter_apart(self) -> Apart:
        """Count a call that may end anywhere; returns its place in ``threads``, to be removed.

        Raises:
            CallRejected: as :meth:`enter`.
        """
        thread, threads = get_ident(), self.threads
        if thread in threads:
            refuse_holder()
        own = thread, next(self._numbers)
        threads[own] = 1
        return own

    def left(self, own: int | Apart) -> None:
        """A call whose place is *own* is not counted any more."""
        threads = self.threads
        if threads.get(own) == 0:
            threads.pop(own, None)  # A handler of a signal may have been faster.
        if not threads or self.count() == 0:
            self._ring()


def refuse_holder() -> None:
    """Raise CallRejected in a thread that is in the middle of a step to be finished first.

    Nothing has been done then, of which anything could be left.
    """
    if holding():
        raise CallRejected(
            "the kernel is called in the middle of a step of this thread's own call, by a handler "
            "of a signal or by what the garbage collector runs; set a flag there, and call outside "
            "of it",
            code="call.reentrant",
        )


def _thread_of(key: int | Apart) -> int:
    return key if isinstance(key, int) else key[0]
