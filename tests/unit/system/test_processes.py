"""Processes: a hold that never means somebody else."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from nxkernel._system import Process
from nxkernel._system.linux import LINUX, PidfdProcess
from tests.support.zoo import eventually

SLEEP = [sys.executable, "-S", "-c", "import time; print(flush=True); time.sleep(1000)"]
BURN = [sys.executable, "-S", "-c", "print(flush=True)\nwhile True: pass"]
DEAF = "import signal; signal.signal(signal.SIGXCPU, signal.SIG_IGN)"
Starts = Callable[[list[str]], tuple[Process, "subprocess.Popen[bytes]"]]


@pytest.fixture
def start() -> Iterator[Starts]:
    started: list[tuple[Process, subprocess.Popen[bytes]]] = []

    def start(command: list[str]) -> tuple[Process, subprocess.Popen[bytes]]:
        child = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert child.stdout is not None
        child.stdout.readline()
        started.append((PidfdProcess(child.pid, os.pidfd_open(child.pid)), child))
        return started[-1]

    yield start
    for process, child in started:
        child.kill()
        child.communicate()
        process.close()


@pytest.mark.parametrize(("way", "number"), [("kill", signal.SIGKILL), ("terminate", 15)])
def test_ending_is_final_and_may_be_repeated(start: Starts, way: str, number: int) -> None:
    """A process that ended already is no error."""
    process, child = start(SLEEP)
    assert not process.has_ended()
    getattr(process, way)()
    assert child.wait() == -number
    assert process.has_ended()
    getattr(process, way)()


def test_an_end_shows_before_anybody_waits_for_it(start: Starts) -> None:
    """What its parent has not collected yet has ended all the same."""
    process, child = start(SLEEP)
    child.kill()
    assert isinstance(process, PidfdProcess)
    LINUX.poll([], process.pidfd, None)
    assert process.has_ended()


def test_processor_time_is_counted_from_now(start: Starts) -> None:
    """It ends by SIGXCPU once it has used what was allowed."""
    process, child = start(BURN)
    process.allow_cpu(0.1)
    assert child.wait() == -signal.SIGXCPU
    process.allow_cpu(1)


def test_a_process_that_ignores_the_signal_is_overdue(start: Starts) -> None:
    """Not before its time, and not when nothing was set."""
    process, child = start([*BURN[:-1], f"{DEAF}\n{BURN[-1]}"])
    assert not process.overdue()
    process.allow_cpu(0.1)
    assert not process.overdue()
    eventually(process.overdue, "it has used more than it was allowed")
    process.allow_cpu(600)
    assert not process.overdue()
    child.kill()


def test_close_may_be_repeated(start: Starts) -> None:
    """The second one closes nobody's descriptor."""
    process, _ = start(SLEEP)
    process.close()
    fresh = os.open(os.devnull, os.O_RDONLY)
    process.close()
    os.close(fresh)


def test_cpu_time_for_a_process_that_is_gone_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may end, and be waited for, between the look at it and the new limit."""
    child = subprocess.Popen(["true"])
    process = PidfdProcess(child.pid, os.pidfd_open(child.pid))
    child.wait()
    monkeypatch.setattr("nxkernel._system.linux._cpu_seconds", lambda pid: 1.0)
    process.allow_cpu(1.0)
    process.close()
