"""Embedders end, fork and change threads: what becomes of the workers.

Each in a program of its own, because these things cannot be done to the process of the tests.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
from pathlib import Path
from typing import Any

import pytest

from nxkernel.audit.reader import AuditReader
from nxkernel.audit.verification import verify
from tests.support import interpreter
from tests.support.zoo import PATIENCE_S

pytestmark = pytest.mark.usefixtures("confinement")


def start(mode: str, data: Path) -> subprocess.Popen[bytes]:
    python = interpreter.own()
    command = [*python.command("tests.support.embedder"), mode, str(data)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, env={**os.environ, **python.environment}
    )


def run(mode: str, data: Path) -> dict[str, Any]:
    """Run the program to its end and return what it said."""
    with start(mode, data) as program:
        said, _ = program.communicate()
    assert program.returncode == 0
    return json.loads(said)


def all_end(pidfds: list[int]) -> bool:
    """Wait until every process has ended."""
    poll = select.poll()
    for pidfd in pidfds:
        poll.register(pidfd, select.POLLIN)
    left = set(pidfds)
    while left:
        ended = {fd for fd, _ in poll.poll(PATIENCE_S * 1000)}
        if not ended:
            return False
        for pidfd in ended:
            poll.unregister(pidfd)
        left -= ended
    return True


def test_killed_host_leaves_no_process(tmp_path: Path) -> None:
    """SIGKILL in the middle of calls: zygote, idle, sleeping and stopped workers all go."""
    with start("sleep", tmp_path) as program:
        assert program.stdout is not None
        pids = json.loads(program.stdout.readline())["processes"]
        assert len(pids) == 4  # the zygote and three workers
        pidfds = [os.pidfd_open(pid) for pid in pids]
        program.kill()
    try:
        assert all_end(pidfds)
    finally:
        for pidfd in pidfds:
            os.close(pidfd)


def test_calls_of_a_killed_host_are_on_record(tmp_path: Path) -> None:
    """Their intents are there, without an end, in a log that verifies."""
    with start("sleep", tmp_path) as program:
        assert program.stdout is not None
        program.stdout.readline()
        program.kill()
    log = tmp_path / "audit" / "audit.db"
    with AuditReader(log) as reader:
        found = {(call.plugin, call.status) for call in reader.interrupted()}
    assert found == {("sleeps", "interrupted"), ("hangs", "interrupted")}
    assert verify(log).ok


def test_workers_outlive_the_thread_that_booted_them(tmp_path: Path) -> None:
    """A parent-death signal follows a thread; the thread that booted the kernel may end."""
    assert run("thread", tmp_path) == {"same": True}


@pytest.fixture(scope="module")
def said(confinement: None, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What parent and child found after a fork."""
    return run("fork", tmp_path_factory.mktemp("fork"))


class TestFork:
    """The embedder forks while its kernel runs; parent and child both go on."""

    def test_kernel_belongs_to_the_process_that_booted_it(self, said: dict[str, Any]) -> None:
        """The child is refused, and told what to do instead."""
        assert "[kernel.not_running]" in said["child"]["error"]
        assert "build a kernel here" in said["child"]["error"]

    def test_end_of_the_child_ends_nothing(self, said: dict[str, Any]) -> None:
        """It leaves as any program does; the parent's worker goes on working."""
        assert said["status"] == 0
        assert said["same"]

    def test_child_can_have_a_kernel_of_its_own(self, said: dict[str, Any]) -> None:
        """It boots a new one, with a data directory of its own."""
        assert said["child"]["value"] == "from the child"

    def test_child_keeps_no_descriptor_of_the_kernel(self, said: dict[str, Any]) -> None:
        """But for SQLite's files, which must not be closed after a fork."""
        kept = [Path(name).name for name in said["child"]["kept"]]
        assert kept == ["audit.db", "audit.db-shm", "audit.db-wal"]
