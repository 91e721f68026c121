"""The two ways to wait: block the thread, or await in asyncio.

The bell is how one call learns that another one has left a worker: gates are tried again when it
rings. A driver listens before it tries, so that no ring is lost.
"""

from __future__ import annotations

import asyncio
import os
import select
import threading
from collections.abc import Callable, Generator
from typing import Any

from nxkernel._clock import Clock
from nxkernel.dispatch.effects import Io
from nxkernel.dispatch.tasks import Tasks

__all__ = ["Bell", "run_async", "run_blocking"]


#: Longest sleep of one poll, in seconds: its argument is a C int of milliseconds.
_LONGEST_POLL_S = 86_400.0


class Bell:
    """Tells everybody who waits at a gate to try again. Thread-safe.

    Invariant: a callback never runs after :meth:`leave` has returned, because what it writes to
    may be another's by then. So callbacks run under the lock, and must not wait.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._listeners: dict[Callable[[], None], None] = {}

    def listen(self, callback: Callable[[], None]) -> None:
        """Call *callback* at every ring until it leaves."""
        with self._lock:
            self._listeners[callback] = None

    def leave(self, callback: Callable[[], None]) -> None:
        """Stop calling *callback*; no error if it does not listen."""
        with self._lock:
            self._listeners.pop(callback, None)

    def ring(self) -> None:
        """Wake every listener. One that breaks is not called again, and costs the others nothing.

        An interrupt in its thread may have left it half made.
        """
        if not self._listeners:
            return
        with self._lock:
            for callback in list(self._listeners):
                try:
                    callback()
                except Exception:
                    del self._listeners[callback]


class _Ear:
    """A descriptor that becomes readable when the bell rings; made at the first gate."""

    def __init__(self, bell: Bell) -> None:
        self._bell = bell
        self.fd = -1

    def open(self) -> None:
        if self.fd < 0:
            self.fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
            self._bell.listen(self._ping)

    def _ping(self) -> None:
        os.eventfd_write(self.fd, 1)

    def drain(self) -> None:
        try:
            os.eventfd_read(self.fd)
        except BlockingIOError:
            return

    def close(self) -> None:
        if self.fd >= 0:
            self._bell.leave(self._ping)
            fd, self.fd = self.fd, -1
            os.close(fd)


def run_blocking(root: Generator[Any, Any, Any], clock: Clock, bell: Bell) -> Any:
    """Run *root* to its end in this thread and return its result.

    An exception in the thread (KeyboardInterrupt) cancels the call: its workers are ended and
    their outcomes recorded before the exception goes on.
    """
    tasks = Tasks(root)
    ear = _Ear(bell)
    try:
        return _block(tasks, clock, ear)
    except BaseException:
        _abandon(tasks)
        raise
    finally:
        ear.close()


def _block(tasks: Tasks, clock: Clock, ear: _Ear) -> Any:
    while not _advance(tasks):
        if tasks.gated:
            ear.open()
            tasks.retry()
            if _advance(tasks):
                break
        ready = _poll(tasks.waits, ear.fd if tasks.gated else -1, _timeout(tasks, clock))
        if ear.fd in ready:
            ear.drain()
            tasks.retry()
        tasks.ready(ready)
        tasks.expire(clock.monotonic())
    return tasks.result


def _advance(tasks: Tasks) -> bool:
    """Run what can run; returns whether the call is over."""
    tasks.step()
    return tasks.done


def _timeout(tasks: Tasks, clock: Clock) -> float | None:
    deadline = tasks.deadline()
    return None if deadline is None else max(0.0, deadline - clock.monotonic())


def _poll(waits: list[Io], ear: int, timeout: float | None) -> set[int]:
    poll = select.poll()
    for wait in waits:
        poll.register(wait.read, select.POLLIN)
        if wait.write is not None:
            poll.register(wait.write, select.POLLOUT)
    if ear >= 0:
        poll.register(ear, select.POLLIN)
    if timeout is not None:
        # Rounded up, so that a deadline is never found a fraction of a millisecond too early.
        timeout = int(min(timeout, _LONGEST_POLL_S) * 1000) + 1
    return {fd for fd, _ in poll.poll(timeout)}


def _abandon(tasks: Tasks) -> None:
    """Cancel what is left; every wait ends at once, so this cannot block."""
    tasks.cancel()
    try:
        tasks.step()
    finally:
        if not tasks.done:
            tasks.close()


async def run_async(root: Generator[Any, Any, Any], clock: Clock, bell: Bell) -> Any:
    """Run *root* to its end without blocking the event loop.

    Cancelling the awaiting task cancels the call, as in :func:`run_blocking`.
    """
    tasks = Tasks(root)
    loop = asyncio.get_running_loop()
    rung = asyncio.Event()

    def ring() -> None:
        _ring_in(loop, rung)

    bell.listen(ring)
    try:
        while not _advance(tasks):
            rung.clear()
            tasks.retry()
            if _advance(tasks):
                break
            await _await_any(tasks, clock, loop, rung)
        return tasks.result
    except BaseException:
        _abandon(tasks)
        raise
    finally:
        bell.leave(ring)


def _ring_in(loop: asyncio.AbstractEventLoop, rung: asyncio.Event) -> None:
    try:
        loop.call_soon_threadsafe(rung.set)
    except RuntimeError:
        return  # The loop is closed: nobody is left to wake.


async def _await_any(
    tasks: Tasks, clock: Clock, loop: asyncio.AbstractEventLoop, rung: asyncio.Event
) -> None:
    ready: set[int] = set()

    def wake(fd: int) -> None:
        ready.add(fd)
        rung.set()

    waits = tasks.waits
    try:
        for wait in waits:
            loop.add_reader(wait.read, wake, wait.read)
            if wait.write is not None:
                loop.add_writer(wait.write, wake, wait.write)
        # Not wait_for(): before Python 3.12 it may swallow a cancellation.
        async with asyncio.timeout(_timeout(tasks, clock)):
            await rung.wait()
    except TimeoutError:
        pass  # The deadlines are looked at below.
    finally:
        for wait in waits:
            loop.remove_reader(wait.read)
            if wait.write is not None:
                loop.remove_writer(wait.write)
    tasks.ready(ready)
    tasks.expire(clock.monotonic())
