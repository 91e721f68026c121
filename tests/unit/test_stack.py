"""The stack enters from the outside in, leaves from the inside out, and survives its layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import pytest

from nxkernel.dispatch.stack import BootFacts, Layer, open_stack
from nxkernel.errors import AuditError
from nxkernel.types import Call, Outcome
from tests.support.calls import a_call, answered


@attrs.define
class Probe:
    """A middleware that notes what it sees and does what it is told."""

    name: str
    seen: list[Any]
    around_: Callable[[Call], Layer] | None = None

    def boot(self, facts: BootFacts) -> None: ...

    def close(self) -> None: ...

    def around(self, call: Call) -> Layer:
        if self.around_:
            return self.around_(call)
        return self._note(call)

    def _note(self, call: Call) -> Layer:
        self.seen.append(("in", self.name, dict(call.annotations)))
        outcome = yield attrs.evolve(call, annotations={**call.annotations, self.name: 1})
        self.seen.append(("out", self.name, outcome.error and outcome.error.code))
        return attrs.evolve(outcome, annotations={**outcome.annotations, self.name: 1})


def stack(*inner: Callable[[Call], Layer] | None) -> tuple[list[Probe], list[Any]]:
    """An outer layer that notes, and then layers that do as given."""
    seen: list[Any] = []
    names = ["outer", *(f"inner{i}" for i in range(len(inner)))]
    layers = zip(names, [None, *inner], strict=True)
    return [Probe(name, seen, around) for name, around in layers], seen


def test_order() -> None:
    """Each layer sees the call of the layer outside it, and the outcome of the one inside."""
    layers, seen = stack(None)
    call = a_call()
    opened = open_stack(layers, call)
    assert opened.early is None
    assert opened.call.annotations == {"outer": 1, "inner0": 1}
    outcome = opened.close(answered(call, 5))
    assert outcome.value == 5
    assert list(outcome.annotations) == ["inner0", "outer"]
    assert seen == [
        ("in", "outer", {}),
        ("in", "inner0", {"outer": 1}),
        ("out", "inner0", None),
        ("out", "outer", None),
    ]


def test_an_empty_stack_changes_nothing() -> None:
    """Without middleware the call goes on and the outcome comes back, as they are."""
    call = a_call()
    opened = open_stack([], call)
    assert opened.call is call
    outcome = answered(call)
    assert opened.close(outcome) is outcome


def refuse(call: Call) -> Layer:
    """Answer at once."""
    return Outcome.failed(call, "policy.denied", "no", "caller")
    yield call


def test_an_early_outcome_leaves_through_the_layers_outside() -> None:
    """A layer that answers keeps the call from all inside it, and the outer ones see why."""
    layers, seen = stack(refuse, None)
    opened = open_stack(layers, a_call())
    assert opened.early is not None
    assert opened.early.error is not None
    assert opened.early.error.code == "policy.denied"
    assert opened.early.annotations == {"outer": 1}
    assert seen == [("in", "outer", {}), ("out", "outer", "policy.denied")]


def raises_at_once(call: Call) -> Layer:
    raise ValueError("not even a generator")


def raises_before(call: Call) -> Layer:
    raise ValueError("before")
    yield call


def raises_after(call: Call) -> Layer:
    yield call
    raise ValueError("after")


def raises_http_like(call: Call) -> Layer:
    error = ValueError("not ours")
    error.code = 404  # type: ignore[attr-defined]
    raise error
    yield call


def yields_twice(call: Call) -> Layer:
    yield call
    return (yield call)


def yields_without_end(call: Call) -> Layer:
    while True:
        try:
            yield call
        except GeneratorExit:
            yield call


def yields_nothing(call: Call) -> Layer:
    return (yield None)  # type: ignore[misc]


def returns_nothing(call: Call) -> Layer:
    yield call
    return None  # type: ignore[return-value]


def returns_nothing_early(call: Call) -> Layer:
    return None  # type: ignore[return-value]
    yield call


def no_generator(call: Call) -> Layer:
    return answered(call)  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("around", "reason"),
    [
        (raises_at_once, "ValueError: not even a generator"),
        (raises_before, "ValueError: before"),
        (raises_after, "ValueError: after"),
        (raises_http_like, "ValueError: not ours"),
        (yields_twice, "RuntimeError: yielded twice"),
        (yields_without_end, "RuntimeError: yielded twice"),
        (yields_nothing, "TypeError: yielded NoneType, expected the call"),
        (returns_nothing, "TypeError: returned NoneType, expected an outcome"),
        (returns_nothing_early, "TypeError: returned NoneType, expected an outcome"),
        (no_generator, "TypeError: 'Outcome' object is not an iterator"),
    ],
)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_broken_middleware_is_an_outcome(around: Any, reason: str) -> None:
    """Whatever a layer does wrong, the call has an outcome that the outer layers see."""
    layers, seen = stack(around)
    call = a_call()
    opened = open_stack(layers, call)
    outcome = opened.early or opened.close(answered(call))
    assert outcome.error is not None
    assert outcome.error.code == "middleware.failed"
    assert outcome.error.message == f"middleware 'inner0': {reason}"
    assert outcome.fault == "host"
    assert seen[-1] == ("out", "outer", "middleware.failed")


def test_an_error_of_ours_keeps_its_code() -> None:
    """A middleware that cannot give its guarantee says so with its own code."""

    def around(call: Call) -> Layer:
        raise AuditError("the disk is full")
        yield call

    layers, _ = stack(around)
    outcome = open_stack(layers, a_call()).early
    assert outcome is not None
    assert outcome.error is not None
    assert (outcome.error.code, outcome.fault) == ("audit.failed", "host")
    assert outcome.error.message == "middleware 'inner0': the disk is full"


@pytest.mark.parametrize(
    "change",
    [
        {"arguments": {"page": 2}},
        {"payload": b"\x80"},
        {"input_digest": "sha256:00"},
        {"plugin": "other"},
        {"hook": "other"},
        {"impl": "other"},
        {"phase": "setup"},
        {"call_id": "8"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_middleware_cannot_change_what_a_call_is(change: Any) -> None:
    """The arguments and the target stay what the caller said and the audit recorded."""

    def around(call: Call) -> Layer:
        return (yield attrs.evolve(call, **change))

    layers, _ = stack(around)
    outcome = open_stack(layers, a_call({"page": 1})).early
    assert outcome is not None
    assert outcome.error is not None
    assert "only its envelope may change" in outcome.error.message


@pytest.mark.parametrize(
    "change",
    [{"deadline": 5.0}, {"seed": b"x" * 32}, {"annotations": {"a": 1}}],
    ids=lambda change: next(iter(change)),
)
def test_a_middleware_may_change_the_envelope(change: Any) -> None:
    """Deadline, seed and annotations reach the layers inside."""

    def around(call: Call) -> Layer:
        return (yield attrs.evolve(call, **change))

    layers, _ = stack(around)
    opened = open_stack(layers[1:], a_call())
    assert opened.early is None
    for name, value in change.items():
        assert getattr(opened.call, name) == value
