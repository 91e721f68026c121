"""The housekeeping thread: logs are drained and exits are heard, in any order."""

from __future__ import annotations

import contextlib
import gc
import os
import select
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from nxkernel._system.linux import PidfdProcess
from nxkernel.host.channel import Channel
from nxkernel.host.housekeeping import Housekeeper
from nxkernel.host.logs import LogTail
from nxkernel.host.workers import Exit, Worker
from nxkernel.host.zygote import Zygote
from tests.support.descriptors import open_files

KILLED, STATUS_3 = 9, 3 << 8


class Reporter(Zygote):
    """A zygote that only reports exits."""

    def __init__(self) -> None:
        self.exits_fd, self.reports = os.pipe()
        os.set_blocking(self.exits_fd, False)
        self.gone = False

    def report(self, pid: int, status: int) -> None:
        os.write(self.reports, pid.to_bytes(4, "little") + status.to_bytes(4, "little"))


class Bench:
    """A housekeeper, its zygote, and workers that are a log pipe each."""

    def __init__(self) -> None:
        self.rung = threading.Condition()
        #: Seconds by which housekeeping bounds what it takes.
        self.time = 100.0
        self.keeper = Housekeeper(self._ring, now=lambda: self.time)
        self.zygote = Reporter()
        self.keeper.start()
        self.keeper.hear(self.zygote)
        self.pipes: list[int] = [self.zygote.reports]

    def _ring(self) -> None:
        with self.rung:
            self.rung.notify_all()

    def worker(self, pid: int, number: int | None = None) -> tuple[Worker, int]:
        read, write = os.pipe()
        os.set_blocking(read, False)
        self.pipes.append(write)
        channel: Any = Channel.__new__(Channel)
        made = Worker(PidfdProcess(pid, -1, number), channel, LogTail(1000), read, 1, "process")
        made.reporter = self.zygote
        return made, write

    def until(self, happened: Any) -> None:
        with self.rung:
            assert self.rung.wait_for(happened, 20)

    def heard(self, zygote: Reporter) -> None:
        """Wait until every report was read and seen to."""
        worker, _ = self.worker(4711)
        with self.keeper.starting():
            self.keeper.watch(worker)
            zygote.report(4711, KILLED)
        self.until(lambda: worker.exit)

    def close(self, end: int) -> None:
        self.pipes.remove(end)
        os.close(end)


@pytest.fixture
def bench() -> Iterator[Bench]:
    """A bench that is cleared at the end."""
    made = Bench()
    yield made
    made.keeper.stop()
    for fd in (*made.pipes, made.zygote.exits_fd):
        os.close(fd)


def test_an_exit_is_told_with_status_or_signal(bench: Bench) -> None:
    """The words of the zygote, told apart."""
    (first, _), (second, _) = bench.worker(10), bench.worker(11)
    bench.keeper.watch(first)
    bench.keeper.watch(second)
    bench.zygote.report(11, KILLED)
    bench.zygote.report(10, STATUS_3)
    bench.until(lambda: first.exit and second.exit)
    assert (first.exit, second.exit) == (Exit(3, None), Exit(None, 9))


def test_the_end_of_the_log_is_there_before_the_exit(bench: Bench) -> None:
    """Whoever sees the exit can read the last words."""
    for pid in range(50):
        worker, log = bench.worker(pid)
        bench.keeper.watch(worker)
        os.write(log, b"last words")
        bench.zygote.report(pid, KILLED)
        bench.until(lambda worker=worker: worker.exit)
        assert worker.log.text() == "last words"


def test_a_worker_that_ended_before_it_was_watched_is_heard_too(bench: Bench) -> None:
    """Its exit may be reported before the thread that started it goes on."""
    for pid in range(100, 150):
        worker, log = bench.worker(pid)
        os.write(log, b"why")
        bench.close(log)
        with bench.keeper.starting():
            bench.zygote.report(pid, STATUS_3)
            bench.keeper.watch(worker)
        bench.until(lambda worker=worker: worker.exit)
        assert (worker.exit, worker.log.text()) == (Exit(3, None), "why")


def test_an_exit_that_nobody_claims_is_not_the_next_ones(bench: Bench) -> None:
    """A start that was interrupted leaves an exit; its number may be given to another worker."""
    with contextlib.suppress(KeyboardInterrupt), bench.keeper.starting():
        bench.zygote.report(10, KILLED)
        bench.heard(bench.zygote)
        raise KeyboardInterrupt
    bench.zygote.report(11, KILLED)
    bench.heard(bench.zygote)
    (young, _), (other, _), (marker, _) = (bench.worker(pid) for pid in (10, 11, 12))
    for worker in (young, other, marker):
        with bench.keeper.starting():
            bench.keeper.watch(worker)
    bench.zygote.report(12, KILLED)
    bench.until(lambda: marker.exit)
    assert (young.exit, other.exit) == (None, None)


def test_a_pid_that_is_given_again_is_two_workers(bench: Bench) -> None:
    """The system may give it again before anybody has read of the first one's end."""
    (old, _), (young, log) = bench.worker(10, number=1), bench.worker(10, number=2)
    for worker in (old, young):
        with bench.keeper.starting():
            bench.keeper.watch(worker)
    bench.zygote.report(1, STATUS_3)
    bench.until(lambda: old.exit)
    bench.heard(bench.zygote)
    assert young.exit is None
    os.write(log, b"still there")
    bench.zygote.report(2, KILLED)
    bench.until(lambda: young.exit)
    assert (old.exit, young.exit, young.log.text()) == (Exit(3, None), Exit(None, 9), "still there")


def test_two_reporters_may_use_the_same_numbers(bench: Bench) -> None:
    """Each profile has a zygote of its own, and each counts by itself."""
    other = Reporter()
    bench.keeper.hear(other)
    (mine, _), (theirs, _) = bench.worker(10, number=1), bench.worker(11, number=1)
    theirs.reporter = other
    for worker in (mine, theirs):
        with bench.keeper.starting():
            bench.keeper.watch(worker)
    other.report(1, STATUS_3)
    bench.until(lambda: theirs.exit)
    bench.heard(bench.zygote)
    assert (mine.exit, theirs.exit) == (None, Exit(3, None))
    bench.zygote.report(1, KILLED)
    bench.until(lambda: mine.exit)
    for fd in (other.reports, other.exits_fd):
        bench.pipes.append(fd)


def test_a_log_that_nobody_reads_does_not_block_its_plugin(bench: Bench) -> None:
    """More than a pipe holds can be written, with nobody calling."""
    worker, log = bench.worker(10)
    bench.keeper.watch(worker)
    for _ in range(64):
        os.write(log, b"x" * 8192)
    bench.zygote.report(10, KILLED)
    bench.until(lambda: worker.exit)
    assert worker.log.text() == "x" * 1000


def test_a_flood_waits_for_its_pipe(bench: Bench) -> None:
    """What is taken of one worker's output in a breath is bounded; the others are not held up."""
    (flood, log), (other, quiet) = bench.worker(10), bench.worker(11)
    for worker in (flood, other):
        bench.keeper.watch(worker)
    os.set_blocking(log, False)
    written = 0
    while not (select.select([], [], [log], 0)[2] or written > 8 << 20):
        if not select.select([], [log], [], 0.3)[1]:
            break
        written += os.write(log, b"x" * 4096)
    assert (2 << 20) <= written <= (2 << 20) + (1 << 18)
    os.write(quiet, b"still heard")
    bench.zygote.report(11, KILLED)
    bench.until(lambda: other.exit)
    assert other.log.text() == "still heard"
    bench.time += 0.1
    assert select.select([], [log], [], 20)[1]
    bench.zygote.report(10, KILLED)
    bench.until(lambda: flood.exit)
    assert flood.log_fd == -1


def test_a_log_ends_with_its_worker(bench: Bench) -> None:
    """Also when another process holds its other end: one that the worker left behind."""
    worker, log = bench.worker(10)
    bench.keeper.watch(worker)
    os.write(log, b"last words")
    bench.zygote.report(10, KILLED)
    bench.until(lambda: worker.exit)
    assert (worker.log.text(), worker.log_fd) == ("last words", -1)
    with pytest.raises(BrokenPipeError):
        os.write(log, b"of another process")


def test_a_zygote_that_ends_takes_its_workers_along(bench: Bench) -> None:
    """Nobody will report them: they count as killed, and whoever waits goes on."""
    worker, _ = bench.worker(10)
    bench.keeper.watch(worker)
    bench.zygote.report(99, KILLED)
    bench.close(bench.zygote.reports)
    bench.until(lambda: worker.exit)
    assert worker.exit == Exit(None, 9)


def test_workers_of_another_zygote_live_on(bench: Bench) -> None:
    """One zygote's end says nothing of the workers of the others."""
    (lost, _), (other, _) = bench.worker(10), bench.worker(11)
    other.reporter = object()
    bench.keeper.watch(other)
    bench.keeper.watch(lost)
    bench.close(bench.zygote.reports)
    bench.until(lambda: lost.exit)
    assert other.exit is None


def test_stopping_reads_what_is_left() -> None:
    """The last lines of a kernel's workers are not lost with it."""
    bench = Bench()
    worker, log = bench.worker(10)
    bench.keeper.watch(worker)
    os.write(log, b"good bye")
    bench.keeper.stop()
    assert worker.log.text() == "good bye"
    assert worker.log_fd == -1
    for fd in (*bench.pipes, bench.zygote.exits_fd):
        os.close(fd)


def test_what_was_never_started_leaves_nothing_open() -> None:
    """A kernel may be built and thrown away."""
    gc.collect()
    before = open_files()
    for _ in range(3):
        Housekeeper(lambda: None)
        Housekeeper(lambda: None).stop()
    gc.collect()
    assert open_files() == before


def test_what_fails_at_one_worker_ends_no_housekeeping(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Its own exit is heard all the same, and so are the logs and exits of the others."""
    (bad, log), (good, other) = bench.worker(10), bench.worker(11)

    def burst(*_: object) -> None:
        raise ValueError("a disk that is no disk")

    monkeypatch.setattr(bad.log, "feed", burst)
    for worker in (bad, good):
        bench.keeper.watch(worker)
    os.write(log, b"lost")
    os.write(other, b"kept")
    bench.zygote.report(10, KILLED)
    bench.zygote.report(11, KILLED)
    bench.until(lambda: bad.exit and good.exit)
    assert (good.log.text(), bad.log_fd) == ("kept", -1)
    assert "failed and is tried again: ValueError: a disk that is no disk" in caplog.text


def test_a_reporter_that_fails_is_asked_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its exits lie where they were."""
    worker, _ = bench.worker(10)
    bench.keeper.watch(worker)
    real, fails = bench.zygote.exits, iter(range(2))

    def exits() -> list[tuple[int, Exit]]:
        if next(fails, None) is not None:
            raise OSError("interrupted by who knows what")
        return real()

    monkeypatch.setattr(bench.zygote, "exits", exits)
    bench.zygote.report(10, KILLED)
    bench.until(lambda: worker.exit)


def test_a_worker_that_lives_wakes_nobody(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fifty starts are no news to the thread; what they write and how they end is."""
    woken: list[int] = []
    monkeypatch.setattr(bench.keeper, "_wake", lambda: woken.append(1))
    workers = [bench.worker(pid) for pid in range(50)]
    for worker, _ in workers:
        with bench.keeper.starting():
            bench.keeper.watch(worker)
    assert woken == []
    for worker, log in workers:
        os.write(log, b"here")
        bench.zygote.report(worker.pid, KILLED)
    bench.until(lambda: all(worker.exit for worker, _ in workers))
    assert {worker.log.text() for worker, _ in workers} == {"here"}
    monkeypatch.undo()
