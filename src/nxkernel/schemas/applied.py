"""Which subschemas may have a say in a place of a value, whether or not they get to it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from nxkernel.schemas._pointers import resolve
from nxkernel.schemas.patterns import to_python
from nxkernel.schemas.profile import IN_PLACE, LIST, MAP

__all__ = ["Subschema", "below", "here"]

Subschema = Mapping[str, Any]


def here(root: Any, schemas: Iterable[Any]) -> list[Subschema]:
    """Return *schemas* with all the others in *root* that look at the same value.

    References are followed, and every branch of an alternative counts.
    """
    found: dict[int, Subschema] = {}
    todo = list(schemas)
    while todo:
        schema = todo.pop()
        if isinstance(schema, Mapping) and id(schema) not in found:
            found[id(schema)] = schema
            todo += _beside(schema)
            if "$ref" in schema:
                todo.append(resolve(root, schema["$ref"]))
    return list(found.values())


def _beside(schema: Subschema) -> list[Any]:
    found: list[Any] = []
    for keyword in sorted(IN_PLACE & schema.keys()):
        value = schema[keyword]
        found += value if keyword in LIST else value.values() if keyword in MAP else [value]
    return found


def below(schemas: Iterable[Subschema], part: str | int) -> list[Any]:
    """Return the subschemas of *schemas* for the key or the item *part* of the value."""
    step = _at_key if isinstance(part, str) else _at_item
    return [schema for each in schemas for schema in step(each, part)]


def _at_key(schema: Subschema, key: Any) -> list[Any]:
    named = schema.get("patternProperties", {})
    found = [named[pattern] for pattern in named if _compiled(pattern).search(key)]
    if key in schema.get("properties", {}):
        found.append(schema["properties"][key])
    return found or _present(schema, "additionalProperties", "unevaluatedProperties")


def _at_item(schema: Subschema, index: Any) -> list[Any]:
    first = schema.get("prefixItems", ())
    found = [first[index]] if index < len(first) else _present(schema, "items", "unevaluatedItems")
    return [*found, *_present(schema, "contains")]


def _present(schema: Subschema, *keywords: str) -> list[Any]:
    return [schema[keyword] for keyword in keywords if keyword in schema]


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(to_python(pattern))
