"""``nxkernel audit rotate`` and ``archive``, and what ``verify`` makes of the files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from nxkernel.audit import rotation, whole
from nxkernel.audit.reader import AuditReader
from tests.unit.audit.logs import (
    Ticks,
    make_call,
    ok,
    opened,
    sample_rows,
    write_batches,
    write_sample,
)
from tests.unit.cli.conftest import run


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data directory with a log that nobody writes to."""
    log = tmp_path / "data" / "audit" / "audit.db"
    write_batches(log, sample_rows(log), 5)
    return tmp_path / "data"


def test_a_log_is_sealed_moved_and_verified(data: Path, tmp_path: Path) -> None:
    """Each step says what it did; the whole verifies with its archive, and says so without."""
    assert run("audit", "rotate", data, "--if-due").out == "not due yet\n"
    assert run("audit", "rotate", data, "--if-due", "--json").data["sealed"] is None
    shown = run("audit", "rotate", data)
    assert shown.code == 0
    assert shown.out.rstrip().endswith("000000000001.db")
    assert run("audit", "verify", data).code == 0
    there = tmp_path / "archive"
    (moved,) = run("audit", "archive", data, there, "--json").data["moved"]
    assert Path(moved) == there / "000000000001.db.gz"
    whole = run("audit", "verify", data, "--archive", there)
    assert whole.code == 0
    assert "files that have them are not here" not in whole.err
    assert "files that have them are not here" in run("audit", "verify", data).err
    assert run("audit", "proof", data, "3", "--archive", there).code == 0
    assert run("audit", "proof", data, "3").code == 1


@pytest.fixture
def sample(tmp_path: Path) -> Path:
    """A data directory with two runs that are over."""
    write_sample(tmp_path / "data" / "audit" / "audit.db")
    return tmp_path / "data"


READING = (
    ("runs",),
    ("plugins", "--run", "all"),
    ("calls", "--run", "all"),
    ("calls", "--errors"),
    ("show", "1"),
    ("stats", "--run", "all"),
    ("tail", "--run", "all", "-n", "100"),
    ("diff", "run-1", "run-2"),
)


@pytest.mark.parametrize("what", READING, ids=" ".join)
def test_moved_files_are_read_like_the_others(
    sample: Path, tmp_path: Path, what: tuple[str, ...]
) -> None:
    """With ``--archive`` every command says what it said before the files were moved."""
    name, *more = what
    before = run("audit", name, sample, *more, "--json")
    assert before.code == 0
    there = tmp_path / "archive"
    assert run("audit", "rotate", sample).code == 0
    assert run("audit", "archive", sample, there).code == 0
    assert run("audit", name, sample, *more, "--archive", there, "--json").data == before.data
    assert run("audit", name, sample, *more, "--json").data != before.data


def test_moved_files_are_exported_too(sample: Path, tmp_path: Path) -> None:
    """The export with ``--archive`` is that of the whole log, byte for byte."""
    there = tmp_path / "archive"
    before = run("audit", "export", sample, "-", "--run", "all", "--format", "jsonl").out
    run("audit", "rotate", sample)
    run("audit", "archive", sample, there)
    after = run("audit", "export", sample, "-", "--run", "all", "--archive", there)
    assert before.count("\n") > 1
    assert after.out == before


def test_a_folder_that_is_not_there_is_refused(data: Path, tmp_path: Path) -> None:
    """A misspelt archive would look like a log that begins later."""
    done = run("audit", "runs", data, "--archive", tmp_path / "archvie")
    assert done.code == 2
    assert "archvie" in done.err


def test_what_a_killed_kernel_left_is_taken_before(tmp_path: Path) -> None:
    """Its calls in flight are in the file that is sealed."""
    log = tmp_path / "data" / "audit" / "audit.db"
    with opened(log) as audit:
        audit.intend(make_call())
    sealed = run("audit", "rotate", tmp_path / "data", "--json").data["sealed"]
    with AuditReader(Path(sealed)) as reader:
        assert [call.status for call in reader.calls()] == ["interrupted"]
    assert run("audit", "verify", tmp_path / "data").code == 0


def test_a_kernel_may_be_at_work(tmp_path: Path) -> None:
    """Its run goes on in the next file, with what was in flight."""
    log = tmp_path / "data" / "audit" / "audit.db"
    with opened(log) as audit:
        call = make_call()
        intent = audit.intend(call)
        assert run("audit", "rotate", tmp_path / "data").code == 0
        audit.finish(intent, call, ok(call), 1)
        audit.end_run()
    with AuditReader(log) as reader:
        assert [(c.run_id, c.call_id, c.status) for c in reader.calls()] == [("run-1", "1", "ok")]
    assert run("audit", "verify", tmp_path / "data").code == 0


def test_every_command_reads_all_files(tmp_path: Path) -> None:
    """What it says before a rotation it says after it."""
    log = tmp_path / "data" / "audit" / "audit.db"
    write_sample(log)
    data = tmp_path / "data"
    out = tmp_path / "calls.jsonl"
    questions: list[tuple[object, ...]] = [
        ("runs", data),
        ("plugins", data, "--run", "all"),
        ("calls", data, "--run", "all"),
        ("show", data, "1", "--run", "run-1"),
        ("stats", data, "--run", "all"),
        ("tail", data),
        ("diff", data, "run-1", "run-2"),
    ]

    def answers() -> list[object]:
        assert run("audit", "export", data, out, "--run", "all").code == 0
        said = [run("audit", *question, "--json").data for question in questions]
        exported = out.read_text()
        out.unlink()
        return [*said, exported]

    before = answers()
    assert run("audit", "rotate", data).code == 0
    assert answers() == before


def test_a_rotation_that_was_killed_between_two_files_is_finished(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who reads is told what to do, what is there verifies, and that finishes it."""
    monkeypatch.setattr(whole, "_LOOKS", 2)
    log, rename = data / "audit" / "audit.db", os.rename

    def killed(old: Any, new: Any) -> None:
        if Path(new) == log:
            raise KeyboardInterrupt
        rename(old, new)

    with monkeypatch.context() as patch:
        patch.setattr(rotation.os, "rename", killed)
        with pytest.raises(KeyboardInterrupt):
            rotation.rotate(log, Ticks())
    assert not log.exists()
    shown = run("audit", "runs", data)
    assert shown.code == 1
    assert "`nxkernel audit rotate` finishes it" in shown.err
    assert run("audit", "verify", data).code == 0
    assert run("audit", "rotate", data, "--if-due").code == 0
    assert run("audit", "runs", data).code == 0
    assert run("audit", "verify", data).code == 0


def test_a_missing_log_cannot_be_sealed(tmp_path: Path) -> None:
    """A wrong folder is one line."""
    shown = run("audit", "rotate", tmp_path)
    assert shown.code == 1
    assert "there is no audit log at" in shown.err


def test_an_empty_file_is_not_made_a_log(tmp_path: Path) -> None:
    """Rotating what is no log says so, and leaves it as it was."""
    log = tmp_path / "audit.db"
    log.touch()
    shown = run("audit", "rotate", log)
    assert shown.code == 1
    assert "it is empty, not an audit log" in shown.err
    assert log.stat().st_size == 0
    assert [path.name for path in tmp_path.iterdir()] == ["audit.db"]
