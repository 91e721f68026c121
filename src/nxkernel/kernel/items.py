"""Items of a stream on their way out: each is checked before anybody sees it."""

from __future__ import annotations

from collections.abc import Callable

import attrs

from nxkernel.dispatch.effects import Effects, Offer, Signal
from nxkernel.types import Diagnostic, Outcome

__all__ = ["checked"]

#: Diagnostics of one stream that are kept: it may have no end.
_KEPT = 64


def checked(source: Effects[Outcome], check: Callable[[Outcome], Outcome]) -> Effects[Outcome]:
    """Run *source*, and let out no item but what *check* makes of it.

    One that it makes a failure ends the stream: its outcome is that failure, and the item is not
    among those that were given.
    """
    refused: Outcome | None = None
    dropped: list[Diagnostic] = []
    signal: Signal | None = None
    count = 0
    try:
        while True:
            try:
                effect = source.send(signal)
            except StopIteration as stop:
                return _summed(stop.value, refused, dropped)
            if isinstance(effect, Offer):
                item = check(effect.item)
                if item.error is not None:
                    refused, signal = item, Signal.REFUSED
                    continue
                dropped += [_at(count, each) for each in item.diagnostics[: _KEPT - len(dropped)]]
                count, effect = count + 1, Offer(item)
            signal = yield effect
    finally:
        source.close()


def _at(index: int, each: Diagnostic) -> Diagnostic:
    return attrs.evolve(each, path=f"/{index}{each.path}")


def _summed(outcome: Outcome, refused: Outcome | None, dropped: list[Diagnostic]) -> Outcome:
    if refused is not None:
        outcome = attrs.evolve(outcome, error=refused.error, fault=refused.fault, origin=None)
    return attrs.evolve(outcome, diagnostics=tuple(dropped)) if dropped else outcome
