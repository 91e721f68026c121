"""Hooks: the pair that lowers and lifts the values of one annotation, and how they refuse."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nxkernel._plain import Refused, name_of, plain

__all__ = ["Hooks", "Lift", "Lower", "Mismatch", "anything", "impossible", "reject"]

#: Takes a value and the levels that are left below it.
Lower = Callable[[Any, int], Any]
#: Takes plain data.
Lift = Callable[[Any], Any]
Hooks = tuple[Lower, Lift]


class Mismatch(Refused):
    """The value is of another type than the annotation's."""


def reject(expected: Any, value: Any) -> Refused:
    """Return the refusal of *value* where the annotation *expected* stands."""
    name = name_of(type(value))
    return Mismatch(f"expected {name_of(expected)}, got {name}", name)


def anything() -> Hooks:
    """Return the hooks of an annotation that asks for nothing: plain values cross as they are."""
    return lambda value, _: plain(value), lambda data: data


def impossible(reason: str) -> Hooks:
    """Refuse every value of an annotation that cannot be kept."""

    def refuse(_value: Any, _levels: int = 0) -> Any:
        raise Refused(reason)

    return refuse, refuse
