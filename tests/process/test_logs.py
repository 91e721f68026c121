"""Logs on disk, written by real workers and read by the command line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import nxkernel as nx
from nxkernel.host import logwriter
from nxkernel.kernel.logs import plugin_log
from tests.process.conftest import Opens
from tests.support.zoo import SOON_S, Zoo, eventually, patient


@pytest.fixture
def zoo(open_zoo: Opens) -> Zoo:
    return open_zoo(patient, "prints", "dies", "floods")


def told(zoo: Zoo, plugin: str) -> str:
    """What is on disk of a plugin's log."""
    lines = plugin_log(zoo.kernel.run.data_dir, plugin).tail(10**6)
    return "".join(f"{line.worker}{line.mark}{line.text}\n" for line in lines)


def test_output_is_on_disk_while_the_host_runs(zoo: Zoo) -> None:
    """Whoever looks from outside sees what kernel.plugins[id].log shows, escapes unescaped."""
    zoo.act("prints")
    eventually(lambda: "logged" in told(zoo, "prints"), "the line is on disk")
    assert "1 \x1b[31mred" in told(zoo, "prints")


def test_lines_name_their_worker(zoo: Zoo) -> None:
    """After a death the next worker's lines have the next number."""
    for _ in range(2):
        zoo.act("dies", "exit")
    eventually(lambda: "2 " in told(zoo, "dies"), "the second worker's line is there")
    assert told(zoo, "dies") == "1 last words\n2 last words\n"


def test_flood_is_bounded_on_disk(zoo: Zoo) -> None:
    """16 MiB of output keep the end, within the limit."""
    zoo.act("floods", 128)
    eventually(lambda: told(zoo, "floods").endswith("the end\n"), "the log is drained")
    folder = zoo.kernel.run.dir / "logs"
    used = sum(path.stat().st_size for path in folder.glob("floods.log*"))
    assert used <= 4 * 1024 * 1024 + 2 * 70_000


@pytest.fixture
def follower(zoo: Zoo) -> Iterator[subprocess.Popen[str]]:
    """``nxkernel plugins logs dies --follow --json`` as a program of its own."""
    zoo.act("dies", "exit")
    eventually(lambda: "last words" in told(zoo, "dies"), "there is a log to follow")
    command = ["plugins", "logs", "dies", str(zoo.kernel.run.data_dir), "--follow", "--json"]
    with subprocess.Popen(
        [sys.executable, "-m", "nxkernel_cli", *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        yield process
        process.kill()


def test_following_a_live_plugin(zoo: Zoo, follower: subprocess.Popen[str]) -> None:
    """Lines come as they are written, across a worker's death; Ctrl-C ends it with 0."""
    assert follower.stdout is not None
    first = json.loads(follower.stdout.readline())
    zoo.act("dies", "exit")
    second = json.loads(follower.stdout.readline())
    assert [(line["worker"], line["text"]) for line in (first, second)] == [
        (1, "last words"),
        (2, "last words"),
    ]
    follower.send_signal(signal.SIGINT)
    out, err = follower.communicate(timeout=60)
    assert (follower.returncode, out) == (0, "")
    assert err == "following dies in run r000001; Ctrl-C ends\n"


def test_disk_that_hangs_holds_nobody_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Calls, deadlines, pings and exits go on while a write of a log hangs, and so does the end."""
    monkeypatch.setattr(logwriter, "PATIENCE_S", 0.1)
    kernel = patient(tmp_path, "prints", "dies", "sleeps", hosting=nx.Hosting(ping_interval_s=0.1))
    # As a disk that hangs: opening it waits for somebody at the other end.
    fifo = kernel.run.dir / "logs" / "prints.log"
    fifo.parent.mkdir(parents=True)
    os.mkfifo(fifo)
    with kernel:
        zoo = Zoo(kernel)
        for _ in range(2):
            assert zoo.act("prints").ok
        eventually(lambda: "logged" in zoo.log("prints"), "its output is still heard")
        before = kernel.health()["prints"].pings
        died = zoo.act("dies", "exit").error
        assert (died.code, died.details["log"]) == ("plugin.crashed", ["last words"])
        assert zoo.act("sleeps", 3600, timeout=SOON_S).error.code == "plugin.timeout"
        assert zoo.act("sleeps", 0).ok
        eventually(lambda: kernel.health()["prints"].pings > before, "idle workers are asked")
    assert "their disk hangs" in caplog.text
    with fifo.open("rb") as other_end:
        assert other_end.read(2) == b"1 "
        eventually(lambda: not writers(), "the thread has ended")


def writers() -> list[str]:
    """The threads that write logs."""
    return [each.name for each in threading.enumerate() if each.name == "nxkernel-logs"]


def test_probe_leaves_no_log(zoo: Zoo) -> None:
    """Workers that print nothing have no file."""
    assert zoo.act("prints").ok
    folder: Path = zoo.kernel.run.dir / "logs"
    # The folder is there before its first file is.
    eventually((folder / "prints.log").is_file, "there is a log")
    assert sorted(path.name for path in folder.iterdir()) == ["prints.log"]
