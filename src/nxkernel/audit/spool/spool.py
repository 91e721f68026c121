"""What a kernel writes to in one run: finished calls to segments, calls in flight to slots.

Invariant: appending a call's row and clearing its slot happen under one lock, and the slot says
beforehand where the row will be. So a kernel that dies leaves at most one slot whose call has
ended, and its row is where the slot says.
"""

from __future__ import annotations

import errno
import itertools
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import attrs

from nxkernel import _forks, _locks
from nxkernel._canonical import encode
from nxkernel._sqlite import Durability
from nxkernel._system import files
from nxkernel.audit.spool.entries import Fact, call_entry, open_call, packed, read_open
from nxkernel.audit.spool.folder import SpoolName
from nxkernel.audit.spool.frames import frame
from nxkernel.audit.spool.remains import Remains
from nxkernel.audit.spool.segments import Segment
from nxkernel.audit.spool.slots import FENCE, Slot, Slots

__all__ = ["ROLL_BYTES", "Open", "Spool"]

#: Size at which a segment is closed for the next one: about 25,000 calls.
ROLL_BYTES = 1 << 23


@attrs.define(eq=False)  # frozen it would take twice as long to make
class Open:
    """A call in flight: what its end needs of its beginning."""

    number: bytes
    #: Its facts, encoded.
    before: bytes
    slot: Slot


def _nothing() -> None:
    """Nobody wants to know."""


def _fenced() -> OSError:
    reason = "another process has taken this kernel for dead, or its files are gone"
    return OSError(errno.ECANCELED, reason)


class Spool:
    """Appends rows from any thread; a row that a method returned for survives the process.

    Every method raises OSError when that cannot be done, NotCanonical or OverflowError for facts
    that no row can hold, and ValueError once it is closed.
    """

    def __init__(
        self,
        folder: Path,
        name: SpoolName,
        first: bytes,
        *,
        durability: Durability = "process",
        roll_bytes: int = ROLL_BYTES,
        rolled: Callable[[], None] = _nothing,
    ) -> None:
        """Create the files of the spool *name* in *folder*.

        *first*: payload of its first row, the run's. *rolled* is called each time a segment is
        complete, under the lock: it must not wait.
        """
        self.name = name
        self._folder = folder
        self._power = durability == "power"
        self._roll_bytes = roll_bytes
        self._rolled = rolled
        self._mutex = _locks.lock()
        self._numbers = itertools.count(1)
        self._slots: Slots | None = Slots(folder / name.slots)
        self._count = 1
        try:
            self._segment = Segment(folder / name.segment(1), frame(first))
            self._sync_new()
        except BaseException:
            self._slots.close()
            with suppress(OSError):
                (folder / name.slots).unlink()
            raise
        self._doubtful = self._has_failed = False
        _forks.register(self)

    def append(self, payload: bytes) -> None:
        """Append a row."""
        data = frame(payload)
        with self._mutex:
            slots = self._living()
            self._has_failed = True
            self._make_room()
            self._append(slots, data)

    def begin(self, facts: tuple[Fact, ...]) -> Open:
        """Put on record that a call with these *facts* is about to be made."""
        number, before = encode(next(self._numbers)), packed(facts)
        said = open_call(number, before)
        with self._mutex:
            slots = self._slots or self._living()
            if self._has_failed:
                # A call is not made whose row is likely to find no place either.
                self._segment.probe()
                self._has_failed = False
            slot = slots.take(len(said))
            slot.fill(said)
        if self._power:
            slot.flush()
        if slots.first[FENCE]:
            raise _fenced()
        return Open(number, before, slot)

    def finish(self, table: bytes, begun: Open, facts: tuple[Fact, ...]) -> None:
        """Append the row of a call that has ended; *table*: its name, encoded.

        A call whose row cannot be appended stays in its slot.
        """
        data = frame(call_entry(table, begun.number, begun.before, packed(facts)))
        slot = begun.slot
        with self._mutex:
            slots = self._slots or self._living()
            self._has_failed = True
            if self._segment.size >= self._roll_bytes or self._doubtful:
                self._make_room()
            at = self._segment.size
            try:
                slot.aim(self._count, at)
                self._append(slots, data)
            except BaseException:
                if self._segment.size == at:
                    slot.aim(0, 0)
                raise
            slot.clear()
            slots.give_back(slot)

    def unfinished(
        self, is_it: Callable[[tuple[Fact, ...]], bool]
    ) -> tuple[Open, tuple[Fact, ...]] | None:
        """Return a call in flight whose facts *is_it* knows, and them; None where there is none.

        For who was interrupted where he may or may not have said that it begins or has ended.
        """
        remains = Remains(self._folder, self.name)
        with self._mutex:
            slots = self._living()
            for slot, found in slots.filled():
                number, facts = read_open(found.payload)
                if not is_it(facts):
                    continue
                if not remains.has_ended(found, number):
                    return Open(encode(number), packed(facts), slot), facts
                slot.clear()
                slots.give_back(slot)
        return None

    def look(self) -> None:
        """Acknowledge nothing more once somebody has removed the files: no one would find it."""
        with self._mutex:
            if self._slots is not None and (self._slots.is_gone or self._segment.is_gone):
                self._slots.set_fence()

    def _living(self) -> Slots:
        if self._slots is None:
            raise ValueError("the spool is closed")
        return self._slots

    def _append(self, slots: Slots, data: bytes) -> None:
        """Append *data*, for which there is room; whatever fails, the next call asks first."""
        self._segment.append(data)
        self._has_failed = False
        # Asked after the row is there: whoever set the fence then reads it, or we see the fence.
        if slots.first[FENCE]:
            raise _fenced()
        if self._power:
            try:
                self._segment.sync()
            except BaseException:
                # What the disk made of the rows so far nobody knows, and the system does not tell
                # twice: rows after this one need a file of their own to be safe.
                self._doubtful = True
                raise

    def _make_room(self) -> None:
        """Go on in a new file, where this one is full or doubtful."""
        if self._segment.size >= self._roll_bytes or self._doubtful:
            before = self._segment
            self._segment = Segment(self._folder / self.name.segment(self._count + 1))
            self._count, self._doubtful = self._count + 1, False
            before.close()
            self._sync_new()
            self._rolled()

    def _sync_new(self) -> None:
        if self._power:
            self._segment.sync()
            files.sync_folder(self._folder)

    def close(self) -> None:
        """Close the files; calls that are still in flight stay in their slots."""
        with self._mutex:
            self._close()

    def _close(self) -> None:
        slots, self._slots = self._slots, None
        if slots is not None:
            slots.close()
            self._segment.close()

    def abandon(self) -> None:
        """In a forked child: close the copies; the files are its parent's."""
        self._mutex = _locks.lock()
        self._close()
