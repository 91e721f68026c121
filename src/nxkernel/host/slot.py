"""The place of a plugin's worker, and the gate through which calls reach it.

A worker runs one call at a time. While that call waits for a brokered reply, further calls may
come on top of it, last in, first out, whichever call tree they belong to: if only its own tree
might come, two plugins that call each other from two threads would wait for each other for ever.

A call that nobody else waits for has no such claim. It stays out while a frame below has its reply
and waits to be on top, which could otherwise be for ever, and while the stack is as high as
:data:`CROWD`: many callers must not bury a plugin under its own waiting frames.

Invariants, under ``lock``:

* only the frame on top may run, and only the session of the top frame reads the channel;
* a frame whose reply is ready runs again before anything new comes on top of it;
* a worker that is lost takes every frame on its stack with it;
* a lost worker is buried (its descriptors closed) by one session: the one that was talking to it,
  or else the one that lost it;
* whoever changes whose turn it is rings for him before anybody can come into this thread, who
  might wait for him.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import takewhile
from threading import get_ident

from nxkernel import _forks, _locks
from nxkernel.host.frame import Frame
from nxkernel.host.workers import Breach, Worker

__all__ = ["CLOSED", "RETIRED", "Slot"]

#: Frames on one stack beyond which only nested calls come on top.
CROWD = 16
#: Stands for a call's id where no call but the end of the kernel took a worker away.
CLOSED = "kernel.close"
#: The same for the end of an edition of a plugin that was reloaded or removed.
RETIRED = "plugin.retired"
#: Lost workers of which is kept who took them down: a stream may come back to one much later.
_LOSSES = 1024


class Slot:
    """The gate in front of one worker."""

    def __init__(self, lock: _locks.Lock, ring: Callable[..., None]) -> None:
        self._lock = lock
        self._ring = ring
        self._stack: list[Frame] = []
        self._queue: deque[Frame] = deque()
        self.worker: Worker | None = None
        self.generation = 0
        #: By which call workers were lost, the oldest first, by their generation.
        self._losses: dict[int, str] = {}
        #: Told under the lock when the first frame comes and when the last one has left.
        self.watch: Callable[[bool], None] = _nobody
        #: The kernel is closing: nobody gets a worker any more, and nobody waits for one.
        self.closed = False
        self._closed_by = CLOSED
        _forks.register(self)

    def beside(self) -> Slot:
        """Return another one, under the same lock."""
        return Slot(self._lock, self._ring)

    def unless_closed(self, action: Callable[[], None]) -> bool:
        """Do something that does not wait, unless the gate is closed; returns whether it was."""
        with self._lock:
            if not self.closed:
                action()
            return not self.closed

    def abandon(self) -> None:
        """In a forked child of the host: who was in the middle of a call here has lost it."""
        self._lock = _locks.lock()
        self.closed = True
        self._queue.clear()
        self._lose_all(CLOSED)

    @property
    def closed_by(self) -> str | None:
        """What closed it: :data:`CLOSED` or :data:`RETIRED`, or None while it is open."""
        return self._closed_by if self.closed else None

    @property
    def alone(self) -> bool:
        """Whether the stack holds one frame only."""
        return len(self._stack) == 1

    @property
    def occupied(self) -> bool:
        """Whether any call is on the worker."""
        return bool(self._stack)

    def wake(self) -> None:
        """Have everybody who waits for something look again."""
        self._ring()

    def enter(self, frame: Frame) -> bool:
        """Put *frame* on top if the gate is open and it is its turn.

        Also true when a stream's open turn is in the way: then ``frame.clears`` is that turn,
        which *frame* has to end before it tries again.
        """
        with self._lock:
            if self.closed:
                frame.lost_by = self._closed_by
                return True
            if frame not in self._queue and not frame.historic:
                # One that has made room keeps its place.
                (self._queue.appendleft if frame.cleared else self._queue.append)(frame)
            if not self._open_for(frame) or not (frame.historic or self._is_next(frame)):
                return False
            if self._stack and self._stack[-1].idle:
                frame.clears, frame.cleared = self._stack[-1], True
                self._run(frame.clears, frame)
                if not frame.historic:
                    # Meanwhile it waits behind nobody, and nobody behind it: the turn may call.
                    self._queue.remove(frame)
                return True
            if not frame.historic:
                self._queue.remove(frame)
            self._stack.append(frame)
            frame.running = True
            if len(self._stack) == 1:
                self.watch(True)
            return True

    @staticmethod
    def _run(frame: Frame, by: Frame | None = None) -> None:
        frame.idle, frame.running, frame.cleared_by = False, True, by
        frame.thread = get_ident()  # Whoever this is: a stream may change its consumer's thread.

    @staticmethod
    def _idle(frame: Frame) -> None:
        frame.idle, frame.running, frame.cleared_by = True, False, None

    def rest(self, frame: Frame) -> None:
        """*frame*, a turn of a stream, has an item for its consumer, who may take his time."""
        with self._lock:
            if frame.lost_by is None:
                self._idle(frame)
            self._call([*self._called(), frame])

    def reclaim(self, frame: Frame) -> bool:
        """Run the turn *frame* again, unless another call does; True also when it is lost."""
        with self._lock:
            if frame.lost_by is not None:
                return True
            if not frame.idle:
                return False
            self._run(frame)
            return True

    def seize(self, frame: Frame) -> bool:
        """Take the turn *frame*, whatever state it is in, unless another call is to end it."""
        with self._lock:
            if frame.cleared_by is not None and frame.lost_by is None:
                return False
            self._run(frame)
            return True

    def bars(self, frame: Frame, held: Collection[object]) -> bool:
        """Whether *frame* waits for one of this very thread's, which cannot go on before it does.

        *held*: among others the frames of those calls of the thread that *can* go on: they wait.
        """
        own = get_ident()
        with self._lock:
            return any(each.thread == own and each not in held for each in self._before(frame))

    def _before(self, frame: Frame) -> Iterator[Frame]:
        """Yield those who have to do something before *frame* comes in."""
        if not frame.nested and self._is_crowded():
            # The others wait for calls of theirs, or for whoever needs the worker.
            yield from (each for each in self._stack if each.running or each.reply_ready)
        elif self._stack and not self._open_for(frame):
            yield self._stack[-1]
        if not frame.historic:
            yield from takewhile(lambda each: each is not frame, self._queue)

    def tell(self, frame: Frame) -> None:
        """Have whoever waits for *frame* look again."""
        self._call([frame])

    def take(self, frame: Frame) -> bool:
        """Put *frame* on the stack if nobody is there or waits, as :meth:`enter` would."""
        with self._lock:
            if self._stack or self._queue or self.closed:
                return False
            self._stack.append(frame)
            frame.running = True
            self.watch(True)
            return True

    def claim(self, frame: Frame) -> Worker | None:
        """Do what :meth:`take` does, if there is a worker, and return that."""
        with self._lock:
            worker = self.worker
            if worker is None or self._stack or self._queue or self.closed:
                return None
            self._stack.append(frame)
            frame.running = True
            self.watch(True)
            return worker

    def _is_next(self, frame: Frame) -> bool:
        """Whether *frame* waits in front of all who may come at all."""
        if not self._is_crowded():
            return self._queue[0] is frame
        return next((each for each in self._queue if each.nested), None) is frame

    def _is_crowded(self) -> bool:
        return len(self._stack) >= CROWD or any(frame.reply_ready for frame in self._stack)

    def seat(self, worker: Worker, frame: Frame) -> bool:
        """Give *frame*, which started *worker*, its place; False if it has left meanwhile."""
        with self._lock:
            if frame not in self._stack and frame.lost_by is None:
                return False
            frame.worker = self.worker = worker
        return True

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
            self._call(self._called())

    def _called(self) -> list[Frame]:
        """Whose turn it is now: whoever changes the stack has to tell him."""
        if self._stack and self._stack[-1].reply_ready:
            return [self._stack[-1]]
        if self._stack and self._stack[-1].idle:
            # The highest of those that have their reply comes before those that are not in yet.
            ready = [frame for frame in reversed(self._stack) if frame.reply_ready]
            if ready:
                return ready[:1]
        crowded = self._is_crowded()
        first = next((each for each in self._queue if each.nested or not crowded), None)
        return [first] if first is not None and self._open_for(first) else []

    def _call(self, frames: Iterable[Frame]) -> None:
        """Ring for *frames*, and for historic calls, which are in no queue.

        What is rung by has a lock of its own, under which nobody takes this one.
        """
        self._ring(*frames, self)

    def resume(self, frame: Frame) -> bool:
        """Run *frame* again if it is on top; True also when its worker is lost.

        And when an open turn lies on it: ``frame.clears`` is that turn, as in :meth:`enter`.
        """
        with self._lock:
            if frame.lost_by is not None:
                return True
            if self._stack[-1] is frame:
                frame.reply_ready, frame.running = False, True
                return True
            if self._stack[-1].idle:
                frame.reply_ready, frame.clears = True, self._stack[-1]
                self._run(frame.clears, frame)
                return True
            if frame.reply_ready:
                return False
            # From now on only nested calls may come, and the first of them may have been behind
            # others in the queue.
            frame.reply_ready = True
            self._call(self._called())
        return False

    def leave(self, frame: Frame) -> None:
        """Take *frame* off the stack or out of the queue."""
        with self._lock:
            stack = self._stack
            called: Sequence[Frame] = ()
            if len(stack) == 1 and stack[0] is frame and not (self._queue or frame.clears):
                stack.clear()
                self.watch(False)
            else:
                called = self._left(frame)
            self._ring(*called, self)

    def _left(self, frame: Frame) -> Sequence[Frame]:
        """Take *frame* out from among others; returns whose turn it is."""
        if frame.clears is not None:  # an interrupt struck before it could
            self._idle(frame.clears)
            frame.clears = None
        if frame in self._stack:
            self._stack.remove(frame)
            if not self._stack:
                self.watch(False)
        if frame in self._queue:
            self._queue.remove(frame)
        return self._called()

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
            self._note_loss(worker.generation, by.call_id)
            heir = self._talking() or by
            heir.buries = worker
            lost = self._lose_all(by.call_id)
            self._call([*lost, *self._called()])

    def note_loss(self, generation: int, by: str) -> None:
        """Keep that *by* took down a worker of *generation* that had a place beside this one."""
        with self._lock:
            self._note_loss(generation, by)

    def _note_loss(self, generation: int, by: str) -> None:
        self._losses[generation] = by
        if len(self._losses) > _LOSSES:
            del self._losses[next(iter(self._losses))]

    def loser(self, generation: int) -> str | None:
        """What took the worker of *generation* down, or None where it ended by itself.

        A call's id, or what closed the gate.
        """
        return self._losses.get(generation) or self.closed_by

    def while_idle(self, worker: Worker, action: Callable[[], None]) -> bool:
        """Do something that does not wait with *worker* while no call is on it.

        Returns whether it was done; nobody comes in the meantime.
        """
        with self._lock:
            if self.worker is not worker or self._stack or self.closed:
                return False
            action()
        return True

    def evict(self, worker: Worker, end: Callable[[Worker], None]) -> bool:
        """Do without *worker*, which no call is on; calls *end* with it.

        Returns whether it was so; the caller has to bury it then.
        """
        with self._lock:
            if self.worker is not worker or self._stack or self.closed:
                return False
            end(worker)
            self.worker = None
        return True

    def overran(self, worker: Worker, breach: Breach, end: Callable[[Worker], None]) -> bool:
        """End *worker*, if it is still the slot's, for exceeding a limit.

        Its frames learn of it like of any other end: the session on top hears the pipe close.
        """
        with self._lock:
            if self.worker is not worker or worker.breach is not None:
                return False
            worker.breach = breach
            end(worker)
        return True

    def _talking(self) -> Frame | None:
        return next((frame for frame in self._stack if frame.running), None)

    def _lose_all(self, by: str) -> list[Frame]:
        lost = list(self._stack)
        for frame in lost:
            frame.lost_by = by
        if self._stack:
            self._stack.clear()
            self.watch(False)
        self.worker = None
        return lost

    def close(self, end: Callable[[Worker], None], by: str = CLOSED) -> Worker | None:
        """Let no call in any more and end the worker under the calls that are on it.

        Returns the worker if no session talks to it: an idle one, which can be asked to stop, or
        one whose calls all wait for something else. The caller has to bury it.
        """
        with self._lock:
            if not self.closed:
                self.closed, self._closed_by = True, by
            worker, heir = self.worker, self._talking()
            if worker is not None and self._stack:
                end(worker)
            if heir is not None:
                heir.buries = worker
            lost = self._lose_all(self._closed_by)
            self._call([*lost, *self._queue])
        return worker if heir is None else None

    def replace(self, worker: Worker, frame: Frame, end: Callable[[Worker], None]) -> None:
        """*worker* is unusable, but *frame*, alone on its stack, has not used it yet.

        Calls *end* with it; the session of *frame* has to bury it.
        """
        with self._lock:
            if self.worker is worker and self._stack == [frame]:
                end(worker)
                frame.buries = worker
                self.worker = None


def _nobody(_occupied: bool) -> None:
    """Nobody has asked to be told."""
