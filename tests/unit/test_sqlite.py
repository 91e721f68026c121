"""The door to every database: policy of connections, forward-only migrations, one writer."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import attrs
import pytest

from nxkernel import _sqlite
from nxkernel._sqlite import (
    Busy,
    Durability,
    Format,
    Migration,
    Refused,
    WriterLock,
    append_only,
    immediate,
    only_append,
    open_reader,
    open_writer,
)

FIRST = Migration("1-notes", ("CREATE TABLE notes (text TEXT)", *append_only("notes")))
SECOND = Migration("2-marks", ("CREATE TABLE marks (text TEXT)",))
NOTES = Format(noun="a box of notes", application_id=4711, migrations=(FIRST,))
GROWN = attrs.evolve(NOTES, migrations=(FIRST, SECOND))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "notes.db"


def opened(
    path: Path, format: Format = NOTES, now_ns: int = 1, durability: Durability = "process"
) -> closing[sqlite3.Connection]:
    return closing(open_writer(path, format, durability=durability, now_ns=now_ns))


def history(connection: sqlite3.Connection) -> list[tuple[int, str, int]]:
    return connection.execute("SELECT position, name, applied_ns FROM migrations").fetchall()


def test_migrations_are_applied_once_and_recorded(path: Path) -> None:
    """Each step runs once, in order, with the time at which it was applied."""
    with opened(path, now_ns=1) as connection:
        assert history(connection) == [(1, "1-notes", 1)]
    with opened(path, GROWN, now_ns=2) as connection:
        assert history(connection) == [(1, "1-notes", 1), (2, "2-marks", 2)]
        connection.execute("INSERT INTO marks VALUES ('here')")
    with opened(path, GROWN, now_ns=3) as connection:
        assert len(history(connection)) == 2


def test_a_step_that_fails_leaves_nothing(path: Path) -> None:
    """A migration is one transaction: half of it is never there."""
    bad = Migration("2-bad", ("CREATE TABLE marks (text TEXT)", "CREATE TABLE notes (text TEXT)"))
    with pytest.raises(sqlite3.OperationalError, match="already exists"):
        opened(path, attrs.evolve(NOTES, migrations=(FIRST, bad))).close()
    with opened(path, GROWN) as connection:
        assert [name for _, name, _ in history(connection)] == ["1-notes", "2-marks"]


def test_a_newer_file_is_refused(path: Path) -> None:
    """There is no way back: an old version does not touch what it does not know."""
    opened(path, GROWN).thing.close()
    with pytest.raises(Refused, match=r"does not know \(2-marks\)"):
        opened(path, NOTES)
    with pytest.raises(Refused, match="does not know"):
        open_reader(path, NOTES)


def test_steps_in_another_order_are_refused(path: Path) -> None:
    """A history that is not a beginning of ours is not ours."""
    opened(path, GROWN).thing.close()
    with pytest.raises(Refused, match="in another order"):
        opened(path, attrs.evolve(NOTES, migrations=(SECOND, FIRST)))


@pytest.mark.parametrize("application_id", [0, 99])
def test_a_database_of_another_kind_is_refused(path: Path, application_id: int) -> None:
    """A file of another program is neither changed nor read."""
    with closing(sqlite3.connect(path)) as other:
        other.execute(f"PRAGMA application_id={application_id}")
        other.execute("CREATE TABLE theirs (x)")
    before = path.read_bytes()
    with pytest.raises(Refused, match="not a box of notes"):
        opened(path)
    with pytest.raises(Refused, match="not a box of notes"):
        open_reader(path, NOTES)
    assert path.read_bytes() == before


def test_an_empty_file_becomes_a_database_and_is_none_before(path: Path) -> None:
    """A file of no bytes is fit for writing, and nothing to read."""
    path.touch()
    with pytest.raises(Refused, match="it is empty"):
        open_reader(path, NOTES)
    with opened(path) as connection:
        assert len(history(connection)) == 1


@pytest.mark.parametrize(
    ("durability", "synchronous"), [("process", 1), ("power", 2)], ids=["process", "power"]
)
def test_the_policy_of_a_writing_connection(
    path: Path, durability: Durability, synchronous: int
) -> None:
    """WAL, triggers that fire inside REPLACE, and a flush for each commit if asked for."""
    with opened(path, durability=durability) as connection:
        values = [
            connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("journal_mode", "synchronous", "recursive_triggers", "trusted_schema")
        ]
    assert values == ["wal", synchronous, 1, 0]


@pytest.mark.parametrize("table", ["notes", "migrations"])
@pytest.mark.parametrize("change", ["DELETE FROM {}", "UPDATE {} SET {}"])
def test_append_only_tables_refuse_changes(path: Path, table: str, change: str) -> None:
    """Rows stay as they are, also for a connection that is not ours."""
    column = {"notes": "text = 'x'", "migrations": "name = 'x'"}[table]
    with opened(path) as connection:
        connection.execute("INSERT INTO notes VALUES ('here')")
    with (
        closing(sqlite3.connect(path)) as other,
        pytest.raises(sqlite3.IntegrityError, match=f"{table} is append-only"),
    ):
        other.execute(change.format(table, column))


def test_the_history_cannot_be_replaced(path: Path) -> None:
    """INSERT OR REPLACE into the record of migrations is refused like any other rewrite."""
    opened(path).thing.close()
    with (
        closing(sqlite3.connect(path)) as other,
        pytest.raises(sqlite3.IntegrityError, match="append-only"),
    ):
        other.execute("REPLACE INTO migrations VALUES (1, 'other', 1)")


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE notes SET text = 'x'",
        "DELETE FROM notes",
        "DROP TABLE notes",
        "DROP TRIGGER notes_no_update",
        "ALTER TABLE notes ADD COLUMN x",
        "CREATE TABLE more (x)",
        "PRAGMA writable_schema=ON",
        "PRAGMA recursive_triggers=OFF",
        "ATTACH ':memory:' AS other",
    ],
)
def test_an_append_only_connection_does_nothing_else(path: Path, statement: str) -> None:
    """Not even our own code can change what it has written."""
    with opened(path) as connection:
        only_append(connection)
        connection.execute("INSERT INTO notes VALUES ('here')")
        with pytest.raises(sqlite3.DatabaseError, match="not authorized"):
            connection.execute(statement)
        assert connection.execute("SELECT text FROM notes").fetchall() == [("here",)]


def write_and_fail(connection: sqlite3.Connection) -> None:
    with immediate(connection):
        connection.execute("INSERT INTO notes VALUES ('here')")
        connection.execute("INSERT INTO nowhere VALUES ('here')")


def test_a_transaction_that_fails_is_rolled_back(path: Path) -> None:
    """An exception in the body undoes it, and the connection can go on."""
    with opened(path) as connection:
        with pytest.raises(sqlite3.OperationalError, match="no such table"):
            write_and_fail(connection)
        with immediate(connection):
            connection.execute("INSERT INTO notes VALUES ('there')")
        assert connection.execute("SELECT text FROM notes").fetchall() == [("there",)]


def test_a_reader_cannot_write(path: Path) -> None:
    """A reading connection is read-only for the operating system and for SQLite."""
    opened(path).thing.close()
    with (
        closing(open_reader(path, NOTES)) as connection,
        pytest.raises(sqlite3.OperationalError, match="readonly"),
    ):
        connection.execute("INSERT INTO notes VALUES ('here')")


def test_a_reader_needs_no_right_to_write(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A closed log in a folder of someone else can be read."""
    opened(path).thing.close()
    real = sqlite3.connect

    def connect(name: str, **options: Any) -> sqlite3.Connection:
        # What SQLite says when it may not create the -shm file; root may always.
        if "immutable" not in name:
            raise sqlite3.OperationalError("unable to open database file")
        return real(name, **options)

    monkeypatch.setattr(_sqlite.sqlite3, "connect", connect)
    with closing(open_reader(path, NOTES)) as connection:
        assert len(history(connection)) == 1
    Path(f"{path}-wal").write_bytes(b"x")
    with pytest.raises(sqlite3.OperationalError, match="unable to open"):
        open_reader(path, NOTES)


def test_text_that_is_no_utf8_can_be_read(path: Path) -> None:
    """A damaged text does not stop a query."""
    with opened(path) as connection:
        connection.execute("INSERT INTO notes VALUES (CAST(X'61ff' AS TEXT))")
    with closing(open_reader(path, NOTES)) as connection:
        assert connection.execute("SELECT text FROM notes").fetchone() == ("a\udcff",)


def test_one_writer_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second one waits, gives up some day, and goes on once the first is gone."""
    first, second = WriterLock(tmp_path / "lock"), WriterLock(tmp_path / "lock")
    pauses: list[float] = []
    monkeypatch.setattr(_sqlite.time, "sleep", pauses.append)
    with first, pytest.raises(Busy, match="another process"), second:
        pass
    assert 5 < sum(pauses) < 20
    with second:
        pass
    with first:
        monkeypatch.setattr(_sqlite.time, "sleep", lambda _: first.__exit__())
        with second:
            pass
    first.close()
    second.close()
