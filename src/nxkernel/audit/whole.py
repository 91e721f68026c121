"""Queries over all files of a log as if they were one: those that were sealed, and the newest.

Numbers of rows count over all files, and a row refers to rows of its own file only. So each file is
asked by itself, and what it says is put behind what the files before it said. What belongs together
over files is a run that goes on: it becomes one record again, by ``continues``.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import attrs

from nxkernel.audit import reader
from nxkernel.audit.failure import cannot, shown
from nxkernel.audit.filters import EVERYTHING, CallFilter
from nxkernel.audit.reader import EVERY, Tally
from nxkernel.audit.records import CallRecord, EventRecord, PluginRecord, RunRecord
from nxkernel.audit.request import is_asked
from nxkernel.audit.segments import Segment, plain_path, segments_of
from nxkernel.errors import AuditError

__all__ = ["AuditReader"]

#: Seconds between two looks at a file that is just being sealed, and how many there are.
_PAUSE_S, _LOOKS = 0.02, 100
#: Seconds that a reader stays away for a rotation at most.
_AWAY_S = 60.0
#: Behind every row.
_END = 2**62
_IS_SEALED = (
    "SELECT EXISTS (SELECT 1 FROM main.seals) AS sealed, min(seq) AS first FROM main.segments"
)
_SEALED_BEFORE = "SELECT 1 FROM main.seals WHERE at_ns < :since_ns LIMIT 1"


class AuditReader(reader.AuditReader):
    """Reads the log at *path* with all its files; it never writes, and holds up no writer.

    It holds up who wants to seal the newest file, until it is closed or makes way. Sealed files
    that were moved are read from the folders *archives*; without them the log begins later.

    Of one sealed file it reads that alone. It belongs to the thread that made it.

    Raises:
        AuditError: when the file is missing or no audit log; and from every method, when reading
            fails.
    """

    def __init__(self, path: Path | str, *, archives: Sequence[Path] = ()) -> None:
        self._archives = tuple(archives)
        self._sealed: list[Segment] = []
        self._opened: list[reader.AuditReader] | None = None
        self._stack = ExitStack()
        #: Numbers of a run's rows by the place of their file, by the first of them; the newest file
        #: has the last place.
        self._numbers: dict[int, dict[int, int]] = {}
        self._open_newest(Path(path))

    def _open_newest(self, path: Path) -> None:
        """Open the newest file, then list those before it: no file is sealed from then on."""
        for look in range(_LOOKS):
            try:
                super().__init__(path)
            except AuditError as error:
                if not _has_files(path, self._archives):
                    raise
                if look + 1 == _LOOKS:
                    raise error if path.is_file() else _broken_off(path) from error
            else:
                sealed, first = self._drained(_IS_SEALED)[0]
                # Of a rotation that was killed it stays so, until the next who writes.
                if not sealed or look + 1 == _LOOKS or not _has_files(path, self._archives):
                    break
                super().close()
            time.sleep(_PAUSE_S)
        files = segments_of(path, self._archives)
        self._sealed = [each for each in files if each.first and each.first != first]

    def close(self) -> None:
        """Close the files."""
        super().close()
        self._opened = None
        self._stack.close()

    def make_way(self) -> None:
        """Let go of the log while somebody wants to seal its newest file; else do nothing.

        For a reader that stays open: to be called now and then, outside of its iterators.

        Raises:
            AuditError: when the log cannot be opened again.
        """
        if not is_asked(self.path):
            return
        self.close()
        until = time.monotonic() + _AWAY_S
        while is_asked(self.path) and time.monotonic() < until:
            time.sleep(_PAUSE_S)
        self._open_newest(self.path)

    def _before(self) -> list[reader.AuditReader]:
        """Return readers of the sealed files, oldest first."""
        if self._opened is None:
            opened = []
            for segment in self._sealed:
                try:
                    place = plain_path(segment, self._stack)
                except (OSError, EOFError) as error:
                    raise cannot("read", segment.path, error) from error
                opened.append(self._stack.enter_context(reader.AuditReader(place)))
            self._opened = opened
        return self._opened

    def _with(self, run_id: str | None) -> list[reader.AuditReader]:
        """Return readers of the sealed files that have rows of a run, or all of them."""
        if run_id is None:
            return self._before()
        query = "SELECT 1 FROM main.runs WHERE run_id = :run_id LIMIT 1"
        return [each for each in self._before() if each._drained(query, run_id=run_id)]

    # -- runs and what happened beside calls ---------------------------------------------------

    def runs(self, run_id: str | None = None) -> list[RunRecord]:
        """Return the runs, oldest first; one that goes on over several files is one record."""
        said = [each.runs(run_id) for each in self._before()]
        said.append(super().runs(run_id))
        found: dict[int, RunRecord] = {}
        #: The first number of a run, by its newest.
        firsts: dict[int, int] = {}
        for place, records in enumerate(said):
            for record in records:
                first = firsts.pop(record.continues or 0, record.seq)
                firsts[record.seq] = first
                found[first] = _joined(found[first], record) if first in found else record
                self._numbers.setdefault(first, {})[place] = record.seq
        return list(found.values())

    def plugins(self, run_id: str | None = None) -> list[PluginRecord]:
        """Return how plugins took part; the newest record of a plugin in a run counts."""
        before = [record for each in self._with(run_id) for record in each.plugins(run_id)]
        return before + super().plugins(run_id)

    def events(self, run_id: str | None = None, kind: str | None = None) -> list[EventRecord]:
        """Return what happened beside the calls, oldest first."""
        before = [record for each in self._with(run_id) for record in each.events(run_id, kind)]
        return before + super().events(run_id, kind)

    # -- calls ---------------------------------------------------------------------------------

    def _calls(
        self,
        where: CallFilter = EVERYTHING,
        *,
        among: Sequence[str] = EVERY,
        also: str = "1",
        limit: int = -1,
        **bound: Any,
    ) -> list[CallRecord]:
        """Return calls in the order in which they began; ``run`` is the first number of a run."""
        found = []
        numbers = self._numbers.get(bound.get("run", 0), {})
        for place, ask in enumerate((*(each._calls for each in self._before()), super()._calls)):
            if "run" in bound:
                if place not in numbers:
                    continue
                bound = {**bound, "run": numbers[place]}
            found += ask(where, among=among, also=also, limit=limit, **bound)
        found.sort(key=lambda call: (call.started_ns, call.seq))
        return found if limit < 0 else found[max(0, len(found) - limit) :]

    def stream(
        self, where: CallFilter = EVERYTHING, *, after: int = 0, unended: bool = True
    ) -> Iterator[CallRecord]:
        """Yield the calls that *where* takes in the order in which they ended.

        Then, if *unended*, come those that did not end. *after* is the ``seq`` of the last call
        that the caller has already.
        """
        before = self._with(where.run_id)
        for each in before:
            yield from each.stream(where, after=after, unended=False)
        left = [c for each in before for c in each.stream(where, after=_END)] if unended else []
        for call in super().stream(where, after=after, unended=unended):
            if call.duration_us is None:
                yield from left
                left = []
            yield call
        yield from left

    def total(self, where: CallFilter = EVERYTHING) -> int:
        """Return how many calls :meth:`stream` will yield, in flight or not."""
        return sum(each.total(where) for each in self._with(where.run_id)) + super().total(where)

    def latest(self, where: CallFilter = EVERYTHING, *, limit: int = 10) -> list[CallRecord]:
        """Return the calls that *where* takes and that ended last, in the order of their ends."""
        found = super().latest(where, limit=limit)
        for each in reversed(self._with(where.run_id)):
            if len(found) >= limit:
                break
            found = each.latest(where, limit=limit - len(found)) + found
        return found

    def tally(self, since_ns: int) -> Tally:
        """Count the calls that began at *since_ns* or later; see the reader of one file.

        A file that was sealed before has none of them, and is not looked through.
        """
        found = super().tally(since_ns)
        for each in self._before():
            if each._drained(_SEALED_BEFORE, since_ns=since_ns):
                continue
            for place, (calls, failures) in each.tally(since_ns).items():
                before = found.get(place, (0, 0))
                found[place] = (before[0] + calls, before[1] + failures)
        return found

    def newest(self) -> int:
        """Return the ``seq`` of the call that ended last of those in the database, or 0."""
        return max([super().newest(), *(each.newest() for each in self._before())])


def _joined(record: RunRecord, later: RunRecord) -> RunRecord:
    """Return a run with what a later file says of it."""
    return attrs.evolve(
        record,
        status=later.status,
        ended_ns=later.ended_ns,
        calls=record.calls + later.calls,
        errors=record.errors + later.errors,
    )


def _broken_off(path: Path) -> AuditError:
    return AuditError(
        f"the newest file of the audit log at {shown(path)} is missing, and there are older ones: "
        "if a rotation was killed, `nxkernel audit rotate` finishes it, and so does the next run",
        details={"path": str(path)},
    )


def _has_files(path: Path, archives: Sequence[Path]) -> bool:
    """Whether there is a log at *path* with files that were sealed."""
    with suppress(AuditError):
        return any(each.first for each in segments_of(path, archives))
    return False
