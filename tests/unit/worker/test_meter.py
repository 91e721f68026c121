"""What a call used."""

from __future__ import annotations

import time

import pytest

from nxkernel.worker import meter
from nxkernel.worker.meter import LOOK_US, Meter


@pytest.fixture
def cpu(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Processor time that goes on when it is told to, in nanoseconds."""
    now = [0]
    monkeypatch.setattr(meter, "process_time_ns", lambda: now[0])
    monkeypatch.setattr(meter, "peak_kb", lambda: 4711)
    return now


def test_time_of_calls_on_top_is_theirs(cpu: list[int]) -> None:
    """Three calls on a stack have their own time each, and together all of it."""
    bottom, outer = Meter(began_ns=0), Meter(began_ns=0)
    cpu[0] += 1_000_000
    inner = Meter(began_ns=cpu[0])
    cpu[0] += 5_000_000
    assert inner.read()[1].cpu_us == 5_000
    cpu[0] += 2_000_000
    inner.tell(outer)
    assert outer.read()[1].cpu_us == 3_000
    outer.tell(bottom)
    assert bottom.others_ns == 8_000_000


def test_only_a_call_that_computed_is_asked_for_its_memory(cpu: list[int]) -> None:
    """The question is left out where it would cost more than it tells."""
    short = Meter(began_ns=0)
    cpu[0] += (LOOK_US - 1) * 1000
    assert short.read()[1].peak_kb is None
    long = Meter(began_ns=cpu[0])
    cpu[0] += LOOK_US * 1000
    assert long.read()[1].peak_kb == 4711


def test_a_call_is_measured_from_its_making_on() -> None:
    """Each by clocks of its own, and its processor time is no longer than what it computed."""
    first, second = Meter(), Meter()
    assert second.began_ns >= first.began_ns
    assert second.began_wall_ns >= first.began_wall_ns
    before = time.process_time_ns()
    third = Meter()
    assert before <= third.began_ns <= time.process_time_ns()


def test_the_peak_of_this_process_is_known() -> None:
    """Its unit is KiB: a Python process has more than 5 MiB and less than a TiB."""
    found = meter.peak_kb()
    assert found is not None
    assert 5 << 10 < found < 1 << 30
