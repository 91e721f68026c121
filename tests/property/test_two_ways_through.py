"""The two ways through a middleware, ``around`` and ``through``, say the same of every call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
from hypothesis import given
from hypothesis import strategies as st

from nxkernel.dispatch.stack import Event, Stack
from nxkernel.errors import AuditError
from nxkernel.middleware.audit import Audit
from nxkernel.middleware.breaker import Breaker
from nxkernel.middleware.contracts import Contracts
from nxkernel.middleware.determinism import Determinism
from nxkernel.middleware.policy import PolicyGate, Rule
from nxkernel.types import Call, CallError, Outcome
from tests.support.calls import Boot, FakeClock, a_call, a_plugin, answered

SCHEMA = {"type": "object", "properties": {"page": {"type": "integer"}}}


class Sink:
    """An audit log that keeps what it is told, and breaks when it is told to."""

    def __init__(self) -> None:
        self.rows: list[Any] = []
        self.broken: set[str] = set()

    def _write(self, what: str, *facts: Any) -> str:
        if what in self.broken:
            raise AuditError(f"no room for {what}")
        self.rows.append((what, *facts))
        return f"intent-{len(self.rows)}"

    def begin_run(self, facts: Any) -> None: ...

    def plugin(self, facts: Any, disabled: str | None = None) -> None: ...

    def intend(self, call: Call) -> str:
        return self._write("intend", call)

    def finish(self, intent: Any, call: Call, outcome: Outcome, duration_us: int) -> None:
        self._write("finish", intent, call, outcome, duration_us)

    def break_off(self, call: Call, outcome: Outcome) -> None:
        self._write("break off", call, outcome)

    def event(self, event: Event) -> None:
        self._write("event", event)

    def end_run(self) -> None: ...


@attrs.define
class Twin:
    """A middleware with all that it can be seen by."""

    stack: Stack
    booted: Boot
    sink: Sink = attrs.Factory(Sink)

    @classmethod
    def of(cls, make: Callable[[Sink], Any], *, plain: bool) -> Twin:
        sink = Sink()
        middleware = make(sink)
        booted = Boot(plugins=[a_plugin("ocr.rapid"), a_plugin("p.caller", requires=("tokens",))])
        middleware.boot(booted.facts())
        if plain:  # as somebody's own who knows of one way only
            middleware.around = middleware.around
        return cls(Stack([middleware]), booted, sink)

    def make(self, step: Step) -> tuple[Any, ...]:
        """Make one call, and return all that can be seen of it."""
        clock: FakeClock = self.booted.clock
        self.sink.broken = set(step.broken)
        opened = self.stack.open(step.call)
        clock.now += step.seconds
        sent = None if opened.early else opened.call
        outcome = opened.early or opened.close(step.outcome)
        return sent, outcome, list(self.booted.events), list(self.sink.rows)


@attrs.frozen
class Step:
    """A call, what its plugin makes of it, and what happens meanwhile."""

    call: Call
    outcome: Outcome
    seconds: float
    broken: tuple[str, ...]


@st.composite
def steps(draw: st.DrawFn) -> Step:
    """Calls of every kind, in order and not."""
    call = a_call(
        draw(st.sampled_from([{}, {"page": 1}, {"page": "one"}])),
        phase=draw(st.sampled_from(["call", "call", "setup", "teardown"])),
        retries=draw(st.sampled_from([0, 0, 1])),
        edition=draw(st.sampled_from([1, 1, 2])),
        caller=draw(st.sampled_from([None, None, "p.caller", "p.other"])),
        caller_edition=1,
    )
    outcome = answered(
        call,
        draw(st.sampled_from([None, {}, {"page": 2}, {"page": "two"}])),
        lost=draw(st.sampled_from([0.0, 0.0, 0.5, 1.0])),
        annotations={"mine": 1},
    )
    fault = draw(st.sampled_from([None, None, "plugin", "plugin", "host", "caller"]))
    if fault is not None:
        error = CallError(code="plugin.raised", message="it failed")
        outcome = attrs.evolve(outcome, value=None, error=error, fault=fault)
    return Step(
        call,
        outcome,
        draw(st.sampled_from([0.0, 0.01, 40.0])),
        tuple(draw(st.sets(st.sampled_from(["intend", "finish", "event"]), max_size=1))),
    )


def agree(make: Callable[[Sink], Any], made: list[Step]) -> None:
    """See that both ways say the same of the same calls, one after another."""
    first, second = Twin.of(make, plain=False), Twin.of(make, plain=True)
    for step in made:
        # Each its own list of times, and the same clock for both.
        one = attrs.evolve(step, call=attrs.evolve(step.call, stack_ns=[]))
        other = attrs.evolve(step, call=attrs.evolve(step.call, stack_ns=[]))
        assert first.make(one) == second.make(other)
        assert len(one.call.stack_ns) == len(other.call.stack_ns) == 1


@given(made=st.lists(steps(), max_size=8), on_error=st.sampled_from(["fail", "warn", "halt"]))
def test_audit(made: list[Step], on_error: Any) -> None:
    """The same rows in the same order, whatever cannot be written."""
    agree(lambda sink: Audit(sink, on_error), made)


@given(made=st.lists(steps(), max_size=8))
def test_policy(made: list[Step]) -> None:
    """The same decisions, the first time and from then on."""
    rules = [Rule("deny", "p.caller", "read_*", id="no", reason="not on Sundays")]
    agree(lambda _: PolicyGate(rules), made)
    agree(lambda _: PolicyGate(), made)


@given(made=st.lists(steps(), max_size=12), failures=st.integers(1, 3))
def test_breaker(made: list[Step], failures: int) -> None:
    """Open, half-open and closed after the same calls."""
    agree(lambda _: Breaker(failures=failures), made)


@given(made=st.lists(steps(), max_size=6))
def test_contracts(made: list[Step]) -> None:
    """The same arguments and results are refused, in every phase."""
    agree(lambda _: Contracts({"read_tokens": {"input": SCHEMA, "output": SCHEMA}}), made)


@given(made=st.lists(steps(), max_size=4))
def test_determinism(made: list[Step]) -> None:
    """The same seeds."""
    agree(lambda _: Determinism(), made)


def test_an_around_of_ones_own_is_asked() -> None:
    """Who overrides ``around`` alone means every call: the other way is not taken past it."""
    seen: list[Call] = []

    class Mine(Determinism):
        def around(self, call: Call) -> Any:
            seen.append(call)
            return super().around(call)

    call = a_call()
    Stack([Mine()]).open(call)
    assert seen == [call]
