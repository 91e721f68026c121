"""Streams, on the host's side: turns on a worker, and items that wait for their consumer.

A stream is a call in several turns. In each the worker may send as many items as the window says;
then it is free until the consumer has had them all and the next turn begins. The consumer is given
each item as it comes, so a turn may still be open while he looks at one: it then rests on top of
its worker's stack, and whoever needs the worker ends it, keeping its items for the consumer. So
nobody waits for a consumer, and no more than one window of items is kept for one.

The turn under way is run by one session at a time: that of the stream, or that of a call which is
in a hurry for the worker. The slot says whose turn it is.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from typing import Final

import attrs

from nxkernel._canonical import NotCanonical, digest, encode
from nxkernel._clock import Clock
from nxkernel._wire import (
    Broker,
    Ended,
    Failure,
    FromWorker,
    Halt,
    Item,
    More,
    Pause,
    Paused,
    Result,
    Window,
)
from nxkernel.dispatch.effects import Effects, Gate, Offer, Signal
from nxkernel.host.allowances import Allowance
from nxkernel.host.conversation import Brokers, Conversation
from nxkernel.host.custody import Custody
from nxkernel.host.frame import Frame
from nxkernel.host.listening import hear
from nxkernel.host.losing import give_up, inter, lost_along
from nxkernel.host.rations import Ration
from nxkernel.host.replies import LONGEST_US, answered, used
from nxkernel.host.session import admitted
from nxkernel.host.tallies import Tally
from nxkernel.host.unanswered import Loss, cancelled, closed, lost_with, unmade
from nxkernel.host.workers import Stray, Worker
from nxkernel.types import Call, Outcome

__all__ = ["Find", "Flow"]

#: Finds a turn's worker, started if need be, or returns the outcome for want of one.
Find = Callable[[Call, Frame, float], Effects[Worker | Outcome]]
#: Messages of a turn beside its items, at most: accounts and ends, its own and of a Halt.
_LAST_WORDS: Final = 7
_NOTHING: Final = encode(None)
#: What a turn ends with.
_LastWord = Paused | Ended | Failure | Result


@attrs.define(eq=False, kw_only=True)
class Flow:
    """One stream, from its call to its outcome."""

    clock: Clock
    kernel: Brokers
    keeper: Custody
    call: Call
    #: What each turn may send.
    window: Window
    find: Find
    #: Which worker has it, and under which seq it was opened there.
    token: tuple[int, int] | None = None
    #: Items that came, as outcomes of their own; the consumer has not had them.
    items: deque[Outcome] = attrs.Factory(deque)
    #: The turn under way.
    turn: Conversation | None = None
    #: Whether the stream's own session runs that turn; it does not while the consumer is away.
    own: bool = False
    #: What became of it.
    outcome: Outcome | None = None
    #: Whether the worker has shown that it is a stream, and whether it may still have it.
    opened: bool = False
    _held: bool = False
    #: Whether the consumer wants no more, and whether he went away without a word.
    halting: bool = False
    gone: bool = False
    allowance: Allowance = attrs.field(init=False)
    tally: Tally = attrs.Factory(Tally)
    #: What is left of the window in this turn, and whether the worker was asked to end it.
    _ration: Ration = attrs.field(init=False)
    _pausing: bool = False
    #: The call that ends the turn under way, or the last one that did.
    _stranger: str = ""
    #: The seq of the answer to a Halt that comes after the end of a turn; 0 while none was sent.
    #: One who wants no more may still wait until a turn is over that another call ends.
    _halted: int = 0
    _origins: set[str] = attrs.Factory(set)
    _degraded: bool = False

    def __attrs_post_init__(self) -> None:
        until = math.inf if self.keeper.patient else self.call.deadline
        now = self.clock.monotonic()
        self.allowance = Allowance(until, self.call.item_timeout, now)
        self._ration = Ration(self.window)

    def run(self) -> Effects[Outcome]:
        """Make the call, hand out its items, and return what became of it."""
        try:
            outcome = yield from self._handed_out()
        except BaseException:
            self._give_up()
            raise
        degraded = outcome.degraded or self._degraded
        outcome = attrs.evolve(outcome, degraded=degraded, timing=self.allowance.timing)
        return self.tally.on(outcome) if self.opened else outcome

    def _handed_out(self) -> Effects[Outcome]:
        while True:
            while self.items:
                item = self.items.popleft()
                signal = yield Offer(item)
                if signal is not Signal.REFUSED:
                    self.tally.add(item)
                if signal is not Signal.READY:
                    return (yield from self._ended_early(signal))
            if self.outcome is not None:
                return self.outcome
            if self.turn is None:
                yield from self._begin()
            else:
                yield from self._go_on()

    # -- a turn, as the stream's own session runs it ---------------------------------------------

    def _begin(self) -> Effects[None]:
        """Have the next turn begin, and listen to it."""
        turn = yield from self._enter()
        if turn is None:
            return
        window = self._ration.begin()
        if self.token is None:
            turn.send(window)
            self.token, self._held = (turn.worker.generation, turn.frame.seq), True
        else:
            turn.begin()
            more = More(seq=turn.frame.seq, token=self._token, window=window)
            turn.worker.channel.send(more)
        yield from self._listen()

    def _enter(self) -> Effects[Conversation | None]:
        """Wait for the worker; returns None when there is an outcome instead."""
        frame = self._frame()
        came = self.clock.monotonic()
        worker: Worker | Outcome = cancelled(self.call)
        try:
            if (yield from admitted(self.keeper, frame)):
                call = attrs.evolve(self.call, token=self.token)
                worker = yield from self.find(call, frame, came)
                yield from inter(self.clock, self.keeper, frame)
            else:
                worker = unmade(self.call, frame)
            if isinstance(worker, Outcome):
                self.outcome, frame.over = worker, True
                self.keeper.slot.leave(frame)
                give_up(self.keeper, frame)
                self._forsake()
                return None
            self.allowance.queued(self.clock.monotonic() - came)
            self.allowance.account.instance = worker.generation
            turn, frame.turn, self._pausing = self._conversation(worker, frame), self, False
            self._take_up(turn, own=True)
            self.turn = turn
            return turn
        except BaseException:
            give_up(self.keeper, frame)
            self.keeper.slot.leave(frame)
            raise

    def _frame(self) -> Frame:
        return Frame(
            call_id=self.call.call_id,
            deadline=self.allowance.until,
            nested=self.call.depth > 0 or self.call.awaited,
            origins=self._origins,
        )

    def _conversation(self, worker: Worker, frame: Frame) -> Conversation:
        return Conversation(
            clock=self.clock,
            kernel=self.kernel,
            keeper=self.keeper,
            worker=worker,
            call=self.call,
            frame=frame,
        )

    def _go_on(self) -> Effects[None]:
        """Listen on to a turn that is open, unless another call has it in its hands."""
        signal = yield self._gate(self._news)
        if signal is Signal.CANCELLED:
            self._abandon()
        elif self.turn is not None and not self.items:
            self._take_up(self.turn, own=True)
            yield from self._listen()

    def _gate(self, attempt: Callable[[], bool]) -> Gate:
        return Gate(attempt, key=self.turn.frame if self.turn is not None else None)

    def _news(self) -> bool:
        return bool(self.items) or self._mine()

    def _mine(self) -> bool:
        """Whether the open turn is this session's to run, or is over."""
        turn = self.turn
        return turn is None or self.keeper.slot.reclaim(turn.frame)

    def _listen(self) -> Effects[None]:
        """Run the turn until an item came or it is over, and take what else has come with it."""
        while (turn := self.turn) is not None:
            if self.items and not turn.worker.channel.whole:
                self._rest(turn)
                return
            yield from self._hear(turn)

    # -- a turn, as another call's session ends it -----------------------------------------------

    def clear(self, by: Frame) -> Effects[None]:
        """End the open turn, for the call *by* that needs its worker; its items are kept."""
        turn = self.turn
        if turn is None:
            return
        try:
            by.clears = None  # Until here it would have been given back as it was.
            self._take_up(turn, own=False)
            self._stranger = by.call_id
            if not self._pausing:
                self._pausing = True
                turn.worker.channel.send(Pause(token=self._token))
            while self.turn is turn:
                if not (yield from self._hear(turn)):
                    self._rest(turn)
                    return
                self.keeper.slot.tell(turn.frame)
        except BaseException:
            self._drop(turn)
            raise
        if self.gone:
            self._forsake()

    # -- messages ----------------------------------------------------------------------------------

    def _hear(self, turn: Conversation) -> Effects[bool]:
        """Take the next message of the turn; False when a stranger who listens went away."""
        if turn.frame.lost_by is not None:
            yield from self._over(turn, lost_along(self.call, turn.frame.lost_by))
            return True
        message = yield from hear(self.clock, turn.worker, turn.frame)
        if isinstance(message, Loss):
            if message.why == "cancelled":
                if not self.own:
                    return False
                self._detach(turn)
                return True
            yield from self._over(turn, (yield from turn.lose(message)))
        elif isinstance(message, Broker) and message.within == turn.frame.seq:
            if self.gone and not self._halted:
                # Its call has its outcome: a nested one would come behind that, under a number
                # that another one had before.
                self._detach(turn)
                return True
            # A worker that is told to halt does not wait for its replies any more.
            end = None if self._halted else (yield from turn.serve(message))
            if end is not None:
                yield from self._over(turn, end)
        else:
            yield from self._take(turn, message)
        return True

    def _take(self, turn: Conversation, message: FromWorker) -> Effects[None]:
        wrong = f"an unexpected {type(message).__name__}"
        mine = getattr(message, "seq", None) == turn.frame.seq
        if mine and isinstance(message, Item):
            wrong = self._item(turn, message)
        elif mine and isinstance(message, Paused):
            wrong = self._paused(turn, message)
        elif mine and isinstance(message, Ended):
            wrong = self._end(turn, message)
        elif mine and isinstance(message, Failure | Result):
            wrong = self._failure(turn, message)
        if wrong:
            yield from self._over(turn, (yield from turn.broken(wrong)))

    # Each of them returns what is wrong with the message, or nothing.

    def _item(self, turn: Conversation, message: Item) -> str:
        if not self._ration.take(message):
            return "it sends more of a stream than it was asked for"
        try:
            parcels = turn.worker.channel.parcels
            shape = parcels.opened(message.payload, message.blobs, turn.frame.mark)
        except NotCanonical as error:
            return f"an item is not canonical: {error}"
        self.opened = True
        if not self.halting:
            self.items.append(
                Outcome(
                    plugin=self.call.plugin,
                    impl=self.call.impl,
                    hook=self.call.hook,
                    call_id=self.call.call_id,
                    value=shape.value,
                    shape=shape,
                    output_digest=digest(message.payload),
                    output_bytes=len(message.payload),
                )
            )
            self.allowance.item(turn.frame, self.clock.monotonic())
        return ""

    def _paused(self, turn: Conversation, message: Paused) -> str:
        if self._ration.is_untouched and not self._pausing:
            return "it pauses a stream that it has not gone on with"
        self.opened = True
        self._answered(turn, message)
        if self._halted:
            # It had not read yet that the stream is to end: its answer to that is still to come.
            turn.frame.seq, turn.frame.denied, turn.frame.drawn = self._halted, None, None
            return ""
        self.keeper.record_draws(turn.frame)
        self.keeper.advice(turn.frame)
        self._leave(turn)
        return ""

    def _end(self, turn: Conversation, message: Ended) -> str:
        self.opened = True
        self._answered(turn, message)
        self._held = False
        self.outcome = self._explained(turn, self._succeeded())
        self._leave(turn)
        return ""

    def _failure(self, turn: Conversation, message: Failure | Result) -> str:
        """The function failed, or its iterator; or it returned nothing, and no stream at all."""
        if isinstance(message, Result) and (self.opened or message.payload != _NOTHING):
            return "it answers a stream with a value"
        self._answered(turn, message)
        self._held = False
        outcome = answered(self.call, turn.frame, turn.worker, message)
        self.outcome = self._explained(turn, outcome)
        self._leave(turn)
        return ""

    def _succeeded(self) -> Outcome:
        return Outcome(
            plugin=self.call.plugin,
            impl=self.call.impl,
            hook=self.call.hook,
            call_id=self.call.call_id,
            attempts=self.call.attempt,
        )

    def _answered(self, turn: Conversation, message: _LastWord) -> None:
        turn.worker.channel.parcels.lower(turn.frame.mark)
        self.keeper.heard_from(turn.worker)
        plugin_us = min(max(0, message.plugin_us), LONGEST_US)
        self.allowance.account.add(plugin_us, used(message.used))

    def _explained(self, turn: Conversation, outcome: Outcome) -> Outcome:
        return self.keeper.explained(self.call, turn.frame, outcome)

    # -- how a turn ends -------------------------------------------------------------------------

    def _take_up(self, turn: Conversation, *, own: bool) -> None:
        self.own = own
        self.allowance.begin(turn.frame, self.clock.monotonic())

    def _rest(self, turn: Conversation) -> None:
        """Nobody listens to the turn for now; whoever needs its worker may take it up."""
        self.own = False
        self.allowance.rest(turn.frame, self.clock.monotonic())
        self.keeper.slot.rest(turn.frame)

    def _over(self, turn: Conversation, outcome: Outcome) -> Effects[None]:
        """The worker is lost, and the stream with it."""
        if not self.own and outcome.error is not None and outcome.error.code == "call.cancelled":
            # He who went away is the stranger's caller, and not the consumer.
            by = turn.frame.lost_by or self.call.call_id
            outcome = lost_with(self.call, self._stranger if by == self.call.call_id else by)
        self.outcome, self._held = outcome, False
        yield from inter(self.clock, self.keeper, turn.frame)
        self._leave(turn)

    def _leave(self, turn: Conversation) -> None:
        """Give the place on the worker back; once more, where an interrupt has struck in that.

        By the time of that its worker may be somebody else's. Last of all is told who waits for
        the turn, and finds none.
        """
        frame = turn.frame
        frame.over = True
        self.keeper.slot.leave(frame)
        give_up(self.keeper, frame)  # of a worker that another call has left it to bury
        if self.turn is turn:
            self.allowance.rest(frame, self.clock.monotonic())
            self._degraded = self._degraded or frame.degraded
            self.turn, self.own = None, False
        self.keeper.slot.tell(frame)

    # -- how a stream ends early -----------------------------------------------------------------

    def _ended_early(self, signal: Signal) -> Effects[Outcome]:
        if signal is Signal.CANCELLED:
            self._abandon()
        elif self.outcome is None:
            yield from self._halt()
        outcome = self.outcome
        if outcome is not None and outcome.error is not None:
            return outcome
        return cancelled(self.call) if self.gone else closed(self.call)

    def _halt(self) -> Effects[None]:
        """Have the plugin's iterator closed, and wait for it: the consumer wants no more."""
        self.halting = True
        self.items.clear()
        if self.turn is not None:
            signal = yield self._gate(self._mine)
            if signal is Signal.CANCELLED:
                self._abandon()
                return
            if self.turn is not None:
                self._take_up(self.turn, own=True)
        between = self.turn is None
        turn = self.turn if self.outcome is not None or not between else (yield from self._enter())
        if turn is None:
            return
        if between:
            turn.begin()
        self._halted = turn.frame.seq if between else turn.worker.next_seq()
        turn.frame.deadline = self.keeper.until(self.clock.monotonic())
        turn.worker.channel.send(Halt(seq=self._halted, token=self._token))
        while self.turn is turn:
            yield from self._hear(turn)

    @property
    def _token(self) -> int:
        return self.token[1] if self.token is not None else 0

    def _abandon(self) -> None:
        """The consumer went away, and with him all waits: leave it to those who come."""
        self.gone = True
        turn, end = self.turn, self.keeper.slot.closed_by
        if turn is None:
            self._forsake()
        elif self.keeper.slot.seize(turn.frame):
            self._detach(turn)
        if end is not None:
            self.outcome = lost_with(self.call, end)
        elif self.outcome is None:
            self.outcome = cancelled(self.call)

    def _detach(self, turn: Conversation) -> None:
        """Have the iterator closed in the middle of its turn, and wait for nothing.

        Whoever comes next hears what the worker still has to say of it. It has as long to end as an
        idle worker has to answer.
        """
        worker, frame = turn.worker, turn.frame
        self.gone, self._held = True, False
        if not self._halted:
            self._halted = worker.next_seq()
            worker.channel.send(Halt(seq=self._halted, token=self._token))
        seqs = frozenset({frame.seq, self._halted})
        worker.strays.append(Stray(seqs, self._ration.items + _LAST_WORDS))
        # A call below goes on with its own; it must not take what the iterator has for that.
        worker.channel.parcels.leave(frame.mark)
        if self.keeper.slot.alone:
            worker.ask(self.keeper.until(self.clock.monotonic()))
        self.outcome = cancelled(self.call)
        self._leave(turn)

    def _forsake(self) -> None:
        """Have the plugin's iterator closed when its worker is idle."""
        if self.token is not None and self._held:
            self._held = False
            self.keeper.forsake(self.token, self.clock.monotonic())

    def _give_up(self) -> None:
        """An exception in the host's own code ends the stream."""
        self.gone = True
        turn = self.turn
        if turn is None:
            self._forsake()
        elif self.keeper.slot.seize(turn.frame):
            self._drop(turn)

    def _drop(self, turn: Conversation) -> None:
        """End the worker under *turn*, unless that was over already."""
        frame = turn.frame
        if not frame.over:
            self._held = False
            give_up(self.keeper, frame)
            self.outcome = lost_with(self.call, frame.lost_by or frame.call_id)
        self._leave(turn)
