"""One call's conversation with its worker: it is sent, serves what it is asked, and is answered."""

from __future__ import annotations

import math
from typing import Protocol

import attrs

from nxkernel._altered import altered
from nxkernel._blob import NONE, Blobs
from nxkernel._canonical import NotCanonical, blobs_of, refers
from nxkernel._clock import Clock
from nxkernel._wire import Broker, Failure, FromWorker, Result, Window
from nxkernel.dispatch.effects import Effects, Io, Signal
from nxkernel.host.custody import Custody
from nxkernel.host.frame import Frame
from nxkernel.host.listening import after, hear
from nxkernel.host.losing import lose, lost_along
from nxkernel.host.replies import Brokered, answered, invocation, reply_to
from nxkernel.host.session import resumed
from nxkernel.host.unanswered import Loss, lost_with
from nxkernel.host.workers import Worker
from nxkernel.types import Call, Outcome, Timing

__all__ = ["UNWIND_S", "Brokers", "Conversation"]

#: Seconds that a caller gets to deal with a nested call that used up their common deadline.
UNWIND_S = 1.0
_ANSWERS = (Result, Failure)


class Brokers(Protocol):
    """Who makes the calls that a plugin asks for."""

    def brokered(
        self, parent: Call, hook: str, payload: bytes, blobs: Blobs, deadline: float
    ) -> Effects[Brokered]:
        """Make the call that a plugin asks for; *hook* and *payload* are its word.

        *blobs*: what *payload* refers to.
        """


@attrs.define(eq=False)  # a frozen one takes twice as long to make, and each call makes one
class Conversation:
    """What passes between the host and *worker* for *call*, which has its turn on it."""

    clock: Clock
    kernel: Brokers
    keeper: Custody
    worker: Worker
    call: Call
    frame: Frame

    def hold(self, came: float) -> Effects[Outcome]:
        """Send the call, which *came* then, and return what becomes of it."""
        frame, channel, began = self.frame, self.worker.channel, self.clock.monotonic()
        if frame.lost_by is not None:
            # Another call has taken the worker along, on the way here.
            return lost_with(self.call, frame.lost_by)
        # Time under other calls and for the start is not the plugin's to answer for.
        frame.deadline = math.inf if self.keeper.patient else self.call.deadline + (began - came)
        self.send()
        first: FromWorker | Loss | None = None
        if channel.even and not self.worker.strays:
            # The usual case in line: all of it was written, and what comes is the answer.
            until, waiter = frame.deadline + frame.grace, channel.waiter
            signal = yield Io(channel.result, None, until, waiter, frame)
            first = after(self.worker, signal)
        return (yield from self.heard(first, came, began))

    def heard(self, first: FromWorker | Loss | None, came: float, began: float) -> Effects[Outcome]:
        """Return what becomes of the call, which was sent; *first* is what was said since."""
        frame, channel = self.frame, self.worker.channel
        message: Result | Failure | Outcome
        if isinstance(first, _ANSWERS) and first.seq == frame.seq:
            message = first
        else:
            message = yield from self._attended(first)
            if isinstance(message, Outcome):
                return self._timed(message, came, began)
        try:
            outcome = answered(
                self.call,
                frame,
                self.worker,
                message,
                queue_us=int((began - came) * 1e6),
                transport_us=int((self.clock.monotonic() - began) * 1e6),
            )
        except NotCanonical as error:
            outcome = yield from self.broken(f"an answer is not canonical: {error}")
            return self._timed(outcome, came, began)
        channel.parcels.lower(frame.mark)
        if not self.worker.answered:
            self.keeper.heard_from(self.worker)
        if frame.drawn is None and frame.denied is None and outcome.error is None:
            return outcome  # as :meth:`Custody.explained` would
        return self.keeper.explained(self.call, frame, outcome)

    def _attended(self, message: FromWorker | Loss | None) -> Effects[Result | Failure | Outcome]:
        """Serve what is asked, from *message* on, until the answer or another end comes."""
        while True:
            message = yield from hear(self.clock, self.worker, self.frame, message)
            if isinstance(message, Broker) and message.within == self.frame.seq:
                end = yield from self.serve(message)
                if end is not None:
                    return end
                message = None
            elif isinstance(message, _ANSWERS) and message.seq == self.frame.seq:
                return message
            elif isinstance(message, Loss):
                return (yield from self.lose(message))
            else:
                return (yield from self.broken(f"an unexpected {type(message).__name__}"))

    def send(self, window: Window | None = None) -> None:
        """Send the call; *window* is what the first turn of a stream may send."""
        self.begin()
        channel, frame, blobs = self.worker.channel, self.frame, self.call.blobs
        pieces = channel.parcels.sent(blobs, frame.mark) if blobs else []
        channel.send(invocation(self.call, frame, pieces, window))

    def begin(self) -> None:
        """Number what is sent next, and give it what each call is given."""
        worker, frame = self.worker, self.frame
        frame.seq, frame.worker = worker.next_seq(), worker
        if self.keeper.cpu_seconds is not None:
            worker.process.allow_cpu(self.keeper.cpu_seconds)
        frame.mark = worker.channel.parcels.height

    def _timed(self, outcome: Outcome, came: float, began: float) -> Outcome:
        """Return *outcome* of a call that was not answered, with its times until now."""
        timing = Timing(
            queue_us=int((began - came) * 1e6),
            transport_us=int((self.clock.monotonic() - began) * 1e6),
            plugin_us=outcome.timing.plugin_us,
            used=outcome.timing.used,
            instance=self.worker.generation,
        )
        return altered(outcome, timing=timing)

    # -- what it is asked --------------------------------------------------------------------

    def serve(self, request: Broker) -> Effects[Outcome | None]:
        """Make a brokered call and reply; returns the call's own outcome if this was its end."""
        if self.worker.channel.unheard:
            # It waits for its reply and has nothing to say. Taken one by one, such calls would
            # keep this thread from every other worker that it serves.
            return (yield from self.broken("it goes on speaking while it waits for a reply"))
        try:
            blobs = self._asked_with(request)
        except NotCanonical as error:
            return (yield from self.broken(f"a brokered call is not canonical: {error}"))
        in_time = self.clock.monotonic() < self.frame.deadline
        self.keeper.slot.suspend(self.frame)
        brokered = yield from self.kernel.brokered(
            self.call, request.hook, request.payload, blobs, self.frame.deadline
        )
        self._note(brokered)
        end = yield from self._resume(in_time=in_time)
        if end is None:
            pieces = self.worker.channel.parcels.sent(brokered.blobs, self.frame.mark)
            self.worker.channel.send(reply_to(request, brokered, pieces))
        return end

    def _asked_with(self, request: Broker) -> Blobs:
        """Return the blobs in a brokered call.

        Raises:
            NotCanonical: when they are not what the call refers to.
        """
        parcels = self.worker.channel.parcels
        blobs = NONE
        if request.blobs or refers(request.payload):
            shape = parcels.opened(request.payload, request.blobs, self.frame.mark)
            blobs = blobs_of(shape.value, request.payload)
        parcels.keep(self.frame.mark, request.held)
        return blobs

    def _note(self, brokered: Brokered) -> None:
        if brokered.origin:
            self.frame.origins.add(brokered.origin)
        self.frame.degraded = self.frame.degraded or brokered.degraded

    def _resume(self, *, in_time: bool) -> Effects[Outcome | None]:
        """Wait until this call is on top of its worker again; returns its outcome if it is lost.

        *in_time*: whether the call had time left when it asked.
        """
        frame, ready = self.frame, self.clock.monotonic()
        signal = yield from resumed(self.keeper, frame)
        if frame.lost_by is not None:
            return lost_along(self.call, frame.lost_by)
        if signal is Signal.CANCELLED:
            return (yield from self.lose(Loss("cancelled")))
        now = self.clock.monotonic()
        frame.deadline += now - ready
        if in_time and now >= frame.deadline:
            # The callee, or one below it, used up the common deadline: let the caller deal with
            # that. Not if it asked later: who goes on asking would have no deadline at all.
            frame.grace = max(frame.grace, now + UNWIND_S - frame.deadline)
        return None

    # -- how it ends otherwise ---------------------------------------------------------------

    def broken(self, what: str) -> Effects[Outcome]:
        """End the worker for something that the protocol forbids."""
        return self.lose(Loss("violation", what))

    def lose(self, loss: Loss) -> Effects[Outcome]:
        """End the worker, which will not answer."""
        return lose(self.clock, self.keeper, self.worker, self.call, self.frame, loss)
