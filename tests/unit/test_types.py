"""The vocabulary: values that cannot change, and outcomes that say whose fault it was."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs
import pytest

from nxkernel.errors import HookFailed, PolicyDenied
from nxkernel.types import CallError, HookResult, ImplFacts, Outcome, Timing
from tests.support.calls import a_call, answered, failed


def test_an_outcome_of_a_failed_call() -> None:
    """It is about the call, has an error and a fault, and no value."""
    call = a_call(attempt=2)
    outcome = Outcome.failed(
        call, "plugin.raised", "boom", "plugin", details={"a": 1}, origin="store.sqlite"
    )
    assert (outcome.plugin, outcome.impl, outcome.hook, outcome.call_id) == (
        call.plugin,
        call.impl,
        call.hook,
        call.call_id,
    )
    assert outcome.error == CallError(code="plugin.raised", message="boom", details={"a": 1})
    assert (outcome.fault, outcome.origin, outcome.attempts) == ("plugin", "store.sqlite", 2)
    assert outcome.value is None
    assert not outcome.ok


def test_unwrap_gives_the_value_or_raises() -> None:
    """The error that is raised carries code, plugin, hook and details."""
    call = a_call()
    assert answered(call, [1]).unwrap() == [1]
    with pytest.raises(PolicyDenied, match=r"\[policy.denied\] it failed") as caught:
        failed(call, "caller", "policy.denied").unwrap()
    assert (caught.value.plugin, caught.value.hook) == ("ocr.rapid", "read_tokens")


def test_timing_is_no_part_of_equality() -> None:
    """Two runs that differ in speed alone have equal outcomes."""
    call = a_call()
    assert answered(call, timing=Timing(plugin_us=5)) == answered(call)
    assert answered(call, 1) != answered(call, 2)


def test_a_result_is_a_sequence_of_outcomes() -> None:
    """It can be indexed, counted and iterated like a tuple."""
    call = a_call()
    outcomes = (answered(call, 1), failed(call))
    result = HookResult(hook=call.hook, value=[1], degraded=True, outcomes=outcomes)
    assert isinstance(result, Sequence)
    assert (len(result), result[1], result[-2:], tuple(result)) == (
        2,
        outcomes[1],
        outcomes,
        outcomes,
    )
    assert result.unwrap() == [1]


def test_a_result_without_a_value_raises_itself() -> None:
    """The error has the whole result inside."""
    error = CallError(code="plugin.raised", message="boom")
    result = HookResult(hook=a_call().hook, error=error, outcomes=(failed(a_call()),))
    with pytest.raises(HookFailed, match="boom") as caught:
        result.unwrap()
    assert caught.value.result is result
    assert caught.value.hook == "read_tokens"


@pytest.mark.parametrize(
    ("styles", "wraps"),
    [({}, False), ({"wrapper": True}, True), ({"hookwrapper": True}, True)],
    ids=["plain", "wrapper", "hookwrapper"],
)
def test_both_wrapper_styles_wrap(styles: Any, wraps: bool) -> None:
    """A wrapper is a wrapper in the new and in the old style."""
    assert ImplFacts(impl="f", hook=a_call().hook, **styles).wraps is wraps


@pytest.mark.parametrize("value", [a_call(), answered(a_call()), Timing()], ids=["a", "b", "c"])
def test_values_are_frozen(value: Any) -> None:
    """No field can be set, and none can be added."""
    for name in [attrs.fields(type(value))[0].name, "added"]:
        with pytest.raises((attrs.exceptions.FrozenInstanceError, AttributeError)):
            setattr(value, name, 1)
