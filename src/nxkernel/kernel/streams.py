"""Streams in the application's hands: iterators, and the list of those that are open.

A stream is a hook call that comes to rest whenever it has an item. Whoever asks for the next one
drives it on, in his own thread or event loop; between two items nothing of it runs in the host.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, Protocol, Self

from nxkernel import _forks
from nxkernel._pickling import Rooted
from nxkernel.dispatch.drivers import Orphans
from nxkernel.dispatch.effects import Signal
from nxkernel.dispatch.tasks import Tasks
from nxkernel.errors import CallRejected, KernelNotRunning
from nxkernel.types import HookResult

__all__ = ["Open", "Stream"]


class Drive(Protocol):
    """Runs a call until it has an item or is over."""

    def __call__(self, tasks: Tasks) -> None:
        """In this thread."""

    async def later(self, tasks: Tasks) -> None:
        """In this event loop."""


class Open:
    """The streams of one kernel that are open. Thread-safe."""

    def __init__(self) -> None:
        self._tasks: dict[Tasks, threading.Lock] = {}
        #: Those that the application let go of without a word. Only appended to: what the garbage
        #: collector does may happen in the middle of anything.
        self.forgotten: deque[Tasks] = deque()
        #: What ends the calls whose event loop was closed over them; filled in the same way.
        self.orphans: Orphans = deque()
        self.abandoned = False
        _forks.register(self)

    def abandon(self) -> None:
        """In a forked child: its streams are the parent's."""
        self._tasks, self.abandoned = {}, True
        self.orphans.clear()

    def add(self, tasks: Tasks) -> threading.Lock:
        """Note that a stream is open; returns what whoever drives it has to hold."""
        return self._tasks.setdefault(tasks, threading.Lock())

    def remove(self, tasks: Tasks) -> None:
        """It has its result."""
        self._tasks.pop(tasks, None)

    def tidy(self) -> None:
        """End the streams that the application has let go of, and calls that lost their loop."""
        while self.orphans:
            self.orphans.popleft()()
        while self.forgotten:
            tasks = self.forgotten.popleft()
            lock = self._tasks.get(tasks)
            if lock is not None and not self.abandoned:
                self._cancel(tasks, lock)

    def end(self) -> None:
        """End them all, but for those that somebody drives: these end by themselves."""
        self.tidy()
        for tasks, lock in list(self._tasks.items()):
            self._cancel(tasks, lock)

    def _cancel(self, tasks: Tasks, lock: threading.Lock) -> None:
        if not lock.acquire(blocking=False):
            return
        try:
            self.remove(tasks)
            if not tasks.over:  # An interrupt may have kept one from being removed.
                tasks.cancel()
                tasks.step()
        finally:
            tasks.close()
            lock.release()


class Stream(Rooted, Iterator[Any], AsyncIterator[Any]):
    """The items of a hook that streams, one by one, as its plugin makes them.

    An iterator for ``for`` and for ``async for``. Nothing is asked of any plugin before the first
    item is. What fails in the middle is raised as ``HookFailed`` behind the items that came.
    Leave it by a context or by :meth:`close`: then the plugin's iterator is closed, at once. One
    that is let go of is closed a little later.
    """

    _instead = "read it here, as it is read once, and pass on its items"

    def __init__(
        self, tasks: Tasks, hook: str, drive: Drive, opened: Open, lift: Callable[[Any], Any]
    ) -> None:
        self._tasks = tasks
        self._hook = hook
        self._drive = drive
        self._opened = opened
        self._lift = lift
        self._lock: threading.Lock | None = None
        #: Whether the consumer knows that there is nothing more.
        self._told = False

    @property
    def result(self) -> HookResult | None:
        """What became of the call: None until its end."""
        return self._tasks.result if self._tasks.done else None

    def __repr__(self) -> str:
        return f"<Stream of {self._hook!r}, {'open' if self.result is None else 'over'}>"

    # -- in a thread -------------------------------------------------------------------------------

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Any:
        """Return the next item.

        Raises:
            StopIteration: after the last one.
            HookFailed: when it failed; every item before that was returned.
            KernelNotRunning: when the kernel was closed.
            ValueError: while another thread or task waits for an item of it.
        """
        if not self._goes_on(Signal.READY):
            raise StopIteration
        try:
            self._drive(self._tasks)
        finally:
            self._settle()
        return self._item(StopIteration)

    def close(self) -> None:
        """Have the plugin's iterator closed, and wait until it is; safe to call twice."""
        if self._goes_on(Signal.CLOSED):
            self._told = True
            try:
                self._drive(self._tasks)
            finally:
                self._settle()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    # -- in an event loop --------------------------------------------------------------------------

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        """Return what :meth:`__next__` does, without blocking the event loop."""
        if not self._goes_on(Signal.READY):
            raise StopAsyncIteration
        try:
            await self._drive.later(self._tasks)
        finally:
            self._settle()
        return self._item(StopAsyncIteration)

    async def aclose(self) -> None:
        """Do what :meth:`close` does, without blocking the event loop."""
        if self._goes_on(Signal.CLOSED):
            self._told = True
            try:
                await self._drive.later(self._tasks)
            finally:
                self._settle()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()

    # -- inside ------------------------------------------------------------------------------------

    def _goes_on(self, signal: Signal) -> bool:
        """Whether there is something to drive; if so, it is this caller's to drive now."""
        if self._opened.abandoned:
            raise KernelNotRunning("the stream was opened before this process was forked")
        if self._is_over():
            self._tell(signal)
            return False
        if self._lock is None:
            if signal is Signal.CLOSED:  # nothing was asked of anybody
                self._tasks.close()
                self._tasks.cancelled = True
                return False
            self._lock = self._opened.add(self._tasks)
        if not self._lock.acquire(blocking=False):
            raise CallRejected("another thread or task waits for an item of this stream")
        if self._is_over():  # the kernel was closed meanwhile
            self._lock.release()
            self._tell(signal)
            return False
        self._tasks.answer(signal)
        return True

    def _tell(self, signal: Signal) -> None:
        """It is over: raise, once, if its consumer expects more and somebody else has ended it."""
        told, self._told = self._told, True
        if signal is Signal.READY and not told and self.result is not None:
            self.result.unwrap()

    def _is_over(self) -> bool:
        return self._tasks.over

    def _settle(self) -> None:
        if self._tasks.over:
            self._opened.remove(self._tasks)
        if self._lock is not None:
            self._lock.release()

    def _item(self, stop: type[Exception]) -> Any:
        offer = self._tasks.offer
        if offer is not None:
            return self._lift(offer.item.value)
        self._told = True
        if self.result is not None:
            self.result.unwrap()
        raise stop

    def __del__(self) -> None:
        # No lock, no wait, no call: the garbage collector may run in the middle of ours.
        tasks = getattr(self, "_tasks", None)
        if tasks is not None and self._lock is not None and not tasks.over:
            self._opened.forgotten.append(tasks)
