"""Defaults of a schema, put where a value left something out."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import attrs

from nxkernel.schemas._pointers import resolve

__all__ = ["with_defaults"]


#: Most sections that one value gets made up: sections that hold each other multiply.
MAX_SECTIONS = 1000


def with_defaults(schema: Any, value: Any) -> Any:
    """Return a copy of *value* with the defaults of *schema* (already compiled) filled in.

    Objects are filled through ``properties``, ``allOf`` and ``$ref``, and the objects in an array
    through ``items``. A section that was left out whole appears when its own defaults satisfy what
    it requires, but not within itself.
    """
    return _Filler(schema).filled(schema, copy.deepcopy(value), frozenset())


@attrs.define
class _Filler:
    """Fills one value; *within* are the schemas of the made-up sections around a place."""

    root: Any
    sections: int = 0

    def filled(self, schema: Any, value: Any, within: frozenset[int]) -> Any:
        for part in _parts(self.root, schema, frozenset()):
            if type(value) is dict:
                for key, subschema in sorted(part.get("properties", {}).items()):
                    self._fill_key(subschema, value, key, within)
            elif type(value) is list and "items" in part:
                value = [self.filled(part["items"], item, within) for item in value]
        return value

    def _fill_key(
        self, schema: Any, value: dict[str, Any], key: str, within: frozenset[int]
    ) -> None:
        if key in value:
            value[key] = self.filled(schema, value[key], within)
            return
        parts = _parts(self.root, schema, frozenset())
        given = [part["default"] for part in parts if "default" in part]
        if given:
            value[key] = self._section(schema, parts, copy.deepcopy(given[0]), within)
        elif any(part.get("type") == "object" for part in parts):
            section = self._section(schema, parts, {}, within)
            required = [name for part in parts for name in part.get("required", ())]
            if section and all(name in section for name in required):
                value[key] = section

    def _section(
        self, schema: Any, parts: list[Mapping[str, Any]], value: Any, within: frozenset[int]
    ) -> Any:
        """Fill a value that was made up, unless it stands within itself."""
        inside = frozenset(id(part) for part in parts)
        self.sections += 1
        if inside & within or self.sections > MAX_SECTIONS:
            return value
        return self.filled(schema, value, within | inside)


def _parts(root: Any, schema: Any, seen: frozenset[int]) -> list[Mapping[str, Any]]:
    """The schemas that describe the same value: itself, its ``$ref`` and its ``allOf``."""
    if not isinstance(schema, dict) or id(schema) in seen:
        return []
    seen |= {id(schema)}
    parts: list[Mapping[str, Any]] = [schema]
    if "$ref" in schema:
        parts += _parts(root, resolve(root, schema["$ref"]), seen)
    for part in schema.get("allOf", ()):
        parts += _parts(root, part, seen)
    return parts
