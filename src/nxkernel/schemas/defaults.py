"""Defaults of a schema, put where a value left something out."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

__all__ = ["with_defaults"]


def with_defaults(schema: Any, value: Any) -> Any:
    """Return a copy of *value* with the defaults of *schema* (already compiled) filled in.

    Objects are filled through ``properties``, ``allOf`` and ``$ref``, and the objects in an array
    through ``items``. A section that was left out whole appears when its own defaults satisfy what
    it requires.
    """
    return _filled(schema, schema, copy.deepcopy(value), frozenset())


def _filled(root: Any, schema: Any, value: Any, left_out: frozenset[int]) -> Any:
    for part in _parts(root, schema, frozenset()):
        if type(value) is dict:
            for key, subschema in sorted(part.get("properties", {}).items()):
                _fill_key(root, subschema, value, key, left_out)
        elif type(value) is list and "items" in part:
            value = [_filled(root, part["items"], item, left_out) for item in value]
    return value


def _fill_key(
    root: Any, schema: Any, value: dict[str, Any], key: str, left_out: frozenset[int]
) -> None:
    if key in value:
        value[key] = _filled(root, schema, value[key], left_out)
        return
    parts = list(_parts(root, schema, frozenset()))
    for part in parts:
        if "default" in part:
            value[key] = _filled(root, schema, copy.deepcopy(part["default"]), left_out)
            return
    # A schema that holds itself would make sections without end.
    inside = left_out | {id(part) for part in parts}
    if len(inside) > len(left_out) and any(part.get("type") == "object" for part in parts):
        section = _filled(root, schema, {}, inside)
        if section and all(name in section for part in parts for name in part.get("required", ())):
            value[key] = section


def _parts(root: Any, schema: Any, seen: frozenset[int]) -> list[Mapping[str, Any]]:
    """The schemas that describe the same value: itself, its ``$ref`` and its ``allOf``."""
    if not isinstance(schema, dict) or id(schema) in seen:
        return []
    seen |= {id(schema)}
    parts: list[Mapping[str, Any]] = [schema]
    if "$ref" in schema:
        parts += _parts(root, _resolve(root, schema["$ref"]), seen)
    for part in schema.get("allOf", ()):
        parts += _parts(root, part, seen)
    return parts


def _resolve(root: Any, ref: str) -> Any:
    node = root
    for part in ref.split("/")[1:]:
        name = unquote(part).replace("~1", "/").replace("~0", "~")
        node = node[int(name)] if isinstance(node, list) else node[name]
    return node
