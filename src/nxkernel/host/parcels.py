"""Parcels: the blobs that travel beside the values of one worker, on the host's side.

What a worker sends is its word: a blob counts once its bytes are in memory that no worker can
reach, and have there the digest under which the value refers to them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from nxkernel._blob import Blob, Blobs, name_of, named
from nxkernel._canonical import NotCanonical, blobs_of, surveyed
from nxkernel._shape import Shape
from nxkernel._wire import HEAVY, Inline, Piece, Slice
from nxkernel.host.arena import Arena
from nxkernel.host.places import aligned

__all__ = ["Parcels"]


class Parcels:
    """Sends and takes the blobs of one worker.

    *since*, here, says where in the arena the call in question began.
    """

    def __init__(self, largest: int, arena: Arena | None = None) -> None:
        """*largest*: most bytes of a value and its blobs from the worker."""
        self._largest = largest
        self._arena = arena

    @property
    def height(self) -> int:
        """Where in the arena the next call begins."""
        return 0 if self._arena is None else self._arena.height

    def sent(self, blobs: Blobs, since: int) -> list[Piece]:
        """Return what has the worker find *blobs*, but for those that the call has already."""
        if not blobs:
            return []
        if self._arena is None:
            return [_inline(blob) for blob in blobs.values()]
        near = self._arena.since(since)
        missing = [blob for name, blob in blobs.items() if name not in near]
        # What lies there first, before anything new takes its place.
        pieces: list[Piece] = [*self._arena.again(missing)]
        found = {piece.name for piece in pieces}
        pieces += [_piece(blob, self._arena) for blob in missing if name_of(blob) not in found]
        return pieces

    def opened(self, payload: bytes, pieces: Sequence[Piece], since: int) -> Shape:
        """Return the value in *payload*, with its blobs in it.

        Raises:
            NotCanonical: when either is not what it says, or they do not belong together.
        """
        if not pieces and not self.height:
            return surveyed(payload)
        near = {} if self._arena is None else self._arena.since(since)
        arrived = self._arrived(pieces, self._largest - len(payload))
        shape = surveyed(payload, {**near, **arrived})
        if not arrived.keys() <= blobs_of(shape.value, payload).keys():
            raise NotCanonical("a blob came along to which nothing refers")
        return shape

    def _arrived(self, pieces: Sequence[Piece], room: int) -> dict[bytes, Blob]:
        arrived: dict[bytes, Blob] = {}
        end = 0
        for piece in pieces:
            if isinstance(piece, Slice):
                end = self._end(piece, end)
            room -= len(piece.data) if isinstance(piece, Inline) else piece.size
            if room < 0:
                raise NotCanonical(f"its blobs have more bytes than the limit of {self._largest}")
            if piece.name in arrived:
                raise NotCanonical("a blob came twice")
            data = piece.data if isinstance(piece, Inline) else self._copied(piece)
            if hashlib.sha256(data).digest() != piece.name:
                raise NotCanonical("a blob's bytes do not have its digest")
            arrived[piece.name] = named(data, piece.name)
        return arrived

    def _end(self, piece: Slice, end: int) -> int:
        """Where *piece* ends: they lie one after another, the first at the beginning."""
        room = 0 if self._arena is None else self._arena.size
        if piece.size <= 0 or piece.offset != aligned(end):
            raise NotCanonical("a blob lies where none can")
        if piece.offset + piece.size > room:
            raise NotCanonical("a blob lies beyond the arena")
        return piece.offset + piece.size

    def _copied(self, piece: Slice) -> bytes:
        # Without an arena nothing can lie in it, as is checked before.
        return b"" if self._arena is None else self._arena.copied(piece.offset, piece.size)

    def keep(self, since: int, held: int) -> None:
        """Keep the lowest *held* of the call's blobs in the arena: the worker has dropped the rest.

        Raises:
            NotCanonical: when it has not as many.
        """
        if not 0 <= held <= self.height - since:
            raise NotCanonical("it holds blobs that it was never given")
        self.lower(since + held)

    def lower(self, height: int) -> None:
        """The call that began at *height* has been answered: take its blobs away."""
        if self._arena is not None:
            self._arena.lower(height)

    def leave(self, height: int) -> None:
        """Nobody waits any more for the call that began at *height*: take its blobs away.

        It may still read them, until :meth:`settle`.
        """
        if self._arena is not None:
            self._arena.leave(height)

    def settle(self) -> None:
        """All calls that were left have ended."""
        if self._arena is not None:
            self._arena.settle()

    def rest(self) -> None:
        """No call is on the worker, and none has been for a while: give all memory back."""
        if self._arena is not None and not self._arena.used:
            self._arena.give_back()

    def close(self) -> None:
        """Do without the arena."""
        if self._arena is not None:
            self._arena.close()


def _piece(blob: Blob, arena: Arena) -> Piece:
    lies = arena.put(blob) if blob.size >= HEAVY else None
    return lies or _inline(blob)


def _inline(blob: Blob) -> Inline:
    return Inline(name_of(blob), blob.bytes())
