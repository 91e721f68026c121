"""What a value must be before a validator may look at it: plain, finite and of bounded depth."""

from __future__ import annotations

from typing import Any

__all__ = ["JSON_TYPES", "MAX_DEPTH", "MAX_NODES", "json_type", "obstacle"]

#: Deepest nesting of a value under a schema. The reference validator recurses; beyond this its
#: verdict would depend on how deep its caller already is.
MAX_DEPTH = 100
#: Most values in one value, counted through all levels.
MAX_NODES = 1_000_000
_INT64, _UINT64 = -(2**63), 2**64

JSON_TYPES = {
    bool: "boolean",
    dict: "object",
    float: "number",
    int: "integer",
    list: "array",
    str: "string",
    type(None): "null",
}


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
        reason = _reason(path, item, nodes)
        if reason:
            return path, reason
        if type(item) is dict:
            todo += [((*path, key), item[key]) for key in sorted(item, reverse=True)]
        elif type(item) is list:
            todo += [((*path, i), item[i]) for i in range(len(item) - 1, -1, -1)]
    return None


def _reason(path: tuple[str | int, ...], item: Any, nodes: int) -> str:
    if nodes > MAX_NODES:
        return f"holds more than {MAX_NODES} values"
    if len(path) > MAX_DEPTH:
        return f"is nested deeper than {MAX_DEPTH}"
    if type(item) is float and item - item != 0:
        return "is not a finite number"
    if type(item) is int and not _INT64 <= item < _UINT64:
        return "is an integer of more than 64 bits"
    if type(item) is dict and any(type(key) is not str for key in item):
        return "has a key that is not a string"
    return ""
