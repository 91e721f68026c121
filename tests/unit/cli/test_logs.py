"""``nxkernel plugins logs``: the last lines of a plugin, safe to show."""

from __future__ import annotations

from pathlib import Path

import pytest

from nxkernel.host.logfile import LogFile
from tests.unit.cli.conftest import run


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data directory with one run and the log of ``p`` in it."""
    folder = tmp_path / "runs" / "r000001"
    (folder / "plugins" / "p").mkdir(parents=True)
    log = LogFile(folder / "logs" / "p.log", 1 << 20)
    log.feed(b"one\ntwo\n\x1b]0;owned\x07three\n", 1)
    log.feed(b"four\n", 2)
    return tmp_path


def test_last_lines_are_printed_with_their_worker(data: Path) -> None:
    """Two lines were asked for, and two come; no escape sequence reaches the terminal."""
    ran = run("plugins", "logs", "p", data, "--lines", "2")
    assert (ran.code, ran.out) == (0, "1  \\x1b]0;owned\\x07three\n2  four\n")


def test_json_is_one_object(data: Path) -> None:
    """Programs get run, worker and text."""
    ran = run("plugins", "logs", "p", data, "--json", "--lines", "1")
    assert ran.data == {
        "schema_version": 1,
        "ok": True,
        "plugin": "p",
        "run": "r000001",
        "lines": [{"worker": 2, "kind": "line", "text": "four"}],
    }


def test_current_folder_is_the_default(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a data directory the id is enough."""
    monkeypatch.chdir(data)
    assert run("plugins", "logs", "p", "--run", "r000001").out.count("\n") == 4


def test_plugin_without_output_has_no_lines(data: Path) -> None:
    """A plugin that ran and kept silent is no error."""
    (data / "runs" / "r000001" / "plugins" / "silent").mkdir()
    ran = run("plugins", "logs", "silent", data)
    assert (ran.code, ran.out) == (0, "")


def test_unknown_plugin_is_an_error(data: Path) -> None:
    """It says which plugins there were."""
    ran = run("plugins", "logs", "q", data)
    assert ran.code == 1
    assert "plugin 'q' was not started in run r000001; were: p" in ran.err
