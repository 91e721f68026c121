"""Batches: rows that are committed at once, with the tree over all rows at their end.

A batch is a few rows and, after them, the row of ``batches`` that describes them. That row is a
leaf too: the next batch begins with it, so that ``root`` and the place in a spool are as safe from
editing as everything else.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterable, Sequence

import attrs

from nxkernel.audit.checkpoint import PREFIX, Checkpoint
from nxkernel.audit.columns import MARK, leaf
from nxkernel.audit.schema import BATCHES, FORMAT_VERSION, NAMES, SEGMENTS, Facts, Table
from nxkernel.audit.tree import Tree, leaf_hash

__all__ = ["Head", "Source"]

_LAST = f"SELECT seq, 'batches', {', '.join(BATCHES.names)} FROM batches ORDER BY seq DESC LIMIT 1"


@attrs.frozen(kw_only=True)
class Source:
    """The place in a spool that a batch was read from."""

    spool: str
    from_offset: int
    to_offset: int
    #: ``end``, or ``torn:<bytes>:<sha256 of them in hex>``, where the spool goes no further.
    ending: str | None = None


class Head:
    """The end of a log as the one who writes to it left it, ready for the next batch.

    Invariant: it describes the file until another process writes a batch; see :meth:`stands`.
    After an exception of :meth:`append` it describes nothing and must be thrown away.
    """

    def __init__(self, origin: str = "", tree: Tree | None = None) -> None:
        #: Name of the log, empty before its first batch.
        self.origin = origin
        #: The tree that the last batch describes.
        self._tree = tree or Tree()
        #: Hash of that batch's own row, which the tree does not have yet.
        self._pending: list[bytes] = []
        self._names: dict[str, int] = {}

    @classmethod
    def read(cls, connection: sqlite3.Connection) -> Head:
        """Read the head of the log behind *connection*, which may be empty.

        Raises:
            ValueError: when the last batch is none that this module wrote.
            sqlite3.Error: when it cannot be read.
        """
        last = connection.execute(_LAST).fetchone()
        if last is None:
            return cls()
        (origin,) = connection.execute("SELECT origin FROM segments ORDER BY seq").fetchone()
        head = cls(origin, Tree(last[0] - 1, last[2 + BATCHES.names.index("frontier")]))
        head._pending = [leaf_hash(leaf(last))]
        head._names = dict(connection.execute("SELECT name, seq FROM names").fetchall())
        return head

    @property
    def size(self) -> int:
        """Number of rows."""
        return self._tree.size + len(self._pending)

    def stands(self, connection: sqlite3.Connection) -> bool:
        """Whether nobody else has written since; to be asked within the transaction."""
        (last,) = connection.execute("SELECT max(seq) FROM batches").fetchone()
        return (last or 0) == self.size

    def tree(self) -> Tree:
        """Return the tree over all rows, the last one included."""
        tree = self._tree.copy()
        tree.add(self._pending)
        return tree

    def checkpoint(self) -> Checkpoint:
        """Return the state of the log."""
        return Checkpoint.of(self.origin, self.size, self.tree().root)

    def append(
        self,
        connection: sqlite3.Connection,
        rows: Iterable[tuple[Table, Facts]],
        at_ns: int,
        source: Source | None = None,
    ) -> list[int]:
        """Append *rows* as one batch, within the transaction of *connection*; return their numbers.

        There may be none where *source* says how a spool ends.

        Raises:
            NotCanonical: for a fact that its column cannot hold.
            sqlite3.Error: when they cannot be written.
        """
        batch = _Batch(connection, self.size, self._names)
        given = list(rows)
        if not self.size:
            self.origin = self.origin or _origin(given, at_ns)
            batch.add(SEGMENTS, (self.origin, FORMAT_VERSION, 0, b"", None, at_ns))
        numbers = [batch.add(table, facts) for table, facts in given]
        self._close(batch, at_ns, source)
        return numbers

    def begin(self, connection: sqlite3.Connection, previous: str, at_ns: int) -> None:
        """Write the first batch of a file that continues the file *previous*."""
        batch = _Batch(connection, self.size, self._names)
        tree = self.tree()
        facts = (self.origin, FORMAT_VERSION, tree.size, tree.frontier, previous, at_ns)
        batch.add(SEGMENTS, facts)
        self._close(batch, at_ns, None)

    def _close(self, batch: _Batch, at_ns: int, source: Source | None) -> None:
        first = self._tree.size + 1
        hashes = self._pending + batch.hashes
        self._tree.add(hashes)
        place = attrs.astuple(source) if source else (None, None, None, None)
        marks = b"".join(each[:MARK] for each in hashes)
        batch.hashes.clear()
        batch.add(BATCHES, (first, at_ns, self._tree.root, self._tree.frontier, marks, *place))
        self._pending = batch.hashes


class _Batch:
    """The rows of one batch while they are written."""

    def __init__(self, connection: sqlite3.Connection, size: int, names: dict[str, int]) -> None:
        self._connection = connection
        self._size = size
        self._names = names
        self.hashes: list[bytes] = []

    def add(self, table: Table, facts: Facts) -> int:
        """Write one row, and before it the names that it is the first to use."""
        stored = table.store(facts, self._number)
        self._size += 1
        self.hashes.append(leaf_hash(leaf((self._size, table.name, *stored))))
        self._connection.execute(table.insert, (self._size, *stored))
        return self._size

    def _number(self, name: str) -> int:
        number = self._names.get(name)
        if number is None:
            number = self._names[name] = self.add(NAMES, (name,))
        return number


def _origin(rows: Sequence[tuple[Table, Facts]], at_ns: int) -> str:
    """Return the name of a log that begins with *rows* and was given none."""
    facts = leaf((at_ns, *(value for _, facts in rows for value in facts)))
    return PREFIX + hashlib.sha256(facts).hexdigest()[:16]
