"""Queries: what happened, who asked whom, and what never came to an end."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from nxkernel.audit.log import AuditLog
from nxkernel.audit.reader import AuditReader
from nxkernel.audit.schema import FORMAT
from nxkernel.dispatch.stack import Event
from nxkernel.errors import AuditError
from tests.unit.audit.logs import (
    DIGEST,
    STANDALONE,
    boot_facts,
    failed,
    make_call,
    ok,
    opened,
    tampering,
    write_sample,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit" / "audit.db"


def record(log: AuditLog, call_id: str, parent: str | None = None, plugin: str = "a") -> None:
    """Write a call that went well."""
    call = make_call(call_id, parent=parent, plugin=plugin, caller="a" if parent else None)
    log.finish(log.intend(call), call, ok(call), 1)


def test_runs_with_header_and_end(path: Path) -> None:
    """A run says what it was and how it ended, with its calls counted."""
    write_sample(path)
    with AuditReader(path) as reader:
        first, second = reader.runs()
        assert reader.runs("run-2") == [second]
        assert reader.runs("run-3") == []
    assert (first.run_id, first.seed, first.stack) == ("run-1", 7, ("audit", "policy"))
    assert (first.status, first.calls, first.errors) == ("completed", 2, 1)
    assert first.environment == {"cpu": "x86_64", "hosting": {"eager": False}}
    assert (first.lock_digest, first.policy_digest) == (DIGEST, None)
    assert first.ended_ns is not None
    assert first.ended_ns > first.started_ns
    assert second.seq > first.seq


def test_a_run_without_an_end_is_running_or_interrupted(path: Path) -> None:
    """Whether its kernel lives is seen, not guessed from the time."""
    with opened(path), AuditReader(path) as reader:
        (run,) = reader.runs()
        assert (run.status, run.ended_ns, run.calls) == ("running", None, 0)
    with AuditReader(path) as reader:
        assert [run.status for run in reader.runs()] == ["interrupted"]


def test_plugins_with_digests_and_grants(path: Path) -> None:
    """A plugin is there as it took part, with what it may do, or why it did not run."""
    write_sample(path)
    with AuditReader(path) as reader:
        ocr, store = reader.plugins("run-1")
        assert len(reader.plugins()) == 4
    assert (ocr.plugin, ocr.version, ocr.code_digest) == ("ocr.rapid", "0.1.0", DIGEST)
    assert (ocr.tags, ocr.provides, ocr.requires) == (
        ("ocr",),
        ("ocr.engine",),
        ("store.records",),
    )
    nothing: dict[str, list[str]] = {"calls": [], "devices": [], "exec": [], "network": []}
    assert ocr.grants == {**nothing, "read": ["{media_dir}"], "write": []}
    assert ocr.permissions == {**ocr.grants, "network": ["tcp:443"]}
    assert (ocr.disabled, store.disabled) == (None, "lock.mismatch")
    assert ocr.settings_digest == store.settings_digest


def test_calls_in_the_order_in_which_they_began(path: Path) -> None:
    """A nested call ends first and yet stands after the one that asked for it."""
    write_sample(path)
    with AuditReader(path) as reader:
        outer, inner = reader.calls("run-1")
        assert len(reader.calls()) == 4
    assert (outer.call_id, outer.status, outer.parent) == ("1", "ok", None)
    assert (inner.call_id, inner.status, inner.parent) == ("1.1", "error", "1")
    assert (inner.error_code, inner.fault) == ("plugin.raised", "plugin")
    assert inner.details == {"exception": "builtins.KeyError"}
    assert outer.seed == bytes(range(32)).hex()
    assert outer.historic is False


def test_calls_can_be_filtered(path: Path) -> None:
    """By plugin, by hook, by failure; a limit keeps the newest."""
    with opened(path) as log:
        for number, plugin in enumerate(("a", "b", "a", "b")):
            record(log, str(number), plugin=plugin)
        call = make_call("4", plugin="a", hook="answer")
        log.finish(log.intend(call), call, failed(call), 1)

        with AuditReader(path) as reader:

            def ids(**filters: object) -> list[str]:
                return [c.call_id for c in reader.calls(**filters)]  # type: ignore[arg-type]

            assert ids(plugin="a") == ["0", "2", "4"]
            assert ids(plugin="a", hook="read_tokens") == ["0", "2"]
            assert ids(hook="answer") == ["4"]
            assert ids(errors_only=True) == ["4"]
            assert ids(errors_only=True, limit=0) == []
            assert ids(limit=2) == ["3", "4"]
            assert ids(limit=0) == []
            assert ids(limit=99) == ["0", "1", "2", "3", "4"]
            assert ids(run_id="other") == []


def test_a_call_without_an_end_is_in_flight_while_its_kernel_lives(path: Path) -> None:
    """It counts as no failure before its kernel is gone, and as one afterwards."""
    with opened(path) as log:
        record(log, "1")
        log.intend(make_call("2"))
        with AuditReader(path) as reader:
            assert [c.status for c in reader.calls()] == ["ok", "in_flight"]
            assert reader.interrupted() == []
            assert reader.calls(errors_only=True) == []
    with AuditReader(path) as reader:
        assert [c.status for c in reader.calls()] == ["ok", "interrupted"]
        (lost,) = reader.interrupted()
        assert reader.calls(errors_only=True) == [lost]
        assert reader.interrupted("other") == []
    assert (lost.call_id, lost.input_digest, lost.duration_us) == ("2", DIGEST, None)


def test_show_nests_calls_to_any_depth(path: Path) -> None:
    """A call is shown with what it asked for, and with what that asked for."""
    with opened(path) as log:
        for call_id, parent in (("7", None), ("7.1", "7"), ("7.1.1", "7.1"), ("7.2", "7")):
            record(log, call_id, parent)
        record(log, "8")
    with AuditReader(path) as reader:
        tree = reader.show("run-1", "7")
        assert [(level, row.call_id) for level, row in tree.walk()] == [
            (0, "7"),
            (1, "7.1"),
            (2, "7.1.1"),
            (1, "7.2"),
        ]
        assert reader.show("run-1", "7.1").children[0].call_id == "7.1.1"
        assert reader.show("run-1", "8").children == ()


def test_show_has_a_row_for_each_phase_and_attempt(path: Path) -> None:
    """Phases of a wrapper and attempts of a call share an id and are all shown."""
    with opened(path) as log:
        for phase, attempt in (("setup", 1), ("setup", 2), ("teardown", 1)):
            call = make_call("1", phase=phase, attempt=attempt)
            log.finish(log.intend(call), call, ok(call), 1)
        log.intend(make_call("1.1", parent="1"))
    with AuditReader(path) as reader:
        tree = reader.show("run-1", "1")
    assert [(row.phase, row.attempt) for row in tree.rows] == [
        ("setup", 1),
        ("setup", 2),
        ("teardown", 1),
    ]
    assert [child.rows[0].status for child in tree.children] == ["interrupted"]


def test_show_takes_the_newest_run_of_a_name(path: Path) -> None:
    """Two runs may have one name; the newest that has the call is meant."""
    for call_ids in (("1", "2"), ("1",)):
        with opened(path) as log:
            for call_id in call_ids:
                record(log, call_id)
    with AuditReader(path) as reader:
        newest = reader.runs()[-1]
        assert reader.show("run-1", "1").rows[0].seq > newest.seq
        assert reader.show("run-1", "2").rows[0].seq < newest.seq


@pytest.mark.parametrize(("run_id", "call_id"), [("run-1", "9"), ("run-9", "1")])
def test_show_says_when_there_is_no_such_call(path: Path, run_id: str, call_id: str) -> None:
    """The message names both and says how to list what there is."""
    write_sample(path)
    with AuditReader(path) as reader, pytest.raises(AuditError, match="audit calls DATA_DIR"):
        reader.show(run_id, call_id)


def test_show_ends_on_a_log_that_goes_round_in_circles(path: Path) -> None:
    """An edited log may say that a call is its own grandchild."""
    with opened(path) as log:
        record(log, "1")
        record(log, "1.1", "1")
    with tampering(path) as connection:
        connection.execute("UPDATE calls SET parent = '1.1' WHERE call_id = '1'")
    with AuditReader(path) as reader:
        assert [row.call_id for _, row in reader.show("run-1", "1").walk()] == ["1", "1.1", "1"]


def test_events_in_order(path: Path) -> None:
    """Events have their facts, and can be picked by kind."""
    with opened(path) as log:
        log.event(Event(kind="b", plugin="x", data={"n": 1}))
        log.event(Event(kind="a"))
    with AuditReader(path) as reader:
        assert [(e.kind, e.plugin, e.data) for e in reader.events()] == [
            ("b", "x", {"n": 1}),
            ("a", "", {}),
        ]
        assert [event.kind for event in reader.events("run-1", kind="a")] == ["a"]
        assert reader.events("run-2") == []


def test_reading_goes_on_while_a_kernel_writes(path: Path) -> None:
    """A reader sees each row once it is written, and never holds up the writer."""
    with opened(path) as log, AuditReader(path) as reader:
        for number in range(20):
            record(log, str(number))
            assert len(reader.calls()) == number + 1


def test_reading_changes_nothing(path: Path) -> None:
    """The bytes of a closed log are the same after every query."""
    write_sample(path)
    before = path.read_bytes()
    with AuditReader(path) as reader:
        reader.runs()
        reader.calls()
        reader.interrupted()
    assert path.read_bytes() == before


def test_edited_facts_do_not_stop_a_query(path: Path) -> None:
    """JSON that is none any more is shown as it is; verification names the row."""
    write_sample(path)
    with tampering(path) as connection:
        connection.execute("UPDATE events SET data = '{broken'")
        connection.execute("UPDATE calls SET details = CAST(X'ff' AS TEXT) WHERE ok = 0")
    with AuditReader(path) as reader:
        assert {e.data for e in reader.events(kind="hosting.debug")} == {"{broken"}  # type: ignore[comparison-overlap]
        assert reader.calls(errors_only=True)[0].details == "\udcff"


def test_a_dropped_table_is_an_audit_error(path: Path) -> None:
    """A query that cannot be answered says why."""
    write_sample(path)
    with tampering(path) as connection:
        connection.execute("DROP TABLE events")
    with (
        AuditReader(path) as reader,
        pytest.raises(AuditError, match=r"no such table: (main\.)?events"),
    ):
        reader.events()


def test_a_missing_log_says_what_to_give(path: Path) -> None:
    """The error says what was looked for and what a run needs."""
    with pytest.raises(AuditError, match=r"no audit log at audit/audit\.db; give the data direct"):
        AuditReader(path)


def test_other_files_are_no_logs(path: Path) -> None:
    """Text and foreign databases are told apart from a log."""
    path.parent.mkdir()
    path.write_text("no database\n" * 100, encoding="utf-8")
    with pytest.raises(AuditError, match="file is not a database"):
        AuditReader(path)
    path.unlink()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE runs (x)")
    with pytest.raises(AuditError, match="a database, but not an audit log"):
        AuditReader(path)


def test_a_log_of_a_newer_version_is_not_guessed_at(path: Path) -> None:
    """An unknown step in its history asks for an upgrade."""
    write_sample(path)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("INSERT INTO migrations VALUES (3, '4-spool', 1)")
    with pytest.raises(AuditError, match=r"does not know \(4-spool\); upgrade nxkernel"):
        AuditReader(path)


def test_a_log_without_runs_is_empty(path: Path) -> None:
    """Nothing recorded is an answer too."""
    log = AuditLog(path, boot_facts().clock)
    log.open()
    log.close()
    with AuditReader(path) as reader:
        assert (reader.runs(), reader.calls(), reader.events(), reader.plugins()) == ([],) * 4


def test_a_log_of_an_older_version_is_left_alone(path: Path) -> None:
    """A file of format version 1 is neither read nor continued, and the error says what it is."""
    path.parent.mkdir(parents=True)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(f"PRAGMA application_id={FORMAT.application_id}")
        connection.execute("CREATE TABLE migrations (position INTEGER, name TEXT, applied_ns INT)")
        connection.execute("INSERT INTO migrations VALUES (1, '1-audit', 1)")
    before = path.read_bytes()
    message = "it is of format version 1, which this version neither reads nor continues; keep the"
    with pytest.raises(AuditError, match=message):
        AuditReader(path)
    with pytest.raises(AuditError, match=message):
        AuditLog(path, boot_facts().clock).open()
    with pytest.raises(STANDALONE.Unreadable, match="of format version 1"):
        STANDALONE.verify(path)
    assert path.read_bytes() == before
