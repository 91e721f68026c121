"""Streams of code in the host's own process: builtins, and plugins of the in-process allowlist.

Nothing runs ahead here: the next item is made when the consumer asks for it.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, Final, Protocol, TypeVar

import attrs

from nxkernel.dispatch.effects import Effects, Offer, Signal
from nxkernel.host.accounts import Account
from nxkernel.host.tallies import Tally
from nxkernel.host.unanswered import cancelled, closed
from nxkernel.types import Call, Outcome

__all__ = ["Source", "Turns", "pulled"]

T = TypeVar("T")
#: What an iterator gives that has no more.
_END: Final = object()


@attrs.define(eq=False, kw_only=True)
class Source:
    """An iterator, asked for one item at a time; what it raises is an outcome."""

    call: Call
    #: Makes the iterator, or returns None for want of an answer.
    make: Callable[[], Generator[Any, Any, Any] | None]
    #: Makes the outcome of an item.
    crossed: Callable[[Any], Outcome]
    #: Makes the outcome of an exception.
    raised: Callable[[BaseException], Outcome]
    #: What it used; measured where it runs.
    account: Account = attrs.Factory(Account)
    _source: Generator[Any, Any, Any] | None = None

    def open(self) -> Outcome | None:
        """Make the iterator; returns the outcome when there is none."""
        try:
            with self.account.measured():
                self._source = self.make()
        except Exception as error:
            return self.raised(error)
        return self.ended() if self._source is None else None

    def next(self) -> Outcome | None:
        """Return the next item, a failure, or None at the end."""
        if self._source is None:
            return None
        try:
            with self.account.measured():
                value = next(self._source, _END)
        except Exception as error:
            return self.raised(error)
        return None if value is _END else self.crossed(value)

    def close(self) -> Outcome | None:
        """Close the iterator; returns the failure if that fails."""
        source, self._source = self._source, None
        try:
            if source is not None:
                with self.account.measured():
                    source.close()
        except Exception as error:
            return self.raised(error)
        return None

    def ended(self) -> Outcome:
        """The outcome of a stream that came to its end, or of none at all."""
        call = self.call
        return Outcome(plugin=call.plugin, impl=call.impl, hook=call.hook, call_id=call.call_id)


class Turns(Protocol):
    """Where the plugin's code runs."""

    def do(self, work: Callable[[], Outcome | None]) -> Effects[Outcome | None]:
        """Do *work* there, and return what it returns, or why it was not done."""

    def drop(self, work: Callable[[], Outcome | None]) -> None:
        """Have *work* done there some time; nobody waits for it."""


def pulled(source: Source, turns: Turns) -> Effects[Outcome]:
    """Hand out the items of *source*, and return what became of it."""
    tally = Tally()
    none = yield from turns.do(source.open)
    if none is not None:
        return attrs.evolve(none, timing=source.account.timing)
    try:
        outcome = yield from _handed_out(source, turns, tally)
    except BaseException:
        turns.drop(source.close)
        raise
    return attrs.evolve(tally.on(outcome), timing=source.account.timing)


def _handed_out(source: Source, turns: Turns, tally: Tally) -> Effects[Outcome]:
    while True:
        item = yield from turns.do(source.next)
        if item is None:
            return source.ended()
        if item.error is not None:
            turns.drop(source.close)
            return item
        signal = yield Offer(item)
        if signal is not Signal.REFUSED:
            tally.add(item)
        if signal is Signal.CANCELLED:
            turns.drop(source.close)
            return cancelled(source.call)
        if signal is not Signal.READY:
            return (yield from turns.do(source.close)) or closed(source.call)
