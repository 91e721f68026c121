"""A kernel and its embedder's forks: every process that uses it has workers and a run of its own.

Each in a program of its own, because a fork cannot be undone.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import threading
from pathlib import Path
from typing import Any

import psutil
import pytest

from nxkernel.audit.reader import AuditReader
from nxkernel.audit.verification import verify
from tests.support import interpreter
from tests.support.zoo import PATIENCE_S, eventually

pytestmark = pytest.mark.usefixtures("confinement")

#: What each program does, and how many runs its data directory holds afterwards.
MODES = {
    "daemon": 2,
    "during-boot": None,
    "in-a-call": 2,
    "in-a-thread": 2,
    "not-entered": 2,
    "pool": None,
    "told": 2,
    "twice": 4,
    "under-load": 7,
    "unused": 1,
    "while-reading": 1,
}


def run(module: str, mode: str, data: Path) -> list[dict[str, Any]]:
    """Run a program to its end and return its lines."""
    python = interpreter.own()
    done = subprocess.run(
        [*python.command(module), mode, str(data)],
        stdout=subprocess.PIPE,
        env={**os.environ, **python.environment},
        timeout=2 * PATIENCE_S,
        check=True,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("mode", MODES)
def test_parent_and_children_call_at_once(mode: str, tmp_path: Path) -> None:
    """Whenever and wherever it is forked: each child has right answers, and so has the parent."""
    *_, said = run("tests.support.forker", mode, tmp_path)
    assert set(said["statuses"]) == {0}
    assert said["works"]
    assert not said.get("wrong")
    report = verify(tmp_path / "audit" / "audit.db")
    assert report.ok, report
    with AuditReader(tmp_path / "audit" / "audit.db") as reader:
        runs = [each.run_id for each in reader.runs()]
    assert len(set(runs)) == len(runs)
    assert MODES[mode] in (None, len(runs))


def test_a_child_is_told_what_its_parent_was(tmp_path: Path) -> None:
    """A historic call from before the fork reaches the child's own worker, once."""
    memory, _ = run("tests.support.forker", "told", tmp_path)
    assert memory == ["before"]


@pytest.fixture(scope="module")
def said(confinement: None, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What parent and child found after a fork."""
    (facts,) = run("tests.support.embedder", "fork", tmp_path_factory.mktemp("fork"))
    return facts


class TestFork:
    """The embedder forks while its kernel runs; parent and child both go on."""

    def test_child_has_workers_of_its_own(self, said: dict[str, Any]) -> None:
        """Its plugins run in other processes than its parent's."""
        assert said["child"]["pid"] != said["pid"]

    def test_nothing_is_started_before_the_first_call(self, said: dict[str, Any]) -> None:
        """A child that only looks at the kernel finds its plugins stopped."""
        assert said["child"]["states"] == {"draws": "stopped", "inspects": "stopped"}

    def test_same_call_has_the_same_bytes(self, said: dict[str, Any]) -> None:
        """Seed and start of the run are the parent's: random numbers and the time agree."""
        assert said["child"]["drawn"] == said["drawn"]

    def test_child_has_a_run_of_its_own(self, said: dict[str, Any]) -> None:
        """Two processes never write to one run."""
        assert (said["run"], said["child"]["run"]) == ("r000001", "r000002")

    def test_end_of_the_child_ends_nothing(self, said: dict[str, Any]) -> None:
        """It leaves as any program does; the parent's worker goes on working."""
        assert said["status"] == 0
        assert said["same"]

    def test_child_keeps_no_descriptor_of_the_kernel(self, said: dict[str, Any]) -> None:
        """Not of pipes, zygote and housekeeping, and not of the audit's database either."""
        assert said["child"]["kept"] == []


def test_a_childs_run_names_its_parents(tmp_path: Path) -> None:
    """Whoever reads the audit can tell which process was forked from which."""
    run("tests.support.forker", "twice", tmp_path)
    with AuditReader(tmp_path / "audit" / "audit.db") as reader:
        parents = {each.run_id: each.environment.get("forked_from") for each in reader.runs()}
    first, *children = sorted(parents)
    assert parents[first] is None
    assert sorted(parents[child] or "" for child in children)[0] == first


class Server:
    """gunicorn with two workers and a preloaded application, on a socket in *folder*."""

    def __init__(self, folder: Path) -> None:
        self.data, self.socket = folder / "data", str(folder / "web.sock")
        self.data.mkdir()
        python = interpreter.own()
        command = [
            *python.command("gunicorn"),
            *("--preload", "--workers", "2", "--bind", f"unix:{self.socket}"),
            *("--timeout", "0", "tests.support.wsgi:app"),
        ]
        environment = {**os.environ, **python.environment, "DATA": str(self.data)}
        self.process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE)
        eventually(self._answers, "the server listens")

    def _answers(self) -> bool:
        assert self.process.poll() is None, (self.process.stderr or self.process.stdin).read()
        try:
            return bool(self.get(0))
        except OSError:
            return False

    def get(self, number: int) -> dict[str, Any]:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(PATIENCE_S)
            connection.connect(self.socket)
            connection.sendall(f"GET /{number} HTTP/1.0\r\n\r\n".encode())
            with connection.makefile("rb") as file:
                return json.loads(file.read().partition(b"\r\n\r\n")[2])

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.communicate(timeout=PATIENCE_S)


def test_gunicorn_with_preload(tmp_path: Path) -> None:
    """Parent and web workers call at once: each has its own workers, run and right answers."""
    server = Server(tmp_path)
    found: list[dict[str, Any]] = []
    try:
        family = psutil.Process(server.process.pid).children(recursive=True)

        def visit(start: int) -> None:
            for number in range(start, start + 25):
                said = server.get(number)
                assert said["value"] == number
                found.append(said)

        threads = [threading.Thread(target=visit, args=(1000 * n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        family += psutil.Process(server.process.pid).children(recursive=True)
    finally:
        server.stop()
    assert len(found) == 100
    lines = (server.data / "parent.txt").read_text().splitlines()
    parent = [json.loads(line) for line in lines if line.endswith("}]")]
    assert parent
    assert all(number == said["value"] for number, said in parent)
    by_process = {(said["process"], said["run"], said["worker"]) for said in found}
    by_process |= {(said["process"], said["run"], said["worker"]) for _, said in parent}
    for column in zip(*by_process, strict=True):
        assert len(set(column)) == len(by_process)  # nobody shares a run or a worker
    assert len(by_process) in (2, 3)
    _, alive = psutil.wait_procs(set(family), timeout=PATIENCE_S)
    assert not alive
    assert verify(server.data / "audit" / "audit.db").ok
