"""What a value must be before a validator may look at it: plain, finite and of bounded depth."""

from __future__ import annotations

from typing import Any

from nxkernel import _canonical
from nxkernel._shape import JSON_TYPES, Misshapen, Shape, survey

__all__ = [
    "JSON_TYPES",
    "MAX_DEPTH",
    "MAX_NODES",
    "json_type",
    "judgeable",
    "obstacle",
    "shape_of",
]

#: Deepest nesting of a value under a schema. The reference validator recurses; beyond this its
#: verdict would depend on how deep its caller already is.
MAX_DEPTH = 100
#: Most values in one value, counted through all levels.
MAX_NODES = 1_000_000
_INT64, _UINT64 = -(2**63), 2**64


def json_type(value: object) -> str:
    """Return the JSON Schema name of a value's type, or Python's where JSON has none."""
    return JSON_TYPES.get(type(value), type(value).__name__)


def obstacle(value: Any) -> tuple[tuple[str | int, ...], str] | None:
    """Return the place of the first thing that no schema can judge, and what it is; or None."""
    todo: list[tuple[tuple[str | int, ...], Any]] = [((), value)]
    nodes = 0
    while todo:
        path, item = todo.pop()
        nodes += 1
        known = nodes + len(todo) + (len(item) if type(item) in (dict, list) else 0)
        reason = _reason(path, item, known)
        if reason:
            return path, reason
        if type(item) is dict:
            todo += [((*path, key), item[key]) for key in sorted(item, reverse=True)]
        elif type(item) is list:
            todo += [((*path, i), item[i]) for i in range(len(item) - 1, -1, -1)]
    return None


def shape_of(value: Any, data: bytes | None = None) -> Shape | None:
    """Return the shape of *value*, or None where :func:`obstacle` finds something.

    None also for parts that are of no type of JSON's. A few quick looks over all of it: this is
    asked of every value that nobody has looked through yet, :func:`obstacle` only of those that
    have something in the way. *data*: its canonical bytes, if it has been encoded already.
    """
    try:
        shape = _canonical.seen(value, data)
        if shape is not None and shape.depth <= MAX_DEPTH and shape.parts <= MAX_NODES:
            return shape  # of JSON's types, or it would not have been told so quickly
        shape = _surveyed(value, data)
        return shape if judgeable(shape) else None
    except (Misshapen, _canonical.NotCanonical):
        return None


def _surveyed(value: Any, data: bytes | None) -> Shape:
    shape = survey(value, MAX_DEPTH + 1, MAX_NODES)
    if not judgeable(shape):
        return shape
    # Has canonical bytes only if its integers are of 64 bits.
    return shape.after(_canonical.encode(value) if data is None else data)


def judgeable(shape: Shape) -> bool:
    """Return whether a decoded value of that *shape* has nothing of what :func:`obstacle` finds."""
    return shape.json and shape.depth <= MAX_DEPTH and shape.parts <= MAX_NODES


def _reason(path: tuple[str | int, ...], item: Any, nodes: int) -> str:
    if nodes > MAX_NODES:
        return f"holds more than {MAX_NODES} values"
    if len(path) > MAX_DEPTH:
        return f"is nested deeper than {MAX_DEPTH}"
    if type(item) is float and item - item != 0:
        return "is not a finite number"
    if type(item) is int and not _INT64 <= item < _UINT64:
        return "is an integer of more than 64 bits"
    if type(item) is str and not _is_unicode(item):
        return "is text with a lone surrogate"
    if type(item) is dict and any(type(key) is not str for key in item):
        return "has a key that is not a string"
    if type(item) is dict and not all(map(_is_unicode, item)):
        return "has a key with a lone surrogate"
    return ""


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
