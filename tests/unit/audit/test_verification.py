"""Verification, by attack: whoever changes the file is seen, or is beyond what is promised.

Each attack is made on a log whose rows were committed one by one and on one that has them in
batches; both verifiers must say the same.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import attrs
import pytest

from nxkernel.audit.checkpoint import Checkpoint
from nxkernel.audit.log import AuditLog
from nxkernel.audit.reader import verify
from nxkernel.audit.schema import TABLES
from nxkernel.errors import AuditError, IntegrityError
from tests.unit.audit.logs import (
    BY_NAME,
    STANDALONE,
    Ticks,
    boot_facts,
    every_row,
    found,
    inspect,
    rebatch,
    sample_rows,
    tampering,
    write_batches,
    write_sample,
)

Found = list[tuple[str, str, int]]
DB = sqlite3.Connection


@attrs.frozen
class Victim:
    """A log that is about to be attacked."""

    path: Path
    #: Rows of each table as they were.
    rows: dict[str, list[int]]
    #: State of the log in the middle and at the end.
    middle: Checkpoint
    end: Checkpoint

    def seq(self, table: str, at: int = 0) -> int:
        """Return the number of a row of *table*."""
        return self.rows[table][at]

    def batch_of(self, seq: int) -> int:
        """Return the number of the row of the batch that has row *seq*."""
        return min(each for each in self.rows["batches"] if each > seq)


def victim(path: Path, size: int) -> Victim:
    """Write a log in batches of *size* rows."""
    points = write_batches(path, sample_rows(path, 3), size)
    rows: dict[str, list[int]] = {}
    for seq, table in every_row(path):
        rows.setdefault(table, []).append(seq)
    return Victim(path, rows, points[len(points) // 2], points[-1])


@pytest.fixture(scope="module")
def victims(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Victim]:
    """Logs whose rows were committed in batches of some size."""
    folder = tmp_path_factory.mktemp("victims")
    return {size: victim(folder / f"{size}.db", size) for size in (1, 7, 1000)}


@pytest.fixture(params=[1, 7, 1000], ids=["one-by-one", "sevens", "at-once"])
def log(request: pytest.FixtureRequest, victims: dict[int, Victim], tmp_path: Path) -> Victim:
    """A copy of one of them."""
    original = victims[request.param]
    return attrs.evolve(original, path=Path(shutil.copy(original.path, tmp_path / "audit.db")))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit" / "audit.db"


@pytest.fixture
def checkpoint(path: Path) -> Checkpoint:
    return write_sample(path)


def test_an_honest_log_verifies(path: Path, checkpoint: Checkpoint) -> None:
    """A log that nobody touched is sound, and its head is its checkpoint."""
    report = inspect(path, checkpoint)
    assert report.ok
    assert (report.rows, report.runs) == (checkpoint.size, 2)
    assert report.head == checkpoint
    assert {name for _, name in every_row(path)} == {*BY_NAME} - {"seals", "intents"}
    report.require()


def test_an_honest_log_continues_each_of_its_checkpoints(log: Victim) -> None:
    """Whatever the batches: what a checkpoint saw is still there."""
    assert found(log.path, log.middle) == found(log.path, log.end) == []
    assert inspect(log.path).head == log.end


# -- the matrix ------------------------------------------------------------------------------


def sql(statement: str, *values: Any) -> Callable[[DB], None]:
    """Return an attack that is one statement."""
    return lambda connection: connection.execute(statement, values) and None


def update(log: Victim, table: str, change: str, at: int = 0) -> Callable[[DB], None]:
    return sql(f"UPDATE {table} SET {change} WHERE seq = {log.seq(table, at)}")


def move(log: Victim, table: str, moves: list[tuple[int, int]]) -> Callable[[DB], None]:
    def attack(connection: DB) -> None:
        for old, new in moves:
            connection.execute(f"UPDATE {table} SET seq = ? WHERE seq = ?", (new, old))

    return attack


def both(*attacks: Callable[[DB], Any]) -> Callable[[DB], None]:
    def attack(connection: DB) -> None:
        for each in attacks:
            each(connection)

    return attack


def made_anew(log: Victim, seq: int) -> Callable[[DB], None]:
    """Compute the batch of row *seq* anew, and no later one."""
    return lambda connection: rebatch(connection, seq, log.batch_of(seq))


def cut(connection: DB, after: int) -> None:
    for table in TABLES:
        connection.execute(f"DELETE FROM {table.name} WHERE seq > ?", (after,))


def an_edit(log: Victim) -> tuple[Any, Found]:
    """A fact of a call is another one."""
    return update(log, "calls", "duration_us = 1"), [("edited", "calls", log.seq("calls"))]


def an_error_hidden(log: Victim) -> tuple[Any, Found]:
    """A failed call has become a success."""
    attack = update(log, "calls", "ok = 1, error_code = NULL, fault = NULL, details = NULL")
    return attack, [("edited", "calls", log.seq("calls"))]


def a_name_exchanged(log: Victim) -> tuple[Any, Found]:
    """All rows that refer to a name mean another one: the name's own row tells."""
    return update(log, "names", "name = 'innocent'", 4), [("edited", "names", log.seq("names", 4))]


def a_row_refers_to_another_name(log: Victim) -> tuple[Any, Found]:
    """The names are left alone, and one row points to another of them."""
    return update(log, "calls", "plugin = hook"), [("edited", "calls", log.seq("calls"))]


def two_edits(log: Victim) -> tuple[Any, Found]:
    """Each row is named."""
    first, last = log.seq("intents"), log.seq("events", -1)
    attack = both(update(log, "intents", "depth = 5"), update(log, "events", "at_ns = 5", -1))
    return attack, [("edited", "intents", first), ("edited", "events", last)]


def a_digest_cut_short(log: Victim) -> tuple[Any, Found]:
    """A digest of 31 bytes is another value."""
    attack = update(log, "intents", "input_digest = X'00'")
    return attack, [("edited", "intents", log.seq("intents"))]


def a_real_for_an_integer(log: Victim) -> tuple[Any, Found]:
    """SQLite stores anything in any column; the format does not."""
    attack = update(log, "calls", "queue_us = 1.5")
    return attack, [("malformed", "calls", log.seq("calls"))]


def text_that_is_none(log: Victim) -> tuple[Any, Found]:
    """Bytes that are no UTF-8 do not stop verification."""
    attack = update(log, "calls", "call_id = CAST(X'ff' AS TEXT)")
    return attack, [("edited", "calls", log.seq("calls"))]


def a_null_for_a_value(log: Victim) -> tuple[Any, Found]:
    """Taking a value away is an edit."""
    attack = update(log, "calls", "details = NULL")
    return attack, [("edited", "calls", log.seq("calls"))]


def a_row_deleted(log: Victim) -> tuple[Any, Found]:
    """Its number is missing."""
    seq = log.seq("calls", 1)
    return sql(f"DELETE FROM calls WHERE seq = {seq}"), [("missing", "", seq)]


def neighbours_deleted(log: Victim) -> tuple[Any, Found]:
    """A gap is named once."""
    first, last = log.seq("intents"), log.seq("intents", 1)

    def attack(connection: DB) -> None:
        for table in TABLES:
            between = (first, last)
            connection.execute(f"DELETE FROM {table.name} WHERE seq BETWEEN ? AND ?", between)

    return attack, [("missing", "", first)]


def the_first_row_deleted(log: Victim) -> tuple[Any, Found]:
    """A file that does not say how it begins lacks its first row."""
    return sql("DELETE FROM segments"), [("missing", "", 1)]


def two_rows_swapped(log: Victim) -> tuple[Any, Found]:
    """Each is named with the place where it belongs."""
    first, second = log.seq("intents"), log.seq("intents", 1)
    attack = move(log, "intents", [(first, -1), (second, first), (-1, second)])
    return attack, [("reordered", "intents", first), ("reordered", "intents", second)]


def distant_rows_swapped(log: Victim) -> tuple[Any, Found]:
    """However far apart."""
    first, second = log.seq("calls"), log.seq("calls", -1)
    attack = move(log, "calls", [(first, -1), (second, first), (-1, second)])
    return attack, [("reordered", "calls", first), ("reordered", "calls", second)]


def a_row_moved_to_the_end(log: Victim) -> tuple[Any, Found]:
    """It is missed where it was and named where it is."""
    seq, end = log.seq("calls"), log.end.size + 1
    return move(log, "calls", [(seq, end)]), [("missing", "", seq), ("reordered", "calls", end)]


def a_row_below_one(log: Victim) -> tuple[Any, Found]:
    """Rows count from 1: one below has no place."""
    seq = log.seq("events")
    return move(log, "events", [(seq, -5)]), [("reordered", "events", -5), ("missing", "", seq)]


def a_row_appended(log: Victim) -> tuple[Any, Found]:
    """A row at the end that no batch has."""
    seq = log.end.size + 1
    attack = sql(f"INSERT INTO events SELECT {seq}, run, 5, kind, plugin, hook, call_id, '{{}}' "
                 "FROM events LIMIT 1")  # fmt: skip
    return attack, [("forged", "events", seq)]


def a_row_inserted_over_a_number(log: Victim) -> tuple[Any, Found]:
    """Two rows cannot have one number; the one that the batch did not see is the forged one."""
    seq = log.seq("plugins")
    attack = sql(f"INSERT INTO events SELECT {seq}, run, 5, kind, plugin, hook, call_id, '{{}}' "
                 "FROM events LIMIT 1")  # fmt: skip
    return attack, [("forged", "events", seq)]


def a_row_replaced_from_before(log: Victim) -> tuple[Any, Found]:
    """The same with a table that is read first: the real row is not blamed."""
    seq = log.seq("events")
    return sql(f"INSERT INTO names VALUES ({seq}, 'x')"), [("forged", "names", seq)]


def or_replace(log: Victim) -> tuple[Any, Found]:
    """With the triggers out of the way, the replaced row does not fit its mark."""
    seq = log.seq("names", 2)
    return sql(f"INSERT OR REPLACE INTO names VALUES ({seq}, 'x')"), [("edited", "names", seq)]


def an_edit_with_its_batch_made_anew(log: Victim) -> tuple[Any, Found]:
    """The next batch still knows the one before as it was; the last one needs a checkpoint."""
    seq = log.seq("calls")
    batch = log.batch_of(seq)
    attack = both(update(log, "calls", "duration_us = 1"), made_anew(log, seq))
    return attack, [] if batch == log.end.size else [("forged", "batches", batch)]


def a_root_edited(log: Victim) -> tuple[Any, Found]:
    """The rows are right, what the batch says of them is not."""
    attack = update(log, "batches", "root = zeroblob(32)")
    return attack, [("edited", "batches", log.seq("batches"))]


def a_frontier_edited(log: Victim) -> tuple[Any, Found]:
    """The same for what the next batch would be built on."""
    attack = update(log, "batches", "frontier = zeroblob(length(frontier))")
    return attack, [("edited", "batches", log.seq("batches"))]


def marks_edited(log: Victim) -> tuple[Any, Found]:
    """No row is blamed for marks that are wrong while the tree is right."""
    attack = update(log, "batches", "marks = zeroblob(length(marks))")
    return attack, [("edited", "batches", log.seq("batches"))]


def marks_cut_short(log: Victim) -> tuple[Any, Found]:
    """Nor when there are too few of them."""
    attack = update(log, "batches", "marks = X'00'")
    return attack, [("edited", "batches", log.seq("batches"))]


def a_batch_that_begins_elsewhere(log: Victim) -> tuple[Any, Found]:
    """A batch begins where the one before ended."""
    attack = update(log, "batches", "first = first + 1")
    return attack, [("edited", "batches", log.seq("batches"))]


def a_batch_that_is_none(log: Victim) -> tuple[Any, Found]:
    """A root that is no bytes is malformed."""
    attack = update(log, "batches", "root = 'text'")
    return attack, [("malformed", "batches", log.seq("batches"))]


def a_segment_that_begins_elsewhere(log: Victim) -> tuple[Any, Found]:
    """A file cannot pretend that rows came before it."""
    attack = update(log, "segments", "base = 7")
    return attack, [("edited", "segments", 1), ("malformed", "segments", 1)]


def the_last_batch_taken_away(log: Victim) -> tuple[Any, Found]:
    """Rows that no batch has are somebody's."""
    last = log.end.size
    before = log.rows["batches"][-2] if len(log.rows["batches"]) > 1 else 0
    rows = [seq for seq, _ in every_row(log.path) if before < seq < last]
    name = next(table for seq, table in every_row(log.path) if seq == rows[0])
    return sql(f"DELETE FROM batches WHERE seq = {last}"), [("forged", name, rows[0])]


def an_open_end_forged(log: Victim) -> tuple[Any, Found]:
    """How a spool ended is as safe as any fact; the last batch needs a checkpoint."""
    seq = log.seq("batches")
    attack = update(log, "batches", "spool = 'x', from_offset = 0, to_offset = 9, ending = 'end'")
    return attack, [] if seq == log.end.size else [("forged", "batches", seq)]


def a_trigger_of_ones_own(log: Victim) -> tuple[Any, Found]:
    """One that changes no row yet, and drops failures from now on."""
    attack = sql("CREATE TRIGGER quiet BEFORE INSERT ON Calls WHEN NEW.ok = 0 "
                 "BEGIN SELECT RAISE(IGNORE); END")  # fmt: skip
    return attack, [("malformed", "calls", 0)]


MATRIX = [
    an_edit, an_error_hidden, a_name_exchanged, a_row_refers_to_another_name, two_edits,
    a_digest_cut_short, a_real_for_an_integer, text_that_is_none, a_null_for_a_value, a_row_deleted,
    neighbours_deleted, the_first_row_deleted,
    two_rows_swapped, distant_rows_swapped, a_row_moved_to_the_end, a_row_below_one, a_row_appended,
    a_row_inserted_over_a_number, a_row_replaced_from_before, or_replace,
    an_edit_with_its_batch_made_anew, a_root_edited, a_frontier_edited, marks_edited,
    marks_cut_short, a_batch_that_begins_elsewhere, a_batch_that_is_none,
    a_segment_that_begins_elsewhere, the_last_batch_taken_away, an_open_end_forged,
    a_trigger_of_ones_own,
]  # fmt: skip


@pytest.mark.parametrize("attack", MATRIX, ids=lambda attack: attack.__name__)
def test_the_matrix_of_attacks(log: Victim, attack: Callable[[Victim], tuple[Any, Found]]) -> None:
    """Each is found with the right word at the right row, with a checkpoint at the latest."""
    strike, expected = attack(log)
    with tampering(log.path) as connection:
        strike(connection)
    assert sorted(found(log.path)) == sorted(expected)
    anchored = inspect(log.path, log.end)
    assert not anchored.ok
    if expected:
        kinds = {(p.kind, p.table, p.seq) for p in anchored.problems}
        assert set(expected) <= kinds


@pytest.mark.parametrize("table", [name for name in BY_NAME if name != "seals"])
def test_an_edit_of_any_column_is_found(
    victims: dict[int, Victim], tmp_path: Path, table: str
) -> None:
    """No column can be changed without the row being named."""
    log, path = victims[7], tmp_path / "audit.db"
    shutil.copy(log.path, path)
    seq, guard = log.seq(table), BY_NAME[table].guards[1]
    news = {"INTEGER": "ifnull({0}, 0) + 1", "TEXT": "ifnull({0}, '') || 'x'", "BLOB": "X'0102'"}
    for column in BY_NAME[table].columns:
        query = f"SELECT {column.name} FROM {table} WHERE seq = {seq}"
        change = f"UPDATE {table} SET {column.name} = {{}} WHERE seq = {seq}"
        with closing(sqlite3.connect(path)) as connection:
            ((old,),) = connection.execute(query).fetchall()
            connection.execute(f"DROP TRIGGER {table}_no_update")
            connection.execute(change.format(news[column.type].format(column.name)))
            connection.execute(guard)
            connection.commit()
            assert {p[1:] for p in found(path)} == {(table, seq)}, column.name
            connection.execute(f"DROP TRIGGER {table}_no_update")
            connection.execute(change.format("?"), (old,))
            connection.execute(guard)
            connection.commit()
    assert found(path) == []


# -- what takes an anchor ----------------------------------------------------------------------


def test_a_cut_off_tail_is_found_with_a_checkpoint(log: Victim) -> None:
    """Alone the tree cannot show it, and the report says so; a checkpoint shows it."""
    keep = log.rows["batches"][-2] if len(log.rows["batches"]) > 1 else 0
    with tampering(log.path) as connection:
        cut(connection, keep)
    alone = inspect(log.path)
    assert alone.ok
    assert any("cut off at the end" in limit for limit in alone.limits)
    assert found(log.path, log.end) == [("truncated", "", keep + 1)]


def test_an_emptied_log_is_found_with_a_checkpoint(log: Victim) -> None:
    """All rows gone is a tail cut off at the first."""
    with tampering(log.path) as connection:
        cut(connection, 0)
    assert found(log.path, log.end) == [("truncated", "", 1)]
    assert inspect(log.path).head is None


def test_a_rewritten_log_is_found_with_a_checkpoint(log: Victim) -> None:
    """Who recomputes every batch is out of reach of the tree, but not of a checkpoint."""
    with tampering(log.path) as connection:
        update(log, "calls", "duration_us = 1")(connection)
        rebatch(connection)
    alone = inspect(log.path)
    assert alone.ok
    assert any("not rewritten" in limit for limit in alone.limits)
    assert found(log.path, log.end) == [("forged", "", log.end.size)]


def test_a_log_rewritten_in_its_middle_is_found_with_an_older_checkpoint(log: Victim) -> None:
    """Also by a checkpoint that saw only what was before the rows that were added since."""
    with tampering(log.path) as connection:
        update(log, "runs", "python = '2.7'")(connection)
        rebatch(connection)
    assert found(log.path) == []
    assert found(log.path, log.middle) == [("forged", "", log.middle.size)]


def test_a_row_taken_out_for_good_is_found_with_a_checkpoint(log: Victim) -> None:
    """Who closes the gap and recomputes every batch has one row fewer than the checkpoint saw."""
    seq = log.seq("events")
    with tampering(log.path) as connection:
        connection.execute("DELETE FROM events WHERE seq = ?", (seq,))
        for later, table in every_row(log.path):
            if later > seq:
                connection.execute(f"UPDATE {table} SET seq = seq - 1 WHERE seq = ?", (later,))
        rebatch(connection)
    assert found(log.path) == []
    assert found(log.path, log.end) == [("truncated", "", log.end.size)]


def test_a_tail_that_was_replaced_is_found_with_a_checkpoint(log: Victim) -> None:
    """Other rows of the same number, each in a proper batch, are not what the checkpoint saw."""
    with tampering(log.path) as connection:
        update(log, "run_ends", "status = run")(connection)
        rebatch(connection)
    assert found(log.path) == []
    assert found(log.path, log.end) == [("forged", "", log.end.size)]


def test_an_appended_batch_is_beyond_what_a_checkpoint_shows(log: Victim) -> None:
    """Rows after the checkpoint may be anybody's, and the report says that it does not know."""
    write_batches(log.path, sample_rows(log.path)[:3], 3)
    report = inspect(log.path, log.end)
    assert report.ok
    assert any(f"after number {log.end.size}" in limit for limit in report.limits)


def test_a_checkpoint_of_another_log_does_not_fit(log: Victim) -> None:
    """A checkpoint names its log."""
    other = attrs.evolve(log.end, origin="nxkernel.audit.v2/0123456789abcdef")
    assert found(log.path, other) == [("forged", "", 1)]


def test_an_older_checkpoint_covers_the_rows_before_it(log: Victim) -> None:
    """An edit is named by its row, and not a second time by the checkpoint."""
    with tampering(log.path) as connection:
        update(log, "runs", "python = '2.7'")(connection)
    assert {p.kind for p in inspect(log.path, log.middle).problems} == {"edited"}


# -- the schema --------------------------------------------------------------------------------


@pytest.mark.parametrize("table", list(BY_NAME))
def test_a_trigger_that_was_removed_is_reported(
    path: Path, checkpoint: Checkpoint, table: str
) -> None:
    """Rows may be sound and the file unprotected: that is said too."""
    for guard in BY_NAME[table].guards:
        with closing(sqlite3.connect(path)) as connection:
            connection.execute(f"DROP TRIGGER {guard.split()[2]}")
        assert found(path) == [("malformed", table, 0)]
        with closing(sqlite3.connect(path)) as connection:
            connection.execute(guard)


def test_a_trigger_without_teeth_is_reported(path: Path, checkpoint: Checkpoint) -> None:
    """A trigger of the right name that does nothing is no trigger."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP TRIGGER calls_no_update")
        connection.execute(
            "CREATE TRIGGER calls_no_update BEFORE UPDATE ON calls BEGIN SELECT 1; END"
        )
    assert found(path) == [("malformed", "calls", 0)]


def test_a_view_that_shows_something_else_is_reported(path: Path, checkpoint: Checkpoint) -> None:
    """People read the views: one that hides failures is as bad as an edit."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP VIEW calls_text")
        connection.execute("CREATE VIEW calls_text AS SELECT * FROM calls WHERE ok = 1")
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
        connection.execute("DROP VIEW events_text")
        connection.execute("ALTER TABLE events RENAME TO hidden")
        connection.execute("CREATE VIEW events AS SELECT * FROM hidden")
    assert found(path)[:5] == [("malformed", "events", 0)] * 5


def test_an_added_column_is_reported(path: Path, checkpoint: Checkpoint) -> None:
    """Facts that no leaf covers are not part of the format."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("ALTER TABLE calls ADD COLUMN note TEXT")
    assert ("malformed", "calls", 0) in found(path)


def test_a_missing_column_stops_nothing(path: Path, checkpoint: Checkpoint) -> None:
    """A table that cannot be read is a problem of the log, not of the verifier."""
    with tampering(path) as connection:
        connection.execute("DROP VIEW calls_text")
        connection.execute("ALTER TABLE calls DROP COLUMN fault")
    assert ("malformed", "calls", 0) in found(path)


# -- files that are broken ---------------------------------------------------------------------


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
    """However many rows are wrong, and however far apart, the report stays readable."""
    with tampering(path) as connection:
        seqs = range(checkpoint.size + 2, checkpoint.size + 5000, 2)
        connection.execute("BEGIN")
        connection.executemany("INSERT INTO names VALUES (?, ?)", [(seq, str(seq)) for seq in seqs])
        connection.execute("INSERT INTO seals VALUES (?, 1)", (2**62,))
        connection.execute("COMMIT")
    report = inspect(path)
    assert len(report.problems) == 1000


def test_a_batch_at_the_end_of_all_numbers_is_found(path: Path, checkpoint: Checkpoint) -> None:
    """A row that claims a number beyond all others makes a gap, not a verifier without memory."""
    with tampering(path) as connection:
        last = connection.execute("SELECT max(seq) FROM batches").fetchone()[0]
        connection.execute("UPDATE batches SET seq = ? WHERE seq = ?", (2**62, last))
    assert ("missing", "", last) in found(path)


def test_require_raises_with_the_first_problem(path: Path, checkpoint: Checkpoint) -> None:
    """A program that needs a sound log gets an error that names the row."""
    (seq, _), *_ = [row for row in every_row(path) if row[1] == "calls"]
    with tampering(path) as connection:
        connection.execute("UPDATE calls SET hook = 1 WHERE seq = ?", (seq,))
    with pytest.raises(IntegrityError, match=rf"row {seq} \(calls\) was edited") as caught:
        verify(path).require()
    assert caught.value.code == "audit.tampered"
    assert caught.value.exit_code == 4


def test_a_log_is_verified_as_it_was_when_it_began(path: Path, checkpoint: Checkpoint) -> None:
    """Rows that are not in the database yet neither appear nor disturb."""
    log = AuditLog(path, Ticks())
    log.begin_run(boot_facts("run-3"))
    report = inspect(path, checkpoint)
    assert report.ok
    assert report.rows == checkpoint.size
    log.close()


def test_a_missing_file_is_no_log(tmp_path: Path) -> None:
    """The error names the file by its end and gives the whole path to programs."""
    with pytest.raises(AuditError, match=r"no audit log at .*none\.db") as caught:
        verify(tmp_path / "none.db")
    assert caught.value.details["path"] == str(tmp_path / "none.db")
