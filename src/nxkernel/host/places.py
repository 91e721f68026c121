"""Places: which blob lies where in the memory that the host writes and a worker reads.

What a call was given lies above what the calls below it have, and is taken away with it. Its bytes
stay where they are until others are put there: the worker cannot write to this memory, so the same
blob need not be copied when it comes again.
"""

from __future__ import annotations

from typing import TypeVar

import attrs

from nxkernel._blob import NONE, Blob, Blobs, name_of
from nxkernel._wire import ALIGNMENT

__all__ = ["Places", "aligned"]

_What = TypeVar("_What")

#: Most blobs that are remembered, of those that lie there, and of those that did.
MOST = 64


def aligned(offset: int) -> int:
    """Return the first place at or after *offset* where a blob may begin."""
    return -(-offset // ALIGNMENT) * ALIGNMENT


@attrs.frozen
class _Lying:
    """A blob of a call that is not answered yet."""

    blob: Blob
    begin: int
    end: int
    #: Where the next one may begin, but for what lies apart.
    floor: int
    #: What it and those below have above their floor: it was there before, or comes back.
    apart: tuple[tuple[int, int], ...]


class Places:
    """Where blobs lie, lay and may lie. Knows no memory: somebody else copies."""

    def __init__(self, room: int, near: int, *, lasting: bool) -> None:
        """*room*: bytes of the memory. *near*: bytes of it that stay between calls.

        *lasting*: whether bytes stay what they are when their call is answered.
        """
        self._room = room
        self._near = near
        self._lasting = lasting
        self._lying: list[_Lying] = []
        #: Begin and end of what was left to a reader who has not said that he is done.
        self._left: list[tuple[int, int]] = []
        #: What lies there whole, by name: begin and end. No two of them overlap.
        self._there: dict[bytes, tuple[int, int]] = {}
        #: Names of what lay there and was written over, the latest last.
        self._gone: dict[bytes, None] = {}

    @property
    def height(self) -> int:
        """How many blobs the calls on the worker have."""
        return len(self._lying)

    @property
    def used(self) -> bool:
        """Whether anybody reads here: a call, or who was left."""
        return bool(self._lying or self._left)

    def since(self, height: int) -> Blobs:
        """Return those from *height* upwards: what the call has that began there."""
        if height >= len(self._lying):
            return NONE
        return {name_of(each.blob): each.blob for each in self._lying[height:]}

    def lower(self, height: int) -> None:
        """Take away what lies above *height*."""
        del self._lying[height:]

    def leave(self, height: int) -> None:
        """Take away what lies above *height*, but keep its bytes: it may still be read.

        Calls end otherwise one above the other. A stream that nobody listens to any more does not,
        and those below it go on meanwhile.
        """
        self._left += [(each.begin, each.end) for each in self._lying[height:]]
        self.lower(height)

    def settle(self) -> None:
        """Nobody reads any more what was left."""
        self._left.clear()

    # -- what lies there still -------------------------------------------------------------------

    def again(self, blob: Blob) -> int | None:
        """Give *blob* to the call on top where it lies already, and return where; or None.

        Never where another call has it: the worker puts a copy over a blob that is kept, call by
        call.
        """
        name = name_of(blob)
        place = self._there.get(name)
        if place is None:
            return None
        begin, end = place
        if place in self._left or any(each.begin == begin for each in self._lying):
            return None
        self._there[name] = self._there.pop(name)  # the latest, last
        self._lying.append(_Lying(blob, begin, end, self._floor, (*self._apart, place)))
        return begin

    def forget(self, kept: int = 0) -> None:
        """What lies beyond the first *kept* bytes will lie there no more."""
        for name in [name for name, (_, end) in self._there.items() if end > kept]:
            del self._there[name]

    # -- what is new -----------------------------------------------------------------------------

    def find(self, blob: Blob) -> int | None:
        """Return where *blob* may be put, or None where there is no room.

        What has lain there is forgotten with this: nobody takes for whole what is half written.
        """
        begin = self._free(blob.size)
        if name_of(blob) in self._gone:
            # It comes back: the two that lie in turn at one place are each to have one.
            aside = self._free(blob.size, *self._there.values())
            begin = aside if aside + blob.size <= self._near else begin
        end = begin + blob.size
        if end > self._room:
            return None
        self._overwrite(begin, end)
        return begin

    def laid(self, blob: Blob, begin: int) -> None:
        """Its bytes are there: give it to the call on top."""
        place, floor, apart = (begin, begin + blob.size), self._floor, self._apart
        if begin == self._free(blob.size):
            floor = aligned(begin + blob.size)
        else:
            apart = (*apart, place)
        self._lying.append(_Lying(blob, *place, floor, apart))
        if self._lasting:
            _remember(self._there, name_of(blob), place)

    @property
    def _floor(self) -> int:
        return self._lying[-1].floor if self._lying else 0

    @property
    def _apart(self) -> tuple[tuple[int, int], ...]:
        return self._lying[-1].apart if self._lying else ()

    def _free(self, size: int, *avoided: tuple[int, int]) -> int:
        """Return the lowest free place above the floor that none of *avoided* overlaps."""
        at = self._floor
        for begin, end in sorted((*self._apart, *self._left, *avoided)):
            if begin < at + size and at < end:
                at = aligned(end)
        return at

    def _overwrite(self, begin: int, end: int) -> None:
        under = [name for name, (b, e) in self._there.items() if b < end and begin < e]
        for name in under:
            del self._there[name]
            _remember(self._gone, name, None)


def _remember(names: dict[bytes, _What], name: bytes, what: _What) -> None:
    names.pop(name, None)
    names[name] = what
    if len(names) > MOST:
        del names[next(iter(names))]
