"""What the next file of a log has to know of the one before: where runs stand that are not over.

Of each spool that is still there, the header of its run with ``continues``, and a row of
``batches`` for each of its files that says up to where it was taken. So whoever drains needs one
file, however many the log has, and takes no row twice.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from nxkernel.audit.batches import Source
from nxkernel.audit.schema import RUNS, Facts, Table
from nxkernel.audit.spool.folder import Left

__all__ = ["LATEST", "MARK", "RUN_OF", "carried"]

#: Up to where a file was taken, and how it ends.
MARK = "SELECT to_offset, ending FROM batches WHERE spool = ? ORDER BY seq DESC LIMIT 1"
#: The run of a spool, by its first file.
# The run's row is the first of its spool; a batch begins with the row of the batch before it.
RUN_OF = (
    "SELECT min(runs.seq) FROM batches JOIN runs ON runs.seq BETWEEN batches.first AND batches.seq "
    "WHERE batches.spool = ? AND batches.from_offset = 0"
)
#: The newest of all names of spools: numbers go on behind it.
LATEST = "SELECT max(spool) FROM batches WHERE spool IS NOT NULL"
_RUN = f"SELECT {', '.join(RUNS.names)} FROM runs_text WHERE seq = ?"

#: Rows of one batch, and where they are said to come from.
Carried = tuple[Sequence[tuple[Table, Facts]], Source]


def carried(connection: sqlite3.Connection, spools: Iterable[Left]) -> Iterator[Carried]:
    """Yield the batches with which the file begins that continues the one behind *connection*.

    *spools* are those that are there while nobody drains.
    """
    said: set[str] = set()
    for left in spools:
        first = left.name.segment(1)
        for name in _names(left):
            if (source := _source(connection, name)) is not None:
                said.add(name)
                yield (_header(connection, name) if name == first else ()), source
    (newest,) = connection.execute(LATEST).fetchone()
    if newest is not None and newest not in said:
        source = _source(connection, newest)
        assert source is not None
        yield (), source


def _names(left: Left) -> Iterable[str]:
    """Return the names of the files of a spool that the next file has to know of.

    The first one has the run. The one before those that are there is gone because it was taken as a
    whole, and whoever finds it gone has to know that.
    """
    before = [number - 1 for number in left.segments[:1] if number > 1]
    numbers = (1, *before, *left.segments)
    return dict.fromkeys([*map(left.name.segment, numbers), left.name.slots])


def _source(connection: sqlite3.Connection, name: str) -> Source | None:
    mark = connection.execute(MARK, (name,)).fetchone()
    if mark is None:
        return None
    return Source(spool=name, from_offset=0, to_offset=mark[0], ending=mark[1])


def _header(connection: sqlite3.Connection, first: str) -> list[tuple[Table, Facts]]:
    """Return the run's row as it goes on, or nothing where it was damaged."""
    (seq,) = connection.execute(RUN_OF, (first,)).fetchone()
    if seq is None:
        return []
    facts: tuple[Any, ...] = tuple(connection.execute(_RUN, (seq,)).fetchone())
    return [(RUNS, (*facts[:-1], seq))]
