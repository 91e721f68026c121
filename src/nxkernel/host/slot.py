"""The place of a plugin's worker, and the gate through which calls reach it.

A worker runs one call at a time. While that call waits for a brokered reply, further calls may
come on top of it, last in, first out, whichever call tree they belong to: if only its own tree
might come, two plugins that call each other from two threads would wait for each other for ever.

Invariants, under ``lock``:

* only the frame on top may run, and only the session of the top frame reads the channel;
* a frame whose reply is ready runs again before anything new comes on top of it;
* a worker that is lost takes every frame on its stack with it;
* a lost worker is buried (its descriptors closed) by one session: the one that was talking to it,
  or else the one that lost it.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Literal

import attrs

from nxkernel.host.channel import Channel
from nxkernel.host.logs import LogTail

__all__ = ["CLOSED", "Exit", "Frame", "Slot", "Worker"]

State = Literal["stopped", "starting", "ready", "busy"]
#: Stands for a call's id where no call but the end of the kernel took a worker away.
CLOSED = "kernel.close"


@attrs.frozen
class Exit:
    """How a worker ended, as the zygote saw it."""

    #: Exit status, or None after a signal.
    status: int | None
    #: Signal number, or None.
    signal: int | None


@attrs.define(eq=False)
class Worker:
    """A live worker process."""

    pid: int
    pidfd: int
    channel: Channel
    log: LogTail
    #: Read end of its stdout and stderr.
    log_fd: int
    #: Counts the workers of this slot; part of a wrapper's token.
    generation: int
    level: str
    #: Bytes in the plugin's log that are from earlier workers.
    log_from: int = 0
    #: Set by housekeeping when the zygote has waited for it.
    exit: Exit | None = None
    _seq: int = 0

    def next_seq(self) -> int:
        """Number the next call."""
        self._seq += 1
        return self._seq


@attrs.define(eq=False)
class Frame:
    """One call on a worker's stack."""

    call_id: str
    #: Absolute deadline, which nested calls share; grows while other calls hold the worker.
    deadline: float
    #: Seconds beyond the deadline, to deal with a nested call that used it up.
    grace: float = 0.0
    #: May come on top of a frame that is starting the worker.
    historic: bool = False
    seq: int = 0
    running: bool = False
    #: Its brokered reply is there; nothing new may come on top of it any more.
    reply_ready: bool = False
    #: It is bringing the worker up: only historic calls may come on top.
    starting: bool = False
    #: The worker that it talks to, once it does.
    worker: Worker | None = None
    #: The call that took the worker down with it, or None while the worker lives.
    lost_by: str | None = None
    #: A lost worker that this session has to bury before it ends.
    buries: Worker | None = None
    #: Plugins in which nested failures began; what the worker claims is held against it.
    origins: set[str] = attrs.Factory(set)

    @property
    def limit(self) -> float:
        """When the worker is ended, whatever it does."""
        return self.deadline + self.grace


class Slot:
    """The gate in front of one worker."""

    def __init__(self, lock: threading.Lock, ring: Callable[[], None]) -> None:
        self._lock = lock
        self._ring = ring
        self._stack: list[Frame] = []
        self._queue: deque[Frame] = deque()
        self.worker: Worker | None = None
        self.generation = 0
        #: The kernel is closing: nobody gets a worker any more, and nobody waits for one.
        self.closed = False

    @property
    def state(self) -> State:
        """The slot's state in the supervisor's terms."""
        with self._lock:
            if self.worker is None:
                return "stopped"
            if any(frame.starting for frame in self._stack):
                return "starting"
            return "busy" if self._stack else "ready"

    @property
    def alone(self) -> bool:
        """Whether the stack holds one frame only."""
        return len(self._stack) == 1

    def enter(self, frame: Frame) -> bool:
        """Put *frame* on top if the gate is open and it is its turn."""
        with self._lock:
            if self.closed:
                frame.lost_by = CLOSED
                return True
            first = not self._queue or self._queue[0] is frame
            if (first or frame.historic) and self._open_for(frame):
                if self._queue and self._queue[0] is frame:
                    self._queue.popleft()
                self._stack.append(frame)
                frame.running = True
                return True
            if frame not in self._queue and not frame.historic:
                self._queue.append(frame)
            return False

    def _open_for(self, frame: Frame) -> bool:
        if not self._stack:
            return True
        top = self._stack[-1]
        if top.running or top.reply_ready:
            return False
        return frame.historic if top.starting else True

    def suspend(self, frame: Frame) -> None:
        """*frame* waits for a reply; others may come on top."""
        with self._lock:
            frame.running = False
        self._ring()

    def resume(self, frame: Frame) -> bool:
        """Run *frame* again if it is on top; True also when its worker is lost."""
        with self._lock:
            if frame.lost_by is not None:
                return True
            frame.reply_ready = True
            if self._stack[-1] is not frame:
                return False
            frame.reply_ready, frame.running = False, True
            return True

    def leave(self, frame: Frame) -> None:
        """Take *frame* off the stack or out of the queue."""
        with self._lock:
            if frame in self._stack:
                self._stack.remove(frame)
            if frame in self._queue:
                self._queue.remove(frame)
        self._ring()

    def lose(self, worker: Worker, by: Frame, end: Callable[[Worker], None]) -> None:
        """*worker* is gone: every frame on its stack is lost, by the fault of *by*.

        Calls *end* with the worker while nobody can have closed its descriptors. The session that
        talks to the worker at this moment, perhaps in another thread, has to bury it, because it
        waits for its pipe; if none does, that of *by*.
        """
        with self._lock:
            if self.worker is not worker:
                return
            end(worker)
            heir = self._talking() or by
            heir.buries = worker
            self._lose_all(by.call_id)
        self._ring()

    def _talking(self) -> Frame | None:
        return next((frame for frame in self._stack if frame.running), None)

    def _lose_all(self, by: str) -> None:
        for frame in self._stack:
            frame.lost_by = by
        self._stack.clear()
        self.worker = None

    def close(self, end: Callable[[Worker], None]) -> Worker | None:
        """Let no call in any more and end the worker under the calls that are on it.

        Returns the worker if no session talks to it: an idle one, which can be asked to stop, or
        one whose calls all wait for something else. The caller has to bury it.
        """
        with self._lock:
            self.closed = True
            worker, heir = self.worker, self._talking()
            if worker is not None and self._stack:
                end(worker)
            if heir is not None:
                heir.buries = worker
            self._lose_all(CLOSED)
        self._ring()
        return worker if heir is None else None

    def replace(self, worker: Worker, frame: Frame) -> None:
        """*worker* is unusable, but *frame*, alone on its stack, has not used it yet."""
        with self._lock:
            if self.worker is worker and self._stack == [frame]:
                self.worker = None
