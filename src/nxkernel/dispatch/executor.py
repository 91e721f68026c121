"""pluggy's order of a hook call, as a generator that does no I/O.

Held to ``pluggy._callers._multicall`` by a differential test; what differs on purpose is listed in
``docs/reference/pluggy-deviations.md``, and the test knows no other difference:

* a plain fan-out is sent to all providers at once, and one that fails is left out of the value;
* a provider that fails does not keep the others from being called;
* an exception reaches a wrapper as the outcome's error, not as the original object;
* a wrapper's second yield is an error like any other: the wrappers around it are left as well.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import attrs

from nxkernel._altered import filled
from nxkernel.dispatch.effects import Effects, Fork
from nxkernel.hookspecs import HookSpec
from nxkernel.types import (
    CallError,
    Fault,
    HookName,
    HookResult,
    ImplFacts,
    Outcome,
    Phase,
    PluginId,
)

__all__ = [
    "Inner",
    "Invoke",
    "Provider",
    "Sources",
    "after",
    "execute",
    "given",
    "in_order",
    "under_way",
]


@attrs.frozen
class Provider:
    """One hookimpl of one plugin, in the order that pluggy gave it."""

    plugin: PluginId
    facts: ImplFacts
    #: Which edition of the plugin it belongs to.
    edition: int = 1
    #: What all of its calls have in common, kept by whoever writes them: see ``kernel.drafts``.
    template: dict[str, Any] = attrs.field(factory=dict, init=False, eq=False, repr=False)


@attrs.frozen
class Inner:
    """What the calls inside a wrapper gave: a value, or the error of the hook so far."""

    value: Any = None
    error: CallError | None = None
    #: Whose fault the error is, and the plugin where it began.
    fault: Fault | None = None
    origin: PluginId | None = None

    @classmethod
    def of(cls, outcome: Outcome) -> Inner:
        """Return what *outcome* means for the wrappers around it."""
        if outcome.error is None:
            return cls(value=outcome.value)
        origin = outcome.origin or outcome.plugin
        return cls(error=outcome.error, fault=outcome.fault, origin=origin)


class Invoke(Protocol):
    """Runs one phase of one provider through the stack and the process boundary."""

    def __call__(
        self, provider: Provider, phase: Phase, inner: Inner | None = None, token: Any = None
    ) -> Effects[Outcome]:
        """Return the outcome; never raise for a plugin's fault."""


#: All fields of a result with which nothing is wrong.
_WHOLE = vars(HookResult(hook=HookName("")))


def execute(spec: HookSpec, providers: Sequence[Provider], invoke: Invoke) -> Effects[HookResult]:
    """Call *providers* in the given order and return the hook's result.

    *providers* come in calling order, wrappers first: pluggy's ``get_hookimpls()`` reversed.
    """
    if not providers or providers[0].facts.wraps or not (spec.firstresult or len(providers) == 1):
        return (yield from in_order(spec, providers, invoke))
    # Nearly every call that is no fan-out: the first one answers, and nothing is wrong with that.
    outcome = yield from invoke(providers[0], "call")
    value = outcome.value
    if outcome.error is not None or value is None or outcome.degraded or outcome.diagnostics:
        return (yield from in_order(spec, providers, after(outcome, invoke)))
    value = value if spec.firstresult else [value]
    fields = {**_WHOLE, "hook": spec.name, "value": value, "outcomes": (outcome,)}
    return filled(HookResult, fields)


def after(first: Outcome, invoke: Invoke) -> Invoke:
    """Return *invoke* after its first call, which has given *first* already."""
    left = [given(first)]

    def invoke_again(
        provider: Provider, phase: Phase, inner: Inner | None = None, token: Any = None
    ) -> Effects[Outcome]:
        return left.pop() if left else invoke(provider, phase, inner, token)

    return invoke_again


#: What asks for the outcomes of calls that are under way already, by their plugins and hookimpls.
Sources = Mapping[tuple[PluginId, str], Effects[Outcome]]


def under_way(sources: Sources, invoke: Invoke) -> Invoke:
    """Return *invoke* for providers of whose calls those in *sources* are under way already."""
    left = dict(sources)

    def invoke_again(
        provider: Provider, phase: Phase, inner: Inner | None = None, token: Any = None
    ) -> Effects[Outcome]:
        known = left.pop((provider.plugin, provider.facts.impl), None)
        return invoke(provider, phase, inner, token) if known is None else known

    return invoke_again


def given(outcome: Outcome) -> Effects[Outcome]:
    """Return *outcome*, for which nobody has to wait."""
    yield from ()  # It has been waited for.
    return outcome


def in_order(spec: HookSpec, providers: Sequence[Provider], invoke: Invoke) -> Effects[HookResult]:
    """Do what :func:`execute` does, whoever the providers are and whatever they answer."""
    run = _Run(spec=spec, invoke=invoke)
    entered = yield from run.enter([p for p in providers if p.facts.wraps])
    if run.inner.error is None:
        plain = [p for p in providers if not p.facts.wraps]
        yield from run.first(plain) if spec.firstresult else run.fan_out(plain)
    run.settle()
    yield from run.leave(entered)
    return run.result()


@attrs.define
class _Run:
    """One hook call under way."""

    spec: HookSpec
    invoke: Invoke
    outcomes: list[Outcome] = attrs.Factory(list)
    answers: list[Any] = attrs.Factory(list)
    failures: list[Outcome] = attrs.Factory(list)
    inner: Inner = attrs.Factory(Inner)
    degraded: bool = False

    def enter(self, wrappers: Sequence[Provider]) -> Effects[list[tuple[Provider, Outcome]]]:
        """Run the wrappers up to their yield, the outermost first, until one fails."""
        entered = []
        for wrapper in wrappers:
            outcome = yield from self.invoke(wrapper, "setup")
            self.outcomes.append(outcome)
            if outcome.error is not None:
                self.inner = Inner.of(outcome)
                break
            entered.append((wrapper, outcome))
        return entered

    def first(self, providers: Sequence[Provider]) -> Effects[None]:
        """Ask one after the other until one answers; a failure ends it unless told otherwise."""
        for provider in providers:
            outcome = yield from self.invoke(provider, "call")
            self._take(outcome)
            if self.answers:
                return
            if outcome.error is not None and not self._goes_on(outcome):
                self.inner = Inner.of(outcome)
                return

    def _goes_on(self, outcome: Outcome) -> bool:
        # What a stream has shown cannot be taken back: nobody else begins it anew.
        return (
            self.spec.options.on_failure == "next"
            and outcome.fault != "caller"
            and not outcome.items
        )

    def fan_out(self, providers: Sequence[Provider]) -> Effects[None]:
        """Send to all providers at once and collect in order."""
        if len(providers) == 1:
            self._take((yield from self.invoke(providers[0], "call")))
        else:
            for outcome in (yield Fork(tuple(self.invoke(p, "call") for p in providers))):
                self._take(outcome)
        strict = self.spec.options.on_failure == "raise"
        for failure in self.failures:
            # A caller's fault is the same for every provider: leaving it out would hide it.
            if strict or failure.fault == "caller":
                self.inner = Inner.of(failure)
                return

    def _take(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)
        if outcome.error is not None:
            self.failures.append(outcome)
        elif outcome.value is not None or outcome.items is not None:
            self.answers.append(outcome.value)

    def settle(self) -> None:
        """Make the value of the plain providers, or their error, or the fallback."""
        if self.inner.error is None:
            if not self.answers and self.failures:
                self.inner = Inner.of(self.failures[0])
            elif self.spec.firstresult:
                self.inner = Inner(value=self.answers[0] if self.answers else None)
            else:
                self.inner = Inner(value=self.answers)
            self.degraded = bool(self.failures)
        if self.inner.error is not None and self._may_fall_back():
            # A copy: what the caller does with it must not become the next call's fallback.
            self.inner = Inner(value=copy.deepcopy(self.spec.options.fallback))
            self.degraded = True

    def _rests_on_degraded(self) -> bool:
        return any(outcome.degraded or outcome.diagnostics for outcome in self.outcomes)

    def _may_fall_back(self) -> bool:
        """A fallback stands in for failed providers, never for a caller's mistake."""
        faults = {outcome.fault for outcome in self.outcomes if outcome.error is not None}
        return self.spec.options.has_fallback and "caller" not in faults

    def leave(self, entered: Sequence[tuple[Provider, Outcome]]) -> Effects[None]:
        """Resume the wrappers, the innermost first; each decides what the next one sees."""
        for wrapper, setup in reversed(entered):
            token = setup.annotations.get("token")
            outcome = yield from self.invoke(wrapper, "teardown", self.inner, token)
            self.outcomes.append(outcome)
            self.inner = Inner.of(outcome)

    def result(self) -> HookResult:
        """Return what the call gave."""
        return HookResult(
            hook=HookName(self.spec.name),
            value=None if self.inner.error else self.inner.value,
            error=self.inner.error,
            degraded=self.degraded or (self.inner.error is None and self._rests_on_degraded()),
            outcomes=tuple(self.outcomes),
        )
