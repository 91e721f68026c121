"""Carries one call through a worker: wait at the gate, start if need be, send, serve, receive.

Written as generators that yield what they wait for, so that one thread can have calls in many
workers under way, and asyncio can drive the same code.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

import attrs

from nxkernel._canonical import NotCanonical
from nxkernel._clock import Clock
from nxkernel._wire import (
    EXIT_CONFINE,
    VERSION,
    Broker,
    Failure,
    FromWorker,
    Hello,
    Ready,
    Refused,
    Result,
)
from nxkernel.dispatch.effects import Effects, Gate, Io, Signal
from nxkernel.errors import (
    KernelNotRunning,
    NxError,
    PluginDisabled,
    ProtocolViolation,
    SandboxUnavailable,
    WorkerLost,
)
from nxkernel.host.channel import Channel
from nxkernel.host.keeper import Keeper
from nxkernel.host.launch import allow_cpu, has_ended, kill
from nxkernel.host.replies import (
    MAX_MESSAGE,
    Brokered,
    Loss,
    answered,
    cancelled,
    details_of,
    expired,
    impl_facts,
    invocation,
    lost_with,
    lost_wrapper,
    refused,
    reply_to,
    words_for,
)
from nxkernel.host.slot import CLOSED, Frame, Worker
from nxkernel.types import Call, ImplFacts, Outcome, PluginId, Timing

__all__ = ["Brokered", "Callbacks", "Transport"]

T = TypeVar("T")
#: Seconds that a caller gets to deal with a nested call that used up their common deadline.
UNWIND_S = 1.0
#: Seconds in which a worker that could not load its plugin has to end.
_LEAVE_S = 0.5
#: Seconds to wait for the zygote's word on a worker that is gone.
_EXIT_WAIT_S = 5.0
#: Lines of a lost worker's log that go into the outcome's details.
_LAST_LINES = 10


class Callbacks(Protocol):
    """What the transport asks of the kernel above it."""

    def brokered(
        self, parent: Call, hook: str, payload: bytes, deadline: float
    ) -> Effects[Brokered]:
        """Make the call that a worker asks for; *hook* and *payload* are its word."""

    def accept(self, plugin: PluginId, impls: Sequence[ImplFacts]) -> None:
        """Check what a new worker says it implements.

        Raises:
            PluginDisabled: when it disagrees with the manifest.
        """

    def history(self, plugin: PluginId) -> Effects[None]:
        """Replay historic calls into a new worker."""


class Transport:
    """The way to the workers of one kernel."""

    def __init__(self, keepers: Mapping[PluginId, Keeper], callbacks: Callbacks, clock: Clock):
        self._keepers = keepers
        self._callbacks = callbacks
        self._clock = clock

    def exchange(self, call: Call) -> Effects[Outcome]:
        """Make *call* in its plugin's worker and return the outcome."""
        keeper = self._keepers[call.plugin]
        frame = Frame(call_id=call.call_id, deadline=call.deadline, historic=call.historic)
        came = self._clock.monotonic()
        if came >= call.deadline:
            return expired(call)
        outcome = yield from self._session(
            keeper, frame, lambda: self._inside(keeper, call, frame, came)
        )
        return outcome or cancelled(call)

    def ensure(self, plugin: PluginId) -> Effects[NxError | None]:
        """Start the plugin's worker if it has none; returns why it could not be."""
        keeper = self._keepers[plugin]
        frame = Frame(call_id="start", deadline=0.0)
        return (yield from self._session(keeper, frame, lambda: self._ensure(keeper, frame)))

    def _ensure(self, keeper: Keeper, frame: Frame) -> Effects[NxError | None]:
        return (yield from self._start(keeper, frame)) if keeper.slot.worker is None else None

    def witness(self, keeper: Keeper) -> Effects[NxError | None]:
        """Start a worker, hear what its self-test met, and end it before it loads anything."""
        frame = Frame(call_id="probe", deadline=0.0)
        return (yield from self._session(keeper, frame, lambda: self._witness(keeper, frame)))

    def _witness(self, keeper: Keeper, frame: Frame) -> Effects[NxError | None]:
        frame.deadline = self._clock.monotonic() + keeper.start_timeout_s
        try:
            worker = keeper.launch(frame)
        except NxError as error:
            return error
        problem = yield from self._hear(keeper, worker, frame)
        if problem is None:
            yield from self._bury(keeper, worker, frame, counted=False)
        return problem

    def _session(
        self, keeper: Keeper, frame: Frame, body: Callable[[], Effects[T]]
    ) -> Effects[T | None]:
        """Wait for *frame*'s turn on the worker, run *body*, and leave whatever happens.

        Returns None when the caller went away before its turn came.
        """
        try:
            try:
                signal = yield Gate(lambda: keeper.slot.enter(frame))
                if signal is Signal.CANCELLED:
                    return None
                result = yield from body()
                yield from self._inter(keeper, frame)
                return result
            except BaseException:
                self._give_up(keeper, frame)
                raise
            finally:
                keeper.slot.leave(frame)
        except BaseException:
            # Once more: an interrupt may have struck in the middle of leaving, and a frame that
            # stays behind would block its plugin for ever.
            keeper.slot.leave(frame)
            raise

    # -- on the worker -------------------------------------------------------------------

    def _inside(self, keeper: Keeper, call: Call, frame: Frame, came: float) -> Effects[Outcome]:
        yield from self._discard_stale(keeper, frame)
        worker = keeper.slot.worker
        if frame.lost_by is not None:
            # A call below this one went away with the worker before this one could use it.
            return lost_with(call, frame.lost_by)
        if worker is None:
            if call.token is not None:
                return lost_wrapper(call)
            problem = yield from self._start(keeper, frame)
            worker = frame.worker
            if problem is not None or worker is None:
                return cancelled(call) if problem is None else refused(call, problem)
        if call.token is not None and call.token[0] != worker.generation:
            return lost_wrapper(call)
        began = self._clock.monotonic()
        # Time under other calls and for the start is not the plugin's to answer for.
        frame.deadline = call.deadline + (began - came)
        outcome = yield from self._converse(keeper, worker, call, frame)
        timing = Timing(
            queue_us=int((began - came) * 1e6),
            transport_us=int((self._clock.monotonic() - began) * 1e6),
            plugin_us=outcome.timing.plugin_us,
        )
        return attrs.evolve(outcome, timing=timing)

    def _converse(
        self, keeper: Keeper, worker: Worker, call: Call, frame: Frame
    ) -> Effects[Outcome]:
        frame.seq, frame.worker = worker.next_seq(), worker
        if keeper.cpu_seconds is not None:
            allow_cpu(worker, keeper.cpu_seconds)
        worker.channel.send(invocation(call, frame))
        while True:
            message = yield from self._receive(worker, frame)
            if isinstance(message, Broker) and message.within == frame.seq:
                lost = yield from self._serve(keeper, worker, call, frame, message)
                if lost is not None:
                    return lost
            elif isinstance(message, Result | Failure) and message.seq == frame.seq:
                try:
                    return answered(call, frame, worker, message)
                except NotCanonical as error:
                    loss = Loss("violation", f"an answer is not canonical: {error}")
                    return (yield from self._lose(keeper, worker, call, frame, loss))
            elif isinstance(message, Loss):
                return (yield from self._lose(keeper, worker, call, frame, message))
            else:
                loss = Loss("violation", f"an unexpected {type(message).__name__}")
                return (yield from self._lose(keeper, worker, call, frame, loss))

    def _serve(
        self, keeper: Keeper, worker: Worker, call: Call, frame: Frame, request: Broker
    ) -> Effects[Outcome | None]:
        """Make a brokered call and reply, once this frame is on top again."""
        in_time = self._clock.monotonic() < frame.deadline
        keeper.slot.suspend(frame)
        brokered = yield from self._callbacks.brokered(
            call, request.hook, request.payload, frame.deadline
        )
        if brokered.origin:
            frame.origins.add(brokered.origin)
        ready = self._clock.monotonic()
        signal = yield Gate(lambda: keeper.slot.resume(frame))
        if frame.lost_by is not None:
            return lost_with(call, frame.lost_by)
        if signal is Signal.CANCELLED:
            return (yield from self._lose(keeper, worker, call, frame, Loss("cancelled")))
        now = self._clock.monotonic()
        frame.deadline += now - ready
        if in_time and now >= frame.deadline:
            # The callee, or one below it, used up the common deadline: let the caller deal with
            # that. Not if it asked later: who goes on asking would have no deadline at all.
            frame.grace = max(frame.grace, now + UNWIND_S - frame.deadline)
        worker.channel.send(reply_to(request, brokered))
        return None

    def _receive(self, worker: Worker, frame: Frame) -> Effects[FromWorker | Loss]:
        channel = worker.channel
        while True:
            heard = _heard(channel)
            if heard is not None:
                return heard
            # Checked here as well: a worker that drips bytes is always "ready".
            if self._clock.monotonic() >= frame.limit:
                return Loss("deadline")
            write = channel.command if channel.backlog else None
            signal = yield Io(channel.result, write, frame.limit)
            if signal is Signal.CANCELLED:
                return Loss("cancelled")
            if signal is Signal.READY:
                channel.pump()

    # -- starting ------------------------------------------------------------------------

    def _start(self, keeper: Keeper, frame: Frame) -> Effects[NxError | None]:
        refusal = keeper.refusal(self._clock.monotonic())
        if refusal is not None:
            return refusal
        began = self._clock.monotonic()
        frame.deadline = began + keeper.start_timeout_s
        try:
            worker = keeper.launch(frame)
        except NxError as error:
            return error
        problem = yield from self._greet(keeper, worker, frame)
        if problem is not None:
            return problem
        keeper.start_us = int((self._clock.monotonic() - began) * 1e6)
        frame.starting = True
        keeper.slot.suspend(frame)
        yield from self._callbacks.history(keeper.plugin)
        yield Gate(lambda: keeper.slot.resume(frame))
        frame.starting = False
        return None if frame.lost_by is None else _lost_start(keeper, frame.lost_by)

    def _hear(self, keeper: Keeper, worker: Worker, frame: Frame) -> Effects[NxError | None]:
        """Wait for the worker's Hello and hold its word against the kernel's."""
        hello = yield from self._receive(worker, frame)
        if not isinstance(hello, Hello) or hello.version != VERSION:
            return (yield from self._bad_start(keeper, worker, frame, hello, "Hello"))
        try:
            keeper.check(worker, hello.witnessed)
        except NxError as error:
            if has_ended(worker):
                # There was nobody left to be looked at: a death, not a missing guarantee.
                return (yield from self._bad_start(keeper, worker, frame, Loss("ended"), "Hello"))
            yield from self._bury(keeper, worker, frame, counted=False)
            return error
        return None

    def _greet(self, keeper: Keeper, worker: Worker, frame: Frame) -> Effects[NxError | None]:
        problem = yield from self._hear(keeper, worker, frame)
        if problem is not None:
            return problem
        worker.channel.send(keeper.setup)
        ready = yield from self._receive(worker, frame)
        if isinstance(ready, Refused):
            return (yield from self._refused_start(keeper, worker, frame, ready))
        if not isinstance(ready, Ready):
            return (yield from self._bad_start(keeper, worker, frame, ready, "Ready"))
        try:
            self._callbacks.accept(keeper.plugin, impl_facts(ready.impls))
        except PluginDisabled as error:
            keeper.disable(error)
            yield from self._bury(keeper, worker, frame, counted=False)
            return error
        return None

    def _refused_start(
        self, keeper: Keeper, worker: Worker, frame: Frame, word: Refused
    ) -> Effects[NxError]:
        """The plugin's own import or constructor failed: it would fail again."""
        error = PluginDisabled(
            f"plugin {keeper.plugin!r} could not be loaded: {word.message[:MAX_MESSAGE]}",
            code="plugin.start",
            plugin=keeper.plugin,
            details=details_of(word.details),
        )
        keeper.disable(error)
        # It ends by itself, with its log flushed; but that is only what it says.
        yield Gate(lambda: worker.exit is not None, self._clock.monotonic() + _LEAVE_S)
        yield from self._bury(keeper, worker, frame, counted=False)
        return error

    def _bad_start(
        self, keeper: Keeper, worker: Worker, frame: Frame, got: Any, wanted: str
    ) -> Effects[NxError]:
        lost_by = frame.lost_by
        if lost_by is not None:
            yield from self._bury(keeper, worker, frame, counted=False)
            return _lost_start(keeper, lost_by)
        loss = got if isinstance(got, Loss) else Loss("violation", f"{wanted} was expected")
        yield from self._bury(keeper, worker, frame, counted=loss.why != "cancelled")
        code, text = words_for(loss, "while it was starting")
        details = keeper.last_words(worker, _LAST_LINES)
        if wanted == "Hello" and details["exit_status"] == EXIT_CONFINE:
            said = details["log"][-1:] or ["nothing"]
            return SandboxUnavailable(
                f"a worker could not confine itself: {said[0]}", details=details
            )
        return NxError(f"plugin {keeper.plugin!r} {text}", code=code, details=details)

    # -- losing --------------------------------------------------------------------------

    def _lose(
        self, keeper: Keeper, worker: Worker, call: Call, frame: Frame, loss: Loss
    ) -> Effects[Outcome]:
        lost_by = frame.lost_by
        counted = loss.why != "cancelled" and lost_by is None
        yield from self._bury(keeper, worker, frame, counted=counted)
        if lost_by is not None:
            # A call below this one took the worker away; its end is not this plugin's doing.
            return lost_with(call, lost_by)
        code, text = words_for(loss, "during the call")
        return Outcome.failed(
            call,
            code,
            f"plugin {call.plugin!r} {text}",
            "caller" if loss.why == "cancelled" else "plugin",
            details=keeper.last_words(worker, _LAST_LINES),
        )

    def _bury(
        self, keeper: Keeper, worker: Worker, frame: Frame, *, counted: bool
    ) -> Effects[None]:
        """End the worker, wait for the zygote's word, report the exit, close what is left of it.

        Also one that "ended": all that is known is that it closed its pipe.
        """
        if counted:
            keeper.died(self._clock.monotonic())
        keeper.slot.lose(worker, frame, kill)
        yield from self._inter(keeper, frame)

    def _inter(self, keeper: Keeper, frame: Frame) -> Effects[None]:
        """Bury the worker that this session has to bury, if any."""
        worker = frame.buries
        if worker is not None:
            yield Gate(lambda: worker.exit is not None, self._clock.monotonic() + _EXIT_WAIT_S)
            keeper.buried(worker)
            frame.buries = None

    @staticmethod
    def _give_up(keeper: Keeper, frame: Frame) -> None:
        """End the worker after an exception in the host: nobody will read its answer.

        KeyboardInterrupt may strike anywhere; what the worker is in the middle of, nobody knows.
        """
        if frame.worker is not None:
            keeper.slot.lose(frame.worker, frame, kill)
        if frame.buries is not None:
            keeper.buried(frame.buries)
            frame.buries = None

    def _discard_stale(self, keeper: Keeper, frame: Frame) -> Effects[None]:
        """Replace a worker that ended or babbled while nobody called it.

        Such a worker must not cost the next call, which did nothing wrong.
        """
        worker = keeper.slot.worker
        if worker is None or not keeper.slot.alone:
            return
        worker.channel.pump()
        if not worker.channel.quiet:
            kill(worker)
            keeper.slot.replace(worker, frame)
            frame.buries = worker
            keeper.died(self._clock.monotonic())
            yield from self._inter(keeper, frame)


def _lost_start(keeper: Keeper, by: str) -> NxError:
    """Why a worker that was loaded, or nearly so, did not come to its first call."""
    if by == CLOSED:
        return KernelNotRunning("the kernel was closed before the call was made")
    return WorkerLost(
        f"plugin {keeper.plugin!r}: its worker was lost while historic calls were replayed",
        plugin=keeper.plugin,
        details={"lost_by": by},
    )


def _heard(channel: Channel) -> FromWorker | Loss | None:
    """Return the next message, or why there will be none, or None if it may still come."""
    try:
        message = channel.next()
    except ProtocolViolation as error:
        return Loss("violation", error.message)
    if message is None:
        return Loss("ended") if channel.closed else None
    if channel.backlog:
        # Else a worker that asks and never reads would fill the host with replies.
        return Loss("violation", "it speaks before it has read what it was told")
    return message
