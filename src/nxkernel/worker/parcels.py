"""Parcels: the blobs that travel beside the values of one worker, on its own side."""

from __future__ import annotations

from collections.abc import Iterable

from nxkernel._blob import Blob, Blobs, name_of, named
from nxkernel._wire import HEAVY, Inline, Piece
from nxkernel.worker.arena import Arena, Loan

__all__ = ["Parcels"]


class Parcels:
    """Sends and takes the blobs of this worker.

    *loans*, here, are what the call in question has in the arena, the oldest first.
    """

    def __init__(self, arena: Arena | None = None) -> None:
        self._arena = arena

    def sent(self, blobs: Blobs, loans: Iterable[Loan]) -> list[Piece]:
        """Return what has the host find *blobs*, but for those that came from it."""
        if not blobs:
            return []
        near = {loan.piece.name for loan in loans}
        pieces: list[Piece] = []
        end = 0
        for name, blob in blobs.items():
            if name in near:
                continue
            lies = None
            if self._arena is not None and blob.size >= HEAVY:
                lies = self._arena.put(blob, end)
            if lies is not None:
                end = lies.offset + lies.size
            pieces.append(lies or Inline(name_of(blob), blob.bytes()))
        return pieces

    def opened(self, pieces: Iterable[Piece], loans: list[Loan]) -> Blobs:
        """Return the blobs that came, and those that the call has already.

        The host has checked them. What lies in the arena is added to *loans*.
        """
        blobs: dict[bytes, Blob] = {}
        if self._arena is not None:
            blobs = {loan.piece.name: self._arena.again(loan) for loan in loans}
        for piece in pieces:
            blobs[piece.name] = self._opened(piece, loans)
        return blobs

    def _opened(self, piece: Piece, loans: list[Loan]) -> Blob:
        if isinstance(piece, Inline):
            return named(piece.data, piece.name)
        if self._arena is None:
            raise TypeError("a slice came to a worker without an arena")
        blob, loan = self._arena.lend(piece)
        loans.append(loan)
        return blob

    def held(self, loans: list[Loan]) -> int:
        """Return how many of *loans* are held, and forget those above the last of them."""
        while loans and not loans[-1].held:
            loans.pop()
        return len(loans)

    def settled(self, loans: list[Loan]) -> None:
        """The call is about to be answered: what its plugin still holds becomes its own.

        Raises:
            OSError: when there is no memory for it.
        """
        while loans:
            loan = loans.pop()
            if self._arena is not None:
                self._arena.reclaim(loan)
