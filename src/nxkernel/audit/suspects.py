"""Rows that are not what a batch saw: were they edited, or do they belong somewhere else?"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Literal

import attrs

from nxkernel._canonical import NotCanonical
from nxkernel.audit.columns import MARK, Table, leaf
from nxkernel.audit.tree import leaf_hash

__all__ = ["MAX_PROBLEMS", "Problem", "ProblemKind", "Suspects", "hash_of", "rows_at"]

#: ``damaged`` is said of spools alone.
ProblemKind = Literal[
    "edited", "missing", "reordered", "forged", "truncated", "malformed", "damaged"
]
#: Problems that are listed one by one; a log beyond that is rotten as a whole.
MAX_PROBLEMS = 1000
#: How many places are tried for a row that stands in the wrong one.
MAX_PLACES = 256

_WORDS = {
    "edited": "was edited: it is not what its batch saw",
    "forged": "belongs to no batch: somebody put it there, or took the row of its batch away",
    "batch": "was made anew: its rows, or what it says of them, are not those of then",
}


@attrs.frozen
class Problem:
    """One thing that does not add up."""

    kind: ProblemKind
    #: The table, or empty where no row is left to say.
    table: str
    #: Number of the row, or 0.
    seq: int
    message: str


def hash_of(row: tuple[Any, ...]) -> bytes:
    """Return the hash of the leaf for ``(seq, table, *stored)``, or what is no hash of any."""
    try:
        return leaf_hash(leaf(row))
    except NotCanonical:  # text that is no UTF-8
        return b"?"


def rows_at(
    connection: sqlite3.Connection, tables: Iterable[Table], seq: int
) -> list[tuple[Any, ...]]:
    """Return every row that claims the number *seq*, in the order of their tables."""
    return [row for t in tables for row in connection.execute(t.select, (seq, seq)).fetchall()]


class Suspects:
    """Collects such rows, and the places where a row is missing or is another one."""

    def __init__(self, find: Callable[[int], list[tuple[Any, ...]]]) -> None:
        self._find = find
        self._rows: dict[tuple[int, str], tuple[tuple[Any, ...], str]] = {}
        self._places: dict[int, bytes] = {}

    def place(self, seq: int, mark: bytes) -> None:
        """Note that another row with *mark* belongs at *seq*."""
        if len(self._places) < MAX_PLACES:
            self._places[seq] = mark

    def add(self, seq: int, word: str) -> None:
        """Suspect what stands at *seq*."""
        for row in self._find(seq)[:1]:
            self.add_row(row, word)

    def add_row(self, row: tuple[Any, ...], word: str) -> None:
        """Suspect *row*; what was said of it first, counts."""
        if len(self._rows) < MAX_PROBLEMS:
            self._rows.setdefault((row[0], row[1]), (row, word))

    def problems(self) -> Iterator[Problem]:
        """Say of each row what is wrong with it; neighbours that nobody knows are named at once."""
        strangers: list[tuple[int, str]] = []
        for (seq, table), (row, word) in sorted(self._rows.items()):
            own = self._own_place(row)
            if own is not None:
                message = (
                    f"row {seq} ({table}) stands in another place: it was written as row {own}"
                )
                yield Problem("reordered", table, seq, message)
            elif word == "forged":
                strangers.append((seq, table))
            else:
                kind: ProblemKind = "edited" if word == "edited" else "forged"
                yield Problem(kind, table, seq, f"row {seq} ({table}) {_WORDS[word]}")
        yield from _stretches(strangers)

    def _own_place(self, row: tuple[Any, ...]) -> int | None:
        for seq, mark in self._places.items():
            if seq != row[0] and hash_of((seq, *row[1:]))[:MARK] == mark:
                return seq
        return None


def _stretches(rows: list[tuple[int, str]]) -> Iterator[Problem]:
    """Name rows that follow each other as one."""
    start = 0
    for at, (seq, table) in enumerate(rows):
        if at + 1 < len(rows) and rows[at + 1][0] == seq + 1:
            continue
        first, name = rows[start]
        what = f"row {seq} ({table})" if first == seq else f"each of rows {first} to {seq}"
        yield Problem("forged", name, first, f"{what} {_WORDS['forged']}")
        start = at + 1
