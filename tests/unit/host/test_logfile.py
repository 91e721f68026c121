"""The log on disk: whole, bounded, and no line of it forged."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nxkernel._loglines import BEGINS, CONTINUES, SAYS, LogLine, parse
from nxkernel.host import logfile
from nxkernel.host.logfile import LogFile
from tests.support.descriptors import open_files

MIB = 1 << 20


def lines(path: Path) -> list[LogLine]:
    """Return the lines of one file."""
    return [parse(line) for line in path.read_bytes().split(b"\n") if line]


@pytest.fixture
def log(tmp_path: Path) -> LogFile:
    return LogFile(tmp_path / "logs" / "p.log", MIB)


def test_each_line_names_its_worker(log: LogFile) -> None:
    """A line of the second worker is never taken for one of the first, also after a torn line."""
    log.feed(b"one\ntw", 1)
    log.feed(b"o\nthr", 1)
    log.feed(b"of another\n", 2)
    assert lines(log.path) == [
        LogLine(1, BEGINS, "one"),
        LogLine(1, BEGINS, "two"),
        LogLine(1, BEGINS, "thr"),
        LogLine(2, BEGINS, "of another"),
    ]


def test_a_plugin_cannot_forge_the_beginning_of_a_line(log: LogFile) -> None:
    """Whatever it writes after a newline is its own text."""
    log.feed(b"x\n9 from another worker\n9! a word of the host\n", 1)
    assert {line.worker for line in lines(log.path)} == {1}
    assert [line.mark for line in lines(log.path)] == [BEGINS] * 3


def test_control_characters_are_kept_raw(log: LogFile) -> None:
    """The file holds what was written; showing it is the reader's affair."""
    log.feed(b"\x1b[31mred\r\x00\xff\n", 1)
    assert b"\x1b[31mred\r\x00\xff\n" in log.path.read_bytes()


@given(
    st.lists(st.tuples(st.integers(1, 3), st.binary(min_size=1, max_size=30)), max_size=20),
    st.integers(3, 9),
)
def test_nothing_is_lost_and_nothing_is_added(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[tuple[int, bytes]], longest: int
) -> None:
    """The bytes of each worker come back in order, in whatever pieces they came."""
    log = LogFile(tmp_path_factory.mktemp("log") / "p.log", MIB)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(logfile, "LONGEST", longest)
        for worker, data in pieces:
            log.feed(data, worker)
    raw = log.path.read_bytes() if pieces else b""
    for worker in {worker for worker, _ in pieces}:
        # Turns of one worker are apart in the file: a torn line of it does not go on.
        wanted = b"".join(data for who, data in pieces if who == worker).replace(b"\n", b"")
        heads = (f"{worker} ".encode(), f"{worker}+".encode())
        got = b"".join(line[2:] for line in raw.split(b"\n") if line.startswith(heads))
        assert got == wanted


def test_two_files_are_kept_and_no_more(tmp_path: Path) -> None:
    """A flood costs no more disk than the limit, and the newest lines are there."""
    log = LogFile(tmp_path / "p.log", 10_000)
    for number in range(2000):
        log.feed(b"line %d\n" % number, 1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["p.log", "p.log.1"]
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 10_100
    assert lines(log.path)[-1].text == "line 1999"


def test_a_line_that_a_rotation_cut_goes_on(tmp_path: Path) -> None:
    """The second half says that it is one."""
    log = LogFile(tmp_path / "p.log", 10)
    log.feed(b"first half", 1)
    log.feed(b", second half\n", 1)
    assert lines(log.older) == [LogLine(1, BEGINS, "first half")]
    assert lines(log.path) == [LogLine(1, CONTINUES, ", second half")]


def test_a_full_disk_hurts_nobody(log: LogFile, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it did not take is counted, and told once there is room again."""
    log.feed(b"before\nto", 1)
    with monkeypatch.context() as patch:
        patch.setattr(logfile.os, "write", full_after(3))
        log.feed(b"rn away\n", 1)
        log.feed(b"lost as well\n", 1)
    log.feed(b"after\n", 1)
    assert lines(log.path) == [
        LogLine(1, BEGINS, "before"),
        LogLine(1, BEGINS, "torn "),
        LogLine(1, SAYS, f"21 bytes were not written: {os.strerror(errno.ENOSPC)}"),
        LogLine(1, BEGINS, "after"),
    ]


def full_after(room: int):  # type: ignore[no-untyped-def]
    """Return an ``os.write`` of a disk with *room* bytes left."""
    real, left = os.write, room

    def write(descriptor: int, data: memoryview) -> int:
        nonlocal left
        if not left:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written = real(descriptor, data[:left])
        left -= written
        return written

    return write


def test_a_link_in_its_place_is_not_followed(tmp_path: Path) -> None:
    """Nobody can aim the log at a file of the host."""
    victim = tmp_path / "victim"
    victim.write_text("untouched")
    log = LogFile(tmp_path / "p.log", MIB)
    log.path.symlink_to(victim)
    log.feed(b"text\n", 1)
    assert victim.read_text() == "untouched"


def test_log_is_for_its_owner_alone(log: LogFile) -> None:
    """Other users of the machine do not read what plugins print."""
    log.feed(b"text\n", 1)
    assert log.path.stat().st_mode & 0o777 == 0o600
    assert log.path.parent.stat().st_mode & 0o777 == 0o700


def test_no_descriptor_stays_open(log: LogFile) -> None:
    """Nothing is inherited by a fork, or left for a close to forget."""
    before = open_files()
    log.feed(b"text\n", 1)
    assert open_files() == before
