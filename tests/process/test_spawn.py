"""Workers that are interpreters of their own keep the promises that forked workers keep.

The tests are those of the zygote's workers, imported, and run once for each way to wait and to
wake: Linux's own at level `confined`, and the parts that macOS and Windows use, on this system.
What is left to those systems is said in docs/explanation/threat-model.md.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import psutil
import pytest

import nxkernel as nx
from nxkernel import _system
from nxkernel._system.linux import LINUX
from nxkernel.kernel.profiles import code_folders
from tests.process.conftest import Opens
from tests.process.test_asyncio import TestCalls as TestAwaitedCalls  # noqa: F401
from tests.process.test_asyncio import TestGoingAway as _GoingAway
from tests.process.test_close import (  # noqa: F401
    test_call_under_way_ends_with_its_kernel,
    test_exit_handlers_and_threads_delay_nothing,
    test_failed_boot_leaves_nothing,
    test_nothing_stays_open,
    test_record_of_a_stormy_run_is_whole,
    test_worker_that_will_not_end_is_ended,
)
from tests.process.test_deadlines import (  # noqa: F401
    test_no_way_to_hang_is_safe_from_the_deadline,
    test_sleeper_costs_one_call,
    test_stopped_worker_is_ended,
)
from tests.process.test_deaths import (  # noqa: F401
    test_death_is_an_outcome,
    test_death_is_on_record,
)
from tests.process.test_embedding import all_end, run, start
from tests.process.test_fan_out import (  # noqa: F401
    test_one_that_fails_holds_up_no_other,
    test_providers_run_at_the_same_time,
)
from tests.process.test_hooks import TestHistoric, TestWrappers  # noqa: F401
from tests.process.test_nesting import OPTIONS  # noqa: F401
from tests.process.test_nesting import TestDeadlines as TestNestedDeadlines  # noqa: F401
from tests.process.test_nesting import TestFailures as TestNestedFailures  # noqa: F401
from tests.process.test_nesting import TestWays as TestNestedWays  # noqa: F401
from tests.process.test_output import (  # noqa: F401
    test_flood_is_drained_and_bounded,
    test_log_cannot_steer_a_terminal,
    test_printing_is_harmless,
)
from tests.support.ways import WAYS, go
from tests.support.zoo import PATIENCE_S, Zoo, build, code_of, patient

ANIMALS = (
    *("asks.a", "asks.b", "asks.c", "insists", "threads", "reenters", "prints", "tells", "dies"),
    *("sleeps", "hangs", "inspects", "wraps.new", "wraps.old", "plain.b", "floods"),
)


@pytest.fixture(scope="module", params=sorted(WAYS), autouse=True)
def way(confinement: None, request: pytest.FixtureRequest) -> Iterator[str]:
    """Kernels of this module have no zygote, and wait as *way* says."""
    with go(request.param):
        yield request.param


@pytest.fixture
def hurt(open_zoo: Opens) -> Zoo:
    """A kernel whose plugins die."""
    return open_zoo(patient, "dies")


class TestGoingAway(_GoingAway):
    """Callers that go away, but for one test that has to catch this thread in its wait."""

    test_interrupt_in_a_blocking_call: ClassVar[Any] = None


class TestProcesses:
    """Workers are children of the host itself."""

    def test_each_worker_is_an_interpreter_of_the_host(self, zoo: Zoo) -> None:
        """No process stands between the two."""
        pids = {zoo.act("inspects").value["pid"], zoo.kernel.plugins["prints"].pid}
        assert zoo.answers("prints")
        assert pids <= {process.pid for process in psutil.Process().children()}

    def test_worker_outlives_the_thread_that_started_it(self, open_zoo: Opens) -> None:
        """Linux ends a child with the thread that made it: calls come from threads that end."""
        zoo, found = open_zoo(patient, "inspects"), []
        for _ in range(2):
            thread = threading.Thread(target=lambda: found.append(zoo.act("inspects").value))
            thread.start()
            thread.join()
        assert found[0]["pid"] == found[1]["pid"]

    def test_environment_is_the_plugins_own(self, zoo: Zoo, way: str) -> None:
        """Nothing of the host's is in it."""
        os.environ["NXKERNEL_TEST_SECRET"] = "secret"
        try:
            found = zoo.act("inspects").value["environment"]
        finally:
            del os.environ["NXKERNEL_TEST_SECRET"]
        assert "NXKERNEL_TEST_SECRET" not in found
        assert found["PYTHONHASHSEED"] == "0"


class TestStolenExits:
    """The embedder collects our children: how they ended is unknown, that they did is not."""

    def test_ignored_sigchld(self, hurt: Zoo) -> None:
        """The system then collects every child by itself."""
        before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        try:
            outcome = hurt.act("dies", "exit")
            again = hurt.answers("dies")
        finally:
            signal.signal(signal.SIGCHLD, before)
        assert outcome.error is not None
        assert outcome.error.code == "plugin.crashed"
        assert outcome.error.details["exit_status"] is None
        assert again

    def test_a_thief(self, hurt: Zoo) -> None:
        """One that waits for any child gets some; each call has its outcome all the same."""
        stop = threading.Event()

        def steal() -> None:
            while not stop.is_set():
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(-1, os.WNOHANG)

        thief = threading.Thread(target=steal)
        thief.start()
        try:
            found = [code_of(hurt.act("dies", "exit")) for _ in range(5)]
        finally:
            stop.set()
            thief.join()
        assert found == ["plugin.crashed"] * 5
        assert hurt.answers("dies")


class TestHost:
    """Whatever ends the host ends its workers."""

    def test_killed_host_leaves_no_process(self, tmp_path: Path, way: str) -> None:
        """Idle, sleeping and stopped workers all go; the stopped one when it goes on."""
        with start("sleep", tmp_path, way) as program:
            assert program.stdout is not None
            pids = json.loads(program.stdout.readline())["processes"]
            assert len(pids) == 3
            pidfds = [os.pidfd_open(pid) for pid in pids]
            program.kill()
        try:
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)
            assert all_end(pidfds)
        finally:
            for pidfd in pidfds:
                os.close(pidfd)

    def test_forked_embedder(self, tmp_path: Path, way: str) -> None:
        """Parent and child go on, each with its own workers; the child keeps nothing of ours."""
        said = run("fork", tmp_path, way)
        assert (said["status"], said["same"]) == (0, True)
        assert said["child"]["pid"] != said["pid"]
        assert said["child"]["kept"] == []


class TestRefusals:
    """What cannot be had is said, with what to do."""

    def test_no_such_interpreter(self, tmp_path: Path) -> None:
        """The path and the setting that holds it are named."""
        hosting = nx.Hosting(python=Path("/no/such/python"))
        with (
            pytest.raises(nx.KernelConfigError, match=r"/no/such/python .*Hosting\(python=") as e,
            build(tmp_path, "prints", hosting=hosting),
        ):
            pass
        assert "No such file" in e.value.message

    def test_an_interpreter_without_the_runtime(self, tmp_path: Path) -> None:
        """What the interpreter said is in the error; nothing is left behind."""
        before = psutil.Process().children()
        python = tmp_path / "python"
        python.write_text("#!/bin/sh\necho no python here >&2\nexit 70\n")
        python.chmod(0o755)
        with (
            pytest.raises(nx.SandboxUnavailable, match="no python here"),
            build(tmp_path / "data", "prints", hosting=nx.Hosting(python=python)),
        ):
            pass
        assert psutil.Process().children() == before

    def test_a_zygote_where_there_can_be_none(self, tmp_path: Path) -> None:
        """An explicit wish is not overruled silently."""
        with pytest.raises(nx.KernelConfigError, match='Use "spawn"'):
            build(tmp_path, "prints", hosting=nx.Hosting(launcher="zygote"))


def test_lifeline_ends_a_worker_that_is_busy(tmp_path: Path) -> None:
    """The main thread may be anywhere in Python when the host dies."""
    (tmp_path / "spins.py").write_text("print('spinning', flush=True)\nwhile True:\n    pass\n")
    configuration = {
        "sys_path": [*code_folders(), str(tmp_path)],
        "preload": ["spins"],
        "host_pid": os.getpid(),
        "bytecode": False,
        "pipes": [],
        "socket": None,
        "ruleset": -1,
        "lifeline": True,
    }
    script = Path(nx.__file__).parent / "worker" / "bootstrap.py"
    command = [sys.executable, "-s", "-P", "-S", str(script), "spawned"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as worker:
        assert worker.stdin is not None
        assert worker.stdout is not None
        worker.stdin.write(json.dumps(configuration).encode() + b"\n")
        worker.stdin.flush()
        assert worker.stdout.readline() == b"spinning\n"
        worker.stdin.close()
        assert worker.wait(PATIENCE_S) == 0


def test_launcher_is_chosen_by_the_embedder(tmp_path: Path) -> None:
    """Also where there is a zygote to be had."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_system, "current", lambda: LINUX)
        hosting = nx.Hosting(launcher="spawn")
        with build(tmp_path, "inspects", hosting=hosting) as kernel:
            pid = Zoo(kernel).act("inspects").value["pid"]
            assert psutil.Process(pid).parent() == psutil.Process()
