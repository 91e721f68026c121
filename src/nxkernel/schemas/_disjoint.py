"""Whether no value satisfies two schemas: what ``oneOf`` and ``not`` turn on.

As with inclusion, a yes is a proof and a no says nothing. Schemas are told apart by their types, by
constants that the other one refuses, by limits of numbers, and by a key that one of them requires
and for which they are disjoint: the discriminators of unions.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from nxkernel.schemas._keywords import constants_of, schemas_for, types_of
from nxkernel.schemas._side import Side

__all__ = ["disjoint"]

#: Deepest search for a difference.
MAX_DEPTH = 8


def disjoint(one: Side, a: Any, other: Side, b: Any, depth: int = 0) -> bool:
    """Return whether it is certain that no value satisfies *a* of *one* and *b* of *other*."""
    a, b = one.resolved(a), other.resolved(b)
    if a is False or b is False:
        return True
    if depth > MAX_DEPTH or not one.steps.take():
        return False
    if not isinstance(a, Mapping) or not isinstance(b, Mapping):
        return False
    return (
        any(_apart(one, x, other, y, depth) for x in one.conjuncts(a) for y in other.conjuncts(b))
        or any(_all_apart(one, part, other, b, depth) for part in _branches(one, a))
        or any(_all_apart(other, part, one, a, depth) for part in _branches(other, b))
    )


def _branches(side: Side, schema: Mapping[str, Any]) -> Iterator[list[Any]]:
    for part in side.conjuncts(schema):
        yield from (part[keyword] for keyword in ("anyOf", "oneOf") if keyword in part)


def _all_apart(one: Side, branches: list[Any], other: Side, b: Any, depth: int) -> bool:
    return all(disjoint(one, each, other, b, depth + 1) for each in branches)


def _apart(one: Side, a: Mapping[str, Any], other: Side, b: Mapping[str, Any], depth: int) -> bool:
    """Whether two schemas exclude each other by what they say themselves."""
    shared = types_of(a) & types_of(b)
    return (
        not shared
        or _by_constants(a, other, b)
        or _by_constants(b, one, a)
        or (shared <= {"integer", "number"} and (_below(a, b) or _below(b, a)))
        or (shared == {"object"} and _by_key(one, a, other, b, depth))
    )


def _by_constants(a: Mapping[str, Any], other: Side, b: Mapping[str, Any]) -> bool:
    constants = constants_of(a)
    return constants is not None and not any(other.may_accept(b, value) for value in constants)


def _below(a: Mapping[str, Any], b: Mapping[str, Any]) -> bool:
    """Whether all numbers of *a* are less than all of *b*."""
    for upper in ("maximum", "exclusiveMaximum"):
        for lower in ("minimum", "exclusiveMinimum"):
            if upper in a and lower in b:
                touch = upper != "maximum" or lower != "minimum"
                if a[upper] < b[lower] or (touch and a[upper] == b[lower]):
                    return True
    return False


def _by_key(one: Side, a: Mapping[str, Any], other: Side, b: Mapping[str, Any], depth: int) -> bool:
    needed = {*a.get("required", ()), *b.get("required", ())}
    return any(
        disjoint(one, x, other, y, depth + 1)
        for name in sorted(needed)
        for x in schemas_for(a, name)
        for y in schemas_for(b, name)
    )
