"""New calls as they come, for somebody who looks on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

from nxkernel.audit.filters import EVERYTHING, CallFilter
from nxkernel.audit.records import CallRecord

__all__ = ["Ended", "follow"]


class Ended(Protocol):
    """What is needed of a reader."""

    def newest(self) -> int:
        """Return the ``seq`` of the call that ended last, or 0."""

    def stream(self, where: CallFilter, *, after: int, unended: bool) -> Iterator[CallRecord]:
        """Yield the calls that ended after the call *after*."""


def follow(
    reader: Ended,
    pause: Callable[[], None],
    where: CallFilter = EVERYTHING,
    after: int | None = None,
) -> Iterator[CallRecord]:
    """Yield the calls that *where* takes as they end, and never stop.

    It begins behind the call whose ``seq`` is *after*, or now. *pause* waits a moment; what it
    raises ends this.
    """
    after = reader.newest() if after is None else after
    while True:
        newest = reader.newest()
        if newest > after:
            # What comes beyond `newest` meanwhile is the next round's.
            found = reader.stream(where, after=after, unended=False)
            yield from (call for call in found if call.seq <= newest)
            after = newest
        else:
            pause()
