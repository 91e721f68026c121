"""Who is looked at, how often, and what is judged."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import attrs
import pytest

from nxkernel.host.frame import Frame
from nxkernel.host.slot import Slot
from nxkernel.host.watchdog import ProcGauge, Usage, Watchdog, judge, of_exit
from nxkernel.host.workers import Breach, Exit
from nxkernel.settings import Limits

MIB = 1 << 20


@pytest.mark.parametrize(
    ("memory", "written", "inherited", "limit"),
    [
        (100 * MIB, 0, 0, None),
        (None, 0, 0, None),
        (109 * MIB, 0, 0, "memory_mb"),
        (0, 11 * MIB, 0, "written_mb"),
        (0, 11 * MIB, 11 * MIB, None),
        (0, 12 * MIB, 11 * MIB, "written_mb"),
    ],
)
def test_judgement(memory: int | None, written: int, inherited: int, limit: str | None) -> None:
    """Memory may hold the stack too; a worker does not answer for what it found."""
    usage = Usage(memory=memory, written=written, inherited=inherited)
    breach = judge(Limits(memory_mb=100, written_mb=10), usage)
    assert (breach.limit if breach else None) == limit


def test_number_of_processes() -> None:
    """As many as the limit says, and no more."""
    limits = Limits(processes=3)
    assert judge(limits, Usage(memory=0, written=0, processes=3)) is None
    assert judge(limits, Usage(memory=0, written=0, processes=4)) == Breach("processes", 3, 4)


def test_text_of_a_breach_does_not_vary() -> None:
    """What was seen is no part of it."""
    assert Breach("memory_mb", 512, 1).text() == Breach("memory_mb", 512, 2).text()
    assert "memory_mb = 512" in Breach("memory_mb", 512, 1).text()


def test_exits_for_a_limit() -> None:
    """SIGXCPU is one where the limit was set; other signals are not."""
    limits = Limits(cpu_seconds_per_call=2.5)
    assert of_exit(limits, Exit(status=None, signal=24)) == Breach(
        "cpu_seconds_per_call", 2.5, None
    )
    assert of_exit(limits, Exit(status=None, signal=9)) is None
    assert of_exit(Limits(), Exit(status=None, signal=24)) is None
    assert of_exit(limits, None) is None


@attrs.define
class FakeGauge:
    ticks: int | None = 0
    bytes: int = 0
    asked: int = 0

    def cpu(self, pid: int) -> int | None:
        self.asked += 1
        return self.ticks

    def memory(self, pid: int) -> int | None:
        return self.bytes

    def family(self, pid: int) -> list[int]:
        return [pid]


@attrs.define(eq=False)
class FakeWorker:
    pid: int = 1
    breach: Breach | None = None
    killed: int = 0

    late: bool = False

    @property
    def process(self) -> FakeWorker:
        return self

    def overdue(self) -> bool:
        return self.late

    def process_kill(self) -> None:
        self.killed += 1


@attrs.frozen
class FakeLaunch:
    run_dir = ""
    limits: Limits
    load: Any
    tasks: int = 0
    forks_calls: bool = False


@attrs.define
class FakeLoad:
    write_roots: tuple[str, ...]


@attrs.define(eq=False)
class Place:
    """A plugin's place with a worker that is no process."""

    slot: Slot
    launched: Any
    breaches: list[Breach] = attrs.Factory(list)

    @property
    def books(self) -> Place:
        return self

    def overran(self, breach: Breach) -> None:
        self.breaches.append(breach)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    slot = Slot(threading.Lock(), lambda: None)
    slot.worker = FakeWorker()  # type: ignore[assignment]
    launch = FakeLaunch(Limits(memory_mb=100, written_mb=1), FakeLoad((str(tmp_path),)))
    return Place(slot, launch)


def dog(place: Place, gauge: FakeGauge, monkeypatch: pytest.MonkeyPatch) -> Watchdog:
    monkeypatch.setattr("nxkernel.host.watchdog.kill", lambda worker: worker.process_kill())
    return Watchdog(lambda: [place], lambda: 0.0, gauge)


def busy(place: Place) -> None:
    assert place.slot.enter(Frame(call_id="1", deadline=0.0))


def test_busy_worker_is_ended_once(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first look that sees too much ends it; later ones have nothing to add."""
    gauge = FakeGauge(ticks=1, bytes=200 * MIB)
    watchdog = dog(place, gauge, monkeypatch)
    busy(place)
    watchdog.look()
    gauge.ticks = 2
    watchdog.look()
    worker: Any = place.slot.worker
    assert worker.killed == 1
    assert [breach.limit for breach in place.breaches] == ["memory_mb"]


def test_worker_that_outlives_its_processor_time_is_ended(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever ignores the system's signal is ended for the same limit."""
    place.launched = attrs.evolve(place.launched, limits=Limits(cpu_seconds_per_call=2.5))
    worker: Any = place.slot.worker
    worker.late = True
    busy(place)
    dog(place, FakeGauge(ticks=1), monkeypatch).look()
    assert worker.killed == 1
    assert place.breaches == [Breach("cpu_seconds_per_call", 2.5, None)]


def test_worker_that_did_nothing_is_passed_over(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever used no processor time cannot have taken anything."""
    gauge = FakeGauge(ticks=1, bytes=0)
    watchdog = dog(place, gauge, monkeypatch)
    busy(place)
    watchdog.look()
    gauge.bytes = 200 * MIB
    watchdog.look()
    assert place.breaches == []


def test_idle_workers_are_looked_at_rarely(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their threads may go on, so they are not forgotten."""
    gauge = FakeGauge()
    watchdog = dog(place, gauge, monkeypatch)
    for _ in range(100):
        watchdog.look()
    assert gauge.asked == 10


def test_files_are_counted(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of all, over the life of the plugin's place; and where no gauge sees processes."""
    watchdog = dog(place, FakeGauge(ticks=None), monkeypatch)
    watchdog.look()
    (tmp_path / "x").write_bytes(b"x" * 2 * MIB)
    busy(place)
    place.slot.worker = FakeWorker(pid=2)  # type: ignore[assignment]
    watchdog.look()
    assert place.breaches == []  # It found them.
    (tmp_path / "y").write_bytes(b"x" * MIB)
    watchdog.look()
    assert [breach.limit for breach in place.breaches] == ["written_mb"]


def test_place_without_a_worker(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is nobody to look at."""
    place.slot.worker = None
    gauge = FakeGauge()
    dog(place, gauge, monkeypatch).look()
    assert gauge.asked == 0


def test_proc_gauge_sees_this_process() -> None:
    """Time and memory of a process that runs; neither of one that does not."""
    gauge = ProcGauge()
    assert (gauge.cpu(os.getpid()) or 0) >= 0
    assert (gauge.memory(os.getpid()) or 0) > MIB
    assert gauge.cpu(2**22 + 1) is None
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        assert {os.getpid(), child.pid} <= set(gauge.family(os.getpid()))
        assert gauge.family(child.pid) == [child.pid]
    finally:
        child.communicate()
    assert gauge.memory(2**22 + 1) is None


def test_a_look_that_fails_costs_that_look_alone(
    place: Place, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Others are looked at in the same round, it is told once, and the next look is made."""

    @attrs.define
    class Failing(FakeGauge):
        fails: bool = True

        def memory(self, pid: int) -> int | None:
            if pid == 1 and self.fails:
                raise OSError("no such thing")
            return self.bytes

    other = Place(Slot(threading.Lock(), lambda: None), place.launched)
    other.slot.worker = FakeWorker(pid=2)  # type: ignore[assignment]
    gauge = Failing(ticks=1, bytes=200 * MIB)
    monkeypatch.setattr("nxkernel.host.watchdog.kill", lambda worker: worker.process_kill())
    watchdog = Watchdog(lambda: [place, other], lambda: 0.0, gauge)
    for each in (place, other):
        busy(each)
    watchdog.look()
    watchdog.look()
    assert (len(place.breaches), len(other.breaches)) == (0, 1)
    assert caplog.text.count("a look at the limits failed and is tried again") == 1
    gauge.fails = False
    watchdog.look()
    assert [breach.limit for breach in place.breaches] == ["memory_mb"]


def test_the_thread_goes_on_after_a_round_that_fails(caplog: pytest.LogCaptureFixture) -> None:
    """Whatever its list of plugins raises."""
    failed, went_on = iter(range(2)), threading.Event()

    def wards() -> list[Any]:
        if next(failed, None) is not None:
            raise RuntimeError("dictionary changed size during iteration")
        went_on.set()
        return []

    watchdog = Watchdog(wards, lambda: 0.0, None)
    watchdog.start()
    assert went_on.wait(20)
    watchdog.stop()
    assert "dictionary changed size" in caplog.text


def test_a_look_that_hangs_keeps_nobody_from_forking(monkeypatch: pytest.MonkeyPatch) -> None:
    """The application may fork at any moment, whatever a disk is doing; and looks go on later."""
    monkeypatch.setattr("nxkernel.host.watchdog.PATIENCE_S", 0.0)
    watchdog = Watchdog(list, lambda: 0.0, None)
    with watchdog._looking:
        watchdog.before_fork()
        watchdog.after_fork()
        assert watchdog._looking.locked()
    watchdog.before_fork()
    assert watchdog._looking.locked()
    watchdog.after_fork()
    assert not watchdog._looking.locked()
