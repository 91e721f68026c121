"""One pass over a stretch of a log: every batch against its rows, by nothing but the format.

A batch is sound when all rows from ``first`` to the one before its own are there, their marks are
those that it kept, and the tree of the batch before, grown by them, has its root and frontier. What
is wrong is told by how these fail:

==================  ==================  ======================================================
marks               tree                then
==================  ==================  ======================================================
all fit             fits                the batch is sound
some do not         does not fit        these rows are others: edited, or moved
all fit             does not fit        the row of the batch was edited
some do not         fits                the same: its marks were
==================  ==================  ======================================================

The row of the batch before is the first leaf. When that one is another while its batch is sound in
itself, then the whole batch was made anew: forged.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from hashlib import sha256
from typing import Any

import attrs

from nxkernel._canonical import NotCanonical, encode
from nxkernel.audit.columns import MARK, Table
from nxkernel.audit.schema import BATCHES, RUNS
from nxkernel.audit.suspects import MAX_PROBLEMS, Problem, ProblemKind, Suspects, hash_of, rows_at
from nxkernel.audit.tree import Tree

__all__ = ["Inspection", "Start"]

#: Rows that are read at once, or a batch if that has more.
_CHUNK = 4096
_BATCHES = "SELECT seq FROM batches WHERE seq > ? AND seq <= ? ORDER BY seq"


@attrs.frozen(kw_only=True)
class Start:
    """What is known where a pass begins."""

    #: Number of the first row to read.
    row: int
    #: The tree before; None if it is unknown.
    tree: Tree | None
    #: Hash of the row of the batch before, which is the first leaf of the next; empty at the
    #: beginning of a file.
    pending: bytes = b""


@attrs.frozen
class _Batch:
    """A row of ``batches``."""

    seq: int
    first: int
    root: bytes
    frontier: bytes
    marks: bytes

    def mark(self, seq: int) -> bytes:
        """Return the mark of the leaf with number *seq*, or nothing if there is none."""
        if self.first <= seq and len(self.marks) == MARK * (self.seq - self.first):
            return self.marks[MARK * (seq - self.first) :][:MARK]
        return b""

    def tree(self) -> Tree | None:
        """Return the tree that it claims, or None if it can be none."""
        try:
            return Tree(self.seq - 1, self.frontier)
        except ValueError:
            return None


class Inspection:
    """Reads rows and collects problems; several may share one list of them."""

    def __init__(
        self, connection: sqlite3.Connection, tables: Sequence[Table], pins: Sequence[int] = ()
    ) -> None:
        self.problems: list[Problem] = []
        self.rows = self.runs = 0
        #: Roots at the sizes that were asked for, as far as they can be told.
        self.roots: dict[int, bytes] = {}
        self.pins = pins
        self.connection = connection
        self._tables = tables
        self._suspects = Suspects(lambda seq: rows_at(connection, tables, seq))
        self._good: dict[str, set[tuple[type, ...]]] = {table.name: set() for table in tables}
        self._hashes: dict[int, bytes] = {}
        self._claims: set[int] = set()
        self._batches: dict[int, _Batch | None] = {}

    def run(self, start: Start, last: int) -> Start:
        """Read from *start* to the row of the last batch up to number *last*.

        Returns what is known there, for the pass that goes on.
        """
        #: Number of the next leaf, and of the last batch's row.
        self._next, self._row = start.row - bool(start.pending), start.row - 1
        self._tree, self._fits = start.tree, True
        pending = start.pending
        for seqs in _groups(self.connection.execute(_BATCHES, (start.row - 1, last))):
            self._hashes = {self._row: pending} if pending else {}
            self._claims.clear()
            self._batches.clear()
            self._read(self._row + 1, seqs[-1])
            for seq in seqs:
                self._check(seq)
            pending = self._hashes.get(self._row, b"")
        return Start(row=self._row + 1, tree=self._tree, pending=pending)

    def strangers(self, before: int, after: int) -> None:
        """Suspect every row with a number below *before* or above *after*: no batch has them."""
        for table in self._tables:
            for ends in ((-(2**63), before - 1), (after + 1, 2**63 - 1)):
                for row in self.connection.execute(table.select, ends):
                    self.rows += 1
                    self.runs += table is RUNS
                    if self._well_formed(table, row):
                        self._suspects.add_row(row, "forged")

    def close(self) -> None:
        """Add to the problems what the suspected rows are found to be."""
        for problem in self._suspects.problems():
            self.report(*attrs.astuple(problem))

    def report(self, kind: ProblemKind, table: str, seq: int, message: str) -> None:
        """Add a problem, unless there are too many."""
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(Problem(kind, table, seq, message))

    # -- rows ----------------------------------------------------------------------------------

    def _read(self, first: int, last: int) -> None:
        """Fill the hashes of all rows from *first* to *last*."""
        for table in self._tables:
            self._read_table(table, self.connection.execute(table.select, (first, last)))

    def _read_table(self, table: Table, rows: Iterator[tuple[Any, ...]]) -> None:
        hashes, good, before = self._hashes, self._good[table.name], self.rows
        for row in rows:
            self.rows += 1
            sound = tuple(map(type, row)) in good or self._well_formed(table, row)
            seq = row[0]
            if seq in hashes:
                self._claims.add(seq)
            else:
                try:
                    # hash_of(row), at a third of the price.
                    hashes[seq] = sha256(b"\0" + encode(row)).digest() if sound else b""
                except NotCanonical:
                    hashes[seq] = hash_of(row)
            if table is BATCHES:
                self._batches[seq] = _batch(row) if sound else None
        self.runs += (self.rows - before) * (table is RUNS)

    def _well_formed(self, table: Table, row: tuple[Any, ...]) -> bool:
        """Whether every value has the type of its column; else that is reported."""
        fault = table.fault(row[2:])
        if not fault:
            self._good[table.name].add(tuple(map(type, row)))
            return True
        name = f"row {row[0]} ({table.name})"
        message = f"{name} has a value in {fault} that the format forbids"
        self.report("malformed", table.name, row[0], message)
        return False

    # -- batches -------------------------------------------------------------------------------

    def _check(self, seq: int) -> None:
        """Check the batch whose row is *seq*, and go on behind it."""
        batch = self._batches[seq]
        if batch is None:
            self._note_gaps(seq, None)
            self._go_on(seq, None, fits=False)
            return
        if self._claims:
            self._settle(batch)
        leaves = self._leaves(batch)
        if leaves is None:
            self._check_in_part(batch)
        else:
            self._check_whole(batch, leaves)

    def _leaves(self, batch: _Batch) -> list[bytes] | None:
        """Return the hashes of the batch's leaves, or None unless all of them are there."""
        if batch.first != self._next or batch.seq - batch.first > len(self._hashes):
            return None
        leaves = [self._hashes.get(seq, b"") for seq in range(batch.first, batch.seq)]
        return None if b"" in leaves else leaves

    def _check_whole(self, batch: _Batch, leaves: list[bytes]) -> None:
        marked = b"".join([each[:MARK] for each in leaves]) == batch.marks
        before = self._tree.copy() if self._tree and self.pins else None
        tree = self._tree
        if tree is not None:
            tree.add(leaves)
        fits = tree is None or (tree.root == batch.root and tree.frontier == batch.frontier)
        if not marked and (tree is None or not fits) and batch.mark(batch.first):
            self._compare(batch)
            self._go_on(batch.seq, batch.tree(), fits=True)
            return
        if before is not None:
            self._pin(before, leaves)
        if not (marked and fits):
            self._suspects.add(batch.seq, "edited")
        self._go_on(batch.seq, tree or batch.tree(), fits=marked and fits)

    def _pin(self, tree: Tree, leaves: list[bytes]) -> None:
        """Note the roots that were asked for at sizes between *tree* and its growth by *leaves*."""
        for pin in [pin for pin in self.pins if 0 <= pin - tree.size <= len(leaves)]:
            pinned = tree.copy()
            pinned.add(leaves[: pin - tree.size])
            self.roots[pin] = pinned.root

    def _check_in_part(self, batch: _Batch) -> None:
        """Check what is there of a batch that is not all there, or begins where it should not."""
        gaps = self._note_gaps(batch.seq, batch)
        if batch.first != self._next and not any(seq <= batch.first for seq in gaps):
            self._suspects.add(batch.seq, "edited")
            self._go_on(batch.seq, None, fits=False)
            return
        self._compare(batch)
        self._go_on(batch.seq, batch.tree(), fits=True)

    def _note_gaps(self, end: int, batch: _Batch | None) -> list[int]:
        """Report numbers that no row has up to *end*; return where each gap begins."""
        present = sorted(seq for seq in self._hashes if self._next <= seq < end)
        begins = []
        for before, after in zip((self._next - 1, *present), (*present, end), strict=True):
            if after == before + 1:
                continue
            begins.append(before + 1)
            what = (
                f"row {after - 1} is"
                if after == before + 2
                else f"rows {before + 1} to {after - 1} are"
            )
            self.report("missing", "", before + 1, f"{what} missing")
            for seq in range(before + 1, min(after, before + 1 + MAX_PROBLEMS)):
                if batch and (mark := batch.mark(seq)):
                    self._suspects.place(seq, mark)
        return begins

    def _compare(self, batch: _Batch) -> None:
        """Suspect the rows whose marks are not those that *batch* kept."""
        for seq in sorted(seq for seq in self._hashes if batch.first <= seq < batch.seq):
            mark, found = batch.mark(seq), self._hashes[seq]
            if not mark or found[:MARK] == mark:
                continue
            self._suspects.place(seq, mark)
            if found:
                whole = seq == self._row and self._fits
                self._suspects.add(seq, "batch" if whole else "edited")

    def _settle(self, batch: _Batch) -> None:
        """Of rows that claim one number, keep the one that the batch saw."""
        for seq in sorted(seq for seq in self._claims if self._next <= seq <= batch.seq):
            rows = rows_at(self.connection, self._tables, seq)
            mark = batch.mark(seq)
            right = next((row for row in rows if mark and hash_of(row)[:MARK] == mark), rows[0])
            self._hashes[seq] = hash_of(right)
            for row in rows:
                if row is not right:
                    message = f"row {seq} ({row[1]}) claims a number that is taken"
                    self.report("forged", str(row[1]), seq, message)

    def _go_on(self, seq: int, tree: Tree | None, *, fits: bool) -> None:
        self._next = self._row = seq
        self._tree, self._fits = tree, fits


def _batch(row: tuple[Any, ...]) -> _Batch:
    seq, _, first, _, root, frontier, marks, *_ = row
    return _Batch(seq, first, root, frontier, marks)


def _groups(cursor: Iterator[tuple[int]]) -> Iterator[list[int]]:
    """Group batches, by their numbers, to about as many rows as are read at once."""
    group: list[int] = []
    for (seq,) in cursor:
        group.append(seq)
        if len(group) >= _CHUNK or seq - group[0] >= _CHUNK:
            yield group
            group = []
    if group:
        yield group
