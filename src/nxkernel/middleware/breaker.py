"""The middleware that stops calling what keeps failing, and tries it again later.

The state of one breaker is a frozen value, and the rules are functions from state to state, without
clock, lock or I/O; :class:`Breaker` keeps one state for each (plugin, hook) and does the rest.
"""

from __future__ import annotations

from typing import Any, Literal

import attrs

from nxkernel import _forks, _locks
from nxkernel._clock import Clock
from nxkernel._pickling import Rooted
from nxkernel.dispatch.entrances import Passage
from nxkernel.dispatch.errand import Errand, Steps, Whom
from nxkernel.dispatch.stack import BootFacts, Event, Layer, PluginFacts
from nxkernel.errors import ERROR_CODES, KernelConfigError, PluginDisabled
from nxkernel.types import Call, HookName, Outcome, PluginId

__all__ = [
    "Breaker",
    "BreakerState",
    "Limits",
    "Mode",
    "Standing",
    "Verdict",
    "admit",
    "fresh",
    "record",
]

#: Refusals of the host, and causes for which a plugin does not run at all.
_NOT_ASKED = {"breaker.open", "plugin.backoff", "plugin.quarantined"} | {
    code for code, row in ERROR_CODES.items() if issubclass(row.raises, PluginDisabled)
}

Mode = Literal["closed", "open", "half_open"]
#: What an outcome says about its plugin: ``neutral`` is another one's fault.
Verdict = Literal["success", "failure", "neutral"]


@attrs.frozen(kw_only=True)
class Limits:
    """When a breaker opens, and for how long."""

    #: Failures that use up a full budget.
    failures: int
    #: Seconds in which an empty budget fills up again.
    refill_s: float
    #: Seconds from opening to the first trial call.
    reset_s: float


@attrs.frozen(kw_only=True)
class BreakerState:
    """One breaker at one moment.

    Invariants: ``0 <= budget <= failures``; while closed, ``budget >= 1``.
    """

    mode: Mode = "closed"
    #: Failures that are still affordable, as of ``since``.
    budget: float
    #: Closed: when ``budget`` was counted. Open: when it opened. Seconds of the kernel's clock.
    since: float = 0.0
    #: Half-open: whether the one trial call is under way.
    trial: bool = False
    #: Counts the changes of ``mode`` and the trials. An outcome counts only in the era in which
    #: its call was admitted: a late failure from before says nothing about now.
    era: int = 0


@attrs.frozen(kw_only=True)
class Standing:
    """How the breaker of one hook stands, as somebody who looks at it wants to know."""

    hook: HookName
    mode: Mode
    #: Failures that are still affordable now.
    budget: float
    #: Seconds until a trial call is let through, or None unless open.
    retry_in_s: float | None = None


def fresh(limits: Limits) -> BreakerState:
    """Return the state before any call: closed, with a full budget."""
    return BreakerState(budget=float(limits.failures))


def admit(state: BreakerState, now: float, limits: Limits) -> tuple[BreakerState, bool]:
    """Return the state after a call asked to pass, and whether it may.

    Open becomes half-open when its time is over; half-open admits one call at a time.
    """
    if state.mode == "closed":
        return state, True
    over = state.mode == "open" and now - state.since >= limits.reset_s
    if over or (state.mode == "half_open" and not state.trial):
        return attrs.evolve(state, mode="half_open", trial=True, era=state.era + 1), True
    return state, False


def record(
    state: BreakerState,
    now: float,
    limits: Limits,
    verdict: Verdict,
    era: int,
    lost: float = 0.0,
) -> BreakerState:
    """Return the state after a call that was admitted in *era* ended.

    *lost* is how much of a successful result was dropped: it costs that part of a failure.
    """
    if era != state.era:
        return state
    if state.mode == "half_open":
        return _after_trial(state, now, limits, verdict)
    cost = {"failure": 1.0, "success": lost, "neutral": 0.0}[verdict]
    if not cost:
        return state
    budget = _refilled(state, now, limits) - cost
    if budget < 1:
        return _opened(state, now)
    return attrs.evolve(state, budget=budget, since=now)


def _after_trial(state: BreakerState, now: float, limits: Limits, verdict: Verdict) -> BreakerState:
    if verdict == "failure":
        return _opened(state, now)
    if verdict == "neutral":  # it said nothing: the next call is the trial
        return attrs.evolve(state, trial=False, era=state.era + 1)
    return attrs.evolve(fresh(limits), since=now, era=state.era + 1)


def _opened(state: BreakerState, now: float) -> BreakerState:
    return BreakerState(mode="open", budget=0.0, since=now, era=state.era + 1)


def _refilled(state: BreakerState, now: float, limits: Limits) -> float:
    gained = (now - state.since) * limits.failures / limits.refill_s
    return min(limits.failures, state.budget + gained)


class Breaker(Rooted):
    """Refuses calls to a plugin's hook after too many failures, then lets one trial call through.

    A failure is an outcome with ``fault="plugin"`` that began in the plugin itself, or a result of
    which every element was dropped; a result that lost some of them costs that part of a failure.
    Each takes one of *failures* from a budget that refills evenly within *refill_s* seconds; when
    none is left, calls are refused with ``breaker.open``. After *reset_s* seconds one call is
    tried: success closes the breaker, failure opens it for as long again. Refusals count as
    nothing. A wrapper's teardown is never refused, because its setup went through.

    Raises:
        KernelConfigError: for limits that no breaker can have.
    """

    _instead = "a middleware belongs to its kernel; make another one for the kernel there"

    name = "breaker"
    _clock: Clock

    def __init__(self, failures: int = 5, refill_s: float = 30.0, reset_s: float = 30.0) -> None:
        if failures < 1:
            raise KernelConfigError(f"Breaker(failures={failures!r}): expected 1 or more")
        if not refill_s > 0:
            raise KernelConfigError(f"Breaker(refill_s={refill_s!r}): expected more than 0 seconds")
        if not reset_s >= 0:
            raise KernelConfigError(f"Breaker(reset_s={reset_s!r}): expected 0 seconds or more")
        self._limits = Limits(failures=failures, refill_s=refill_s, reset_s=reset_s)
        self._states: dict[tuple[PluginId, HookName], BreakerState] = {}
        #: The edition of a plugin that new calls go to, where it is not the first.
        self._editions: dict[PluginId, int] = {}
        self._lock = _locks.lock()
        _forks.register(self)

    def abandon(self) -> None:
        """In a forked child: no thread that could hold the lock is there."""
        self._lock = _locks.lock()

    def boot(self, facts: BootFacts) -> None:
        """Start with every breaker closed."""
        self._clock, self._emit = facts.clock, facts.emit
        self._states.clear()
        self._editions = {name: each.edition for name, each in facts.plugins.items()}

    def plugin_switched(self, facts: PluginFacts) -> None:
        """Start again with every breaker closed: what is known of the old code says nothing."""
        with self._lock:
            self._editions[facts.id] = facts.edition
            opened = [key for key in self._states if key[0] == facts.id]
            before = {key: self._states.pop(key) for key in opened}
        for (plugin, hook), state in sorted(before.items(), key=lambda item: item[0]):
            if state.mode != "closed":
                data = {"hook": hook, "from": state.mode, "to": "closed"}
                self._emit(Event(kind="breaker.closed", plugin=plugin, data=data))

    def mode(self, plugin: PluginId, hook: HookName) -> Mode:
        """Return how the breaker of *hook* of *plugin* stands."""
        return self._state((plugin, hook)).mode

    def standings(self, plugin: PluginId) -> list[Standing]:
        """Return how the breakers of *plugin* stand, sorted by hook; for ``kernel.health()``."""
        now = self._clock.monotonic()
        with self._lock:
            mine = sorted((h, s) for (p, h), s in self._states.items() if p == plugin)
        return [_standing(hook, state, now, self._limits) for hook, state in mine]

    def around(self, call: Call) -> Layer:
        """Refuse the call, or send it on and count its outcome."""
        if self._is_aside(call):
            return (yield call)
        era = self._admit(call)
        if era is None and call.phase != "teardown":
            return self._refused(call)
        outcome: Outcome | None = None
        try:
            outcome = yield call
        finally:
            # A trial that never came back must not hold its place: no later call would get it.
            self._record(call, era, outcome)
        return outcome

    def through(self, call: Call) -> Passage | None:
        """Do what ``around`` does while the breaker is closed: it admits everybody then."""
        plugin = call.plugin
        state = self._states.get((plugin, call.hook))
        if state is None or state.mode != "closed":
            return None
        if self._editions.get(plugin) != call.edition and self._is_aside(call):
            return None
        return call, self._returned, (call, state.era)

    def usual(self, whom: Whom) -> Steps:
        """Return the same for usual calls."""
        key, plugin, edition = (whom.plugin, whom.hook), whom.plugin, whom.edition
        states, editions = self._states, self._editions

        def admit(errand: Errand) -> bool:
            if editions.get(plugin, edition) != edition:
                return False
            state = states.get(key)
            if state is None:
                with self._lock:
                    state = states.setdefault(key, fresh(self._limits))
            errand.era = state.era
            return state.mode == "closed"

        def passage(errand: Errand, call: Call) -> Passage:
            return call, self._returned, (call, errand.era)

        return Steps(admit=admit, brief=True, passage=passage)

    def _returned(self, admitted: tuple[Call, int], outcome: Outcome) -> Outcome:
        if outcome.error is not None or outcome.lost:  # else it costs nothing
            self._record(*admitted, outcome)
        return outcome

    def close(self) -> None:
        """Nothing to do: what was learned of a run ends with it."""

    def _is_aside(self, call: Call) -> bool:
        """Whether it is a last call of an old edition, or belongs to the trial of a new one."""
        return call.edition != self._editions.get(call.plugin, call.edition)

    def _state(self, key: tuple[PluginId, HookName]) -> BreakerState:
        return self._states.get(key) or fresh(self._limits)

    def _admit(self, call: Call) -> int | None:
        """Return the era in which *call* may pass, or None."""
        key = (call.plugin, call.hook)
        with self._lock:
            before = self._state(key)
            if call.phase == "teardown":
                return before.era if before.mode == "closed" else None
            after, admitted = admit(before, self._clock.monotonic(), self._limits)
            self._states[key] = after
        self._report(call, before, after, "")
        return after.era if admitted else None

    def _record(self, call: Call, era: int | None, outcome: Outcome | None) -> None:
        if era is None or self._is_aside(call):
            return
        verdict, lost, code = _verdict(outcome), outcome.lost if outcome else 0.0, _code(outcome)
        key = (call.plugin, call.hook)
        with self._lock:
            before = self._state(key)
            after = record(before, self._clock.monotonic(), self._limits, verdict, era, lost)
            self._states[key] = after
        self._report(call, before, after, code)

    def _report(self, call: Call, before: BreakerState, after: BreakerState, code: str) -> None:
        if before.mode == after.mode:
            return
        data: dict[str, Any] = {"hook": call.hook, "from": before.mode, "to": after.mode}
        if code:
            data["code"] = code
        self._emit(Event(kind=f"breaker.{after.mode}", plugin=call.plugin, data=data))

    def _refused(self, call: Call) -> Outcome:
        message = (
            f"plugin {call.plugin!r} failed too often on hook {call.hook!r}; a trial call is made"
            f" {self._limits.reset_s:g} s after the last failure"
        )
        # The same each time: how long it will still take is in the kernel's health.
        details = {"after_s": self._limits.reset_s}
        return Outcome.failed(call, "breaker.open", message, "plugin", details=details)


def _standing(hook: HookName, state: BreakerState, now: float, limits: Limits) -> Standing:
    if state.mode == "open":
        left = round(max(0.0, state.since + limits.reset_s - now), 3)
        return Standing(hook=hook, mode="open", budget=0.0, retry_in_s=left)
    budget = _refilled(state, now, limits) if state.mode == "closed" else 0.0
    return Standing(hook=hook, mode=state.mode, budget=round(budget, 3))


def _code(outcome: Outcome | None) -> str:
    """What the failure is called on record: dropping is a violation of the contract as well."""
    if outcome is None or (outcome.error is None and not outcome.diagnostics):
        return ""
    return outcome.error.code if outcome.error else "contract.output"


def _verdict(outcome: Outcome | None) -> Verdict:
    if outcome is None:
        return "neutral"
    if outcome.error is None:
        return "failure" if outcome.lost >= 1 else "success"
    # The plugin was not asked: it says so itself, and a breaker on top would hide the reason.
    if outcome.error.code in _NOT_ASKED:
        return "neutral"
    # A failure that came out of a nested call is counted where it began. Counting it here too
    # would let one broken plugin open the breakers of all that call it.
    own = outcome.origin is None or outcome.origin == outcome.plugin
    return "failure" if outcome.fault == "plugin" and own else "neutral"
