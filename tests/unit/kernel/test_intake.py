"""The intake: what is refused before any provider hears of it."""

from __future__ import annotations

from typing import Any

import pytest

from nxkernel._blob import NONE
from nxkernel._canonical import encode
from nxkernel.errors import CallRejected
from nxkernel.settings import Hosting
from tests.support.desks import ASKS, Point, echoing


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, "hook 'every': missing argument 'x'; its arguments are: x, y"),
        ({"x": 1, "z": 1, "a": 2}, "hook 'every': unknown argument 'a'; its arguments are: x, y"),
        ({"x": object()}, "x: object cannot cross"),
        ({"x": 1, "y": [{"k": {1}}]}, "y[0].k: set cannot cross"),
    ],
)
def test_what_cannot_be_sent_is_refused_at_once(arguments: dict[str, Any], words: str) -> None:
    """Before any provider is asked, naming the place and what to do."""
    bench = echoing()
    with pytest.raises(CallRejected) as caught:
        bench.call("every", **arguments)
    assert words in caught.value.message
    assert caught.value.hook == "every"
    assert bench.witness.calls == []


def test_a_hook_that_does_not_exist_is_refused() -> None:
    """The message lists those that do."""
    with pytest.raises(CallRejected, match=r"no hook 'nope'; .*: began, every, first") as caught:
        echoing().call("nope")
    assert caught.value.code == "call.unknown_hook"


def test_a_historic_hook_is_called_through_history_alone() -> None:
    """And the others not through it."""
    bench = echoing()
    with pytest.raises(CallRejected, match="call_historic"):
        bench.call("began", at=Point(1))
    with pytest.raises(CallRejected, match="not historic"):
        bench.desk.historic_call("every", {"x": 1}, None)


@pytest.mark.parametrize(
    ("hook", "arguments", "code", "words"),
    [
        ("nope", {}, "call.unknown_hook", "no hook 'nope'"),
        ("first", {}, "call.rejected", "missing argument 'x'"),
        ("first", {"x": 1, "z": 1}, "call.rejected", "unknown argument 'z'"),
        ("began", {"at": {"x": 1}}, "call.rejected", "is historic"),
        ("timed", {"x": 1}, "policy.denied", "does not request"),
    ],
)
def test_a_nested_call_that_may_not_be_made_is_the_askers_error(
    hook: str, arguments: dict[str, Any], code: str, words: str
) -> None:
    """It is answered, and began in the plugin that asked."""
    brokered = echoing(facts=ASKS).nested(hook, **arguments)
    assert brokered.error is not None
    assert (brokered.error.code, brokered.origin) == (code, "asks")
    assert words in brokered.error.message


@pytest.mark.parametrize("payload", [b"", b"\xc1", encode([1]), encode(None), b"\xcd\x00\x01"])
def test_arguments_of_a_nested_call_are_only_a_workers_word(payload: bytes) -> None:
    """What is no canonical map of names is refused, and raises nothing."""
    bench = echoing(facts=ASKS)
    brokered = bench.drive(bench.desk.brokered(bench.parent(), "first", payload, NONE, 2000.0))
    assert brokered.error.code == "call.rejected"


def test_nesting_ends_at_the_limit() -> None:
    """A circle of plugins is an error and no end of the stack."""
    bench = echoing(facts=ASKS, hosting=Hosting(max_depth=3))
    assert bench.nested("first", bench.parent(depth=2), x=1).error is None
    brokered = bench.nested("first", bench.parent(depth=3), x=1)
    assert brokered.error is not None
    assert (brokered.error.code, brokered.error.message) == (
        "call.depth",
        "calls nest deeper than 3",
    )
