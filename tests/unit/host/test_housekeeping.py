"""The housekeeping thread: logs are drained and exits are heard, in any order."""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from nxkernel.host.channel import Channel
from nxkernel.host.housekeeping import Housekeeper
from nxkernel.host.logs import LogTail
from nxkernel.host.slot import Exit, Worker
from nxkernel.host.zygote import Zygote

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
        self.keeper, self.zygote = Housekeeper(self._ring), Reporter()
        self.keeper.start(self.zygote)
        self.pipes: list[int] = [self.zygote.reports]

    def _ring(self) -> None:
        with self.rung:
            self.rung.notify_all()

    def worker(self, pid: int) -> tuple[Worker, int]:
        read, write = os.pipe()
        os.set_blocking(read, False)
        self.pipes.append(write)
        channel: Any = Channel.__new__(Channel)
        return Worker(pid, -1, channel, LogTail(1000), read, 1, "process"), write

    def until(self, happened: Any) -> None:
        with self.rung:
            assert self.rung.wait_for(happened, 20)

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
        bench.zygote.report(pid, STATUS_3)
        bench.keeper.watch(worker)
        bench.until(lambda worker=worker: worker.exit)
        assert (worker.exit, worker.log.text()) == (Exit(3, None), "why")


def test_a_log_that_nobody_reads_does_not_block_its_plugin(bench: Bench) -> None:
    """More than a pipe holds can be written, with nobody calling."""
    worker, log = bench.worker(10)
    bench.keeper.watch(worker)
    for _ in range(64):
        os.write(log, b"x" * 8192)
    bench.zygote.report(10, KILLED)
    bench.until(lambda: worker.exit)
    assert worker.log.text() == "x" * 1000


def test_a_zygote_that_ends_takes_its_workers_along(bench: Bench) -> None:
    """Nobody will report them: they count as killed, and whoever waits goes on."""
    worker, _ = bench.worker(10)
    bench.keeper.watch(worker)
    bench.zygote.report(99, KILLED)
    bench.close(bench.zygote.reports)
    bench.until(lambda: worker.exit)
    assert worker.exit == Exit(None, 9)


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
    before = sorted(os.listdir("/proc/self/fd"))
    for _ in range(3):
        Housekeeper(lambda: None)
        Housekeeper(lambda: None).stop()
    gc.collect()
    assert sorted(os.listdir("/proc/self/fd")) == before
