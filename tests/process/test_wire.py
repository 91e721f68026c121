"""A plugin that writes on the wire by itself: the host believes none of it and stays as it is."""

from __future__ import annotations

import resource
from collections.abc import Iterator

import pytest

from tests.support.zoo import SOON_S, Zoo, code_of, eventually, recorded

ANIMALS = ("lies", "prints")
#: Largest frame of the default hosting, and room for a few copies of it.
ROOM_KIB = 5 * 64 * 1024


@pytest.fixture(autouse=True)
def unharmed(zoo: Zoo) -> Iterator[None]:
    """After every lie the neighbour answers from the same process, and memory is bounded."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    assert zoo.act("prints", "fine").value == "fine"
    assert zoo.kernel.plugins["prints"].starts == 1
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak < ROOM_KIB


@pytest.mark.parametrize(
    ("lie", "reason"),
    [
        ("garbage", "a frame announces 4294967295 bytes"),
        ("4 GiB", "a frame announces 4294967295 bytes"),
        ("no MessagePack", "a frame holds no message"),
        ("empty frame", "a frame holds no message"),
        ("no message", "a frame holds no message"),
        ("unknown message", "a frame holds no message"),
        ("one field more", "a frame holds no message"),
        ("one field less", "a frame holds no message"),
        ("other types", "a frame holds no message"),
        ("two in one", "a frame holds no message"),
        ("deep message", "a frame holds no message"),
        ("wide message", "a frame holds no message"),
        ("host's own", "a frame holds no message"),
        ("wrong seq", "an unexpected Result"),
        ("old seq", "an unexpected Result"),
        ("huge seq", "an unexpected Result"),
        ("negative seq", "an unexpected Result"),
        ("hello", "an unexpected Hello"),
        ("ready", "an unexpected Ready"),
        ("refused", "an unexpected Refused"),
        ("pong", "an unexpected Pong"),
        ("foreign broker", "an unexpected Broker"),
        ("brokers", "broke the protocol during the call: it "),
        ("two brokers", "it goes on speaking while it waits"),
        ("large hello", "a frame holds no message"),
    ],
)
def test_message_out_of_protocol_ends_the_worker(zoo: Zoo, lie: str, reason: str) -> None:
    """Frames, messages and ids are checked before use; the next call has a new worker."""
    outcome = zoo.act("lies", lie)
    assert outcome.error is not None
    assert (outcome.error.code, outcome.fault) == ("protocol.violation", "plugin")
    assert reason in outcome.error.message
    assert zoo.answers("lies")


@pytest.mark.parametrize(
    ("lie", "reason"),
    [
        ("unsorted", "not the canonical encoding"),
        ("twice the key", "not the canonical encoding"),
        ("long int", "not the canonical encoding"),
        ("float32", "not the canonical encoding"),
        ("NaN", "not finite"),
        ("int keys", "no string"),
        ("timestamp", "extension type"),
        ("extension", "extension type"),
        ("bad UTF-8", "malformed"),
        ("truncated", "malformed"),
        ("trailing", "malformed"),
        ("nothing", "malformed"),
        ("wide", "malformed"),
        ("wide map", "malformed"),
        ("long string", "malformed"),
        ("deep", "malformed"),
        ("many values", "more than 1048576 values"),
    ],
)
def test_value_without_canonical_form_ends_the_worker(zoo: Zoo, lie: str, reason: str) -> None:
    """An answer in other bytes than the canonical ones would have another digest: it is none."""
    outcome = zoo.act("lies", lie)
    assert outcome.error is not None
    assert (outcome.error.code, outcome.fault) == ("protocol.violation", "plugin")
    assert reason in outcome.error.message
    assert zoo.answers("lies")


def test_slow_drip_does_not_outlast_the_deadline(zoo: Zoo) -> None:
    """Bytes that keep coming keep no call alive."""
    assert code_of(zoo.act("lies", "drip", timeout=SOON_S)) == "plugin.timeout"
    assert zoo.answers("lies")


def test_worker_that_closes_its_answers_is_ended(zoo: Zoo) -> None:
    """Closing the pipe and living on is a crash, and does not leave a process behind."""
    outcome = zoo.act("lies", "closes results")
    assert outcome.error is not None
    assert outcome.error.code == "plugin.crashed"
    assert outcome.error.details["signal"] is not None
    assert zoo.answers("lies")


def test_worker_that_closes_its_commands_is_replaced(zoo: Zoo) -> None:
    """It can hear nothing any more and ends; when that is seen, there is a new one."""
    assert zoo.act("lies", "closes commands").value == "the truth"
    eventually(lambda: zoo.answers("lies"), "a new worker answers")


@pytest.mark.parametrize("lie", ["answers twice", "half a frame"])
def test_words_after_the_answer_cost_no_call(zoo: Zoo, lie: str) -> None:
    """What a worker says while nobody asks it costs the worker, not the next call."""
    assert zoo.act("lies", lie).ok
    starts = zoo.kernel.plugins["lies"].starts
    assert zoo.answers("lies")
    assert zoo.kernel.plugins["lies"].starts == starts + 1


@pytest.mark.parametrize("lie", ["long time", "negative time"])
def test_invented_duration_is_bounded(zoo: Zoo, lie: str) -> None:
    """A worker's word about its own time cannot break statistics or audit."""
    outcome = zoo.act("lies", lie)
    assert outcome.ok
    assert 0 <= outcome.timing.plugin_us < 2**53
    (row,) = [r for r in recorded(zoo.kernel.run) if r.call_id == outcome.call_id]
    assert row.status == "ok"


@pytest.mark.parametrize("lie", ["host's code", "wrapper's code"])
def test_code_of_the_host_cannot_be_forged(zoo: Zoo, lie: str) -> None:
    """A worker that says `policy.denied` or `plugin.timeout` has raised, no more."""
    outcome = zoo.act("lies", lie)
    assert (code_of(outcome), outcome.fault) == ("plugin.raised", "plugin")


def test_origin_cannot_be_forged(zoo: Zoo) -> None:
    """A worker cannot blame a plugin that it never called."""
    outcome = zoo.act("lies", "origin")
    assert (code_of(outcome), outcome.origin) == ("plugin.raised", None)


def test_message_of_a_failure_is_cut(zoo: Zoo) -> None:
    """A long message, from a worker that does not cut it itself, does not reach the audit."""
    outcome = zoo.act("lies", "long text")
    assert outcome.error is not None
    assert len(outcome.error.message) < 10_000


@pytest.mark.parametrize("lie", ["bad details", "details no map"])
def test_malformed_details_are_left_out(zoo: Zoo, lie: str) -> None:
    """The failure stands without its details."""
    outcome = zoo.act("lies", lie)
    assert outcome.error is not None
    assert (outcome.error.code, dict(outcome.error.details)) == ("plugin.raised", {})
