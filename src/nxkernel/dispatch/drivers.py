"""The two ways to wait: block the thread, or await in asyncio.

The bell is how one call learns that another one has left a worker: gates are tried again when it
rings. A driver listens before it tries, so that no ring is lost.
"""

from __future__ import annotations

import asyncio
import weakref
from collections import deque
from collections.abc import Callable, Collection, Generator
from functools import partial
from typing import Any

import attrs

from nxkernel import _forks, _locks, _system
from nxkernel._clock import Clock
from nxkernel.dispatch.company import Company, alone, held_beside, join
from nxkernel.dispatch.effects import AGAIN_S, Io
from nxkernel.dispatch.spin import Look
from nxkernel.dispatch.straight import run_straight
from nxkernel.dispatch.tasks import Tasks
from nxkernel.dispatch.watches import LoopWatch, ThreadWatch, has_readers

__all__ = [
    "Bell",
    "Orphans",
    "abandon",
    "drive_async",
    "drive_blocking",
    "run_async",
    "run_blocking",
]


#: What ends calls that nobody awaits any more.
Orphans = deque[Callable[[], None]]


class Bell:
    """Tells those who wait at a gate to try again. Thread-safe.

    A gate with a key is rung by that key, so that of many who wait for one worker only the next is
    woken; one without hears every ring, and a ring without keys wakes everybody.

    Invariant: a callback never runs after :meth:`leave` has returned, because what it writes to
    may be another's by then. So callbacks run under the lock, and must not wait.
    """

    def __init__(self, system: _system.System | None = None) -> None:
        #: How those who listen wait, and are woken.
        self.system = system or _system.current()
        # One that its holder may take again: the garbage collector may end a call in the middle of
        # a listener's coming, and rings.
        self._lock = _locks.lock()
        self._listeners: dict[object, dict[Callable[[], None], None]] = {}
        _forks.register(self)

    def abandon(self) -> None:
        """In a forked child: those who listened are threads of the parent."""
        self._lock, self._listeners = _locks.lock(), {}

    def listen(self, callback: Callable[[], None], key: object = None) -> None:
        """Call *callback* at every ring of *key* until it leaves."""
        with self._lock:
            self._listeners.setdefault(key, {})[callback] = None

    def leave(self, callback: Callable[[], None], key: object = None) -> None:
        """Stop calling *callback* for *key*; no error if it does not listen."""
        with self._lock:
            self._forget(callback, key)

    def _forget(self, callback: Callable[[], None], key: object) -> None:
        callbacks = self._listeners.get(key, {})
        callbacks.pop(callback, None)
        if not callbacks:
            self._listeners.pop(key, None)

    def ring(self, *keys: object) -> None:
        """Wake who listens to one of *keys*, and who listens to all; without keys, everybody.

        One that breaks is not called again, and costs the others nothing: an interrupt in its
        thread may have left it half made.
        """
        if not self._listeners:
            return
        with self._lock:
            for key in (None, *keys) if keys else list(self._listeners):
                for callback in list(self._listeners.get(key, ())):
                    try:
                        callback()
                    except Exception:
                        self._forget(callback, key)


class _Listener:
    """One driver's place at the bell: it listens to what its call waits for, and to no more."""

    def __init__(self, bell: Bell, wake: Callable[[], None]) -> None:
        self._bell = bell
        self._wake = wake
        self._keys: set[object] = set()

    def tune(self, keys: set[object]) -> bool:
        """Listen to *keys* from now on; returns whether one of them is new.

        A gate with a new key has to be tried again: it may have been rung for before.
        """
        new = keys - self._keys
        for key in new:
            # Noted first: an interrupt in between must not leave a listener behind.
            self._keys.add(key)
            self._bell.listen(self._wake, key)
        for key in self._keys - keys:
            self._bell.leave(self._wake, key)
            self._keys.discard(key)
        return bool(new)


class _Ear:
    """A waker that the bell wakes; made at the first gate."""

    def __init__(self, bell: Bell) -> None:
        self._bell = bell
        self._waker: _system.Waker | None = None
        self._listener: _Listener | None = None
        #: What to wait for, or -1.
        self.fd = -1

    def tune(self, keys: set[object]) -> bool:
        """Be woken by rings of *keys*; returns whether one of them is new."""
        if not keys and self._waker is None:
            return False
        if self._waker is None:
            with _forks.whole():
                self._waker = self._bell.system.waker()
                self._waker.open()
                _forks.register(self)
            self.fd = self._waker.fd
        if self._listener is None:
            self._listener = _Listener(self._bell, self._waker.wake)
        return self._listener.tune(keys)

    def abandon(self) -> None:
        """In a forked child: the thread that has this ear is the parent's."""
        waker, self._waker, self._listener, self.fd = self._waker, None, None, -1
        if waker is not None:
            waker.close()

    def drain(self) -> None:
        if self._waker is not None:
            self._waker.drain()

    def close(self) -> None:
        """Listen no more; done once more if an interrupt struck, it goes on where it was."""
        if self._listener is not None:
            self._listener.tune(set())
        self.fd = -1
        if self._waker is not None:
            self._waker.close()
            self._waker = None


def run_blocking(
    root: Generator[Any, Any, Any],
    clock: Clock,
    bell: Bell,
    look: Look | None = None,
) -> Any:
    """Run *root* to its end in this thread and return its result.

    *look* waits where one descriptor alone is waited for; without it, that blocks as well.

    An exception in the thread (KeyboardInterrupt) cancels the call: its workers are ended and
    their outcomes recorded before the exception goes on.
    """
    member = alone(root, bell)
    if member is None:
        tasks = Tasks(root)
        drive_blocking(tasks, clock, bell, look)
        return tasks.result
    try:
        if run_straight(member, root, clock, bell.system.poll, look):
            member.leave()
            return member.result
        member.leave()  # It comes in again as one of many.
        drive_blocking(member.tasks, clock, bell, look)
    except BaseException:
        abandon(member.tasks)
        raise
    return member.tasks.result


def drive_blocking(tasks: Tasks, clock: Clock, bell: Bell, look: Look | None = None) -> None:
    """Run *tasks* in this thread until they are done or offer an item; *look* as there.

    An exception in the thread cancels them, as in :func:`run_blocking`.
    """
    ear = _Ear(bell)
    try:
        company = join(tasks, bell)
        _block(company.driven, clock, ear, _Waits(bell.system, look))
        company.leave()  # One that was abandoned is passed over, and forgotten by the next.
        ear.close()
    except BaseException:
        try:
            abandon(tasks)
        finally:
            ear.close()
        raise


@attrs.define(eq=False)
class _Waits:
    """How one call waits for descriptors."""

    system: _system.System
    look: Look | None

    def until(self, waits: list[Io], ear: int, timeout: float | None) -> set[int]:
        """Return what of *waits* and *ear* is ready within *timeout* seconds."""
        alone = ear < 0 and len(waits) == 1 and waits[0].write is None
        if self.look is None or not alone:
            return self.system.poll(waits, ear, timeout)
        ready: set[int] = self.look(waits[0].read, lambda: self.system.poll(waits, ear, timeout))
        return ready


def _block(tasks: Tasks | Company, clock: Clock, ear: _Ear, waits: _Waits) -> None:
    while not _settle(tasks, ear, lambda: tasks.held):
        left = _timeout(tasks, clock)
        left = AGAIN_S if left is None else min(left, AGAIN_S)
        ready = waits.until(tasks.waits, ear.fd if tasks.gated else -1, left)
        if ear.fd in ready:
            ear.drain()
            tasks.retry()
        tasks.ready(ready)
        tasks.expire(clock.monotonic())


def _settle(
    tasks: Tasks | Company, ear: _Listener | _Ear, held: Callable[[], Collection[object]]
) -> bool:
    """Run what can run, and listen for all that it waits for; returns whether it is settled.

    What nobody but this thread could bring about is not waited for: a handler of a signal may have
    come in the middle of a call that has a worker, and its own call of that would wait for ever.
    *held*: what the calls have in their hands that go on meanwhile.
    """
    tasks.step()
    while not tasks.settled and (ear.tune(tasks.keys) or (tasks.gated and tasks.give_up(held()))):
        tasks.retry()
        tasks.step()
    return tasks.settled


def _timeout(tasks: Tasks | Company, clock: Clock) -> float | None:
    deadline = tasks.deadline()
    return None if deadline is None else max(0.0, deadline - clock.monotonic())


def abandon(tasks: Tasks) -> None:
    """Cancel what is left; every wait ends at once, so this cannot block."""
    tasks.cancel()
    try:
        tasks.step()
    finally:
        if not tasks.done:
            tasks.close()


async def run_async(
    root: Generator[Any, Any, Any], clock: Clock, bell: Bell, orphans: Orphans | None = None
) -> Any:
    """Run *root* to its end without blocking the event loop.

    Cancelling the awaiting task cancels the call, as in :func:`run_blocking`. *orphans* as in
    :func:`drive_async`.
    """
    tasks = Tasks(root)
    await drive_async(tasks, clock, bell, orphans)
    return tasks.result


async def drive_async(
    tasks: Tasks, clock: Clock, bell: Bell, orphans: Orphans | None = None
) -> None:
    """Run *tasks* until they are done or offer an item, without blocking the event loop.

    Cancelling the awaiting task cancels them. If it is thrown away instead, what ends them is
    left in *orphans*: the garbage collector may do that in the middle of anything, and what they
    have to do takes locks.
    """
    loop = asyncio.get_running_loop()
    watch = LoopWatch(loop) if has_readers(loop) else ThreadWatch(loop, bell.system)
    listener = _Listener(bell, watch.ring)
    try:
        # While this one awaits, a call that blocks the loop takes it further. It is not held for
        # that: of a loop that was closed nothing may be left but what the collector takes.
        company = join(tasks, bell, partial(_disturb, weakref.ref(watch)), loop)
        held = partial(held_beside, loop, bell)
        while not _settle(tasks, listener, held):
            watch.quiet()
            if tasks.gated:  # a ring that was forgotten may have been for one of them
                tasks.retry()
                if _settle(tasks, listener, held):
                    break
            tasks.ready(await watch.wait(tasks.waits, _timeout(tasks, clock)))
            tasks.expire(clock.monotonic())
            watch.keep(tasks.waits)
        company.leave()
    except GeneratorExit:
        end = partial(_bury, tasks, listener, watch)
        (end() if orphans is None else orphans.append(end))
        raise
    except BaseException:
        watch.keep(())
        abandon(tasks)
        _leave(listener, watch)
        raise
    _leave(listener, watch)


def _disturb(watch: weakref.ref[LoopWatch | ThreadWatch]) -> None:
    found = watch()
    if found is not None:
        found.disturb()


def _leave(listener: _Listener, watch: LoopWatch | ThreadWatch) -> None:
    listener.tune(set())
    watch.close()


def _bury(tasks: Tasks, listener: _Listener, watch: LoopWatch | ThreadWatch) -> None:
    """End a call whose event loop was closed over it."""
    try:
        _leave(listener, watch)
    finally:
        if not tasks.over:
            abandon(tasks)
