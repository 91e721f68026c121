"""The outcomes of calls that were not answered: whose fault each is, and which code it has."""

from __future__ import annotations

from typing import Any

import pytest

from nxkernel.errors import ERROR_CODES, KernelConfigError, ManifestInvalid, NxError, WorkerLost
from nxkernel.host.slot import CLOSED, RETIRED
from nxkernel.host.unanswered import (
    Loss,
    LostAlong,
    came_too_late,
    cancelled,
    closed,
    expired,
    lost_between,
    lost_with,
    refused,
    words_for,
)
from nxkernel.types import Outcome, PluginId
from tests.support.calls import FakeClock
from tests.support.fake_workers import the_call

CALL = the_call(FakeClock())  # type: ignore[arg-type]


def told(outcome: Outcome) -> tuple[Any, Any]:
    """Return the code of a failed call, and whose fault it was."""
    assert outcome.error is not None
    assert outcome.error.code in ERROR_CODES
    return outcome.error.code, outcome.fault


@pytest.mark.parametrize("why", ["ended", "deadline", "cancelled", "violation", "limit"])
def test_every_loss_has_its_words(why: Any) -> None:
    """Whatever ends a worker, there is a code for it, and what the plugin did."""
    code, words = words_for(Loss(why, "it wrote 3 MiB"), "in a call")
    assert code in ERROR_CODES
    assert "in a call" in words or words == "it wrote 3 MiB"


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        (expired(CALL), ("call.expired", "host")),
        (cancelled(CALL), ("call.cancelled", "caller")),
        (closed(CALL), ("call.cancelled", "caller")),
        (lost_with(CALL, RETIRED), ("plugin.retired", "host")),
        (lost_with(CALL, CLOSED), ("kernel.not_running", "host")),
        (lost_with(CALL, "7"), ("plugin.crashed", "host")),
        (lost_between(CALL, "7"), ("plugin.crashed", "host")),
        (lost_between(CALL, None), ("plugin.crashed", "plugin")),
    ],
)
def test_only_a_worker_that_ended_by_itself_is_the_plugins_doing(
    outcome: Outcome, expected: tuple[str, str]
) -> None:
    """What its caller, another call or the kernel took from it is held against nobody."""
    assert told(outcome) == expected


def test_who_took_the_worker_down_is_named() -> None:
    """By its call's id, for the record; the message is the same bytes whoever it was."""
    first, second = lost_with(CALL, "7").error, lost_with(CALL, "8").error
    assert first is not None
    assert second is not None
    assert (first.details, first.message) == ({"lost_by": "7"}, second.message)


@pytest.mark.parametrize(
    ("problem", "fault"),
    [
        (ManifestInvalid("no"), "plugin"),
        (KernelConfigError("no"), "host"),
        (NxError("no", code="call.cancelled"), "caller"),
        (WorkerLost("no"), "plugin"),
        (LostAlong("no"), "host"),
    ],
)
def test_a_start_that_failed_is_the_fault_of_whoever_prevented_it(
    problem: NxError, fault: str
) -> None:
    """The plugin's, unless the caller went away, the host could not, or another call took it."""
    outcome = refused(CALL, problem)
    assert told(outcome) == (problem.code, fault)


@pytest.mark.parametrize(
    ("by", "code"), [(RETIRED, "plugin.retired"), (CLOSED, "kernel.not_running")]
)
def test_who_comes_too_late_is_told_what_closed_the_place(by: str, code: str) -> None:
    """The end of the kernel, or that of the edition."""
    assert came_too_late(PluginId("a"), by).code == code
