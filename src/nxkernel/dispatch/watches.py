"""How the asyncio driver waits for descriptors: by the loop, or by a thread where no loop can."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from nxkernel import _system

__all__ = ["LoopWatch", "ThreadWatch", "has_readers"]


#: Seconds that a wait may last beyond its time, so that a fan-out needs one timer for its branches.
_LATE_S = 0.001


def has_readers(loop: asyncio.AbstractEventLoop) -> bool:
    """Whether *loop* can watch descriptors; the default one of Windows cannot."""
    own = getattr(type(loop), "add_reader", None)
    return own is not asyncio.AbstractEventLoop.add_reader


class LoopWatch:
    """The event loop watches.

    Invariant: what it watches is what the call waits for, or less. A descriptor is let go of
    before anything runs that may close it: its number may be another's afterwards.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        #: What the loop watches, by the descriptor that is read. A wait that another one outlasts
        #: stays: of a fan-out all but the one that is ready do.
        self._watched: dict[int, _system.Wait] = {}
        self._ready: set[int] = set()
        #: Whether the wait that is under way, or the next one, is to end.
        self._rung = False
        self._waiting: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    def ring(self) -> None:
        """End the wait that is under way, or the next one; from any thread.

        Raises:
            RuntimeError: when the loop is closed: nobody is left to wake, and the bell forgets it.
        """
        self._loop.call_soon_threadsafe(self._stir)

    def _stir(self) -> None:
        self._rung = True
        waiting = self._waiting
        if waiting is not None and not waiting.done():
            waiting.set_result(None)

    def quiet(self) -> None:
        """Forget every ring so far."""
        self._rung = False

    def disturb(self) -> None:
        """End the wait that is under way at once; in the loop's thread, which something blocks.

        What it waits for may be closed in a moment, and its number be another's.
        """
        if not self._loop.is_closed():
            self._stir()
        self._let_go()

    async def wait(self, waits: Sequence[_system.Wait], timeout: float | None) -> set[int]:
        """Return the descriptors of *waits* that are ready, or none after a ring or the timeout."""
        for wait in waits:
            if wait.read not in self._watched:
                self._watch(wait)
        self._arm(timeout)
        if not self._rung:
            # Not wait_for(): before Python 3.12 it may swallow a cancellation. Nor an Event and
            # timeout(): they cost as much as all that the loop does for the call.
            self._waiting = self._loop.create_future()
            try:
                await self._waiting
            finally:
                self._waiting = None
        ready, self._ready = self._ready, set()
        return ready

    def _watch(self, wait: _system.Wait) -> None:
        # Noted first: what strikes in between must not leave it watched.
        self._watched[wait.read] = wait
        self._loop.add_reader(wait.read, self._wake, wait.read, wait)
        if wait.write is not None:
            self._loop.add_writer(wait.write, self._wake, wait.write, wait)

    def _wake(self, fd: int, wait: _system.Wait) -> None:
        self._ready.add(fd)
        # Now, not when its call goes on: the loop looks once more before that.
        self._forget(wait)
        self._stir()

    def _forget(self, wait: _system.Wait) -> None:
        if self._watched.pop(wait.read, None) is not None and not self._loop.is_closed():
            self._loop.remove_reader(wait.read)
            if wait.write is not None:
                self._loop.remove_writer(wait.write)

    def _arm(self, timeout: float | None) -> None:
        """Have the wait end in time: by the timer that there is, if it is due before that."""
        timer = self._timer
        if timeout is None:
            return  # A timer that is left ends a wait too early, and the driver waits on.
        due = self._loop.time() + timeout
        if timer is not None and timer.when() <= due + _LATE_S:
            return
        if timer is not None:
            timer.cancel()
        self._timer = self._loop.call_at(due, self._due)

    def _due(self) -> None:
        self._timer = None
        self._stir()

    def keep(self, waits: Sequence[_system.Wait]) -> None:
        """Go on watching for those of *waits* alone: what else there was is about to go on."""
        if self._watched:
            left = {id(wait) for wait in waits}
            for wait in [each for each in self._watched.values() if id(each) not in left]:
                self._forget(wait)

    def _let_go(self) -> None:
        self.keep(())

    def close(self) -> None:
        """Watch for nothing more."""
        self._let_go()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


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

    def keep(self, waits: Sequence[_system.Wait]) -> None:
        """Nothing is watched between two waits."""

    def close(self) -> None:
        """End the thread, also in the middle of a wait that was cancelled."""
        self._waker.wake()
        self._thread.shutdown()
        self._waker.close()
