"""How the asyncio driver waits for descriptors: by the loop, or by a thread where no loop can."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from nxkernel import _system

__all__ = ["LoopWatch", "ThreadWatch", "has_readers"]


def has_readers(loop: asyncio.AbstractEventLoop) -> bool:
    """Whether *loop* can watch descriptors; the default one of Windows cannot."""
    own = getattr(type(loop), "add_reader", None)
    return own is not asyncio.AbstractEventLoop.add_reader


class LoopWatch:
    """The event loop watches."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._rung = asyncio.Event()
        #: What the loop watches for the wait that is under way.
        self._watched: list[_system.Wait] = []

    def ring(self) -> None:
        """End the wait that is under way, or the next one; from any thread."""
        try:
            self._loop.call_soon_threadsafe(self._rung.set)
        except RuntimeError:
            return  # The loop is closed: nobody is left to wake.

    def quiet(self) -> None:
        """Forget every ring so far."""
        self._rung.clear()

    def disturb(self) -> None:
        """End the wait that is under way at once; in the loop's thread, which something blocks.

        What it waits for may be closed in a moment, and its number be another's.
        """
        self._rung.set()
        self._let_go()

    async def wait(self, waits: Sequence[_system.Wait], timeout: float | None) -> set[int]:
        """Return the descriptors of *waits* that are ready, or none after a ring or the timeout."""
        ready: set[int] = set()

        def wake(fd: int) -> None:
            ready.add(fd)
            self._rung.set()

        try:
            for wait in waits:
                self._watched.append(wait)
                self._loop.add_reader(wait.read, wake, wait.read)
                if wait.write is not None:
                    self._loop.add_writer(wait.write, wake, wait.write)
            # Not wait_for(): before Python 3.12 it may swallow a cancellation.
            async with asyncio.timeout(timeout):
                await self._rung.wait()
        except TimeoutError:
            pass  # The driver looks at the deadlines.
        finally:
            self._let_go()
        return ready

    def _let_go(self) -> None:
        while self._watched:
            wait = self._watched.pop()
            self._loop.remove_reader(wait.read)
            if wait.write is not None:
                self._loop.remove_writer(wait.write)

    def close(self) -> None:
        """Nothing is held."""


class ThreadWatch:
    """A thread watches, one for each call that awaits; the loop awaits the thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop, system: _system.System) -> None:
        self._loop = loop
        self._poll = system.poll
        self._waker = system.waker()
        self._waker.open()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="nxkernel-wait")
        #: See :meth:`LoopWatch.ring` and :meth:`LoopWatch.disturb`.
        self.ring = self.disturb = self._waker.wake

    def quiet(self) -> None:
        """Forget every ring so far."""
        self._waker.drain()

    async def wait(self, waits: Sequence[_system.Wait], timeout: float | None) -> set[int]:
        """Return the descriptors of *waits* that are ready, or none after a ring or the timeout."""
        ready = await self._loop.run_in_executor(
            self._thread, self._poll, waits, self._waker.fd, timeout
        )
        return ready - {self._waker.fd}

    def close(self) -> None:
        """End the thread, also in the middle of a wait that was cancelled."""
        self._waker.wake()
        self._thread.shutdown()
        self._waker.close()
