"""The database as the drainer fills it."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import attrs
import pytest

from nxkernel.audit import ledger
from nxkernel.audit.log import AuditLog
from nxkernel.audit.reader import AuditReader, verify
from nxkernel.audit.spool.drainer import Mark, Moved
from nxkernel.audit.spool.entries import Entry
from nxkernel.audit.spool.folder import SpoolName
from nxkernel.audit.writer import Writer
from nxkernel.errors import AuditError
from tests.unit.audit.logs import Ticks, boot_facts, found, make_call, ok, opened, rows_of

NAME = SpoolName(1, "c" * 32)
FILE = NAME.segment(1)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit.db"


def test_rows_and_their_place_are_one_transaction(path: Path) -> None:
    """A batch that cannot be taken leaves neither."""
    with ledger.opened(path, Ticks()) as opened_ledger:
        assert opened_ledger.mark(FILE) == (0, None)
        opened_ledger.take(NAME, [], Mark(FILE, 0, 8))
        assert opened_ledger.mark(FILE) == (8, None)
        with pytest.raises(TypeError):
            opened_ledger.take(NAME, [Entry("events", 0, None)], Mark(FILE, 8, 20))  # type: ignore[arg-type]
        assert opened_ledger.mark(FILE) == (8, None)
    assert verify(path).ok


def test_what_was_taken_is_not_taken_again(path: Path) -> None:
    """Neither by one who does not know of another, nor after the end."""
    with ledger.opened(path, Ticks()) as one, ledger.opened(path, Ticks()) as other:
        assert one.mark(FILE) == other.mark(FILE) == (0, None)
        one.take(NAME, [], Mark(FILE, 0, 8))
        with pytest.raises(Moved):
            other.take(NAME, [], Mark(FILE, 0, 8))
        assert other.mark(FILE) == (8, None)
        other.take(NAME, [], Mark(FILE, 8, 8, "end"))
        with pytest.raises(Moved):
            one.take(NAME, [], Mark(FILE, 8, 8))
    assert verify(path).ok


def test_a_row_that_its_table_does_not_take_stops_no_other(path: Path) -> None:
    """It is on record as an event, with all its facts."""
    with opened(path) as log:
        call = make_call("1")
        odd = attrs.evolve(ok(call), annotations={"seed": "no hex"})
        log.finish(log.intend(call), call, odd, 1)
        call = make_call("2")
        log.finish(log.intend(call), call, ok(call), 2**63)
        call = make_call("3")
        log.finish(log.intend(call), call, ok(call), 1)
    assert found(path) == []
    with AuditReader(path) as reader:
        assert [call.call_id for call in reader.calls()] == ["3"]
        event, large = reader.events(kind=ledger.REJECTED)
    assert 2**63 in large.data["facts"]
    assert event.data["table"] == "calls"
    assert "no hex" in event.data["facts"]
    assert "1" in event.data["facts"]


def test_the_end_of_a_run_has_the_checkpoint_before_it(path: Path) -> None:
    """Though it was written before anybody knew that."""
    with opened(path) as log:
        log.end_run()
    with closing(sqlite3.connect(path)) as connection:
        (seq, text) = connection.execute("SELECT seq, checkpoint FROM run_ends").fetchone()
    assert int(text.splitlines()[1]) < seq
    assert [name for _, name in rows_of(path)] == ["runs", "run_ends"]


def test_rows_of_a_run_whose_header_is_damaged_are_kept(path: Path) -> None:
    """They say that they are of no run; nothing is thrown away."""
    log = AuditLog(path, Ticks(), writer=Writer(path, Ticks(), roll_bytes=10))
    log.begin_run(boot_facts())
    call = make_call("1")
    log.finish(log.intend(call), call, ok(call), 1)
    (first, *_) = sorted(path.with_name("audit.db-spool").glob("*-000001.spool"))
    data = bytearray(first.read_bytes())
    data[20] ^= 1
    first.write_bytes(data)
    log.close()
    assert found(path) == []
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT run, call_id FROM calls").fetchall() == [(0, "1")]
    assert [p.suffix for p in path.with_name("audit.db-spool").iterdir()] == [".torn"]


def test_no_number_of_a_spool_is_given_twice(path: Path) -> None:
    """Not after its files have gone, and not with two runs of one name at one instant."""
    numbers = []
    for _ in range(3):
        with opened(path):
            numbers += [p.name[:8] for p in path.with_name("audit.db-spool").glob("*.slots")]
    assert numbers == ["00000001", "00000002", "00000003"]
    with opened(path), pytest.raises(AuditError, match="has this run already"):
        AuditLog(path, Ticks()).begin_run(boot_facts())


def test_what_is_said_of_a_rejected_row_is_json(path: Path) -> None:
    """Whoever looks for it can read it."""
    entry = Entry("run_ends", 0, (1, 2))
    with ledger.opened(path, Ticks()) as opened_ledger:
        opened_ledger.take(NAME, [Entry("events", 0, (5,)), entry], Mark(FILE, 0, 9, "end"))
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT data FROM events ORDER BY seq").fetchall()
    assert [json.loads(data)["table"] for (data,) in rows] == ["events", "run_ends"]
    assert verify(path).ok
