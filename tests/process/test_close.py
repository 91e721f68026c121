"""Closing a kernel ends every process, whatever it does, and leaves nothing behind."""

from __future__ import annotations

import threading
from pathlib import Path

import psutil
import pytest

import nxkernel as nx
from nxkernel.audit.verification import verify
from tests.support.descriptors import open_files
from tests.support.zoo import Zoo, build, code_of, eventually, patient

pytestmark = pytest.mark.usefixtures("confinement")

IMPATIENT = nx.Hosting(stop_grace_s=0.1)


def children() -> set[int]:
    return {process.pid for process in psutil.Process().children(recursive=True)}


def test_worker_that_will_not_end_is_ended(tmp_path: Path) -> None:
    """Asked, then SIGTERM, then SIGKILL: one that resists the first two goes too."""
    before = children()
    with patient(tmp_path, "clings", "prints", hosting=IMPATIENT) as kernel:
        assert Zoo(kernel).act("clings", 1).value == 1
        assert children() - before
    assert children() <= before


def test_exit_handlers_and_threads_delay_nothing(tmp_path: Path) -> None:
    """A worker leaves without them, at the first step of the ladder."""
    before = children()
    with patient(tmp_path, "import.atexit", "import.threads") as kernel:
        assert len(kernel.hook.act(value=1)) == 2
    assert children() <= before


def test_nothing_stays_open(tmp_path: Path) -> None:
    """No descriptor, no thread: a kernel may be opened and closed as often as one likes."""
    threads = set(threading.enumerate())
    with build(tmp_path / "warm-up", "prints"):
        pass
    no_more_than(threads)
    descriptors = open_files()
    for number in range(3):
        with patient(tmp_path / str(number), "prints", "dies", "floods", "import.ends") as kernel:
            zoo = Zoo(kernel)
            assert zoo.act("prints", 1).value == 1
            assert not zoo.act("dies", "exit").ok
            assert zoo.act("floods", 2).value == 2
    no_more_than(threads)
    assert len(open_files()) == len(descriptors)


def no_more_than(threads: set[threading.Thread]) -> None:
    """A log's reader that gets no processor for a while is left to itself: it ends, and closes."""
    eventually(lambda: set(threading.enumerate()) <= threads, "no thread is left")


def test_failed_boot_leaves_nothing(tmp_path: Path) -> None:
    """A boot that is stopped half-way has ended what it had started."""
    before = children()
    with (
        pytest.raises(nx.PluginDisabled),
        build(tmp_path, "prints", "import.raises", required={"import.raises"}),
    ):
        pass
    assert children() <= before


def test_calls_after_the_end_are_refused(tmp_path: Path) -> None:
    """Before, and after, and a second entry: each says what to do."""
    kernel = build(tmp_path, "prints")
    with pytest.raises(nx.KernelNotRunning, match="with kernel"):
        kernel.call("act", value=1)
    with kernel:
        pass
    with pytest.raises(nx.KernelNotRunning, match="build a new one"):
        kernel.call("act", value=1)
    with pytest.raises(nx.KernelNotRunning), kernel:
        pass


def test_call_under_way_ends_with_its_kernel(tmp_path: Path) -> None:
    """A thread that waits for an answer gets an outcome that says why there will be none."""
    found = []
    with patient(tmp_path, "sleeps", hosting=IMPATIENT) as kernel:
        zoo = Zoo(kernel)
        thread = threading.Thread(target=lambda: found.append(zoo.act("sleeps", 3600)))
        thread.start()
        eventually(lambda: "going to sleep" in zoo.log("sleeps"), "the plugin sleeps")
    thread.join()
    (outcome,) = found
    assert (code_of(outcome), outcome.fault) == ("kernel.not_running", "host")
    assert verify(kernel.run.audit_log.path).ok


def test_record_of_a_stormy_run_is_whole(tmp_path: Path) -> None:
    """After crashes, timeouts and lies the audit verifies, and every call has its end."""
    with patient(tmp_path, "dies", "sleeps", "lies", "raises") as kernel:
        zoo = Zoo(kernel)
        codes = [
            code_of(zoo.act("dies", "kill")),
            code_of(zoo.act("sleeps", 3600, timeout=0.2)),
            code_of(zoo.act("lies", "garbage")),
            code_of(zoo.act("raises", "exit")),
        ]
    assert codes == ["plugin.crashed", "plugin.timeout", "protocol.violation", "plugin.raised"]
    report = verify(kernel.run.audit_log.path)
    assert report.ok, report
