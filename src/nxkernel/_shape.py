"""The build of a value: how deep, how many, and of what types; found in one look through it.

Whoever decodes a value looks through all of it once. What it finds is kept beside the value, so
that nobody has to look again: a validator that would walk a value of a thousand parts before it
may judge it spends more time there than in the judgement.
"""

from __future__ import annotations

from math import isfinite
from typing import Any, NamedTuple

__all__ = ["JSON_TYPES", "Misshapen", "Shape", "survey"]

#: JSON's own types, with the names that JSON Schema has for them.
JSON_TYPES = {
    bool: "boolean",
    dict: "object",
    float: "number",
    int: "integer",
    list: "array",
    str: "string",
    type(None): "null",
}
_JSON = frozenset(JSON_TYPES)
_CONTAINERS = frozenset((dict, list))
_TEXT = frozenset((str,))
#: Also part of a longer key or a text, so a hit only means "perhaps"; shorter, numbers would hit.
_MARKS = (b"$bytes", b"$blob")


class Misshapen(ValueError):
    """A value has a part that no plain value has."""


class Shape(NamedTuple):  # on the path of every call; a frozen attrs class takes twice as long
    """What was found of one value. Whoever changes that value in place makes it a lie."""

    #: The value itself: of another one this says nothing.
    value: Any
    #: How many containers lie around the innermost part; 0 for a scalar.
    depth: int
    #: The value and all that is in it; keys do not count.
    parts: int
    #: The types of all that.
    types: set[type]
    #: Whether a key may read like a mark of ours, such as ``$bytes``.
    marked: bool = False

    @property
    def json(self) -> bool:
        """Whether all of it is of JSON's own types."""
        return self.types <= _JSON

    def of(self, value: Any) -> bool:
        """Return whether it is *value* that this was found of."""
        return self.value is value

    def after(self, data: bytes) -> Shape:
        """Return the shape as it is once the *data* of the value are known."""
        return self._replace(marked=True) if any(mark in data for mark in _MARKS) else self


def survey(value: Any, deepest: int, most: int) -> Shape:
    """Look through *value*, a layer of its nesting at a time, and return what was found.

    Types are exact: what is within a subclass of list or dict is not looked at.

    Raises:
        Misshapen: with what it has: more than *deepest* containers in each other, which also ends a
            cycle, or more than *most* parts; a key that is no string; a float that is not finite.
    """
    types: set[type] = {type(value)}
    keys: set[type] = set()
    if types.isdisjoint(_CONTAINERS):
        _check_floats([value])
        return Shape(value, 0, 1, types)
    level, depth, parts = [value], 0, 1
    while level:
        below: list[Any] = []
        for item in level:
            if type(item) is dict:
                keys.update(map(type, item))
                below += item.values()
            else:
                below += item
        kinds = set(map(type, below))
        if float in kinds:
            _check_floats(below)
        depth, parts, types = depth + bool(below), parts + len(below), types | kinds
        if parts > most:
            raise Misshapen(f"more than {most} values")
        level = [] if kinds.isdisjoint(_CONTAINERS) else _containers(below, depth, deepest)
    if not keys <= _TEXT:
        raise Misshapen("a map key is no string")
    return Shape(value, depth, parts, types)


def _containers(items: list[Any], depth: int, deepest: int) -> list[Any]:
    if depth >= deepest:
        raise Misshapen(f"nested deeper than {deepest}")
    return [item for item in items if type(item) is dict or type(item) is list]


def _check_floats(items: list[Any]) -> None:
    if not all(map(isfinite, [item for item in items if type(item) is float])):
        raise Misshapen("a float is not finite")
