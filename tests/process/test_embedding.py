"""Embedders end, fork and change threads: what becomes of the workers.

Each in a program of its own, because these things cannot be done to the process of the tests.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from nxkernel.audit.reader import AuditReader
from nxkernel.audit.verification import verify
from tests.support import interpreter
from tests.support.zoo import PATIENCE_S

pytestmark = pytest.mark.usefixtures("confinement")


def start(mode: str, data: Path, *way: str) -> subprocess.Popen[bytes]:
    python = interpreter.own()
    command = [*python.command("tests.support.embedder"), mode, str(data), *way]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, env={**os.environ, **python.environment}
    )


def run(mode: str, data: Path, *way: str) -> dict[str, Any]:
    """Run the program to its end and return what it said."""
    with start(mode, data, *way) as program:
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


#: A program that starts a zygote which imports `slow`, and then `second`.
BOOTING = """
import sys
from pathlib import Path
import attrs
from nxkernel.host.zygote import Zygote
from nxkernel.kernel.profiles import default_profile
from nxkernel.settings import Hosting
profile = default_profile(Hosting(), "process")
sys_path = (sys.argv[1], *profile.sys_path)
Zygote(attrs.evolve(profile, sys_path=sys_path, preload=("slow", "second")))
"""
SLOW = """
import os
with open({folder!r} + "/began", "w") as began:
    began.write(str(os.getpid()))
with open({folder!r} + "/go_on") as go_on:
    go_on.read()
"""


def said_in(pipe: Path) -> str:
    """What is written to *pipe*, which must come."""
    with open(os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)) as end:
        poll = select.poll()
        poll.register(end, select.POLLIN)
        assert poll.poll(PATIENCE_S * 1000), "nobody writes"
        return end.read()


def test_zygote_of_a_host_that_died_at_boot_imports_no_further(tmp_path: Path) -> None:
    """It looks after its host between imports, which take long on a busy machine."""
    for pipe in ("began", "go_on"):
        os.mkfifo(tmp_path / pipe)
    (tmp_path / "slow.py").write_text(SLOW.format(folder=str(tmp_path)))
    second = tmp_path / "was_imported"
    (tmp_path / "second.py").write_text(f"open({str(second)!r}, 'w').close()")
    with subprocess.Popen([sys.executable, "-c", BOOTING, str(tmp_path)]) as host:
        pidfd = os.pidfd_open(int(said_in(tmp_path / "began")))
        host.kill()
    try:
        (tmp_path / "go_on").write_text("")
        assert all_end([pidfd])
    finally:
        os.close(pidfd)
    assert not second.exists()


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
