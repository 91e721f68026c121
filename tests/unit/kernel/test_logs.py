"""Reading a log: its tail, and what comes while it is written."""

from __future__ import annotations

from pathlib import Path

import pytest

import nxkernel as nx
from nxkernel.host.logfile import LogFile
from nxkernel.kernel.logs import plugin_log


def writer(data: Path, run: str = "r000001", limit: int = 1 << 20) -> LogFile:
    """Return what a host writes the log of ``p`` with."""
    (data / "runs" / run / "plugins" / "p").mkdir(parents=True, exist_ok=True)
    return LogFile(data / "runs" / run / "logs" / "p.log", limit)


def test_tail_reaches_back_into_the_older_file(tmp_path: Path) -> None:
    """A rotation just before does not leave the reader with three lines."""
    log = writer(tmp_path, limit=60)
    for number in range(9):
        log.feed(b"line %d\n" % number, 1)
    assert [line.text for line in plugin_log(tmp_path, "p").tail(4)] == [
        f"line {number}" for number in range(5, 9)
    ]


def test_a_line_under_way_is_part_of_the_tail(tmp_path: Path) -> None:
    """A prompt without a newline is often the line that matters."""
    writer(tmp_path).feed(b"done\ncontinue? ", 1)
    assert [line.text for line in plugin_log(tmp_path, "p").tail(9)] == ["done", "continue? "]


def test_newest_run_is_read_unless_another_is_named(tmp_path: Path) -> None:
    """Runs are numbered; the highest is the newest."""
    writer(tmp_path, "r000009").feed(b"old\n", 1)
    writer(tmp_path, "r000010").feed(b"new\n", 1)
    assert plugin_log(tmp_path, "p").run == "r000010"
    assert plugin_log(tmp_path, "p", "r000009").tail(1)[0].text == "old"


def test_following_survives_rotations(tmp_path: Path) -> None:
    """No line is missed and none comes twice, wherever the files were exchanged."""
    log = writer(tmp_path, limit=100)
    got: list[str] = []
    with plugin_log(tmp_path, "p").reader() as reader:
        for number in range(200):
            log.feed(b"line %d\n" % number, 1)
            if number % 3 == 0:  # never so late that two rotations happen in between
                got += [line.text for line in reader.lines()]
        got += [line.text for line in reader.lines()]
    assert got == [f"line {number}" for number in range(200)]


def test_following_begins_before_the_first_byte(tmp_path: Path) -> None:
    """A plugin that has written nothing yet can be followed."""
    log = writer(tmp_path)
    with plugin_log(tmp_path, "p").reader() as reader:
        assert list(reader.lines()) == []
        log.feed(b"half", 1)
        assert list(reader.lines()) == []
        log.feed(b" and half\n", 1)
        assert [line.text for line in reader.lines()] == ["half and half"]


def test_unknown_names_are_told(tmp_path: Path) -> None:
    """A wrong run or plugin is an error that lists what is there."""
    writer(tmp_path)
    with pytest.raises(nx.StorageError, match="plugin 'q' was not started in run r000001; were: p"):
        plugin_log(tmp_path, "q")
    with pytest.raises(nx.StorageError, match="no run 'r7'"):
        plugin_log(tmp_path, "p", "r7")
    with pytest.raises(nx.StorageError, match="no run in that data directory"):
        plugin_log(tmp_path / "elsewhere", "p")


def test_a_file_that_is_no_log_of_ours_is_read_as_text(tmp_path: Path) -> None:
    """A damaged line is shown, not an error."""
    log = writer(tmp_path)
    log.feed(b"fine\n", 1)
    log.path.write_bytes(log.path.read_bytes() + b"garbage\n")
    assert [(line.worker, line.text) for line in plugin_log(tmp_path, "p").tail(9)] == [
        (1, "fine"),
        (0, "garbage"),
    ]
