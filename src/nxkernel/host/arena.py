"""One worker's arena: memory that it shares with the host, for the bytes of large blobs.

Two files in memory that the host makes and the worker inherits. In the first lies what the host
sends, and the worker reads it in place: it has no means to write there. In the second the worker
puts what it sends, and the host copies it before it looks at it. No other worker has them, so
whatever this one writes harms itself alone. Their memory is used again, so that a blob costs one
copy and no new pages; and no copy at all where it lies still.

What lies in the first is a stack, as the calls of a worker are: a call's blobs go with it. They
cannot go earlier, and need not stay longer: a worker copies what its plugin keeps before it
answers.
"""

from __future__ import annotations

from collections.abc import Iterable

from nxkernel._blob import Blob, Blobs, name_of
from nxkernel._wire import Slice
from nxkernel.host.memory import Memory
from nxkernel.host.places import Places, aligned

__all__ = ["KEPT", "Arena"]

#: Memory of each file that is kept between calls.
KEPT = 16 << 20


class Arena:
    """The host's side of an arena."""

    def __init__(
        self, down: int, up: int, size: int, *, lasting: bool = False, kept: int = KEPT
    ) -> None:
        """Make an arena of two empty files in memory, which are this object's from now on.

        *down*: for what the host sends. *up*: for what the worker sends. *size*: bytes of each,
        at most. *lasting*: whether a wall keeps the worker from writing to *down*.
        *kept*: memory of each file that is kept between calls; the rest is given back.

        Raises:
            OSError: when it cannot be made; the files stay the caller's then.
        """
        self.size = aligned(size)
        self.down, self.up = Memory(down, self.size), Memory(up, self.size)
        self._kept = kept
        self._places = Places(self.size, kept, lasting=lasting)

    # -- from the host ---------------------------------------------------------------------------

    @property
    def height(self) -> int:
        """How many blobs the calls on the worker have."""
        return self._places.height

    def again(self, blobs: Iterable[Blob]) -> list[Slice]:
        """Give the call on top those of *blobs* that lie here still, and return where."""
        found = []
        for blob in blobs:
            at = self._places.again(blob)
            if at is not None:
                found.append(Slice(name_of(blob), at, blob.size))
        return found

    def put(self, blob: Blob) -> Slice | None:
        """Put *blob* here for the call on top, or return None where there is no room."""
        at = self._places.find(blob)
        if at is None or not self.down.reaches(at + blob.size):
            return None
        self.down.view[at : at + blob.size] = blob.view()
        self._places.laid(blob, at)
        return Slice(name_of(blob), at, blob.size)

    def since(self, height: int) -> Blobs:
        """Return the blobs from *height* upwards: what the call has that began there."""
        return self._places.since(height)

    def lower(self, height: int) -> None:
        """Take away what lies above *height*."""
        self._places.lower(height)
        self._spare()

    def leave(self, height: int) -> None:
        """Take away what lies above *height*, but keep its bytes until :meth:`settle`."""
        self._places.leave(height)

    def settle(self) -> None:
        """Nobody reads any more what was left."""
        self._places.settle()
        self._spare()

    # -- from the worker -------------------------------------------------------------------------

    def copied(self, offset: int, size: int) -> bytes:
        """Return a copy of what the worker has put there."""
        return self.up.copied(offset, size)

    # -- memory ----------------------------------------------------------------------------------

    @property
    def used(self) -> bool:
        """Whether the worker may be reading here."""
        return self._places.used

    def _spare(self) -> None:
        if not self._places.used and max(self.down.used, self.up.used) > self._kept:
            self.give_back(self._kept)

    def give_back(self, kept: int = 0) -> None:
        """Give back the memory of each file beyond its first *kept* bytes: nobody reads there."""
        self._places.forget(kept)
        self.down.give_back(kept)
        self.up.give_back(kept)

    def close(self) -> None:
        """Do without it; the worker may still have it. Safe to call twice."""
        self._places.lower(0)
        self._places.settle()
        self._places.forget()
        self.down.close()
        self.up.close()
