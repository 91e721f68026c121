"""Whether what waits in spools is whole: rows that no tree has yet.

A spool is no evidence. Its checksums find what a disk, a copy or a careless hand did; whoever
writes a row with its checksum anew is not found here, nor is a row that was cut out, nor two that
changed places. What can be told: a frame that is damaged, a file that is missing or shorter than
the database knows it, a spool that says another run than the one it is called after, and a tail
that was changed since it was recorded. A row that a kernel was killed in the middle of is no
damage.
"""

from __future__ import annotations

import hashlib
import sqlite3
import struct
import zlib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Literal

import attrs
import msgspec

from nxkernel._canonical import NotCanonical
from nxkernel.audit.liveness import claim_name
from nxkernel.audit.schema import RUNS
from nxkernel.audit.segments import Segment, opened
from nxkernel.audit.spool.entries import Entry, has_too_large, read_entry
from nxkernel.audit.spool.folder import Left, folder_of, listing
from nxkernel.audit.spool.frames import HEAD_BYTES, MAX_BYTES, frames
from nxkernel.audit.spool.remains import Remains
from nxkernel.audit.spool.segments import MAGIC
from nxkernel.audit.spool.slots import is_sound
from nxkernel.audit.suspects import Problem, ProblemKind
from nxkernel.audit.waiting import shown

__all__ = ["Backlog", "backlog_of"]

_MARKS = (
    "SELECT spool, to_offset, ending FROM batches WHERE seq IN "
    "(SELECT max(seq) FROM batches WHERE spool IS NOT NULL GROUP BY spool)"
)
_RUN = "SELECT min(seq) FROM runs WHERE run_id = ? AND started_ns = ?"
_UNTAKEN = "the database has not taken it as a whole"
_HEAD = struct.Struct("<II")
#: How far behind damage a whole row is looked for, to tell how many are cut off from the rest.
_SEARCHED = 1 << 20

Tail = Literal["", "torn", "damaged"]


@attrs.frozen(kw_only=True)
class Backlog:
    """What is on record and not yet in the database."""

    #: Rows that have ended, and calls that have not.
    rows: int = 0
    in_flight: int = 0
    #: Bytes at the ends of files that are the beginning of a row and no whole one: what a kernel
    #: leaves that was killed while it wrote, or has while it writes.
    torn: int = 0
    #: Whether a spool was taken in part and there is no folder of spools: a copy of the database
    #: alone, as somebody gets it who is to verify it.
    is_alone: bool = False
    problems: tuple[Problem, ...] = ()


def backlog_of(log: Path, newest: Segment) -> Backlog:
    """Read all that waits beside the log at *log*, whose newest file is *newest*.

    Kernels may write and drainers work meanwhile. What looks wrong is looked at once more, because
    a file may have come or gone in between.

    Raises:
        AuditError, OSError, sqlite3.Error: when it cannot be read.
    """
    found = _look(log, newest)
    if not found.problems:
        return found
    again = _look(log, newest)
    both = tuple(problem for problem in again.problems if problem in found.problems)
    return attrs.evolve(again, problems=both)


def _look(log: Path, newest: Segment) -> Backlog:
    left = listing(folder_of(log))  # before the snapshot: what has gone by then is in it
    with opened(newest) as connection:
        connection.execute("BEGIN")
        look = _Look(folder_of(log), connection)
        for spool in left:
            look.spool(spool)
        look.missing(left)
        look.kept()
    return look.report()


class _Look:
    """One look at all spools, beside one snapshot of the database."""

    def __init__(self, folder: Path, connection: sqlite3.Connection) -> None:
        self._folder = folder
        self._connection = connection
        #: File -> up to where it was taken, and how it ends if that is known.
        self._marks: Mapping[str, tuple[int, str | None]] = {
            name: (end, ending) for name, end, ending in connection.execute(_MARKS)
        }
        self._rows = self._in_flight = self._torn = 0
        self._is_alone = False
        self._problems: list[Problem] = []

    def report(self) -> Backlog:
        return Backlog(
            rows=self._rows,
            in_flight=self._in_flight,
            torn=self._torn,
            is_alone=self._is_alone,
            problems=tuple(sorted(self._problems, key=lambda each: each.message)),
        )

    def _say(self, kind: ProblemKind, message: str) -> None:
        self._problems.append(Problem(kind, "", 0, message))

    def _is_taken(self, file: str) -> bool:
        return self._marks.get(file, (0, None))[1] is not None

    def spool(self, left: Left) -> None:
        """Look at the files of one spool."""
        waiting = [n for n in left.segments if not self._is_taken(left.name.segment(n))]
        for number in waiting:
            before = left.name.segment(number - 1)
            if number > 1 and number - 1 not in left.segments and not self._is_taken(before):
                self._say("missing", f"{before} is missing: {_UNTAKEN}")
            with suppress(FileNotFoundError):  # taken and removed since
                self._segment(left, number)
        if not self._is_taken(left.name.slots):
            self._slots(left, bool(waiting))

    def _segment(self, left: Left, number: int) -> None:
        file = left.name.segment(number)
        data = (self._folder / file).read_bytes()
        start, _ = self._marks.get(file, (0, None))
        if len(data) < start:
            what = f"{file} ends at byte {len(data)}, and the database has taken it up to {start}"
            self._say("truncated", f"{what}: what came after that is gone")
            return
        if not start and not data.startswith(MAGIC):
            if not MAGIC.startswith(data):
                self._say("damaged", f"{file} does not begin as a spool does: none of it is taken")
            return
        end = start or len(MAGIC)
        for entry in _entries(data, end):
            if number == 1 and end == len(MAGIC):
                self._check_run(left, entry)
            if fault := _fault(entry):
                self._say("malformed", f"{file}: what stands at byte {end} is no row: {fault}")
            self._rows += 1
            end = entry.end
        self._end(file, data, end)

    def _check_run(self, left: Left, first: Entry) -> None:
        """Compare the first row of a spool, its run's, with what the spool is called."""
        file = left.name.segment(1)
        run_id, _, started_ns = (*first.facts, None, None, None)[:3]
        is_run = first.table == RUNS.name and isinstance(started_ns, int)
        if not is_run or claim_name(str(run_id), int(started_ns or 0)) != left.name.claim:
            self._say("forged", f"{file} is of another run than the one that it is called after")
            return
        (known,) = self._connection.execute(_RUN, (run_id, started_ns)).fetchone()
        if known is not None:
            self._say("forged", f"{file} is a copy: its run is row {known} of the database already")

    def _end(self, file: str, data: bytes, end: int) -> None:
        """Say what is behind the last whole row of a file."""
        what, behind = _tail(data, end)
        if what == "damaged":
            cut_off = f"; {behind} whole rows behind it are cut off from the rest" if behind else ""
            self._say("damaged", f"{file} is damaged at byte {end}{cut_off}")
        elif what == "torn":
            self._torn += len(data) - end

    def _slots(self, left: Left, is_waiting: bool) -> None:
        file = left.name.slots
        try:
            data = (self._folder / file).read_bytes()
        except FileNotFoundError:
            if is_waiting:
                self._say("missing", f"{file} is missing: calls in flight would not be seen")
            return
        if not is_sound(data):
            self._say("damaged", f"{file} is damaged: a call in flight may not be seen")
        self._in_flight += len(Remains(self._folder, left.name).in_flight())

    def missing(self, left: list[Left]) -> None:
        """Say which files were taken in part and are not there."""
        there = {each.name.segment(number) for each in left for number in each.segments}
        missing = [
            (file, end)
            for file, (end, ending) in self._marks.items()
            if ending is None and file not in there
        ]
        if not self._folder.is_dir():
            self._is_alone = bool(missing)
            return
        for file, end in missing:
            what = f"{file} is missing: the database has taken it up to byte {end}"
            self._say("missing", f"{what}, and what came after that is gone")

    def kept(self) -> None:
        """Compare what was kept aside, because its end is no row, with what was recorded of it."""
        for path in sorted(self._folder.glob("*.torn")):
            file = path.with_suffix(".spool").name
            end, ending = self._marks.get(file, (0, None))
            if ending is not None:
                tail = path.read_bytes()[end:]
                if ending != f"torn:{len(tail)}:{hashlib.sha256(tail).hexdigest()}":
                    self._say("edited", f"{path.name} is not what was recorded when it was kept")


def _entries(data: bytes, start: int) -> Iterator[Entry]:
    for payload, end in frames(data, start):
        try:
            yield read_entry(payload, end)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return


def _fault(entry: Entry) -> str:
    """Say why the database will not take a row, if it will not."""
    try:
        shown(entry, 1)
    except NotCanonical as error:
        return str(error)
    return "an integer that the database has no room for" if has_too_large(entry.facts) else ""


def _tail(data: bytes, end: int) -> tuple[Tail, int]:
    """Say what stands behind the last whole row, and how many whole rows come after that."""
    rest = data[end:]
    if not rest.strip(b"\0"):  # zeros are what asks whether there is room, or a hole in the file
        return ("torn" if rest else ""), 0
    if behind := _rows_behind(rest):
        return "damaged", behind
    if len(rest) < HEAD_BYTES:
        return "torn", 0
    length, _ = _HEAD.unpack_from(rest)
    is_short = 1 <= length <= MAX_BYTES and HEAD_BYTES + length > len(rest)
    return ("torn" if is_short else "damaged"), 0


def _rows_behind(rest: bytes) -> int:
    """Return how many whole rows follow each other somewhere in *rest*."""
    view = memoryview(rest)
    for at in range(1, min(len(rest) - HEAD_BYTES, _SEARCHED)):
        length, crc = _HEAD.unpack_from(view, at)
        body = view[at + HEAD_BYTES : at + HEAD_BYTES + length]
        if 1 <= length == len(body) and zlib.crc32(body, length) == crc:
            return sum(1 for _ in _entries(rest, at))
    return 0
