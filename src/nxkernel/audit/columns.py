"""What a table of the audit log is: its columns, its SQL, and its rows as leaves of the tree."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Literal

import attrs

from nxkernel._canonical import NotCanonical, encode
from nxkernel._once import once
from nxkernel._sqlite import append_only

__all__ = ["MARK", "Column", "Facts", "Kind", "Stored", "Table", "leaf"]

#: Bytes of a leaf's hash that a batch keeps, to say which of its rows was edited.
MARK = 4

#: INTEGER, TEXT and BLOB are stored as they are. NAME is text, stored as the number of its row in
#: ``names``; DIGEST is ``sha256:`` and hex, stored as its 32 bytes; HEX as the bytes it stands for.
Kind = Literal["INTEGER", "TEXT", "BLOB", "NAME", "DIGEST", "HEX"]
#: Values of one row as people know them, without ``seq``.
Facts = tuple[int | str | bytes | None, ...]
#: The same as they are stored: numbers for names, bytes for digests.
Stored = tuple[int | str | bytes | None, ...]

_SQL = {"NAME": "INTEGER", "DIGEST": "BLOB", "HEX": "BLOB"}
_TYPE: dict[str, type] = {"INTEGER": int, "TEXT": str, "BLOB": bytes}
_DIGEST = re.compile("sha256:[0-9a-f]{64}")


@attrs.frozen
class Column:
    """One column of facts."""

    name: str
    kind: Kind
    meaning: str
    null: bool = False

    @property
    def type(self) -> str:
        """Type in the database: ``INTEGER``, ``TEXT`` or ``BLOB``."""
        return _SQL.get(self.kind, self.kind)

    @property
    def shown(self) -> str:
        """SQL for the value as people know it."""
        if self.kind == "NAME":
            return f"(SELECT name FROM names WHERE names.seq = t.{self.name}) AS {self.name}"
        if self.kind in ("DIGEST", "HEX"):
            # hex() of NULL is an empty text.
            prefix = "'sha256:' || " if self.kind == "DIGEST" else ""
            shown = f"{prefix}lower(hex(t.{self.name}))"
            return f"CASE WHEN t.{self.name} IS NOT NULL THEN {shown} END AS {self.name}"
        return f"t.{self.name}"


def leaf(row: Sequence[object]) -> bytes:
    """Return the bytes of the leaf for a row ``(seq, table, *stored)``.

    Raises:
        NotCanonical: for a value that is no int of 64 bits, text, bytes or None.
    """
    return encode(row)


@attrs.define(frozen=True, slots=False)
class Table:
    """One kind of row. Before its facts every row has ``seq``, its number over all tables."""

    name: str
    meaning: str
    columns: tuple[Column, ...]
    #: Whether rows may still come after the segment was sealed: those that say so.
    late: bool = False

    @once
    def names(self) -> tuple[str, ...]:
        """Names of the columns of facts, in the order in which they are hashed."""
        return tuple(column.name for column in self.columns)

    @once
    def create(self) -> str:
        """The CREATE TABLE statement, as the database records it."""
        facts = ", ".join(
            f"{c.name} {c.type}" + ("" if c.null else " NOT NULL") for c in self.columns
        )
        return f"CREATE TABLE {self.name} (seq INTEGER PRIMARY KEY, {facts})"

    @once
    def guards(self) -> tuple[str, ...]:
        """The triggers that let rows in at the end and nothing else."""
        # The first closes INSERT OR REPLACE, which deletes without firing a DELETE trigger.
        sealed = "" if self.late else " OR EXISTS (SELECT 1 FROM seals)"
        append = (
            f"CREATE TRIGGER {self.name}_append BEFORE INSERT ON {self.name} "
            f"WHEN NEW.seq <= ifnull((SELECT max(seq) FROM {self.name}), 0){sealed} "
            f"BEGIN SELECT RAISE(ABORT, '{self.name} is append-only'); END"
        )
        return (append, *append_only(self.name))

    @once
    def view(self) -> str:
        """The CREATE VIEW statement of ``<name>_text``: the rows with names and digests as text."""
        shown = ", ".join(("t.seq", *(column.shown for column in self.columns)))
        return f"CREATE VIEW {self.name}_text AS SELECT {shown} FROM {self.name} AS t"

    @once
    def statements(self) -> tuple[str, ...]:
        """Everything that makes the table, in order."""
        return (self.create, *self.guards, self.view)

    @once
    def insert(self) -> str:
        """The INSERT statement for ``(seq, *stored)``."""
        names = ", ".join(("seq", *self.names))
        marks = ", ".join("?" * (1 + len(self.columns)))
        return f"INSERT INTO {self.name} ({names}) VALUES ({marks})"

    @once
    def select(self) -> str:
        """Rows ``(seq, table, *stored)`` from one number to another, in order."""
        names = ", ".join(self.names)
        return (
            f"SELECT seq, '{self.name}', {names} FROM {self.name} "
            "WHERE seq BETWEEN ? AND ? ORDER BY seq"
        )

    def store(self, facts: Facts, number: Callable[[str], int]) -> Stored:
        """Return *facts* as they are stored; *number* gives the number of a name.

        Raises:
            NotCanonical: when a fact has another type than its column.
        """
        stored = list(facts)
        if len(stored) != len(self.columns):
            raise NotCanonical(f"{self.name} has {len(self.columns)} columns")
        for at, (kind, null) in self._checked:
            value = stored[at]
            if value is None and null:
                continue
            stored[at] = _STORE[kind](value) if kind != "NAME" else number(_text(value))
        return tuple(stored)

    def text(self, facts: Facts) -> Facts:
        """Return *facts* as the view shows them once they are stored; raises as :meth:`store`."""
        shown = list(facts)
        if len(shown) != len(self.columns):
            raise NotCanonical(f"{self.name} has {len(self.columns)} columns")
        for at, (kind, null) in self._checked:
            value = shown[at]
            if value is not None or not null:
                shown[at] = _SHOW[kind](value)
        return tuple(shown)

    def fault(self, stored: Sequence[object]) -> str:
        """Name a column whose value the format forbids, or return an empty text."""
        for column, value in zip(self.columns, stored, strict=True):
            if value is None and column.null:
                continue
            if type(value) is not _TYPE[column.type]:
                return column.name
        return ""

    @once
    def _checked(self) -> tuple[tuple[int, tuple[Kind, bool]], ...]:
        return tuple((at, (c.kind, c.null)) for at, c in enumerate(self.columns))


def _wrong(value: object) -> NotCanonical:
    return NotCanonical(f"a fact of type {type(value).__name__} in the wrong column")


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise _wrong(value)
    return value


def _integer(value: object) -> int:
    if type(value) is not int:
        raise _wrong(value)
    return value


def _blob(value: object) -> bytes:
    if not isinstance(value, bytes):
        raise _wrong(value)
    return value


def _digest(value: object) -> bytes:
    return bytes.fromhex(_digest_text(value)[7:])


def _digest_text(value: object) -> str:
    if not isinstance(value, str) or not _DIGEST.fullmatch(value):
        raise _wrong(value)
    return value


def _unhex(value: object) -> bytes:
    try:
        return bytes.fromhex(_text(value))
    except ValueError:
        raise _wrong(value) from None


_STORE: dict[Kind, Callable[[object], int | str | bytes]] = {
    "INTEGER": _integer,
    "TEXT": _text,
    "BLOB": _blob,
    "DIGEST": _digest,
    "HEX": _unhex,
}
_SHOW: dict[Kind, Callable[[object], int | str | bytes]] = {
    "INTEGER": _integer,
    "TEXT": _text,
    "NAME": _text,
    "BLOB": _blob,
    "DIGEST": _digest_text,
    "HEX": lambda value: _unhex(value).hex(),
}
