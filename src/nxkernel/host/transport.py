"""Carries one call through a worker: wait at the gate, start if need be, send, serve, receive.

Written as generators that yield what they wait for, so that one thread can have calls in many
workers under way, and asyncio can drive the same code.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from importlib import import_module
from typing import Any, Protocol, TypeVar

import attrs

from nxkernel import _forks
from nxkernel._clock import Clock
from nxkernel._once import once
from nxkernel._wire import FromWorker, Window
from nxkernel.dispatch.effects import LEAVING, Effects
from nxkernel.dispatch.errand import Errand
from nxkernel.errors import AuditError, NxError
from nxkernel.host.conversation import Brokers, Conversation
from nxkernel.host.custody import Custody
from nxkernel.host.flows import Find, Flow
from nxkernel.host.frame import Frame
from nxkernel.host.keeper import Keeper
from nxkernel.host.losing import discard_stale, fit, give_up, inter
from nxkernel.host.replies import Brokered
from nxkernel.host.retries import again
from nxkernel.host.session import admitted, seated, session
from nxkernel.host.slot import CLOSED, RETIRED
from nxkernel.host.starting import Newcomers, Starter
from nxkernel.host.unanswered import (
    Loss,
    cancelled,
    expired,
    lost_between,
    lost_with,
    refused,
    unmade,
)
from nxkernel.host.workers import Worker
from nxkernel.types import Call, Outcome, PluginId

__all__ = ["Brokered", "Callbacks", "Transport"]

T = TypeVar("T")
#: What a stream may send in one turn, unless the application says otherwise.
WINDOW = (16, 1 << 18)
_WITHHELD = "what became of the call is withheld"


class Callbacks(Brokers, Newcomers, Protocol):
    """What the transport asks of the kernel above it."""

    def told(self, call: Call) -> Outcome | None:
        """*call* is about to be sent; return its outcome if its worker has been told of it."""

    def retrying(self, lost: Call, outcome: Outcome, again: Call) -> None:
        """Note that *lost*, which ended with *outcome*, is about to be made again.

        Raises:
            NxError: when that cannot be put on record; it is not made then.
        """


class Transport:
    """The way to the workers of one kernel."""

    def __init__(
        self,
        keepers: Mapping[PluginId, Keeper],
        callbacks: Callbacks,
        clock: Clock,
        others: Mapping[tuple[PluginId, int], Keeper] | None = None,
        window: tuple[int, int] = WINDOW,
    ) -> None:
        """*keepers*: of the editions that new calls go to; *others*: of all other editions.

        *window*: how many items, and how many bytes, a stream may send in one turn.
        """
        self._window = Window(*window)
        self._keepers = keepers
        self._others = {} if others is None else others
        self._callbacks = callbacks
        self._clock = clock
        self._starter = Starter(callbacks, clock)

    def exchange(self, call: Call) -> Effects[Outcome]:
        """Make *call* in its plugin's worker, again if that may be, and return the outcome.

        In the usual case (a started, quiet worker that no other call is on, and an answer that
        comes whole and first) it yields once: an ``Io`` without anything to write. Whoever drives
        it by hand may wait for that and send ``Signal.READY``; whatever else it yields, and
        whatever else happens, a driver of any kind can take over from there.
        """
        keeper = self._keepers.get(call.plugin)
        current = keeper is not None and keeper.edition == call.edition
        keeper = keeper if current else self._keeper(call)
        if keeper is None:
            return lost_with(call, RETIRED)
        while True:
            came = self._clock.monotonic()
            if came >= call.deadline:
                self.forsake(call)
                return expired(call)
            nested = call.depth > 0 or call.awaited
            frame = Frame(call.call_id, call.deadline, call.historic, nested)
            try:
                attempt = self._attempt if call.stream or keeper.forks_calls else self._turn
                made = yield from attempt(keeper, call, frame, came)
            except AuditError as error:
                # What became of its worker cannot be put on record: as if its own row could not.
                return Outcome.failed(call, error.code, f"{error.message}; {_WITHHELD}", "host")
            if made is not None and made.error is None:
                return made
            if not (frame.seq or call.stream):
                self._unsent(call, frame, came)
            following = self._following(keeper, call, made or unmade(call, frame), frame)
            if isinstance(following, Outcome):
                return following
            call = following

    def resumed(
        self, call: Call, errand: Errand, first: FromWorker | Loss | None
    ) -> Effects[Outcome]:
        """Go on with *call*, which was sent as *errand*; *first* is what was said since."""
        frame, keeper = errand.frame, self._keeper(call)
        if keeper is None:
            return lost_with(call, RETIRED)
        talk = Conversation(self._clock, self._callbacks, keeper, frame.worker, call, frame)
        rest = partial(talk.heard, first, errand.began_s, errand.began_s)
        try:
            made = yield from seated(self._clock, keeper, frame, rest)
        except AuditError as error:
            return Outcome.failed(call, error.code, f"{error.message}; {_WITHHELD}", "host")
        following: Call | Outcome = made
        if made.error is not None:
            following = self._following(keeper, call, made, frame)
        if isinstance(following, Outcome):
            return following
        return (yield from self.exchange(following))

    def _unsent(self, call: Call, frame: Frame, came: float) -> None:
        """*call* ended before it was sent: it has used up nothing of its time."""
        self.forsake(call)
        frame.deadline = call.deadline + (self._clock.monotonic() - came)

    def _following(
        self, keeper: Keeper, lost: Call, outcome: Outcome, frame: Frame
    ) -> Call | Outcome:
        """What comes after *outcome*: the next attempt of the call, or an outcome that is final."""
        deadline = frame.deadline
        if _was_never_asked(lost, frame):
            # Another call took the worker along before this one had asked anything of it.
            return attrs.evolve(lost, deadline=deadline)
        repeated = again(lost, outcome, deadline, self._clock.monotonic())
        # Refused it would hide why it was lost.
        if repeated is None or keeper.refusal(deadline) is not None:
            return outcome
        try:
            self._callbacks.retrying(lost, outcome, repeated)
        except NxError as error:
            return Outcome.failed(lost, error.code, error.message, "host")
        return repeated

    def _attempt(
        self, keeper: Keeper, call: Call, frame: Frame, came: float
    ) -> Effects[Outcome | None]:
        """Make *call* once; *frame* has its deadline, moved by what was not the plugin's time."""
        if call.stream:
            return self._streamed(keeper, call, frame)
        # What a historic call leaves behind is what it is made for: it runs in the template.
        if keeper.forks_calls and not call.lasting:
            made: Effects[Outcome | None] = self._fresh.attempt(keeper, call, frame, came)
            return made
        return self._turn(keeper, call, frame, came)

    @once
    def _fresh(self) -> Any:
        """What makes the calls of plugins with fresh state: Linux's own."""
        with _forks.whole():  # A child forked in the middle of an import would wait for its end.
            module = import_module("nxkernel.host.fresh")
        return module.FreshCalls(self._callbacks, self._clock, self._starter)

    def _streamed(self, keeper: Keeper, call: Call, frame: Frame) -> Effects[Outcome | None]:
        made: list[Flow] = []
        outcome: Outcome

        def flow(place: Custody, find: Find) -> Flow:
            made.append(
                Flow(
                    clock=self._clock,
                    kernel=self._callbacks,
                    keeper=place,
                    call=call,
                    window=self._window,
                    find=find,
                )
            )
            return made[0]

        if keeper.forks_calls:
            outcome = yield from self._fresh.stream(keeper, call, self._clock.monotonic(), flow)
        else:
            outcome = yield from flow(keeper, partial(self._worker, keeper)).run()
        if made:
            frame.deadline = made[0].allowance.until
        return outcome

    def forsake(self, call: Call) -> None:
        """*call* is not made: if it would have left a wrapper, have that end.

        The caller went away, or the stack refuses the call: nothing will leave the wrapper any
        more, and what it holds would stay held.
        """
        keeper = self._keeper(call)
        if keeper is not None and call.token is not None:
            place = keeper.cells.get(call.token[0], keeper)
            place.forsake(call.token, self._clock.monotonic())

    def keeper(self, plugin: PluginId, edition: int) -> Keeper | None:
        """Return who keeps the worker of that edition of *plugin*, if it has one."""
        keeper = self._keepers.get(plugin)
        if keeper is None or keeper.edition != edition:
            keeper = self._others.get((plugin, edition))
        return keeper

    def _keeper(self, call: Call) -> Keeper | None:
        return self.keeper(call.plugin, call.edition)

    def ensure(self, plugin: PluginId) -> Effects[NxError | None]:
        """Start the plugin's worker if it has none; returns why it could not be."""
        return self.bring_up(self._keepers[plugin])

    def bring_up(self, keeper: Keeper) -> Effects[NxError | None]:
        """Start the keeper's worker if it has none; returns why it could not be."""
        patience = self._clock.monotonic() + keeper.start_timeout_s
        frame = Frame(call_id="start", deadline=patience)
        return (yield from self._session(keeper, frame, lambda: self._ensure(keeper, frame)))

    def _ensure(self, keeper: Keeper, frame: Frame) -> Effects[NxError | None]:
        if keeper.slot.worker is not None:
            return None
        return (yield from self._starter.start(keeper, frame))

    def witness(self, keeper: Keeper) -> Effects[NxError | None]:
        """Start a worker, hear what its self-test met, and end it before it loads anything."""
        frame = Frame(call_id="probe", deadline=0.0)
        return (
            yield from self._session(keeper, frame, lambda: self._starter.witness(keeper, frame))
        )

    def _session(
        self, keeper: Keeper, frame: Frame, body: Callable[[], Effects[T]]
    ) -> Effects[T | None]:
        return session(self._clock, keeper, frame, body)

    # -- on the worker -------------------------------------------------------------------

    def _turn(
        self, keeper: Keeper, call: Call, frame: Frame, came: float
    ) -> Effects[Outcome | None]:
        """Make *call* in its turn: a :func:`session`, with the usual case in line.

        Each shortcut asks what the general way would find, and takes that where it is in doubt.
        """
        slot = keeper.slot
        try:
            try:
                # A caller that went away is noticed at the gate.
                taken = not LEAVING.now and slot.take(frame)
                if not taken and not (yield from admitted(keeper, frame)):
                    return None
                worker = None if call.token is not None else fit(slot, frame)
                made = worker or (yield from self._worker(keeper, call, frame, came))
                if not isinstance(made, Outcome):
                    talk = Conversation(self._clock, self._callbacks, keeper, made, call, frame)
                    # A worker is told of historic calls alone.
                    told = self._callbacks.told(call) if call.lasting else None
                    made = told or (yield from talk.hold(came))
                frame.over = True  # As in a session: its worker may be somebody else's by now.
            except BaseException:
                give_up(keeper, frame)
                raise
            finally:
                slot.leave(frame)
            if frame.buries is not None:
                yield from inter(self._clock, keeper, frame)
            return made
        except BaseException:
            # Once more, as in :func:`session`: an interrupt may have struck in the middle.
            slot.leave(frame)
            give_up(keeper, frame)
            raise

    def _worker(
        self, keeper: Keeper, call: Call, frame: Frame, came: float
    ) -> Effects[Worker | Outcome]:
        """Return the worker for *call*, started if need be, or the outcome for want of one."""
        if not (yield from discard_stale(self._clock, keeper, frame)):
            return cancelled(call)
        worker = keeper.slot.worker
        if frame.lost_by is not None:
            # A call below this one went away with the worker before this one could use it.
            return lost_with(call, frame.lost_by)
        if call.token is not None and (worker is None or call.token[0] != worker.generation):
            return lost_between(call, keeper.loser(call.token[0]))
        if worker is not None:
            return worker
        frame.deadline = call.deadline + (self._clock.monotonic() - came)
        problem = yield from self._starter.start(keeper, frame)
        if problem is not None:
            return refused(call, problem)
        return cancelled(call) if frame.worker is None else frame.worker


def _was_never_asked(call: Call, frame: Frame) -> bool:
    if frame.seq or call.stream or call.token is not None:
        return False
    return frame.lost_by not in (None, CLOSED, RETIRED, call.call_id)
