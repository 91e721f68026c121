"""The build of a value: how deep, how many, and of what types; found in one look through it.

Whoever decodes a value looks through all of it once. What it finds is kept beside the value, so
that nobody has to look again: a validator that would walk a value of a thousand parts before it
may judge it spends more time there than in the judgement.
"""

from __future__ import annotations

import re
from collections.abc import Set
from gc import get_referents
from itertools import chain
from math import isfinite
from typing import Any, NamedTuple

__all__ = ["JSON_TYPES", "Misshapen", "Shape", "glance", "is_plain", "mark", "marked", "survey"]

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
#: With what MessagePack has beside them.
_PLAIN = _JSON | {bytes}
_all_plain = _PLAIN.issuperset
_CONTAINERS = frozenset((dict, list))
_TEXT = frozenset((str,))
#: Also part of a longer key or a text, so a hit only means "perhaps"; shorter, numbers would hit.
# Only its first byte is a prefix, which is looked for several times as fast as two bytes are.
#: What finds it, or None.
mark = re.compile(rb"\$(?=bytes|blob)").search


class Misshapen(ValueError):
    """A value has a part that no plain value has."""


class Shape(NamedTuple):  # on the path of every call; a frozen attrs class takes twice as long
    """What was found of one value. Whoever changes that value in place makes it a lie."""

    #: The value itself: of another one this says nothing.
    value: Any
    #: How many containers lie around the innermost part, at most; 0 for a scalar.
    depth: int
    #: The value and all that is in it, at most; keys do not count.
    parts: int
    #: The types of all that, or all that there may be.
    types: Set[type] = _JSON
    #: Whether all of it is of JSON's own types.
    json: bool = True
    #: Whether a key may read like a mark of ours, such as ``$bytes``.
    marked: bool = False

    def after(self, data: bytes) -> Shape:
        """Return the shape as it is once the *data* of the value are known."""
        return self._replace(marked=True) if marked(data) else self

    def counted(self) -> Shape:
        """Return the shape with its depth and parts as they are, where they are bounds.

        Raises:
            Misshapen: when the value has been changed since.
        """
        found = survey(self.value, self.depth + 1, self.parts)
        return found._replace(marked=self.marked)


def marked(data: bytes) -> bool:
    """Whether in *data*, the canonical bytes of a value, a key may read like a mark of ours."""
    return mark(data) is not None


def glance(
    value: Any, deepest: int, most: int, *, binary: bool = False, numbers: bool = False
) -> tuple[int, int] | None:
    """Return at most how deep *value* is and how many parts it has, if it is what JSON has.

    That is: all of it is exactly of JSON's own types, with *binary* also bytes, and within both
    limits. None says nothing. Keys may be of all of those types: who goes by it has the bytes as
    well, where only text has a place. With *numbers* floats are finite and integers below 2 to the
    63rd, without they may be any. A third of the time of :func:`survey`.
    """
    types = _PLAIN if binary else _JSON
    all_of = types.issuperset
    level, parts = [value], 0
    for depth in range(deepest + 1):
        if not (_are_plain(level, types) if numbers else all_of(map(type, level))):
            return None
        parts += len(level)
        if parts > most:
            return None
        level = _parts(*level)
        if not level:
            return depth, parts
    return None


def is_plain(value: Any, levels: range, most: int) -> bool:
    """Whether :func:`glance` would take *value* as binary, with any numbers; in fewer steps.

    *levels*: as many as a value may have containers in each other. *most* is a bound of each level,
    for a value that becomes a cycle meanwhile.
    """
    if type(value) not in _PLAIN:
        return False
    level = _parts(value)
    for _ in levels:
        if not level:
            return True
        if len(level) > most or not _all_plain(map(type, level)):
            return False
        level = _parts(*level)
    return not level


def _are_plain(level: list[Any], types: frozenset[type]) -> bool:
    """Whether *level* is of *types*, its floats are finite, and no integer in it is too large.

    There is none too small: it could not be encoded.
    """
    kinds = set(map(type, level))
    if float in kinds and not all(map(isfinite, _of(float, level, kinds))):
        return False
    if int in kinds and max(_of(int, level, kinds)) >= 1 << 63:
        return False
    return kinds <= types


def _of(kind: type, level: list[Any], kinds: set[type]) -> list[Any]:
    return level if len(kinds) == 1 else [item for item in level if type(item) is kind]


def _items(*level: Any) -> list[Any]:
    dicts = [item for item in level if type(item) is dict]
    lists = [item for item in level if type(item) is list]
    below = list(chain.from_iterable(map(dict.values, dicts)))
    below += chain.from_iterable(lists)
    # A key of a type of its own is seen, and refused, as a part would be.
    below += [key for key in chain.from_iterable(dicts) if type(key) is not str]
    return below


class _Probe:
    """What has a dict of its own."""

    def __init__(self) -> None:
        self.part = 0.5


def _shows_all() -> bool:
    """Whether this interpreter's collector names all that a dict holds, of whatever kind it is.

    From Python 3.13 on, it does not of a dict whose values lie within the object that it is of.
    """
    owner = _Probe()  # alive meanwhile: its dict is its own only as long
    shown = get_referents([1.5], {"a": 2.5}, vars(owner), "a", 3.5)
    return sorted(shown) == [0.5, 1.5, 2.5]


#: What lies in the containers among some values; if it can be, had in one step of the interpreter:
#: by the collector's own look into them, which finds nothing in scalars. It shows the keys of a
#: dict as well, but for those that are exactly strings.
_parts = get_referents if _shows_all() else _items


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
        return Shape(value, 0, 1, types, types <= _JSON)
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
    return Shape(value, depth, parts, types, types <= _JSON)


def _containers(items: list[Any], depth: int, deepest: int) -> list[Any]:
    if depth >= deepest:
        raise Misshapen(f"nested deeper than {deepest}")
    return [item for item in items if type(item) is dict or type(item) is list]


def _check_floats(items: list[Any]) -> None:
    if not all(map(isfinite, [item for item in items if type(item) is float])):
        raise Misshapen("a float is not finite")
