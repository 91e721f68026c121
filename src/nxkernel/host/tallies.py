"""Tallies: what of a stream its consumer was given, for the record."""

from __future__ import annotations

import attrs

from nxkernel._canonical import Sequence
from nxkernel.types import Outcome

__all__ = ["Tally"]


@attrs.define
class Tally:
    """Counts the items of one stream, and keeps none of them."""

    items: int = 0
    size: int = 0
    _sequence: Sequence = attrs.Factory(Sequence)

    def add(self, item: Outcome) -> None:
        """The consumer was given *item*."""
        self.items += 1
        self.size += item.output_bytes
        if item.output_digest is not None:
            self._sequence.add(item.output_digest)

    def on(self, outcome: Outcome) -> Outcome:
        """Return *outcome* with what was given, and without a value of its own."""
        return attrs.evolve(
            outcome,
            value=None,
            shape=None,
            items=self.items,
            output_bytes=self.size,
            output_digest=self._sequence.digest,
        )
