"""One thread per kernel, never on the path of a call: it drains logs and hears of exits.

A log pipe that nobody drains would block its plugin, and an exit that nobody reads would leave
the loss of a worker without its status.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import threading
from collections.abc import Callable

from nxkernel.host.slot import Exit, Worker
from nxkernel.host.zygote import Zygote

__all__ = ["Housekeeper"]

_CHUNK = 1 << 16


class Housekeeper:
    """Drains the logs of all workers and records their exits."""

    def __init__(self, ring: Callable[[], None]) -> None:
        self._ring = ring
        self._lock = threading.Lock()
        self._workers: dict[int, Worker] = {}
        #: Exits that were heard, until their worker is in the table: one may end before it is.
        self._exits: dict[int, Exit] = {}
        self._selector = selectors.DefaultSelector()
        #: Made by :meth:`start`: a kernel that is never entered must leave nothing open.
        self._alarm = -1
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="nxkernel-housekeeping", daemon=True)

    def start(self, zygote: Zygote) -> None:
        """Start the thread."""
        self._alarm = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._selector.register(self._alarm, selectors.EVENT_READ)
        self._selector.register(zygote.exits_fd, selectors.EVENT_READ, zygote)
        self._thread.start()

    def watch(self, worker: Worker) -> None:
        """Take over a new worker's log and exit."""
        # Registered first: once the worker is in the table, its exit may be heard and its log
        # drained and closed at any moment.
        self._selector.register(worker.log_fd, selectors.EVENT_READ, worker)
        with self._lock:
            self._workers[worker.pid] = worker
        os.eventfd_write(self._alarm, 1)

    def stop(self) -> None:
        """Drain what is left and end the thread."""
        self._stopping = True
        if self._thread.is_alive():
            os.eventfd_write(self._alarm, 1)
            self._thread.join()
        for key in list(self._selector.get_map().values()):
            if isinstance(key.data, Worker):
                self._drain(key.data)
                self._release(key.data)
        self._close()

    def abandon(self) -> None:
        """In a forked child, which has no such thread: close what was inherited."""
        self._close()

    def _close(self) -> None:
        self._selector.close()
        if self._alarm >= 0:
            os.close(self._alarm)
            self._alarm = -1

    def _run(self) -> None:
        while not self._stopping:
            for key, _ in self._selector.select():
                if isinstance(key.data, Worker):
                    self._drain(key.data)
                elif isinstance(key.data, Zygote):
                    self._hear(key.data)
                else:
                    with contextlib.suppress(BlockingIOError):
                        os.eventfd_read(self._alarm)
                    self._record()

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
            worker.log.feed(data)
            return
        self._selector.unregister(worker.log_fd)
        os.close(worker.log_fd)
        worker.log_fd = -1

    def _hear(self, zygote: Zygote) -> None:
        for pid, status in zygote.exits():
            code = os.waitstatus_to_exitcode(status)
            ended = Exit(status=code if code >= 0 else None, signal=-code if code < 0 else None)
            self._exits[pid] = ended
        self._record()
        if zygote.gone:
            self._mourn(zygote)

    def _record(self) -> None:
        """Tell the workers in the table of their exits; only the housekeeping thread does this."""
        for pid in list(self._exits):
            with self._lock:
                worker = self._workers.pop(pid, None)
            if worker is not None:
                if worker.log_fd >= 0:
                    self._drain(worker)
                # Only now: whoever sees the exit may read the end of the log.
                worker.exit = self._exits.pop(pid)
        self._ring()

    def _mourn(self, zygote: Zygote) -> None:
        """The zygote ended, and all workers with it: nobody will report their exits."""
        self._selector.unregister(zygote.exits_fd)
        with self._lock:
            for worker in self._workers.values():
                worker.exit = Exit(status=None, signal=9)
            self._workers.clear()
        self._ring()

    @staticmethod
    def _release(worker: Worker) -> None:
        if worker.log_fd >= 0:
            os.close(worker.log_fd)
            worker.log_fd = -1
