"""Conditions: what a trial of calls is run under, as a set of single variations."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, Literal, TypeVar

import attrs

from nxkernel.surroundings import Surroundings, pairs

__all__ = ["ALONE", "USUAL", "Conditions", "Order", "Variation"]

#: In which order calls are made; ``""`` is the order that they were given in.
Order = Literal["", "reversed", "shuffled"]
T = TypeVar("T")


@attrs.frozen(kw_only=True)
class Variation:
    """One thing that is other than usual. Frozen and hashable: a set of them is a condition."""

    #: What is varied: ``hash seed``, ``time zone`` ...
    name: str
    #: How, in words: ``PYTHONHASHSEED=1``.
    how: str
    environment: tuple[tuple[str, str], ...] = attrs.field(default=(), converter=pairs)
    #: Fields of `Surroundings`, but for the environment.
    changes: tuple[tuple[str, Any], ...] = ()
    order: Order = ""
    #: A process of its own for each call.
    fresh: bool = False
    #: A data directory at another path.
    elsewhere: bool = False
    #: What depends on it is another value each time, so that nothing else can be seen beside it.
    noisy: bool = False

    @property
    def of_state(self) -> bool:
        """Whether it changes which calls a call comes after, in its process."""
        return bool(self.order) or self.fresh


#: A process of its own for each call.
ALONE: Final = Variation(name="fresh process", how="a process for each call", fresh=True)


@attrs.frozen
class Conditions:
    """The variations that are in force together."""

    variations: frozenset[Variation] = frozenset()

    @classmethod
    def of(cls, variations: Iterable[Variation]) -> Conditions:
        """Return *variations* in force together."""
        return cls(frozenset(variations))

    @property
    def order(self) -> Order:
        """In which order calls are made."""
        return next((v.order for v in self._sorted() if v.order), "")

    @property
    def fresh(self) -> bool:
        """Whether each call has a process of its own."""
        return any(v.fresh for v in self.variations)

    @property
    def elsewhere(self) -> bool:
        """Whether the data directory lies elsewhere."""
        return any(v.elsewhere for v in self.variations)

    @property
    def of_state(self) -> bool:
        """Whether they change which calls a call comes after, in its process."""
        return any(v.of_state for v in self.variations)

    def with_(self, variation: Variation) -> Conditions:
        """Return these with one more."""
        return Conditions(self.variations | {variation})

    def around(self, usual: Surroundings) -> Surroundings:
        """Return the surroundings that are in force, on top of the *usual* ones."""
        environment = dict(usual.environment)
        changes: dict[str, Any] = {}
        for variation in self._sorted():
            environment |= dict(variation.environment)
            changes |= dict(variation.changes)
        return attrs.evolve(usual, environment=environment, **changes)

    def arranged(self, calls: Sequence[T], name: Callable[[T], str]) -> list[T]:
        """Return *calls* in the order in which they are made; a shuffle goes by their names."""
        if self.order == "reversed":
            return list(reversed(calls))
        if self.order == "shuffled":
            return sorted(calls, key=lambda call: _scattered(name(call)))
        return list(calls)

    def _sorted(self) -> list[Variation]:
        return sorted(self.variations, key=lambda v: (v.name, v.how))


#: Nothing is varied.
USUAL: Final = Conditions()


def _scattered(name: str) -> bytes:
    return hashlib.blake2b(name.encode()).digest()
