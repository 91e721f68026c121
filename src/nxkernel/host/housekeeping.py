"""One thread per kernel, never on the path of a call: it drains logs and hears of exits.

A log pipe that nobody drains would block its plugin, and an exit that nobody reads would leave
the loss of a worker without its status.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Protocol

from nxkernel import _forks, _locks, _system
from nxkernel.host.guarded import Guarded
from nxkernel.host.workers import Exit, Worker

__all__ = ["Exits", "Housekeeper", "Lone"]

_CHUNK = 1 << 16
#: At most so many bytes of one worker's output are taken in so many seconds. Whoever writes more
#: waits for its pipe, instead of having the host do nothing else.
_MOST, _BREATH_S = 2 << 20, 0.1


class Lone(Protocol):
    """Reports the exit of one worker: nobody whom the host believes waits for that."""

    @property
    def fd(self) -> int:
        """Readable when the worker has ended."""

    def exit(self) -> Exit:
        """Return how it ended, as far as the system says."""

    def close(self) -> None:
        """Close the descriptor."""


class Exits(Protocol):
    """Reports the exits of the workers that it started."""

    #: Set once it will report nothing any more, because it ended and its workers with it.
    gone: bool

    @property
    def exits_fd(self) -> int:
        """Readable when there is something to report."""

    def exits(self) -> Sequence[tuple[int, Exit]]:
        """Return what has ended since the last call, by the process's number; never waits."""


_Key = tuple[object, int]


def _key(worker: Worker) -> _Key:
    return worker.reporter, worker.process.number


class Housekeeper:
    """Drains the logs of all workers and records their exits."""

    def __init__(
        self,
        ring: Callable[[], None],
        system: _system.System | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._system = system or _system.current()
        self._ring = ring
        #: Real time, whatever the kernel's clock says: what it bounds is real work.
        self._now = now
        #: What was taken of each worker's output until the end of the breath.
        self._taken: dict[Worker, int] = {}
        self._breath = 0.0
        #: Workers whose output waits for the next breath.
        self._held: list[Worker] = []
        self._lock = _locks.lock()
        #: By what reports a worker's exit, and what that calls it: a pid may be another's before
        #: anybody has heard of the end.
        self._workers: dict[_Key, Worker] = {}
        #: Exits that were heard, until their worker is in the table: one may end before it is.
        #: While nobody starts a worker nobody will come for them.
        self._exits: dict[_Key, Exit] = {}
        self._starts = 0
        self._selector = self._system.selector()
        #: Whether it hears of what is registered while it waits: one does that the system keeps.
        self._is_live = hasattr(self._selector, "fileno")
        #: Made by :meth:`start`: a kernel that is never entered must leave nothing open.
        self._alarm: _system.Waker | None = None
        self._stopping = False
        self._guarded = Guarded("the care for a worker's output and end")
        self._thread = threading.Thread(target=self._run, name="nxkernel-housekeeping", daemon=True)
        _forks.register(self)

    def start(self) -> None:
        """Start the thread."""
        with _forks.whole():
            self._alarm = self._system.waker()
            self._alarm.open()
        self._selector.register(self._alarm.fd, selectors.EVENT_READ)
        self._thread.start()

    def hear(self, reporter: Exits) -> None:
        """Listen for the exits of *reporter*'s workers."""
        self._selector.register(reporter.exits_fd, selectors.EVENT_READ, reporter)

    @contextlib.contextmanager
    def starting(self) -> Iterator[None]:
        """While a worker is started, up to :meth:`watch`, which an interrupt may prevent."""
        with self._lock:
            self._drop_unclaimed()
            self._starts += 1
        try:
            yield
        finally:
            with self._lock:
                self._starts -= 1

    def _drop_unclaimed(self) -> None:
        if not self._starts:
            for key in self._exits.keys() - self._workers.keys():
                del self._exits[key]

    def watch(self, worker: Worker) -> None:
        """Take over a new worker's log and exit."""
        # Registered first: once the worker is in the table, its exit may be heard and its log
        # drained and closed at any moment.
        if worker.log_fd >= 0:
            self._selector.register(worker.log_fd, selectors.EVENT_READ, worker)
        key = _key(worker)
        with self._lock:
            self._workers[key] = worker
            has_ended = key in self._exits
        # A thread that is woken for each start takes the processor from who starts the next one.
        if has_ended or not self._is_live:
            self._wake()

    def watch_lone(self, worker: Worker, lone: Lone) -> None:
        """Take over a new worker's log, and its exit as *lone* reports it."""
        worker.reporter = lone
        self._selector.register(lone.fd, selectors.EVENT_READ, (worker, lone))
        self.watch(worker)

    def stop(self) -> None:
        """Drain what is left and end the thread."""
        self._stopping = True
        if self._thread.is_alive():
            self._wake()
            self._thread.join()
        self._let_go()
        for key in list(self._selector.get_map().values()):
            if isinstance(key.data, Worker):
                self._guarded.does(key.data, partial(self._drain, key.data))
                self._release(key.data)
            elif isinstance(key.data, tuple):
                key.data[1].close()
        self._close()

    def abandon(self) -> None:
        """In a forked child, which has no such thread: close what was inherited."""
        self._lock = _locks.lock()
        self._close()

    def _close(self) -> None:
        self._selector.close()
        if self._alarm is not None:
            self._alarm.close()
            self._alarm = None

    def _wake(self) -> None:
        if self._alarm is not None:
            self._alarm.wake()

    def _run(self) -> None:
        while not self._stopping:
            if not self._guarded.does(self, self._turn):
                # What failed may fail again at once: without a pause that would be all it does.
                time.sleep(_BREATH_S)

    def _turn(self) -> None:
        """Wait for something and see to it; what fails at one worker fails at that one alone."""
        for key, _ in self._selector.select(_BREATH_S if self._held else None):
            if isinstance(key.data, Worker):
                self._guarded.does(key.data, partial(self._drain, key.data))
            elif isinstance(key.data, tuple):
                self._guarded.does(key.data[0], partial(self._hear_lone, *key.data))
            elif key.data is not None:
                self._hear(key.data)
            elif self._alarm is not None:
                self._alarm.drain()
                self._record()
        if self._held and self._now() >= self._breath:
            self._let_go()

    def _drain(self, worker: Worker) -> None:
        if worker.log_fd < 0:
            return  # Closed by an exit that was heard in the same round.
        try:
            data = os.read(worker.log_fd, _CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            worker.log.feed(data, worker.generation)
            self._count(worker, len(data))
        else:
            self._hang_up(worker)

    def _count(self, worker: Worker, size: int) -> None:
        """Have a worker wait that has written more than is taken in one breath."""
        now = self._now()
        if now >= self._breath:
            self._breath, self._taken = now + _BREATH_S, {}
        taken = self._taken[worker] = self._taken.get(worker, 0) + size
        if taken >= _MOST and worker not in self._held:
            self._selector.unregister(worker.log_fd)
            self._held.append(worker)

    def _let_go(self) -> None:
        """Listen again to those whose output waits."""
        held, self._held = self._held, []
        for worker in held:
            self._selector.register(worker.log_fd, selectors.EVENT_READ, worker)

    def _hang_up(self, worker: Worker) -> None:
        if worker.log_fd < 0:
            return
        worker.log.ended(worker.generation)
        if worker in self._held:
            self._held.remove(worker)
        else:
            self._selector.unregister(worker.log_fd)
        self._release(worker)

    def _hear(self, reporter: Exits) -> None:
        ended = reporter.exits()
        with self._lock:
            self._exits.update({(reporter, number): end for number, end in ended})
        self._record()
        if reporter.gone:
            self._mourn(reporter)

    def _hear_lone(self, worker: Worker, lone: Lone) -> None:
        self._selector.unregister(lone.fd)
        ended = lone.exit()
        lone.close()
        with self._lock:
            self._exits[_key(worker)] = ended
        self._record()

    def _record(self) -> None:
        """Tell the workers in the table of their exits; only the housekeeping thread does this."""
        with self._lock:
            ended = [(key, self._workers.get(key)) for key in self._exits]
        for key, worker in ended:
            if worker is not None:
                self._guarded.does(worker, partial(self._drain, worker))
                # A process that it left behind, where a level lets it, may hold the other end.
                self._guarded.does(worker, partial(self._hang_up, worker))
                # Only now: whoever sees the exit may read the end of the log.
                with self._lock:
                    del self._workers[key]
                    worker.exit = self._exits.pop(key)
        with self._lock:
            self._drop_unclaimed()
        self._ring()

    def _mourn(self, reporter: Exits) -> None:
        """The zygote ended, and all of its workers with it: nobody will report their exits."""
        self._selector.unregister(reporter.exits_fd)
        with self._lock:
            lost = [w for w in self._workers.values() if w.reporter is reporter]
            for worker in lost:
                del self._workers[_key(worker)]
                worker.exit = Exit(status=None, signal=9)
        self._ring()

    @staticmethod
    def _release(worker: Worker) -> None:
        if worker.log_fd >= 0:
            os.close(worker.log_fd)
            worker.log_fd = -1
