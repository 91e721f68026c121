"""Brings one worker up: confined, heard, loaded, accepted, and told what came before it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Protocol

from nxkernel._clock import Clock
from nxkernel._remote import with_remote
from nxkernel._wire import EXIT_CONFINE, VERSION, Hello, Ready, Refused
from nxkernel.dispatch.effects import LEAVING, Effects, Gate, Signal
from nxkernel.errors import (
    NxError,
    PluginDisabled,
    SandboxUnavailable,
    WorkerLost,
)
from nxkernel.host.compiling import STARTING, hear_loaded
from nxkernel.host.frame import Frame
from nxkernel.host.keeper import Keeper
from nxkernel.host.listening import receive
from nxkernel.host.losing import bury, post_mortem
from nxkernel.host.replies import MAX_MESSAGE, details_of, impl_facts
from nxkernel.host.sandbox.linux.check import threads_of
from nxkernel.host.slot import CLOSED, RETIRED
from nxkernel.host.unanswered import Loss, LostAlong, came_too_late, words_for
from nxkernel.host.workers import Worker
from nxkernel.types import ImplFacts, PluginId

__all__ = ["Newcomers", "Starter"]

#: Seconds in which a worker that could not load its plugin has to end.
_LEAVE_S = 0.5
_REPLAYED = "while historic calls were replayed"
#: Seconds in which a thread that was joined is gone, and between two looks.
_JOIN_S, _LOOK_S = 1.0, 0.01


class Newcomers(Protocol):
    """What a new worker needs of the kernel."""

    def accept(self, plugin: PluginId, edition: int, impls: Sequence[ImplFacts]) -> None:
        """Check what a new worker says it implements.

        Raises:
            PluginDisabled: when it disagrees with the manifest.
        """

    def history(self, plugin: PluginId, edition: int, starter: str) -> Effects[None]:
        """Replay historic calls into a new worker that is started for the call *starter*."""


class Starter:
    """Starts the workers of one kernel."""

    def __init__(self, kernel: Newcomers, clock: Clock) -> None:
        self._kernel = kernel
        self._clock = clock

    def start(self, keeper: Keeper, frame: Frame) -> Effects[NxError | None]:
        """Start a worker for *frame*, alone on its slot; returns why there is none.

        A pause is waited for up to the frame's deadline.
        """
        refusal = yield from self._permission(keeper, frame)
        if refusal is not None:
            return refusal
        began = self._clock.monotonic()
        frame.deadline = math.inf if keeper.patient else began + keeper.start_timeout_s
        try:
            worker = keeper.launch(frame)
        except NxError as error:
            return error
        keeper.supervisor.publish()
        problem = yield from self._greet(keeper, worker, frame)
        if problem is not None:
            return problem
        keeper.start_us = int((self._clock.monotonic() - began) * 1e6)
        problem = yield from self._tell_history(keeper, worker, frame)
        if problem is None and keeper.forks_calls:
            problem = yield from self._may_fork(keeper, worker, frame)
        return problem

    def _may_fork(self, keeper: Keeper, worker: Worker, frame: Frame) -> Effects[NxError | None]:
        """Have the plugin disabled that is not fit to be forked: it would be no other time."""
        problem = yield from self.alone(keeper, worker, frame)
        if problem is not None:
            keeper.disable(problem)
            yield from self._bury(keeper, worker, frame, counted=False)
        return problem

    def alone(self, keeper: Keeper, worker: Worker, frame: Frame) -> Effects[PluginDisabled | None]:
        """Return why *worker*, which *frame* is on, cannot be forked: the fork would lack a thread.

        One that has just been joined is still there for a moment.
        """
        until = self._clock.monotonic() + _JOIN_S
        while (threads := threads_of(worker.pid) or 1) > 1:
            now = self._clock.monotonic()
            if now >= until:
                return _threaded(keeper.plugin, threads)
            yield Gate(lambda: False, min(until, now + _LOOK_S), holds=frame)
        return None

    def _tell_history(
        self, keeper: Keeper, worker: Worker, frame: Frame
    ) -> Effects[NxError | None]:
        """Replay historic calls into the new worker, on top of *frame*."""
        frame.starting = True
        keeper.slot.suspend(frame)
        yield from self._kernel.history(keeper.plugin, keeper.edition, frame.call_id)
        yield Gate(lambda: keeper.slot.resume(frame), key=frame)
        frame.starting = False
        if frame.lost_by is not None:
            return _lost_start(worker, keeper, frame.lost_by)
        keeper.supervisor.tell("loaded")
        return None

    def _permission(self, keeper: Keeper, frame: Frame) -> Effects[NxError | None]:
        """Wait until a worker may be started; returns why none may be, in time or at all."""
        supervisor = keeper.supervisor
        refusal = keeper.refusal(frame.deadline)
        if refusal is not None or supervisor.may_start():
            return refusal
        # Whoever releases the plugin or closes the kernel rings.
        signal = yield Gate(
            lambda: keeper.slot.closed or supervisor.may_start(),
            supervisor.supervision.until,
            holds=frame,
        )
        if signal is Signal.CANCELLED:
            return NxError("the caller went away", code="call.cancelled")
        return keeper.refusal(frame.deadline)

    def witness(self, keeper: Keeper, frame: Frame) -> Effects[NxError | None]:
        """Start a worker, hear what its self-test met, and end it before it loads anything."""
        frame.deadline = self._clock.monotonic() + keeper.start_timeout_s
        try:
            worker = keeper.launch(frame)
        except NxError as error:
            return error
        problem = yield from self._hear(keeper, worker, frame)
        if problem is None:
            yield from self._bury(keeper, worker, frame, counted=False)
        return problem

    def _hear(self, keeper: Keeper, worker: Worker, frame: Frame) -> Effects[NxError | None]:
        """Wait for the worker's Hello and hold its word against the kernel's."""
        hello = yield from receive(self._clock, worker, frame)
        if not isinstance(hello, Hello) or hello.version != VERSION:
            return (yield from self._bad_start(keeper, worker, frame, hello, "Hello"))
        try:
            keeper.check(worker, hello.witnessed)
        except NxError as error:
            if worker.process.has_ended():
                # There was nobody left to be looked at: a death, not a missing guarantee.
                return (yield from self._bad_start(keeper, worker, frame, Loss("ended"), "Hello"))
            yield from self._bury(keeper, worker, frame, counted=False)
            return error
        return None

    def _greet(self, keeper: Keeper, worker: Worker, frame: Frame) -> Effects[NxError | None]:
        problem = yield from self._hear(keeper, worker, frame)
        if problem is not None:
            return problem
        setup = keeper.setup
        worker.channel.send(setup)
        compilation = keeper.compilation() if setup.compile else None
        ready, when = yield from hear_loaded(self._clock, worker, frame, compilation)
        if isinstance(ready, Refused):
            return (yield from self._refused_start(keeper, worker, frame, ready))
        if not isinstance(ready, Ready):
            return (yield from self._bad_start(keeper, worker, frame, ready, "Ready", when))
        try:
            self._kernel.accept(keeper.plugin, keeper.edition, impl_facts(ready.impls))
        except PluginDisabled as error:
            keeper.disable(error)
            yield from self._bury(keeper, worker, frame, counted=False)
            return error
        return None

    def _refused_start(
        self, keeper: Keeper, worker: Worker, frame: Frame, word: Refused
    ) -> Effects[NxError]:
        """The plugin's own import or constructor failed: it would fail again."""
        keeper.record_draws(frame)
        advice = keeper.advice(frame)
        hints = [each.text() for each in advice if each.raised]
        masking = worker.log.masking
        text = masking.text("; ".join([word.message[:MAX_MESSAGE], *hints[:2]]))
        denied = {"denied": [each.fact() for each in advice]} if advice else {}
        details = masking.value({**details_of(word.details), **denied})
        error = PluginDisabled(
            f"plugin {keeper.plugin!r} could not be loaded: {text}",
            code="plugin.start",
            plugin=keeper.plugin,
            details=details,
        )
        with_remote(error, details)
        frame.denied = None
        keeper.disable(error)
        # It ends by itself, with its log flushed; but that is only what it says.
        until = self._clock.monotonic() + _LEAVE_S
        yield Gate(lambda: worker.exit is not None, until, holds=frame)
        yield from self._bury(keeper, worker, frame, counted=False)
        return error

    def _bad_start(
        self,
        keeper: Keeper,
        worker: Worker,
        frame: Frame,
        got: Any,
        wanted: str,
        when: str = STARTING,
    ) -> Effects[NxError]:
        lost_by = frame.lost_by
        if lost_by is not None:
            yield from self._bury(keeper, worker, frame, counted=False)
            return _lost_start(worker, keeper, lost_by)
        loss = got if isinstance(got, Loss) else Loss("violation", f"{wanted} was expected")
        yield from self._bury(keeper, worker, frame, counted=loss.why != "cancelled")
        loss, details = post_mortem(keeper, worker, loss)
        code, text = words_for(loss, when)
        if wanted == "Hello" and details["exit_status"] == EXIT_CONFINE:
            said = details["log"][-1:] or ["nothing"]
            return SandboxUnavailable(
                f"a worker could not confine itself: {said[0]}", details=details
            )
        return NxError(f"plugin {keeper.plugin!r} {text}", code=code, details=details)

    def _bury(
        self, keeper: Keeper, worker: Worker, frame: Frame, *, counted: bool
    ) -> Effects[None]:
        return bury(self._clock, keeper, worker, frame, counted=counted)


def _threaded(plugin: PluginId, threads: int) -> PluginDisabled:
    return PluginDisabled(
        f"plugin {plugin!r} could not be loaded: it has {threads} threads after its import, and "
        'state = "fresh" forks each call from there, which takes one alone; start threads in the '
        'hookimpl, or write state = "warm" in the manifest',
        code="plugin.start",
        plugin=plugin,
        details={"threads": threads},
    )


def _lost_start(worker: Worker, keeper: Keeper, by: str) -> NxError:
    """Why a worker that was loaded, or nearly so, did not come to its first call."""
    if by in (CLOSED, RETIRED):
        return came_too_late(keeper.plugin, by)
    if LEAVING.now:
        # What was replayed went away with the caller of this call, and took the worker along.
        code, text = words_for(Loss("cancelled"), _REPLAYED)
        return NxError(f"plugin {keeper.plugin!r} {text}", code=code)
    lost = WorkerLost if worker.counted else LostAlong
    return lost(
        f"plugin {keeper.plugin!r}: its worker was lost {_REPLAYED}",
        plugin=keeper.plugin,
        details={"lost_by": by},
    )
