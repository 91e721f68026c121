"""What makes a lost call worth another attempt, and what the next attempt is."""

from __future__ import annotations

import attrs
import pytest

from nxkernel.host.retries import again
from nxkernel.types import Call
from tests.support.calls import a_call, answered, failed

CALL: Call = a_call({"x": 1}, retries=2, seed=b"s", deadline=10.0)
LOST = failed(CALL, code="plugin.crashed")


def test_the_next_attempt_asks_the_same() -> None:
    """Only its number, what is left of its retries, and its deadline are other."""
    found = again(CALL, LOST, deadline=12.0, now=11.0)
    assert found == attrs.evolve(CALL, attempt=2, retries=1, deadline=12.0)


def test_retries_run_out() -> None:
    """Each attempt has one less."""
    call: Call | None = CALL
    attempts = 0
    while call is not None:
        attempts += 1
        call = again(call, LOST, deadline=12.0, now=11.0)
    assert attempts == 3


def test_no_attempt_begins_after_the_deadline() -> None:
    """Its caller would not wait for it."""
    assert again(CALL, LOST, deadline=12.0, now=12.0) is None


@pytest.mark.parametrize(
    "code",
    [
        *("plugin.raised", "plugin.timeout", "plugin.quarantined", "protocol.violation"),
        *("contract.output", "call.cancelled", "call.expired", "kernel.not_running"),
    ],
)
def test_only_a_crash_loses_a_call(code: str) -> None:
    """Everything else is an answer, or no fault of a worker."""
    assert again(CALL, failed(CALL, code=code), deadline=12.0, now=11.0) is None


def test_an_answer_is_the_end() -> None:
    """Whatever may be repeated."""
    assert again(CALL, answered(CALL), deadline=12.0, now=11.0) is None


def test_a_stream_is_lost_before_its_first_item_only() -> None:
    """What its consumer has seen cannot be taken back."""
    for items in (None, 0):
        assert again(CALL, attrs.evolve(LOST, items=items), deadline=12.0, now=11.0) is not None
    assert again(CALL, attrs.evolve(LOST, items=1), deadline=12.0, now=11.0) is None
