"""What a host leaves that is killed in the middle: the next one of the same user removes it.

Each host is a program of its own, because killing one cannot be undone.
"""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import nxkernel as nx
from tests.support import interpreter
from tests.support.zoo import build

pytestmark = pytest.mark.usefixtures("confinement")


@pytest.fixture(autouse=True)
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder for the temporary files of this process and of the hosts that it starts.

    Not in `tmp_path`, whose name may be too long for a socket in it.
    """
    with tempfile.TemporaryDirectory(prefix="nx-") as name:
        monkeypatch.setenv("TMPDIR", name)
        monkeypatch.setattr("tempfile.tempdir", name)
        yield Path(name)
        monkeypatch.undo()


@contextmanager
def host(mode: str, data: Path) -> Iterator[str]:
    """Start a host, wait until it is in the middle of something, and kill it at the end."""
    python = interpreter.own()
    with subprocess.Popen(
        [*python.command("tests.support.holder"), mode, str(data)],
        stdout=subprocess.PIPE,
        env={**os.environ, **python.environment},
    ) as program:
        assert program.stdout is not None
        try:
            yield program.stdout.readline().decode().strip()
        finally:
            program.kill()
            assert program.wait() == -signal.SIGKILL


@pytest.mark.parametrize("mode", ["api", "inspect"])
def test_a_boot_removes_the_folder_of_a_killed_host(mode: str, place: Path, tmp_path: Path) -> None:
    """It is there after the SIGKILL, and gone as soon as somebody boots."""
    with host(mode, tmp_path / "theirs") as folder:
        assert os.listdir(place) == [folder]
    assert os.listdir(place) == [folder]
    with build(tmp_path / "ours"):
        assert os.listdir(place) == []


def test_a_probe_removes_it_too(place: Path, tmp_path: Path) -> None:
    """`doctor` leaves less than it found."""
    with host("probe", tmp_path) as folder:
        pass
    assert os.listdir(place) == [folder]
    assert nx.probe("process").ok
    assert os.listdir(place) == []


def test_the_folder_of_a_living_host_stays(place: Path, tmp_path: Path) -> None:
    """Also when its embedder has forked and the child has ended; and it goes once it is dead."""
    with host("forked", tmp_path / "theirs") as folder:
        with build(tmp_path / "ours"):
            assert os.listdir(place) == [folder]
        assert nx.probe("process").ok
        assert os.listdir(place) == [folder]
    with build(tmp_path / "ours"):
        assert os.listdir(place) == []


def test_a_boot_removes_the_socket_of_a_killed_host(tmp_path: Path) -> None:
    """Where a debugger listened nobody does any more; that of a living host can still be used."""
    sockets = tmp_path / "debug"
    with host("debugged", tmp_path) as run, build(tmp_path):
        assert os.listdir(sockets / run) == ["resides.sock"]
    assert os.listdir(sockets / run) == ["resides.sock"]
    with build(tmp_path):
        assert os.listdir(sockets) == []


def test_a_temporary_folder_with_too_long_a_name_is_named(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A socket's path has room for a hundred bytes; what to set is in the error."""
    deep = place / ("d" * 100)
    deep.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(deep))
    report = nx.probe("process")
    assert not report.ok
    assert "path too long; set TMPDIR to a folder with a shorter name" in (report.missing or "")
    assert os.listdir(deep) == []
