"""Several processes that inspect a file at once, each a stretch of its batches.

Each takes up the tree where the batch before its stretch says that it stands; whether that is true,
the process before it finds out. When one of them finds anything, that is not reported: the file is
then inspected as a whole, by one, which knows better what is wrong.
"""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path

import msgspec

from nxkernel._sqlite import open_reader
from nxkernel.audit.inspection import Inspection, Start
from nxkernel.audit.schema import BATCHES, FORMAT, TABLES
from nxkernel.audit.suspects import hash_of
from nxkernel.audit.tree import Tree

__all__ = ["shared_run"]

#: Rows below which another process costs more than it gives.
LEAST = 100_000

# The arguments are this process's own search path: an application may have put us anywhere.
_CODE = "import sys; sys.path[:] = sys.argv[1:]; from nxkernel.audit.sharing import work; work()"

#: A stretch: number of its first row, the tree before as size and frontier, the pending leaf, the
#: number of its last batch's row.
_Stretch = tuple[int, int, bytes, bytes, int]
_Found = tuple[int, int, dict[int, bytes], _Stretch]


def shared_run(
    inspection: Inspection, start: Start, last: int, path: Path, processes: int
) -> Start | None:
    """Inspect rows from *start* to *last* by several processes; None if one has to do it.

    What they counted is added to *inspection*. None is returned for a small file, and when
    anything was found.
    """
    if last - start.row < LEAST or start.tree is None or not sys.executable:
        return None
    stretches = _stretches(inspection.connection, start, last, processes)
    if stretches is None:
        return None
    found = _inspected(path, inspection.pins, stretches)
    if found is None:
        return None
    for rows, runs, roots, _ in found:
        inspection.rows += rows
        inspection.runs += runs
        inspection.roots.update(roots)
    if _count(inspection.connection) != inspection.rows:  # a row that no stretch has
        inspection.rows = inspection.runs = 0
        return None
    row, size, frontier, pending, _ = found[-1][3]
    return Start(row=row, tree=Tree(size, frontier), pending=pending)


def _inspected(path: Path, pins: Sequence[int], stretches: list[_Stretch]) -> list[_Found] | None:
    """Have each stretch inspected by a process of its own; None when one of them found anything."""
    children = []
    with ExitStack() as stack:
        for each in stretches:
            child = subprocess.Popen(
                [sys.executable, "-I", "-c", _CODE, *sys.path],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
            stack.enter_context(child)
            stack.callback(child.kill)
            children.append(child)
            assert child.stdin is not None
            job = (os.fspath(path.resolve()), tuple(pins), each)
            child.stdin.write(msgspec.msgpack.encode(job))
            child.stdin.close()
        answers = [child.stdout.read() if child.stdout else b"" for child in children]
    try:
        return [msgspec.msgpack.decode(answer, type=_Found) for answer in answers]
    except msgspec.DecodeError:  # an empty answer: something was found
        return None


def work() -> None:
    """Inspect the stretch that standard input names; answer on standard output if it is sound."""
    path, pins, stretch = msgspec.msgpack.decode(
        sys.stdin.buffer.read(), type=tuple[str, tuple[int, ...], _Stretch]
    )
    if (found := _inspect(path, pins, stretch)) is not None:
        sys.stdout.buffer.write(msgspec.msgpack.encode(found))


def _count(connection: sqlite3.Connection) -> int:
    return sum(
        connection.execute(f"SELECT count(*) FROM {table.name}").fetchone()[0] for table in TABLES
    )


def _stretches(
    connection: sqlite3.Connection, start: Start, last: int, count: int
) -> list[_Stretch] | None:
    """Cut the file at rows of batches; None when one of these is no such row."""
    assert start.tree is not None
    names = ", ".join(BATCHES.names)
    query = f"SELECT seq, 'batches', {names} FROM batches WHERE seq >= ? ORDER BY seq LIMIT 1"
    cuts = []
    for number in range(1, count):
        row = connection.execute(query, (start.row + (last - start.row) * number // count,))
        cuts.append(row.fetchone())
    stretches, at = [], (start.row, start.tree.size, start.tree.frontier, start.pending)
    for row in cuts:
        if row is None or BATCHES.fault(row[2:]) or not at[0] < row[0] < last:
            return None
        stretches.append((*at, row[0]))
        at = (row[0] + 1, row[0] - 1, row[2 + BATCHES.names.index("frontier")], hash_of(row))
    return [*stretches, (*at, last)]


def _inspect(path: str, pins: Sequence[int], stretch: _Stretch) -> _Found | None:
    """Inspect a stretch; return counts, roots and its end, or None when anything was found."""
    first, size, frontier, pending, last = stretch
    with closing(open_reader(Path(path), FORMAT)) as connection:
        connection.text_factory = str
        inspection = Inspection(connection, TABLES, pins)
        try:
            end = inspection.run(Start(row=first, tree=Tree(size, frontier), pending=pending), last)
            inspection.close()
        except (sqlite3.Error, ValueError):
            return None
    if inspection.problems or end.tree is None or not end.pending or end.row != last + 1:
        return None
    ends = (end.row, end.tree.size, end.tree.frontier, end.pending, last)
    return inspection.rows, inspection.runs, inspection.roots, ends
