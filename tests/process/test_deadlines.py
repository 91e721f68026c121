"""A plugin that does not answer in time is ended, whatever it does, and replaced."""

from __future__ import annotations

import os
import signal

import pytest

from tests.support.zoo import SOON_S, Zoo, code_of, recorded

ANIMALS = ("sleeps", "hangs", "inspects", "busy")


def test_sleeper_costs_one_call(zoo: Zoo) -> None:
    """The call has `plugin.timeout`, the plugin the fault; the next call works."""
    outcome = zoo.act("sleeps", 3600, timeout=SOON_S)
    assert outcome.error is not None
    assert (outcome.error.code, outcome.fault) == ("plugin.timeout", "plugin")
    assert outcome.error.details["signal"] == signal.SIGKILL
    assert outcome.error.details["log"][-1] == "going to sleep"
    assert zoo.answers("sleeps")


@pytest.mark.parametrize("way", ["spin", "C call", "signals", "stopped", "lock"])
def test_no_way_to_hang_is_safe_from_the_deadline(zoo: Zoo, way: str) -> None:
    """A busy loop, a C call, ignored signals, SIGSTOP and a deadlock all end on time."""
    assert code_of(zoo.act("hangs", way, timeout=SOON_S)) == "plugin.timeout"
    assert zoo.answers("hangs")


def test_stopped_worker_is_ended(zoo: Zoo) -> None:
    """A worker that was stopped from outside, and so reads nothing, misses its deadline too.

    The argument is far larger than a pipe: the host must not block in writing it.
    """
    stopped = zoo.act("inspects").value["pid"]
    os.kill(stopped, signal.SIGSTOP)
    assert code_of(zoo.act("inspects", bytes(8 << 20), timeout=SOON_S)) == "plugin.timeout"
    assert zoo.act("inspects").value["pid"] != stopped


def test_timeout_is_on_record(zoo: Zoo) -> None:
    """The audit has the row with its code and its fault."""
    outcome = zoo.act("sleeps", 3600, timeout=SOON_S)
    (row,) = [r for r in recorded(zoo.kernel.run) if r.call_id == outcome.call_id]
    assert (row.status, row.error_code, row.fault) == ("error", "plugin.timeout", "plugin")


def test_cpu_time_is_limited(zoo: Zoo) -> None:
    """A call that burns more CPU time than its manifest allows is ended before its deadline."""
    outcome = zoo.act("busy")
    assert outcome.error is not None
    assert outcome.error.code == "plugin.limit"
    assert outcome.error.details["signal"] == signal.SIGXCPU
    assert zoo.answers("busy")
