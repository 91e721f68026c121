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
        """Return the ``seq`` of the call that ended last of those in the database, or 0."""

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

    Invariant: what the database had when a round began is never asked for again; of what was on
    its way there, which has no number that lasts, ``told`` knows what it was.
    """
    told: set[_Identity] = set()
    if after is None:
        after = reader.newest()
        told = {_identity(call) for call in reader.stream(EVERYTHING, after=after, unended=False)}
    while True:
        newest, known = reader.newest(), told
        told = set()
        for call in reader.stream(where, after=after, unended=False):
            if call.seq > newest:
                told.add(_identity(call))
            if _identity(call) not in known:
                yield call
        if newest == after and told <= known:
            pause()
        after = newest


#: A run has one call of that id and attempt, wherever its row is.
_Identity = tuple[str, str, int]


def _identity(call: CallRecord) -> _Identity:
    return (call.run_id, call.call_id, call.attempt)
