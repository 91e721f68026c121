"""Where in the stack the time went."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import attrs
import pytest

from nxkernel.dispatch import stack
from nxkernel.dispatch.stack import BootFacts, Layer, open_stack
from nxkernel.types import Call, Outcome
from tests.unit.audit.logs import make_call, ok


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A clock that stands still but for what a layer says that it takes."""
    now = [0]
    monkeypatch.setattr(stack, "perf_counter_ns", lambda: now[0])
    return now


class Slow:
    """A middleware that takes so long on the way in, and so long on the way out."""

    def __init__(self, clock: list[int], there: int, back: int, *, answers: bool = False) -> None:
        self.name = f"slow-{there}"
        self._clock, self._there, self._back, self._answers = clock, there, back, answers
        self.seen: list[int] = []

    def boot(self, facts: Any) -> None: ...

    def close(self) -> None: ...

    def around(self, call: Call) -> Layer:
        self._clock[0] += self._there
        if self._answers:
            return ok(call)
        outcome: Outcome = yield attrs.evolve(call, deadline=99.0)
        self._clock[0] += self._back
        self.seen = list(call.stack_ns)
        return outcome


def test_each_layer_has_its_own_time(clock: list[int]) -> None:
    """The way in and the way out of a layer count, what is within it does not."""
    layers = [Slow(clock, 1, 10), Slow(clock, 2, 20), Slow(clock, 3, 30)]
    call = make_call()
    opened = open_stack(layers, call)
    clock[0] += 1000
    opened.close(ok(call))
    assert call.stack_ns == [11, 22, 33]


def test_an_outer_layer_sees_what_the_inner_ones_took(clock: list[int]) -> None:
    """A layer that keeps a record has the times of those within it, and its own way in."""
    layers = [Slow(clock, 1, 10), Slow(clock, 2, 20)]
    opened = open_stack(layers, make_call())
    opened.close(ok(opened.call))
    assert layers[0].seen == [1, 22]


def test_a_layer_that_answers_leaves_none_for_those_within(clock: list[int]) -> None:
    """Times are those of the layers that were entered, the one that answered among them."""
    layers = [Slow(clock, 1, 10), Slow(clock, 2, 20, answers=True), Slow(clock, 3, 30)]
    call = make_call()
    opened = open_stack(layers, call)
    assert opened.early is not None
    assert call.stack_ns == [11, 2]


def test_calls_do_not_share_their_times(clock: list[int]) -> None:
    """Two calls through one stack are measured apart, and a copy of a call with its original."""
    layers = [Slow(clock, 1, 1)]
    first, second = make_call("1"), make_call("2")
    for call in (first, second):
        open_stack(layers, call).close(ok(call))
    assert (first.stack_ns, second.stack_ns) == ([2], [2])
    assert attrs.evolve(first, deadline=1.0).stack_ns is first.stack_ns


@attrs.define
class Passes:
    """A middleware with two functions, of which the first returns what it is told."""

    passage: Any
    seen: list[Outcome] = attrs.Factory(list)
    name: str = "passes"

    def boot(self, facts: BootFacts) -> None:
        """Nothing to prepare."""

    def around(self, call: Call) -> Layer:
        self.seen.append((yield call))
        return self.seen[-1]

    def through(self, call: Call) -> Any:
        return self.passage(call)

    def close(self) -> None:
        """Nothing to finish."""


#: What ``through`` may return by mistake, by what is wrong with it.
NO_PASSAGES: dict[str, Any] = {
    "one": lambda call: (call,),
    "two": lambda call: (call, None),
    "four": lambda call: (call, None, None, None),
    "empty": lambda call: (),
    "no call": lambda call: (None, None, None),
    "another call": lambda call: (attrs.evolve(call, payload=b"other"), None, None),
    "list": lambda call: [call, None, None],
    "call": lambda call: call,
    "raises": lambda call: 1 / 0,
}
#: What may stand for ``leave`` by mistake.
NO_WAYS_OUT: dict[str, Any] = {
    "number": 1,
    "no arguments": lambda: None,
    "no outcome": lambda state, outcome: None,
}


@pytest.mark.parametrize("wrong", NO_PASSAGES)
def test_a_passage_that_is_none_fails_its_call_before_it_is_made(wrong: str) -> None:
    """Whatever a middleware returns: the layers outside it are left, and know why."""
    outer = Passes(lambda call: None)
    opened = open_stack([outer, Passes(NO_PASSAGES[wrong])], make_call())
    assert opened.early is not None
    assert opened.early.error is not None
    assert opened.early.error.code == "middleware.failed"
    assert outer.seen == [opened.early]


@pytest.mark.parametrize("wrong", NO_WAYS_OUT)
def test_a_way_out_that_is_none_fails_its_call(wrong: str) -> None:
    """The layers outside it are left all the same."""
    outer, leave = Passes(lambda call: None), NO_WAYS_OUT[wrong]
    opened = open_stack([outer, Passes(lambda call: (call, leave, None))], make_call())
    outcome = opened.close(ok(opened.call))
    assert outcome.error is not None
    assert outcome.error.code == "middleware.failed"
    assert outer.seen == [outcome]
