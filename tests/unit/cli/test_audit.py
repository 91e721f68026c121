"""``nxkernel audit`` on logs that were written here."""

from __future__ import annotations

from pathlib import Path

import pytest

from nxkernel.audit.reader import AuditReader
from nxkernel_cli.audit import log_path
from tests.unit.audit.logs import failed, make_call, ok, opened, rows_of, tampering, write_sample
from tests.unit.cli.conftest import run


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data directory with two finished runs; its checkpoint beside it."""
    folder = tmp_path / "data"
    (folder / "audit").mkdir(parents=True)
    checkpoint = write_sample(folder / "audit" / "audit.db")
    (tmp_path / "kept.checkpoint").write_text(checkpoint.text())
    return folder


@pytest.fixture
def nested(tmp_path: Path) -> Path:
    """A data directory whose call 1 asked for 1.1, which asked for 1.1.1, which failed."""
    folder = tmp_path / "data"
    (folder / "audit").mkdir(parents=True)
    with opened(folder / "audit" / "audit.db") as log:
        first = make_call("1")
        second = make_call("1.1", parent="1", caller="ocr.rapid", plugin="store", depth=1)
        third = make_call("1.1.1", parent="1.1", caller="store", plugin="disk", depth=2)
        calls = {call.call_id: (log.intend(call), call) for call in (first, second, third)}
        log.finish(*calls["1.1.1"], failed(third), 10)
        log.finish(*calls["1.1"], ok(second), 20)
        log.finish(*calls["1"], ok(first), 30)
        log.end_run()
    return folder


def test_a_log_is_found_in_its_data_directory(tmp_path: Path) -> None:
    """A data directory and the database itself are both understood."""
    (tmp_path / "x.db").touch()
    assert log_path(tmp_path) == tmp_path / "audit" / "audit.db"
    assert log_path(tmp_path / "x.db") == tmp_path / "x.db"


def test_runs_are_listed_oldest_first(data: Path) -> None:
    """Each run is a row with its start, its end and its counts."""
    shown = run("audit", "runs", data)
    assert shown.code == 0
    rows = [line.split() for line in shown.out.splitlines()]
    assert rows[0] == ["run", "started", "status", "level", "seed", "calls", "errors"]
    assert [row[0] for row in rows[1:]] == ["run-1", "run-2"]
    assert rows[1][1] == "2023-11-14"
    assert [r["run_id"] for r in run("audit", "runs", data, "--json").data["runs"]] == [
        "run-1",
        "run-2",
    ]


def test_calls_are_those_of_the_newest_run(data: Path) -> None:
    """Without ``--run`` the newest counts; ``all`` takes every run and names it."""
    newest = run("audit", "calls", data, "--json").data
    assert newest["run"] == "run-2"
    assert {call["run_id"] for call in newest["calls"]} == {"run-2"}
    every = run("audit", "calls", data, "--run", "all")
    assert {line.split()[0] for line in every.out.splitlines()[1:]} == {"run-1", "run-2"}


def test_calls_can_be_filtered(data: Path) -> None:
    """Each filter leaves exactly the calls that the reader would."""
    with AuditReader(log_path(data)) as reader:
        every = reader.calls("run-2")
        errors = reader.calls("run-2", errors_only=True)
    assert 0 < len(errors) < len(every)

    def ids(*options: str) -> list[str]:
        found = run("audit", "calls", data, "--json", *options).data["calls"]
        return [call["call_id"] for call in found]

    assert ids() == [call.call_id for call in every]
    assert ids("--errors") == [call.call_id for call in errors]
    assert ids("--limit", "1") == [every[-1].call_id]
    assert ids("--plugin", "nobody") == []
    assert ids("--hook", every[0].hook) == [c.call_id for c in every if c.hook == every[0].hook]


def test_an_error_stands_in_its_row(data: Path) -> None:
    """A failed call shows its code and whose fault it was."""
    shown = run("audit", "calls", data, "--errors")
    assert "plugin.raised" in shown.out


def test_unknown_run_says_how_to_list_them(data: Path) -> None:
    """A typing mistake ends in the next command, not in an empty table."""
    shown = run("audit", "calls", data, "--run", "nope")
    assert shown.code == 1
    assert "no run 'nope'; `nxkernel audit runs DATA_DIR` lists them" in shown.err


def test_show_prints_nested_calls_as_a_tree(nested: Path) -> None:
    """Who asked for what is seen at a glance, then every fact of the call."""
    lines = run("audit", "show", nested, "1").out.splitlines()
    assert lines[0].startswith("1 ocr.rapid.read_tokens: ok")
    assert lines[1].startswith("  1.1 store.read_tokens asked by ocr.rapid: ok")
    assert lines[2].startswith("    1.1.1 disk.read_tokens asked by store: error [plugin.raised]")
    facts = dict(line.split(maxsplit=1) for line in lines[4:])
    assert facts["call_id"] == "1"
    assert facts["output_digest"].startswith("sha256:")


def test_show_nests_in_json_too(nested: Path) -> None:
    """The tree is a tree for programs as well."""
    call = run("audit", "show", nested, "1", "--run", "run-1", "--json").data["call"]
    assert call["rows"][0]["status"] == "ok"
    assert call["children"][0]["children"][0]["rows"][0]["error_code"] == "plugin.raised"


def test_show_of_an_unknown_call_fails(nested: Path) -> None:
    """There is no empty answer for a call that never was."""
    shown = run("audit", "show", nested, "99")
    assert shown.code == 1
    assert "no call '99'" in shown.err


def test_a_sound_log_verifies_and_says_what_that_does_not_show(data: Path) -> None:
    """Data is the result and the head; the limits of the claim are on standard error."""
    shown = run("audit", "verify", data)
    assert shown.code == 0
    assert shown.out.startswith("verified: ")
    assert "head: nxkernel.audit.v1/" in shown.out
    assert "this does not show that no rows were cut off at the end" in shown.err
    with_checkpoint = run("audit", "verify", data, "--checkpoint", data.parent / "kept.checkpoint")
    assert with_checkpoint.code == 0
    assert "cut off" not in with_checkpoint.err


def test_an_edited_row_is_an_integrity_failure(data: Path) -> None:
    """Exit code 4, the row by number, and the error object for programs."""
    with tampering(log_path(data)) as connection:
        connection.execute("UPDATE calls SET plugin = 'nobody'")
    shown = run("audit", "verify", data)
    assert shown.code == 4
    assert shown.out.startswith("DOES NOT VERIFY: ")
    assert "  edited: row " in shown.out
    found = run("audit", "verify", data, "--json")
    assert found.code == 4
    assert found.data["ok"] is False
    assert found.data["error"]["code"] == "audit.tampered"
    assert found.data["problems"][0]["kind"] == "edited"


def test_a_cut_off_tail_is_seen_with_a_checkpoint_only(data: Path) -> None:
    """Without a checkpoint a shorter log is sound, and verify says that it could not know."""
    last, table = rows_of(log_path(data))[-1]
    with tampering(log_path(data)) as connection:
        connection.execute(f"DELETE FROM {table} WHERE seq = {last}")
    assert run("audit", "verify", data).code == 0
    kept = data.parent / "kept.checkpoint"
    shown = run("audit", "verify", data, "--checkpoint", kept)
    assert shown.code == 4
    assert "truncated: " in shown.out


def test_a_file_that_is_no_checkpoint_is_refused(data: Path) -> None:
    """Whatever is handed in as a checkpoint is read as one or refused."""
    (data / "notes.txt").write_text("hello")
    shown = run("audit", "verify", data, "--checkpoint", data / "notes.txt")
    assert shown.code == 1
    assert "this is no checkpoint" in shown.err


@pytest.mark.parametrize("command", ["runs", "calls", "verify"])
def test_a_missing_log_is_one_line(command: str, tmp_path: Path) -> None:
    """A wrong folder is told apart from an empty log."""
    shown = run("audit", command, tmp_path)
    assert shown.code == 1
    assert shown.err.startswith("error [audit.failed]: there is no audit log at ")
