"""Carries one call through a worker: wait at the gate, start if need be, send, serve, receive.

Written as generators that yield what they wait for, so that one thread can have calls in many
workers under way, and asyncio can drive the same code.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol

import attrs

from nxkernel._canonical import NotCanonical, decode, digest
from nxkernel._clock import Clock
from nxkernel._wire import (
    VERSION,
    Broker,
    Failure,
    FromWorker,
    Hello,
    Impl,
    Invoke,
    Ready,
    Refused,
    Reply,
    Result,
)
from nxkernel.dispatch.effects import Effects, Gate, Io, Signal
from nxkernel.errors import NxError, PluginDisabled, ProtocolViolation, SandboxUnavailable
from nxkernel.host.keeper import Keeper
from nxkernel.host.launch import allow_cpu, kill
from nxkernel.host.slot import Frame, Worker
from nxkernel.types import (
    EMPTY,
    Call,
    CallError,
    HookName,
    ImplFacts,
    Outcome,
    PluginId,
    Timing,
)

__all__ = ["Brokered", "Callbacks", "Transport"]

#: Seconds that a caller gets to deal with a nested call that used up their common deadline.
UNWIND_S = 1.0
#: Seconds to wait for the zygote's word on a worker that is gone.
_EXIT_WAIT_S = 5.0
#: Lines of a lost worker's log that go into the outcome's details.
_LAST_LINES = 10


@attrs.frozen
class Brokered:
    """What a brokered call gave."""

    payload: bytes = b""
    error: CallError | None = None
    #: The plugin in which a failure began.
    origin: str = ""


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


@attrs.frozen
class _Loss:
    """Why no answer will come."""

    why: Literal["ended", "deadline", "cancelled", "violation"]
    detail: str = ""


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
            return _expired(call)
        signal = yield Gate(lambda: keeper.slot.enter(frame))
        try:
            if signal is Signal.CANCELLED:
                return _cancelled(call)
            return (yield from self._inside(keeper, call, frame, came))
        finally:
            keeper.slot.leave(frame)

    def ensure(self, plugin: PluginId) -> Effects[NxError | None]:
        """Start the plugin's worker if it has none; returns why it could not be."""
        keeper = self._keepers[plugin]
        frame = Frame(call_id="start", deadline=0.0)
        signal = yield Gate(lambda: keeper.slot.enter(frame))
        try:
            if signal is Signal.CANCELLED:
                return NxError("cancelled", code="call.cancelled", plugin=plugin)
            if keeper.slot.worker is None:
                return (yield from self._start(keeper, frame))
            return None
        finally:
            keeper.slot.leave(frame)

    def witness(self, keeper: Keeper) -> Effects[NxError | None]:
        """Start a worker, hear what its self-test met, and end it before it loads anything."""
        frame = Frame(call_id="probe", deadline=0.0)
        yield Gate(lambda: keeper.slot.enter(frame))
        try:
            frame.deadline = self._clock.monotonic() + keeper.start_timeout_s
            worker = keeper.launch()
            problem = yield from self._hear(keeper, worker, frame)
            if problem is None:
                kill(worker)
                yield from self._bury(keeper, worker, frame, counted=False)
            return problem
        except NxError as error:
            return error
        finally:
            keeper.slot.leave(frame)

    # -- on the worker -------------------------------------------------------------------

    def _inside(self, keeper: Keeper, call: Call, frame: Frame, came: float) -> Effects[Outcome]:
        self._discard_stale(keeper, frame)
        if keeper.slot.worker is None:
            if call.token is not None:
                return _lost_wrapper(call)
            problem = yield from self._start(keeper, frame)
            if problem is not None:
                return _refused(call, problem)
        worker = keeper.slot.worker
        if worker is None:
            return _cancelled(call)
        if call.token is not None and call.token[0] != worker.generation:
            return _lost_wrapper(call)
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
        frame.seq = worker.next_seq()
        if keeper.cpu_seconds is not None:
            allow_cpu(worker, keeper.cpu_seconds)
        worker.channel.send(_invoke(call, frame))
        while True:
            message = yield from self._receive(worker, frame)
            if isinstance(message, Broker) and message.within == frame.seq:
                lost = yield from self._serve(keeper, worker, call, frame, message)
                if lost is not None:
                    return lost
            elif isinstance(message, Result | Failure) and message.seq == frame.seq:
                try:
                    return _answer(call, frame, worker, message)
                except NotCanonical as error:
                    loss = _Loss("violation", f"an answer is not canonical: {error}")
                    return (yield from self._lose(keeper, worker, call, frame, loss))
            elif isinstance(message, _Loss):
                return (yield from self._lose(keeper, worker, call, frame, message))
            else:
                loss = _Loss("violation", f"an unexpected {type(message).__name__}")
                return (yield from self._lose(keeper, worker, call, frame, loss))

    def _serve(
        self, keeper: Keeper, worker: Worker, call: Call, frame: Frame, request: Broker
    ) -> Effects[Outcome | None]:
        """Make a brokered call and reply, once this frame is on top again."""
        keeper.slot.suspend(frame)
        brokered = yield from self._callbacks.brokered(
            call, request.hook, request.payload, frame.deadline
        )
        if brokered.origin:
            frame.origins.add(brokered.origin)
        ready = self._clock.monotonic()
        signal = yield Gate(lambda: keeper.slot.resume(frame))
        if frame.lost_by is not None:
            return _lost_with(call, frame.lost_by)
        if signal is Signal.CANCELLED:
            return (yield from self._lose(keeper, worker, call, frame, _Loss("cancelled")))
        now = self._clock.monotonic()
        frame.deadline += now - ready
        if brokered.error is not None:
            # The callee may have used up the common deadline: let the caller deal with that.
            frame.deadline = max(frame.deadline, now + UNWIND_S)
        worker.channel.send(_reply(request, brokered))
        return None

    def _receive(self, worker: Worker, frame: Frame) -> Effects[FromWorker | _Loss]:
        channel = worker.channel
        while True:
            try:
                message = channel.next()
            except ProtocolViolation as error:
                return _Loss("violation", error.message)
            if message is not None:
                return message
            if channel.closed:
                return _Loss("ended")
            # Checked here as well: a worker that drips bytes is always "ready".
            if self._clock.monotonic() >= frame.deadline:
                return _Loss("deadline")
            write = channel.command if channel.backlog else None
            signal = yield Io(channel.result, write, frame.deadline)
            if signal is Signal.CANCELLED:
                return _Loss("cancelled")
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
            worker = keeper.launch()
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
        return None

    def _hear(self, keeper: Keeper, worker: Worker, frame: Frame) -> Effects[NxError | None]:
        """Wait for the worker's Hello and hold its word against the kernel's."""
        hello = yield from self._receive(worker, frame)
        if not isinstance(hello, Hello) or hello.version != VERSION:
            return (yield from self._bad_start(keeper, worker, frame, hello, "Hello"))
        try:
            keeper.check(worker, hello.witnessed)
        except NxError as error:
            kill(worker)
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
            self._callbacks.accept(keeper.plugin, _facts(ready.impls))
        except PluginDisabled as error:
            keeper.disable(error)
            kill(worker)
            yield from self._bury(keeper, worker, frame, counted=False)
            return error
        return None

    def _refused_start(
        self, keeper: Keeper, worker: Worker, frame: Frame, refused: Refused
    ) -> Effects[NxError]:
        """The plugin's own import or constructor failed: it would fail again."""
        error = PluginDisabled(
            f"plugin {keeper.plugin!r} could not be loaded: {refused.message}",
            code="plugin.start",
            plugin=keeper.plugin,
            details=_details(refused.details),
        )
        keeper.disable(error)
        yield from self._bury(keeper, worker, frame, counted=False)
        return error

    def _bad_start(
        self, keeper: Keeper, worker: Worker, frame: Frame, got: Any, wanted: str
    ) -> Effects[NxError]:
        loss = got if isinstance(got, _Loss) else _Loss("violation", f"{wanted} was expected")
        kill(worker)
        yield from self._bury(keeper, worker, frame, counted=loss.why != "cancelled")
        code, text = _words(loss, "while it was starting")
        details = keeper.last_words(worker, _LAST_LINES)
        if wanted == "Hello" and loss.why == "ended":
            said = details["log"][-1:] or ["nothing"]
            return SandboxUnavailable(
                f"a worker could not confine itself: {said[0]}", details=details
            )
        return NxError(f"plugin {keeper.plugin!r} {text}", code=code, details=details)

    # -- losing --------------------------------------------------------------------------

    def _lose(
        self, keeper: Keeper, worker: Worker, call: Call, frame: Frame, loss: _Loss
    ) -> Effects[Outcome]:
        if loss.why != "ended":
            kill(worker)
        yield from self._bury(keeper, worker, frame, counted=loss.why != "cancelled")
        code, text = _words(loss, "during the call")
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
        """Take the worker out of its slot, wait for the zygote's word, and report the exit."""
        keeper.slot.lose(worker, frame)
        if counted:
            keeper.died(self._clock.monotonic())
        until = self._clock.monotonic() + _EXIT_WAIT_S
        yield Gate(lambda: worker.exit is not None, until)
        keeper.buried(worker)

    def _discard_stale(self, keeper: Keeper, frame: Frame) -> None:
        """Replace a worker that ended or babbled while nobody called it.

        Such a worker must not cost the next call, which did nothing wrong.
        """
        worker = keeper.slot.worker
        if worker is None or not keeper.slot.alone:
            return
        worker.channel.pump()
        try:
            quiet = worker.channel.next() is None and not worker.channel.closed
        except ProtocolViolation:
            quiet = False
        if not quiet:
            kill(worker)
            keeper.slot.replace(worker, frame)
            keeper.died(self._clock.monotonic())
            keeper.buried(worker)


# -- messages ----------------------------------------------------------------------------


def _invoke(call: Call, frame: Frame) -> Invoke:
    inner = call.inner_error
    return Invoke(
        seq=frame.seq,
        impl=call.impl,
        phase=call.phase,
        payload=call.payload,
        seed=call.seed or b"",
        token=call.token[1] if call.token else 0,
        error=(inner.code, inner.message, "") if inner else None,
    )


def _reply(request: Broker, brokered: Brokered) -> Reply:
    error = brokered.error
    return Reply(
        seq=request.seq,
        payload=brokered.payload,
        error=(error.code, error.message, brokered.origin) if error else None,
    )


def _answer(call: Call, frame: Frame, worker: Worker, message: Result | Failure) -> Outcome:
    """Make the outcome; every byte of *message* is the worker's word and is checked here."""
    timing = Timing(plugin_us=max(0, message.plugin_us))
    if isinstance(message, Failure):
        return _failure(call, frame, message, timing)
    annotations = {"token": (worker.generation, frame.seq)} if call.phase == "setup" else EMPTY
    return Outcome(
        plugin=call.plugin,
        impl=call.impl,
        hook=call.hook,
        call_id=call.call_id,
        value=decode(message.payload),
        attempts=call.attempt,
        output_digest=digest(message.payload),
        output_bytes=len(message.payload),
        annotations=annotations,
        timing=timing,
    )


def _facts(impls: Sequence[Impl]) -> tuple[ImplFacts, ...]:
    """A worker's word of its hookimpls, sorted by attribute; names that are none are left out."""
    facts = [
        ImplFacts(
            impl=each.impl,
            hook=HookName(each.hook),
            args=each.args,
            kwargs=each.kwargs,
            wrapper=each.wrapper,
            hookwrapper=each.hookwrapper,
            tryfirst=each.tryfirst,
            trylast=each.trylast,
            optionalhook=each.optionalhook,
        )
        for each in impls
        if all(name.isidentifier() for name in (each.impl, *each.args, *each.kwargs))
    ]
    return tuple(sorted(facts, key=lambda f: f.impl))


#: Codes that a worker may report; every other one is the host's to give.
_WORKER_CODES = frozenset({"plugin.raised", "contract.output", "provider.not_applicable"})


def _failure(call: Call, frame: Frame, message: Failure, timing: Timing) -> Outcome:
    inner = call.inner_error.code if call.inner_error else ""
    code = message.code if message.code in _WORKER_CODES | {inner} else "plugin.raised"
    origin = message.origin if message.origin in frame.origins else None
    return Outcome.failed(
        call,
        code,
        message.message,
        "host" if code == "provider.not_applicable" else "plugin",
        details=_details(message.details),
        origin=PluginId(origin) if origin else None,
        timing=timing,
    )


def _details(data: bytes) -> Mapping[str, Any]:
    try:
        details = decode(data)
    except NotCanonical:
        return EMPTY
    return details if isinstance(details, dict) else EMPTY


# -- outcomes of calls that were not answered ------------------------------------------------


def _words(loss: _Loss, when: str) -> tuple[str, str]:
    return {
        "ended": ("plugin.crashed", f"ended {when}"),
        "deadline": ("plugin.timeout", f"overran its deadline {when}"),
        "cancelled": ("call.cancelled", f"was ended {when}: the caller went away"),
        "violation": ("wire.violation", f"broke the protocol {when}: {loss.detail}"),
    }[loss.why]


def _expired(call: Call) -> Outcome:
    return Outcome.failed(
        call, "call.expired", "the deadline had passed before the call was made", "host"
    )


def _cancelled(call: Call) -> Outcome:
    return Outcome.failed(call, "call.cancelled", "the caller went away", "caller")


def _lost_wrapper(call: Call) -> Outcome:
    return Outcome.failed(
        call,
        "plugin.crashed",
        f"plugin {call.plugin!r}: the worker that held the wrapper's first phase is gone",
        "plugin",
    )


def _lost_with(call: Call, by: str) -> Outcome:
    return Outcome.failed(
        call,
        "plugin.crashed",
        f"plugin {call.plugin!r}: the worker was lost by another call on its stack",
        "host",
        details={"lost_by": by},
    )


def _refused(call: Call, problem: NxError) -> Outcome:
    host = problem.code in ("sandbox.unavailable", "kernel.config", "kernel.not_running")
    return Outcome.failed(
        call,
        problem.code,
        problem.message,
        "host" if host else "plugin",
        details=problem.details,
    )
