"""Two runs beside each other: which calls are the same, and in what the others differ."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Hashable, Iterable
from typing import Final, Literal

import attrs

from nxkernel.audit.records import CallRecord

__all__ = ["Aspect", "Comparison", "Pair", "compare"]

#: In what two calls can differ. ``error`` is code and fault, or that one of them has a value.
Aspect = Literal["input", "output", "error", "seed", "attempts", "level"]

_ASPECTS: Final[dict[Aspect, Callable[[CallRecord], Hashable]]] = {
    "input": lambda call: call.input_digest,
    "output": lambda call: call.output_digest,
    "error": lambda call: (call.status, call.error_code, call.fault),
    "seed": lambda call: call.seed,
    "attempts": lambda call: call.attempt,
    "level": lambda call: call.level,
}


@attrs.frozen
class Pair:
    """What was the same call in both runs, and in what it differs."""

    left: CallRecord
    right: CallRecord
    differs: tuple[Aspect, ...]


@attrs.frozen(kw_only=True)
class Comparison:
    """Two runs beside each other."""

    #: How many calls are the same in every aspect.
    same: int
    #: Calls that are in both and differ, in the order of the left run.
    differing: tuple[Pair, ...]
    #: Calls of one run that the other does not have.
    only_left: tuple[CallRecord, ...]
    only_right: tuple[CallRecord, ...]

    @property
    def equal(self) -> bool:
        """Whether nothing differs."""
        return not (self.differing or self.only_left or self.only_right)


def compare(left: Iterable[CallRecord], right: Iterable[CallRecord]) -> Comparison:
    """Pair the calls of two runs and say in what they differ; of retried ones the last attempt.

    Calls of one plugin, hookimpl and phase are the same call when they have one seed, or else one
    key that the caller gave, or else one input, or else one number: whatever order threads made
    them in, equal work is paired.
    """
    mine, theirs = _last_attempts(left), _last_attempts(right)
    pairs: list[Pair] = []
    for identity in _IDENTITIES:
        mine, theirs = _pair(mine, theirs, identity, pairs)
    differing = sorted((pair for pair in pairs if pair.differs), key=lambda pair: pair.left.seq)
    return Comparison(
        same=len(pairs) - len(differing),
        differing=tuple(differing),
        only_left=tuple(mine),
        only_right=tuple(theirs),
    )


#: What makes two calls the same, the surest first; None leaves a call to the next.
_IDENTITIES: Final[tuple[Callable[[CallRecord], Hashable | None], ...]] = (
    lambda call: None if call.seed is None else (call.seed, call.input_digest),
    lambda call: call.seed,
    lambda call: None if call.key is None else repr(call.key),
    lambda call: call.input_digest,
    lambda call: call.call_id,
)


def _last_attempts(calls: Iterable[CallRecord]) -> list[CallRecord]:
    last: dict[Hashable, CallRecord] = {}
    for call in calls:
        place = (call.call_id, _whose(call))
        if place not in last or last[place].attempt <= call.attempt:
            last[place] = call
    return sorted(last.values(), key=lambda call: call.seq)


def _whose(call: CallRecord) -> tuple[str, ...]:
    return (call.plugin, call.impl, call.hook, call.phase)


def _pair(
    left: list[CallRecord],
    right: list[CallRecord],
    identity: Callable[[CallRecord], Hashable | None],
    pairs: list[Pair],
) -> tuple[list[CallRecord], list[CallRecord]]:
    """Pair what has one identity, in order; return what is left over of either run."""
    waiting: dict[Hashable, deque[CallRecord]] = defaultdict(deque)
    for call in right:
        if (key := identity(call)) is not None:
            waiting[_whose(call), key].append(call)
    alone, taken = [], set()
    for call in left:
        others = waiting.get((_whose(call), identity(call)))
        if not others:
            alone.append(call)
            continue
        other = others.popleft()
        taken.add(other.seq)
        pairs.append(Pair(call, other, _differences(call, other)))
    return alone, [call for call in right if call.seq not in taken]


def _differences(left: CallRecord, right: CallRecord) -> tuple[Aspect, ...]:
    return tuple(name for name, of in _ASPECTS.items() if of(left) != of(right))
