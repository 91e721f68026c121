"""Verification, by attack: whoever changes the file is seen, or is beyond what is promised."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import attrs
import pytest

from nxkernel.audit.chain import Checkpoint, link
from nxkernel.audit.log import AuditLog
from nxkernel.audit.reader import verify
from nxkernel.audit.schema import TABLES
from nxkernel.errors import AuditError, IntegrityError
from tests.unit.audit.logs import (
    BY_NAME,
    STANDALONE,
    Ticks,
    boot_facts,
    found,
    inspect,
    relink,
    rows_of,
    tampering,
    write_sample,
)

FACTS = [(table.name, column.name) for table in TABLES for column in table.columns]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit" / "audit.db"


@pytest.fixture
def checkpoint(path: Path) -> Checkpoint:
    return write_sample(path)


def place(path: Path, table: str) -> int:
    """Return the number of the first row of *table*."""
    return next(seq for seq, name in rows_of(path) if name == table)


def test_an_honest_log_verifies(path: Path, checkpoint: Checkpoint) -> None:
    """A log that nobody touched is sound, and its head is its checkpoint."""
    report = inspect(path, checkpoint)
    assert report.ok
    assert (report.rows, report.runs) == (checkpoint.size, 2)
    assert report.head == checkpoint
    assert sorted({name for _, name in rows_of(path)}) == sorted(BY_NAME)
    report.require()


@pytest.mark.parametrize(("table", "column"), FACTS, ids=".".join)
def test_an_edit_of_any_column_is_found(
    path: Path, checkpoint: Checkpoint, table: str, column: str
) -> None:
    """No column of facts can be changed without the row being named."""
    seq = place(path, table)
    with tampering(path) as connection:
        (kind,) = connection.execute(
            f"SELECT typeof({column}) FROM {table} WHERE seq = ?", (seq,)
        ).fetchone()
        new = f"{column} + 1" if kind == "integer" else f"ifnull({column}, '') || 'x'"
        if BY_NAME[table].columns[BY_NAME[table].names.index(column)].type == "INTEGER":
            new = f"ifnull({column}, 0) + 1"
        connection.execute(f"UPDATE {table} SET {column} = {new} WHERE seq = ?", (seq,))
    assert found(path) == [("edited", table, seq)]


@pytest.mark.parametrize("table", BY_NAME)
@pytest.mark.parametrize("column", ["prev", "digest"])
def test_an_edit_of_the_chain_is_found(
    path: Path, checkpoint: Checkpoint, table: str, column: str
) -> None:
    """A row whose own digest, or the one before, was replaced is named; its neighbours are not."""
    seq = place(path, table)
    with tampering(path) as connection:
        connection.execute(f"UPDATE {table} SET {column} = ? WHERE seq = ?", (b"\1" * 32, seq))
    assert found(path) == [("edited", table, seq)]


@pytest.mark.parametrize("table", BY_NAME)
def test_a_row_with_another_number_is_found(path: Path, checkpoint: Checkpoint, table: str) -> None:
    """A row that was moved to the end is named, and so is the gap that it left."""
    seq, end = place(path, table), checkpoint.size
    with tampering(path) as connection:
        connection.execute(f"UPDATE {table} SET seq = ? WHERE seq = ?", (end + 1, seq))
    assert found(path) == [("missing", "", seq), ("reordered", table, end + 1)]


@pytest.mark.parametrize("number", [0, -5])
def test_a_number_below_one_is_forged(path: Path, checkpoint: Checkpoint, number: int) -> None:
    """Rows count from 1: one below is not of this log."""
    with tampering(path) as connection:
        connection.execute("UPDATE runs SET seq = ? WHERE seq = 1", (number,))
    assert found(path) == [("forged", "runs", number), ("missing", "", 1)]


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("queue_us", "'many'"),
        ("queue_us", "1.5"),
        ("hook", "X'00'"),
        ("fault", "X'00'"),
        ("prev", "X'0102'"),
        ("digest", "'text'"),
    ],
)
def test_a_value_of_a_wrong_type_is_malformed(
    path: Path, checkpoint: Checkpoint, column: str, value: str
) -> None:
    """SQLite would store anything in any column; the format has one type for each."""
    seq = place(path, "calls")
    with tampering(path) as connection:
        connection.execute(f"UPDATE calls SET {column} = {value} WHERE seq = ?", (seq,))
    assert found(path) == [("malformed", "calls", seq)]


def test_text_that_is_no_utf8_is_an_edit(path: Path, checkpoint: Checkpoint) -> None:
    """Bytes that are no text do not stop verification."""
    seq = place(path, "calls")
    with tampering(path) as connection:
        connection.execute("UPDATE calls SET hook = CAST(X'ff' AS TEXT) WHERE seq = ?", (seq,))
    assert found(path) == [("edited", "calls", seq)]


def test_a_deleted_row_is_found(path: Path, checkpoint: Checkpoint) -> None:
    """Every single row before the last is missed, and nothing else is blamed."""
    rows = rows_of(path)
    for seq, table in rows[:-1]:
        with tampering(path) as connection:
            (values,) = connection.execute(
                f"SELECT * FROM {table} WHERE seq = ?", (seq,)
            ).fetchall()
            connection.execute(f"DELETE FROM {table} WHERE seq = ?", (seq,))
        assert found(path) == [("missing", "", seq)]
        with tampering(path) as connection:
            marks = ", ".join("?" * len(values))
            connection.execute(f"INSERT INTO {table} VALUES ({marks})", values)
    assert found(path) == []


def test_a_cut_off_tail_is_found_with_a_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Alone the chain cannot show it, and the report says so; a checkpoint shows it."""
    with tampering(path) as connection:
        for table in BY_NAME:
            connection.execute(f"DELETE FROM {table} WHERE seq > ?", (checkpoint.size - 4,))
    alone = inspect(path)
    assert alone.ok
    assert any("cut off at the end" in limit for limit in alone.limits)
    assert found(path, checkpoint) == [("truncated", "", checkpoint.size - 3)]


def test_an_emptied_log_is_found_with_a_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """All rows gone is a tail cut off at the first."""
    with tampering(path) as connection:
        for table in BY_NAME:
            connection.execute(f"DELETE FROM {table}")
    assert found(path, checkpoint) == [("truncated", "", 1)]
    assert inspect(path).head is None


def test_swapped_rows_are_reordered(path: Path, checkpoint: Checkpoint) -> None:
    """Two rows in each other's place are both named with the place where they belong."""
    first, second = [seq for seq, name in rows_of(path) if name == "intents"][:2]
    with tampering(path) as connection:
        for old, new in ((first, -1), (second, first), (-1, second)):
            connection.execute("UPDATE intents SET seq = ? WHERE seq = ?", (new, old))
    assert found(path) == [("reordered", "intents", first), ("reordered", "intents", second)]
    assert f"written as row {second}" in verify(path).problems[0].message


def test_closing_the_gap_of_a_deleted_row_is_found(path: Path, checkpoint: Checkpoint) -> None:
    """Rows that move up to hide a deletion carry digests of their old numbers."""
    rows = rows_of(path)
    seq = place(path, "events")
    with tampering(path) as connection:
        connection.execute("DELETE FROM events WHERE seq = ?", (seq,))
        for number, table in rows[seq:]:
            connection.execute(f"UPDATE {table} SET seq = seq - 1 WHERE seq = ?", (number,))
    assert found(path) == [("reordered", name, number - 1) for number, name in rows[seq:]]


def test_or_replace_is_refused(path: Path, checkpoint: Checkpoint) -> None:
    """INSERT OR REPLACE deletes without a trigger; the guard stops it before."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for table in TABLES:
            seq = place(path, table.name)
            (row,) = connection.execute(
                f"SELECT * FROM {table.name} WHERE seq = ?", (seq,)
            ).fetchall()
            for verb in ("INSERT OR REPLACE", "REPLACE", "INSERT OR IGNORE", "INSERT"):
                statement = table.insert.replace("INSERT", verb, 1)
                with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                    connection.execute(statement, row)
    assert found(path, checkpoint) == []


def test_or_replace_without_triggers_is_found(path: Path, checkpoint: Checkpoint) -> None:
    """With the triggers out of the way, the replaced row still does not fit its digest."""
    seq = place(path, "calls")
    with tampering(path) as connection:
        (row,) = connection.execute("SELECT * FROM calls WHERE seq = ?", (seq,)).fetchall()
        marks = ", ".join("?" * len(row))
        connection.execute(f"REPLACE INTO calls VALUES ({marks})", (*row[:-1], None))
    assert found(path) == [("edited", "calls", seq)]


def test_a_row_with_its_digest_recomputed_is_forged(path: Path, checkpoint: Checkpoint) -> None:
    """Who also recomputes the digest of the edited row is betrayed by the next one."""
    seq = place(path, "calls")
    with tampering(path) as connection:
        connection.execute("UPDATE calls SET ok = 1, error_code = NULL WHERE seq = ?", (seq,))
        relink(connection, seq, seq)
    following = rows_of(path)[seq][1]
    assert found(path) == [("forged", following, seq + 1)]


def test_a_row_appended_by_a_stranger_is_forged(path: Path, checkpoint: Checkpoint) -> None:
    """A row whose digest is right but which follows another row than the last is named."""
    facts = (1, 5, "breaker.open", "", "{}")
    seq, prev = checkpoint.size + 1, b"\7" * 32
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        digest = link(prev, "events", seq, facts)
        connection.execute(BY_NAME["events"].insert, (seq, prev, digest, *facts))
    assert found(path) == [("forged", "events", seq)]


def test_a_number_that_is_claimed_twice_is_forged(path: Path, checkpoint: Checkpoint) -> None:
    """Two tables cannot share a number."""
    seq = place(path, "events")
    with tampering(path) as connection:
        connection.execute("UPDATE run_ends SET seq = ? WHERE seq = ?", (seq, checkpoint.size))
    assert found(path) == [("forged", "run_ends", seq)]
    assert ("truncated", "", checkpoint.size) in found(path, checkpoint)


def test_a_rewritten_log_is_found_with_a_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Who recomputes the whole chain is out of reach of the chain, but not of a checkpoint."""
    seq = place(path, "calls")
    with tampering(path) as connection:
        connection.execute("UPDATE calls SET plugin = 'innocent' WHERE seq = ?", (seq,))
        relink(connection)
    alone = inspect(path)
    assert alone.ok
    assert any("not rewritten" in limit for limit in alone.limits)
    assert found(path, checkpoint) == [("forged", "", checkpoint.size)]


def test_a_checkpoint_of_another_log_does_not_fit(
    path: Path, checkpoint: Checkpoint, tmp_path: Path
) -> None:
    """A checkpoint names its log by the first row."""
    other = attrs.evolve(checkpoint, origin="nxkernel.audit.v1/0123456789abcdef")
    assert found(path, other) == [("forged", "", 1)]


def test_an_older_checkpoint_covers_the_rows_before_it(path: Path, checkpoint: Checkpoint) -> None:
    """A log may have grown since; the report says what the checkpoint says nothing about."""
    with tampering(path) as connection:
        connection.execute("UPDATE events SET kind = 'x' WHERE seq = ?", (place(path, "events"),))
    write_sample(path)
    report = inspect(path, checkpoint)
    assert {problem.kind for problem in report.problems} == {"edited"}
    assert any(f"after number {checkpoint.size}" in limit for limit in report.limits)


@pytest.mark.parametrize("guard", [g.split()[2] for t in TABLES for g in t.guards])
def test_a_trigger_that_was_removed_is_reported(
    path: Path, checkpoint: Checkpoint, guard: str
) -> None:
    """Rows may be sound and the file unprotected: that is said too."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"DROP TRIGGER {guard}")
    (problem,) = found(path)
    assert problem[0] == "malformed"
    assert guard.startswith(problem[1])


def test_a_trigger_without_teeth_is_reported(path: Path, checkpoint: Checkpoint) -> None:
    """A trigger of the right name that does nothing is no trigger."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP TRIGGER calls_no_update")
        connection.execute(
            "CREATE TRIGGER calls_no_update BEFORE UPDATE ON calls BEGIN SELECT 1; END"
        )
    assert found(path) == [("malformed", "calls", 0)]


def test_a_dropped_table_is_reported_with_its_rows(path: Path, checkpoint: Checkpoint) -> None:
    """The rows of the other tables say which are missing."""
    with tampering(path) as connection:
        connection.execute("DROP TABLE events")
    problems = found(path)
    gone = [("malformed", "events", 0)] * 4
    assert problems[:4] == gone
    assert {kind for kind, _, _ in problems[4:]} == {"missing"}


def test_a_view_is_no_table(path: Path, checkpoint: Checkpoint) -> None:
    """A view that shows rows as they should be does not stand for the rows."""
    with tampering(path) as connection:
        connection.execute("ALTER TABLE events RENAME TO hidden")
        connection.execute("CREATE VIEW events AS SELECT * FROM hidden")
    assert found(path)[:4] == [("malformed", "events", 0)] * 4


def test_an_added_column_is_reported(path: Path, checkpoint: Checkpoint) -> None:
    """Facts that no digest covers are not part of the format."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("ALTER TABLE calls ADD COLUMN note TEXT")
    assert ("malformed", "calls", 0) in found(path)


def test_a_missing_column_stops_nothing(path: Path, checkpoint: Checkpoint) -> None:
    """A table that cannot be read is a problem of the log, not of the verifier."""
    with tampering(path) as connection:
        connection.execute("ALTER TABLE calls DROP COLUMN fault")
    assert ("malformed", "calls", 0) in found(path)


def damage(path: Path, *pages: int) -> None:
    """Overwrite the beginning of pages of the file, counted from 1."""
    data = bytearray(path.read_bytes())
    for page in pages:
        data[(page - 1) * 4096 : (page - 1) * 4096 + 64] = b"\xee" * 64
    path.write_bytes(data)


def test_damaged_rows_are_reported(path: Path, checkpoint: Checkpoint) -> None:
    """A table that SQLite itself cannot follow is a problem of the log."""
    with closing(sqlite3.connect(path)) as connection:
        query = "SELECT rootpage FROM sqlite_master WHERE name = 'calls'"
        (page,) = connection.execute(query).fetchone()
    damage(path, page)
    report = inspect(path)
    assert report.problems[0].kind == "malformed"
    assert "the database cannot be read" in report.problems[0].message


def test_a_damaged_database_is_no_log(path: Path, checkpoint: Checkpoint) -> None:
    """A file whose schema cannot be read any more is refused, and not deleted or mended."""
    damage(path, *range(2, path.stat().st_size // 4096 + 1))
    before = path.read_bytes()
    with pytest.raises(AuditError, match="keep the file as evidence"):
        verify(path)
    with pytest.raises(STANDALONE.Unreadable):
        STANDALONE.verify(path)
    assert path.read_bytes() == before


def test_a_log_that_is_rotten_throughout_is_reported_in_bounded_space(
    path: Path, checkpoint: Checkpoint
) -> None:
    """However many rows are wrong, the report stays readable."""
    with tampering(path) as connection:
        rotten = (b"\1" * 32, b"\2" * 32, 1, 1, "x", "", "{}")
        seqs = range(checkpoint.size + 2, checkpoint.size + 5000, 2)
        connection.execute("BEGIN")
        connection.executemany(BY_NAME["events"].insert, [(seq, *rotten) for seq in seqs])
        connection.execute("COMMIT")
    report = inspect(path)
    assert len(report.problems) == 1000


def test_require_raises_with_the_first_problem(path: Path, checkpoint: Checkpoint) -> None:
    """A program that needs a sound log gets an error that names the row."""
    seq = place(path, "calls")
    with tampering(path) as connection:
        connection.execute("UPDATE calls SET hook = 'x' WHERE seq = ?", (seq,))
    with pytest.raises(IntegrityError, match=rf"row {seq} \(calls\) was edited") as caught:
        verify(path).require()
    assert caught.value.code == "audit.tampered"
    assert caught.value.exit_code == 4


def test_a_log_is_verified_as_it_was_when_it_began(path: Path, checkpoint: Checkpoint) -> None:
    """Rows that are written meanwhile neither appear nor disturb."""
    log = AuditLog(path, Ticks())
    log.begin_run(boot_facts("run-3"))
    report = inspect(path, checkpoint)
    assert report.ok
    assert report.rows == checkpoint.size + 1
    log.close()


def test_a_missing_file_is_no_log(tmp_path: Path) -> None:
    """The error names the file by its end and gives the whole path to programs."""
    with pytest.raises(AuditError, match=r"no audit log at .*none\.db") as caught:
        verify(tmp_path / "none.db")
    assert caught.value.details["path"] == str(tmp_path / "none.db")
