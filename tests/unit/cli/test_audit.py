"""``nxkernel audit`` on logs that were written here."""

from __future__ import annotations

import json
from pathlib import Path

import attrs
import pytest

from nxkernel.audit.reader import AuditReader
from nxkernel.types import Digest
from nxkernel_cli import audit_export
from nxkernel_cli.audit import log_path
from tests.support.commands import Ran
from tests.unit.audit.logs import every_row, failed, make_call, ok, opened, tampering, write_sample
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


def test_plugins_with_what_they_ask_for_beside_what_they_have(data: Path) -> None:
    """What was asked for and not granted can be seen; of a run, or of every one."""
    shown = run("audit", "plugins", data)
    assert shown.code == 0
    first, second = shown.out.splitlines()[-2:]
    assert "network tcp:443; read {media_dir}  read {media_dir}" in first
    assert first.count("network") == 1
    assert second.rstrip().endswith("lock.mismatch")
    found = run("audit", "plugins", data, "--run", "all", "--json").data["plugins"]
    assert [(each["run_id"], each["plugin"]) for each in found] == [
        *(("run-1", name) for name in ("ocr.rapid", "store")),
        *(("run-2", name) for name in ("ocr.rapid", "store")),
    ]
    assert {tuple(each["permissions"]["network"]) for each in found} == {("tcp:443",)}


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
    assert lines[1].startswith("└─ 1.1 store.read_tokens asked by ocr.rapid: ok")
    assert lines[2].startswith("   └─ 1.1.1 disk.read_tokens asked by store: error [plugin.raised]")
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
    assert "head: nxkernel.audit.v2/" in shown.out
    assert "this does not show that no rows were cut off at the end" in shown.err
    with_checkpoint = run("audit", "verify", data, "--checkpoint", data.parent / "kept.checkpoint")
    assert with_checkpoint.code == 0
    assert "cut off" not in with_checkpoint.err


def test_an_edited_row_is_an_integrity_failure(data: Path) -> None:
    """Exit code 4, the row by number, and the error object for programs."""
    with tampering(log_path(data)) as connection:
        connection.execute("UPDATE calls SET plugin = 1")
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
    runs = [seq for seq, name in every_row(log_path(data)) if name == "runs"]
    names = {name for _, name in every_row(log_path(data))}
    with tampering(log_path(data)) as connection:
        for name in names:
            connection.execute(f"DELETE FROM {name} WHERE seq >= ?", (runs[-1],))
    assert run("audit", "verify", data).code == 0
    kept = data.parent / "kept.checkpoint"
    shown = run("audit", "verify", data, "--checkpoint", kept)
    assert shown.code == 4
    assert "truncated: " in shown.out


def test_a_tail_cut_off_in_the_middle_of_a_run_is_seen(data: Path) -> None:
    """The database says that it has taken a spool in part, and the rest is nowhere."""
    last, end = (seq for seq, _ in every_row(log_path(data))[-2:])
    with tampering(log_path(data)) as connection:
        connection.execute("DELETE FROM run_ends WHERE seq = ?", (last,))
        connection.execute("DELETE FROM batches WHERE seq = ?", (end,))
    shown = run("audit", "verify", data)
    assert shown.code == 4
    assert "waiting, missing: 00000002-" in shown.out
    assert "and what came after that is gone" in shown.out
    (log_path(data).with_name("audit.db-spool")).rmdir()
    alone = run("audit", "verify", data)
    assert alone.code == 0
    assert "a spool that was taken in part is not here" in alone.err


def test_a_file_that_is_no_checkpoint_is_refused(data: Path) -> None:
    """Whatever is handed in as a checkpoint is read as one or refused."""
    (data / "notes.txt").write_text("hello")
    shown = run("audit", "verify", data, "--checkpoint", data / "notes.txt")
    assert shown.code == 1
    assert "this is no checkpoint" in shown.err


def test_verify_says_what_no_tree_has_yet(tmp_path: Path) -> None:
    """Rows of a run that goes on are counted, and are in the tree when it has ended."""
    data = tmp_path / "data"
    (data / "audit").mkdir(parents=True)
    with opened(data / "audit" / "audit.db") as log:
        for name in ("1", "2"):
            call = make_call(name)
            log.finish(log.intend(call), call, ok(call), 10)
        shown = run("audit", "verify", data)
        begun = run("audit", "verify", data, "--json").data
        log.end_run()
    assert shown.code == 0
    assert f"{begun['waiting']} more rows are on record and not yet in the tree" in shown.err
    ended = run("audit", "verify", data, "--json").data
    assert (begun["waiting"], ended["waiting"]) == (3, 0)
    assert ended["rows"] >= begun["rows"] + begun["waiting"]


def test_verify_tells_damage_to_what_waits_from_a_torn_row(tmp_path: Path) -> None:
    """A torn row is told of and is no failure; a damaged one is exit code 4 and named."""
    data = tmp_path / "data"
    (data / "audit").mkdir(parents=True)
    with opened(data / "audit" / "audit.db") as log:
        for name in ("1", "2"):
            call = make_call(name)
            log.finish(log.intend(call), call, ok(call), 10)
        (segment,) = (data / "audit" / "audit.db-spool").glob("*.spool")
        whole = segment.read_bytes()
        segment.write_bytes(whole + whole[8:30])
        torn = run("audit", "verify", data)
        segment.write_bytes(whole[:40] + b"?" + whole[41:])
        damaged = run("audit", "verify", data)
        said = run("audit", "verify", data, "--json").data
        segment.write_bytes(whole)
    assert torn.code == 0
    assert "22 bytes are the beginning of a row and no more" in torn.err
    assert damaged.code == 4
    words = f"{segment.name} is damaged at byte 8; 2 whole rows behind it are cut off from the rest"
    assert f"DOES NOT VERIFY: 0 rows of 0 runs\n  waiting, damaged: {words}" in damaged.out
    assert (said["ok"], said["problems"], said["backlog"]["rows"]) == (False, [], 0)
    assert said["backlog"]["problems"][0]["kind"] == "damaged"
    assert words in said["error"]["message"]


@pytest.mark.parametrize("command", ["runs", "calls", "verify"])
def test_a_missing_log_is_one_line(command: str, tmp_path: Path) -> None:
    """A wrong folder is told apart from an empty log."""
    shown = run("audit", command, tmp_path)
    assert shown.code == 1
    assert shown.err.startswith("error [audit.failed]: there is no audit log at ")


@pytest.fixture
def busy(tmp_path: Path) -> Path:
    """A data directory with two runs: in the second, one call fails and one has other bytes."""
    folder = tmp_path / "data"
    (folder / "audit").mkdir(parents=True)
    for run_id in ("run-1", "run-2"):
        with opened(folder / "audit" / "audit.db", run_id) as log:
            for number in range(1, 13):
                call = make_call(str(number), plugin="store" if number % 3 == 0 else "ocr.rapid")
                call = attrs.evolve(call, input_digest=Digest(f"sha256:{number:064x}"))
                outcome = ok(call)
                if run_id == "run-2" and number == 4:
                    outcome = failed(call, "plugin.timeout")
                if run_id == "run-2" and number == 5:
                    outcome = ok(call, output_digest=Digest("sha256:" + "0d" * 32))
                log.finish(log.intend(call), call, outcome, number * 1000)
            log.end_run()
    return folder


def ids(shown: Ran) -> list[str]:
    """Return the ids of the calls that were printed as JSON."""
    return [call["call_id"] for call in shown.data["calls"]]


def test_calls_are_chosen_by_what_they_were(busy: Path) -> None:
    """Each filter narrows, and together they narrow more."""
    assert ids(run("audit", "calls", busy, "--code", "plugin.timeout", "--json")) == ["4"]
    assert ids(run("audit", "calls", busy, "--fault", "plugin", "--json")) == ["4"]
    assert ids(run("audit", "calls", busy, "--fault", "host", "--json")) == []
    assert ids(run("audit", "calls", busy, "--slower", "11.5", "--json")) == ["12"]
    assert ids(run("audit", "calls", busy, "--plugin", "store", "--slower", "7", "--json")) == [
        "9",
        "12",
    ]
    assert ids(run("audit", "calls", busy, "--caller", "nobody", "--json")) == []
    assert len(ids(run("audit", "calls", busy, "--top", "--json"))) == 12


def test_calls_are_chosen_by_when_they_began(busy: Path) -> None:
    """A time is in UTC unless it says otherwise; an age counts back from now."""
    assert len(ids(run("audit", "calls", busy, "--since", "2023-11-14", "--json"))) == 12
    assert ids(run("audit", "calls", busy, "--until", "2023-11-14T23:13:20+01:00", "--json")) == []
    assert ids(run("audit", "calls", busy, "--since", "2h", "--json")) == []
    assert len(ids(run("audit", "calls", busy, "--since", "0001-01-01", "--json"))) == 12
    assert len(ids(run("audit", "calls", busy, "--until", "9999-12-31", "--json"))) == 12
    for number in ("nan", "inf", "1e308"):
        refused = run("audit", "calls", busy, "--slower", number)
        assert refused.code == 2
        assert "is no number of milliseconds" in refused.err
    refused = run("audit", "calls", busy, "--since", "yesterday")
    assert refused.code == 2
    assert "'yesterday' is no time" in refused.err


def test_stats_sum_up(busy: Path) -> None:
    """Counts, percentiles, the way of the time and the errors, for people and for programs."""
    found = run("audit", "stats", busy, "--json").data
    assert (found["calls"], found["failures"]) == (12, 1)
    assert [(h["plugin"], h["calls"]) for h in found["hooks"]] == [("ocr.rapid", 8), ("store", 4)]
    assert found["hooks"][0]["duration_us"]["p50"] == 5000
    assert found["errors"] == [{"code": "plugin.timeout", "fault": "plugin", "calls": 1}]
    assert found["slowest"][0]["call_id"] == "12"
    shown = run("audit", "stats", busy).out
    assert "12 calls, 1 failed" in shown
    assert "where the time went: queue" in shown


def test_diff_names_the_calls_that_differ(busy: Path) -> None:
    """One that failed and one with other bytes are named; the other ten are the same."""
    shown = run("audit", "diff", busy, "run-1", "run-2")
    assert shown.code == 1
    assert "10 calls are the same, 2 differ, 0 only left, 0 only right" in shown.out
    assert "output, error" in shown.out
    pairs = run("audit", "diff", busy, "run-1", "run-2", "--json").data["comparison"]["differing"]
    assert [(p["left"]["call_id"], p["differs"]) for p in pairs] == [
        ("4", ["output", "error"]),
        ("5", ["output"]),
    ]


def test_diff_of_equal_runs_finds_nothing(busy: Path) -> None:
    """A run differs in nothing from itself; one that is not there is an error."""
    assert run("audit", "diff", busy, "run-1", "run-1").code == 0
    unknown = run("audit", "diff", busy, "run-1", "nope")
    assert unknown.code == 1
    assert "no run 'nope'" in unknown.err


def test_tail_shows_the_calls_that_ended_last(busy: Path) -> None:
    """As many as were asked for, the newest at the bottom."""
    assert ids(run("audit", "tail", busy, "-n", "2", "--json")) == ["11", "12"]
    assert ids(run("audit", "tail", busy, "-n", "2", "--errors", "--json")) == ["4"]
    lines = run("audit", "tail", busy).out.splitlines()
    assert len(lines) == 10
    assert lines[-1].startswith("2023-11-14 22:13:20Z 12 store.read_tokens: ok")


def test_tail_goes_on_with_new_calls(busy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With -f a call is shown when it ends, as a line or as an object a line."""

    def make_one(_: float) -> None:
        if made:
            raise KeyboardInterrupt
        with opened(busy / "audit" / "audit.db", "run-3") as log:
            call = make_call("99")
            log.finish(log.intend(call), call, ok(call), 5)
        made.append(call)

    made: list[object] = []
    monkeypatch.setattr("time.sleep", make_one)
    shown = run("audit", "tail", busy, "-f", "-n", "1", "--json")
    assert shown.code == 130
    lines = [json.loads(line) for line in shown.out.splitlines()]
    assert [line["call"]["call_id"] for line in lines] == ["12", "99"]
    assert {line["schema_version"] for line in lines} == {1}


def test_export_writes_a_file(busy: Path, tmp_path: Path) -> None:
    """The file's name says the format; the calls are those that were asked for."""
    shown = run("audit", "export", busy, tmp_path / "x.jsonl", "--plugin", "store", "--json")
    assert shown.data["calls"] == 4
    lines = (tmp_path / "x.jsonl").read_text().splitlines()
    assert [json.loads(line)["call_id"] for line in lines] == ["3", "6", "9", "12"]
    assert run("audit", "export", busy, tmp_path / "x.csv", "--run", "all").code == 0
    assert len((tmp_path / "x.csv").read_text().splitlines()) == 1 + 24
    assert run("audit", "export", busy, tmp_path / "x.parquet").code == 0


def test_export_to_standard_output(busy: Path) -> None:
    """`-` is for a pipe: data there, the count on standard error."""
    shown = run("audit", "export", busy, "-", "--code", "plugin.timeout")
    assert [json.loads(line)["call_id"] for line in shown.out.splitlines()] == ["4"]
    assert "1 calls" in shown.err
    assert run("audit", "export", busy, "-", "--format", "parquet").code == 2


def test_export_asks_for_a_format_that_it_knows(busy: Path, tmp_path: Path) -> None:
    """A name that says nothing is a usage error with the names that do."""
    shown = run("audit", "export", busy, tmp_path / "x.xlsx")
    assert shown.code == 2
    assert ".parquet" in shown.err


def test_a_long_export_shows_how_far_it_is(
    busy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody at a terminal sees a bar with the count; the calls pass through it unchanged."""
    monkeypatch.setattr(audit_export, "_STEP", 1)
    monkeypatch.setattr(audit_export, "watched", lambda: True)
    shown = run("audit", "export", busy, tmp_path / "x.csv")
    assert "12/12" in shown.err
    assert len((tmp_path / "x.csv").read_text().splitlines()) == 13


def test_stats_write_a_page(busy: Path, tmp_path: Path) -> None:
    """The page is one file about the calls that were asked for; one that is there stays."""
    target = tmp_path / "page.html"
    shown = run("audit", "stats", busy, "--plugin", "store", "--html", target)
    assert shown.code == 0
    text = target.read_text(encoding="utf-8")
    assert "Only calls with plugin store." in text
    assert "<svg" in text
    again = run("audit", "stats", busy, "--html", target)
    assert again.code == 2
    assert "is there already" in again.err
    assert target.read_text(encoding="utf-8") == text
    assert run("audit", "stats", busy, "--html", tmp_path / "no" / "page.html").code == 1
