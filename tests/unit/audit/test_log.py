"""The log as a kernel writes it: what is on record, in which order, and what is refused."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from nxkernel import _sqlite
from nxkernel.audit import ledger
from nxkernel.audit.log import AuditLog
from nxkernel.audit.reader import AuditReader
from nxkernel.audit.schema import TABLES
from nxkernel.dispatch.stack import Event, PluginFacts
from nxkernel.errors import AuditError
from nxkernel.types import PluginId
from tests.unit.audit.logs import (
    DIGEST,
    Ticks,
    boot_facts,
    every_row,
    facts_of,
    found,
    inspect,
    make_call,
    ok,
    opened,
    rows_of,
    write_sample,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "audit" / "audit.db"


def tables(path: Path) -> list[str]:
    """Return the tables of all rows in order."""
    return [table for _, table in rows_of(path)]


def test_rows_share_one_sequence(path: Path) -> None:
    """Rows of all tables are numbered from 1 without gaps, in the order of what happened."""
    checkpoint = write_sample(path)
    one_run = [
        *("runs", "plugins", "plugins", "failures", "decisions"),
        *("calls", "transitions", "calls", "findings", "evaluations", "events", "failures"),
        "run_ends",
    ]
    assert tables(path) == one_run * 2
    assert [seq for seq, _ in every_row(path)] == list(range(1, checkpoint.size + 1))


def test_an_intent_is_on_record_before_the_call(path: Path) -> None:
    """A reader sees the call as soon as ``intend`` has returned, before the database has it."""
    with opened(path) as log:
        log.intend(make_call())
        assert tables(path) == []
        with AuditReader(path) as reader:
            assert [call.status for call in reader.calls()] == ["in_flight"]
    assert tables(path) == ["runs", "intents"]


def test_the_same_writes_give_the_same_log(tmp_path: Path) -> None:
    """With the clock injected, two runs have the same digests."""
    assert write_sample(tmp_path / "a.db") == write_sample(tmp_path / "b.db")


def test_a_log_goes_on_after_it_was_closed(path: Path) -> None:
    """A second kernel continues the chain of the first."""
    first = write_sample(path)
    second = write_sample(path)
    assert first.origin == second.origin
    assert second.size == len(every_row(path)) > first.size
    assert found(path, first) == []


@pytest.mark.parametrize("table", [table.name for table in TABLES if table.name != "seals"])
@pytest.mark.parametrize("statement", ["DELETE FROM {}", "UPDATE {} SET seq = seq + 1000"])
def test_no_connection_can_change_a_row(path: Path, table: str, statement: str) -> None:
    """UPDATE and DELETE are refused on every table, also for a plain sqlite3 connection."""
    checkpoint = write_sample(path)
    with opened(path, "run-3") as log:
        log.intend(make_call("unfinished"))
    with (
        closing(sqlite3.connect(path)) as connection,
        pytest.raises(sqlite3.IntegrityError, match=f"{table} is append-only"),
    ):
        connection.execute(statement.format(table))
    assert found(path, checkpoint) == []


def test_two_logs_may_share_a_file(path: Path) -> None:
    """Each sees that the other has written, and the chain stays one."""
    with opened(path, "run-1") as one, opened(path, "run-2") as two:
        for number in range(5):
            for log in (one, two, two):
                call = make_call(str(number))
                log.finish(log.intend(call), call, ok(call), 1)
        one.end_run()
        checkpoint = two.end_run()
    assert len(rows_of(path)) == 2 + 15 + 2
    assert checkpoint.size == len(every_row(path))
    assert found(path, checkpoint) == []


def test_threads_may_share_a_log(path: Path) -> None:
    """Calls of several threads are all there, in one chain."""

    def work(name: str) -> None:
        for number in range(50):
            call = make_call(f"{name}.{number}")
            log.finish(log.intend(call), call, ok(call), 1)

    with opened(path) as log:
        threads = [threading.Thread(target=work, args=(str(n),)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert found(path) == []
    with AuditReader(path) as reader:
        assert {c.status for c in reader.calls()} == {"ok"}
        assert len(reader.calls()) == 200


def test_the_end_of_a_run_returns_a_checkpoint(path: Path) -> None:
    """It covers the end itself, and is there for whoever asks later."""
    with opened(path) as log:
        assert log.checkpoint is None
        checkpoint = log.end_run()
        assert checkpoint.size == len(every_row(path))
        assert log.checkpoint == checkpoint
        assert log.end_run() == checkpoint
    assert inspect(path).head == checkpoint


def test_one_run_at_a_time(path: Path) -> None:
    """A second run in the same log object has to wait for the end of the first."""
    with opened(path) as log:
        with pytest.raises(AuditError, match=r"a run in audit/audit\.db is not over"):
            log.begin_run(boot_facts("run-2"))
        log.end_run()
        log.begin_run(boot_facts("run-2"))
    assert tables(path) == ["runs", "run_ends", "runs"]


@pytest.mark.parametrize(
    "write",
    [
        lambda log: log.intend(make_call()),
        lambda log: log.finish(None, make_call(), ok(make_call()), 1),
        lambda log: log.event(Event(kind="x")),
        lambda log: log.plugin(facts_of()),
        lambda log: log.end_run(),
    ],
    ids=["intend", "finish", "event", "plugin", "end_run"],
)
def test_nothing_is_written_outside_a_run(path: Path, write: Callable[[AuditLog], Any]) -> None:
    """Every row belongs to a run."""
    log = AuditLog(path, Ticks())
    log.open()
    with pytest.raises(AuditError, match="no run has begun"):
        write(log)
    log.close()
    assert rows_of(path) == []


def test_a_plugin_that_was_not_admitted_has_its_row(path: Path) -> None:
    """Nobody has read its code, and nobody may have read its manifest: that is no reason."""
    unread = PluginFacts(id=PluginId("broken"), version="", code_digest="")
    with opened(path) as log:
        log.plugin(unread, disabled="plugin.manifest_invalid")
    with AuditReader(path) as reader:
        (record,) = reader.plugins()
        assert [event.kind for event in reader.events()] == ["plugin.disabled"]
    assert (record.plugin, record.disabled) == ("broken", "plugin.manifest_invalid")
    assert record.permissions is None
    assert record.code_digest == f"sha256:{hashlib.sha256().hexdigest()}"


def test_evaluations_and_differences_of_templates_have_a_table(path: Path) -> None:
    """Whoever makes them gives them to ``event``; a reader gets them back as they were."""
    difference = {
        "template": "answer.v2",
        "before": DIGEST,
        "after": "sha256:" + "0a" * 32,
        "added": 2,
        "removed": 1,
        "hunks": [{"line": 3, "removed": ["Be brief."], "added": ["Be brief,", "and exact."]}],
    }
    verdict = {"template": "answer.v2", "cases": 20, "scores": {"correct": 0.95}, "call_id": "7"}
    with opened(path) as log:
        log.event(Event(kind="template.diff", data=difference))
        log.event(Event(kind="prompts.evaluated", plugin="ocr.rapid", data=verdict))
    assert tables(path) == ["runs", "evaluations", "evaluations"]
    with AuditReader(path) as reader:
        assert [(e.kind, e.plugin, e.data) for e in reader.events("run-1")] == [
            ("template.diff", "", difference),
            ("prompts.evaluated", "ocr.rapid", verdict),
        ]
    assert inspect(path).ok


def test_a_closed_log_refuses_rows(path: Path) -> None:
    """After ``close`` there is nobody to write; opening again is possible."""
    log = AuditLog(path, Ticks())
    log.begin_run(boot_facts())
    log.close()
    log.close()
    with pytest.raises(AuditError):
        log.intend(make_call())
    log.begin_run(boot_facts("run-2"))
    log.end_run()
    log.close()
    with AuditReader(path) as reader:
        assert [run.status for run in reader.runs()] == ["interrupted", "completed"]


def test_opening_twice_is_harmless(path: Path) -> None:
    """``begin_run`` opens what was opened before."""
    log = AuditLog(path, Ticks())
    log.open()
    log.open()
    log.begin_run(boot_facts())
    log.close()
    assert tables(path) == ["runs"]


def test_a_call_without_an_intent_is_still_recorded(path: Path) -> None:
    """What was lost before the call is not made up afterwards."""
    with opened(path) as log:
        call = make_call()
        log.finish(None, call, ok(call), 5)
    with AuditReader(path) as reader:
        (record,) = reader.calls()
    assert (record.status, record.intent_seq, record.duration_us) == ("ok", None, 5)


def test_a_file_that_is_no_database_is_refused(path: Path) -> None:
    """Something else's file is left as it is."""
    path.parent.mkdir(parents=True)
    path.write_bytes(b"This is no database at all, but it is long enough.\n" * 100)
    with pytest.raises(AuditError, match=r"cannot open audit/audit\.db: file is not a database"):
        AuditLog(path, Ticks()).open()
    assert path.read_bytes().startswith(b"This is no database")


def test_a_folder_that_cannot_be_made_is_an_audit_error(tmp_path: Path) -> None:
    """The error names the file and carries the whole path."""
    (tmp_path / "data").touch()
    path = tmp_path / "data" / "audit.db"
    with pytest.raises(AuditError, match=r"cannot open data/audit\.db") as caught:
        AuditLog(path, Ticks()).open()
    assert caught.value.code == "audit.failed"
    assert caught.value.details["path"] == str(path)


def test_a_run_whose_header_cannot_be_written_has_not_begun(path: Path) -> None:
    """A header without a canonical form is refused, and the log can be used afterwards."""
    log = AuditLog(path, Ticks())
    with pytest.raises(AuditError, match="no canonical form"):
        log.begin_run(boot_facts("run-\udcff"))
    log.begin_run(boot_facts())
    log.close()
    assert tables(path) == ["runs"]
    assert list((path.parent / "alive").iterdir()) == []


def test_the_writing_connection_only_appends(path: Path) -> None:
    """Whatever a fault in our own code asks of it, the connection refuses."""
    write_sample(path)
    with (
        ledger.opened(path, Ticks()) as opened_ledger,
        pytest.raises(sqlite3.DatabaseError, match="not authorized"),
    ):
        opened_ledger._connection.execute("DROP TRIGGER calls_no_update")


def test_no_argument_and_no_value_is_on_record(path: Path) -> None:
    """Neither the arguments of a call nor its value can be found in the file."""
    write_sample(path)
    assert b"geheim" not in path.read_bytes()


def test_an_error_of_closing_is_no_error_of_a_row(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was written is there; a descriptor that reports an error is closed all the same."""
    close = os.close

    def failing(fd: int) -> None:
        close(fd)
        raise OSError(5, "Input/output error")

    log = AuditLog(path, Ticks())
    log.open()
    with monkeypatch.context() as patch:
        log.begin_run(boot_facts())
        log.intend(make_call())
        patch.setattr(os, "close", failing)
        log._leave()
        log.close()
    monkeypatch.undo()
    with opened(path, "run-2") as later:
        later.end_run()
    assert tables(path) == ["runs", "intents", "runs", "run_ends"]


@pytest.mark.parametrize("name", ["try_lock", "unlock"])
def test_a_lock_that_fails_while_it_is_closed_is_no_error_of_a_row(
    path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was written is there, and the database is closed all the same."""

    def failing(fd: int) -> None:
        raise OSError(5, "Input/output error")

    log = AuditLog(path, Ticks())
    log.begin_run(boot_facts())
    log.end_run()
    with monkeypatch.context() as patch:
        patch.setattr(_sqlite.files, name, failing)
        log.close()
    assert not path.with_name("audit.db-shm").exists()
    with opened(path, "run-2") as later:
        later.end_run()
    assert inspect(path).ok
