"""Children of this very process: whoever spawns them has to hear of their ends and collect them.

The embedder may collect them first, or ignore SIGCHLD: then how they ended is not known, but never
that they did. Nothing here waits for a child that is not ours.
"""

from __future__ import annotations

import itertools
import threading
from collections import deque
from collections.abc import Callable, Mapping
from typing import Protocol

from nxkernel import _locks
from nxkernel._system.processes import Child, ChildProcess, Process
from nxkernel._system.wakers import Waker

__all__ = ["Children", "Ended", "Limits", "ThreadChildren"]

#: A process's `number` and its exit code, negative after a signal, None if another collected it.
Ended = tuple[int, int | None]
Limits = Mapping[str, tuple[int, int]]


class Children(Protocol):
    """The children that were spawned and have not ended."""

    @property
    def fd(self) -> int:
        """Readable when a child has ended."""

    def adopt(self, child: Child, limits: Limits) -> Process:
        """Take over *child*; its ``Popen`` is not to be used any more.

        *limits*, name after RLIMIT_ -> (soft, hard), are for systems that set them from outside.

        Raises:
            OSError: when the child cannot be watched or held.
        """

    def ended(self) -> list[Ended]:
        """Return the children that have ended since the last call; never waits."""

    def finish(self) -> None:
        """End every child that is left and wait for it."""

    def close(self) -> None:
        """Give back what is held. Children that live are no longer watched."""

    def abandon(self) -> None:
        """In a forked child of this process: give back what is held, touch no child, no lock."""


class ThreadChildren:
    """A thread waits for each child: works everywhere."""

    def __init__(
        self,
        waker: Callable[[], Waker],
        hold: Callable[[Child, Limits], ChildProcess] = lambda child, _: ChildProcess(child),
    ) -> None:
        self._hold = hold
        self._waker: Waker | None = waker()
        self._waker.open()
        self.fd = self._waker.fd
        self._lock = _locks.lock()
        self._numbers = itertools.count(1)
        self._ended: deque[tuple[ChildProcess, int | None]] = deque()
        self._waiting: dict[ChildProcess, threading.Thread] = {}

    def adopt(self, child: Child, limits: Limits) -> Process:
        """Start the thread that waits for *child*."""
        process = self._hold(child, limits)
        process.number = next(self._numbers)
        thread = threading.Thread(
            target=self._await, args=(process,), name="nxkernel-exit", daemon=True
        )
        with self._lock:
            self._waiting[process] = thread
        thread.start()
        return process

    def _await(self, process: ChildProcess) -> None:
        code = process.wait()
        with self._lock:
            self._ended.append((process, code))
            if self._waker is not None:
                self._waker.wake()

    def ended(self) -> list[Ended]:
        """Return what the threads have seen."""
        with self._lock:
            if self._waker is not None:
                self._waker.drain()
            ended = list(self._ended)
            self._ended.clear()
            threads = [self._waiting.pop(process) for process, _ in ended]
        for thread in threads:
            thread.join()
        return [(process.number, code) for process, code in ended]

    def finish(self) -> None:
        """Kill the rest and wait for their threads."""
        with self._lock:
            waiting = dict(self._waiting)
        for process, thread in waiting.items():
            process.kill()
            thread.join()

    def close(self) -> None:
        """Close the waker; threads that still wait end with their children."""
        with self._lock:
            self.abandon()

    def abandon(self) -> None:
        """Close the waker; a forked child has no such threads."""
        waker, self._waker = self._waker, None
        for process in self._waiting:
            process.disown()
        if waker is not None:
            waker.close()
