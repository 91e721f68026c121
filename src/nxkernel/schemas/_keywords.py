"""Keywords of a schema: what they speak of, and which of them mean something together."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from nxkernel._canonical import encode
from nxkernel.schemas.instance import JSON_TYPES
from nxkernel.schemas.patterns import to_python

__all__ = [
    "ABOUT",
    "ANNOTATIONS",
    "AT_LEAST",
    "AT_MOST",
    "beside",
    "constants_of",
    "patterns_of",
    "same",
    "schemas_for",
    "types_of",
]

ANNOTATIONS = frozenset(
    "$comment $defs $id $schema contentEncoding contentMediaType contentSchema default deprecated "
    "description examples format readOnly title writeOnly".split()
)
ALL_TYPES = frozenset(JSON_TYPES.values())
#: Keywords that speak of values of these types alone.
ABOUT: Mapping[str, frozenset[str]] = {
    **dict.fromkeys(("minLength", "maxLength", "pattern"), frozenset({"string"})),
    **dict.fromkeys(
        ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
        frozenset({"integer", "number"}),
    ),
    **dict.fromkeys(
        "items prefixItems minItems maxItems uniqueItems contains minContains maxContains "
        "unevaluatedItems".split(),
        frozenset({"array"}),
    ),
    **dict.fromkeys(
        "properties required additionalProperties patternProperties propertyNames minProperties "
        "maxProperties dependentRequired dependentSchemas unevaluatedProperties".split(),
        frozenset({"object"}),
    ),
}
#: Keywords that are larger in the narrower schema, and smaller in it.
AT_LEAST = frozenset("minLength minItems minProperties".split())
AT_MOST = frozenset("maxLength maxItems maxProperties".split())

#: Keywords that mean something together; the last two look at all that stands beside them.
_GROUPS = (
    frozenset({"items", "prefixItems"}),
    frozenset({"properties", "patternProperties", "additionalProperties"}),
    frozenset({"if", "then", "else"}),
    frozenset({"contains", "minContains", "maxContains"}),
)
_LOOK_AROUND = frozenset({"unevaluatedItems", "unevaluatedProperties"})


def _group(schema: Mapping[str, Any], keyword: str) -> frozenset[str]:
    if keyword in _LOOK_AROUND:
        return frozenset(schema) - ANNOTATIONS
    return next((group for group in _GROUPS if keyword in group), frozenset({keyword}))


def beside(wide: Mapping[str, Any], keyword: str) -> dict[str, Any]:
    """The keywords without which *keyword* would mean something else."""
    return {name: wide[name] for name in sorted(_group(wide, keyword) & wide.keys())}


def same(narrow: Mapping[str, Any], wide: Mapping[str, Any], keyword: str) -> bool:
    """Whether both say the same by *keyword*: to the letter, and without a reference in it."""
    names = sorted(_group(narrow, keyword) | _group(wide, keyword))
    return _says(narrow, names) == _says(wide, names) and not any(
        _refers(wide.get(name)) for name in names
    )


def _says(schema: Mapping[str, Any], names: list[str]) -> bytes:
    # By its bytes: to Python, 1 equals true.
    return encode({name: schema[name] for name in names if name in schema})


def types_of(schema: Mapping[str, Any]) -> frozenset[str]:
    """The types that a schema allows, "number" with every integer in it."""
    named = schema.get("type")
    if named is None:
        return ALL_TYPES
    types = frozenset([named] if isinstance(named, str) else named)
    return types | {"integer"} if "number" in types else types


def constants_of(schema: Mapping[str, Any]) -> list[Any] | None:
    """The values that a schema allows, or None when it does not list them."""
    if "const" in schema:
        return [schema["const"]]
    found: list[Any] | None = schema.get("enum")
    return found


def schemas_for(schema: Mapping[str, Any], name: str) -> list[Any]:
    """Every schema that a key of an object has to satisfy."""
    found = [schema["properties"][name]] if name in schema.get("properties", {}) else []
    for pattern, below in sorted(schema.get("patternProperties", {}).items()):
        if re.search(to_python(pattern), name):
            found.append(below)
    return found or [schema.get("additionalProperties", True)]


def patterns_of(schema: Mapping[str, Any]) -> set[str]:
    """The patterns by which a schema speaks of the keys of an object."""
    return set(schema.get("patternProperties", {}))


def _refers(value: Any) -> bool:
    """Whether a reference is in *value*: equal text may then mean something else."""
    if isinstance(value, Mapping):
        return "$ref" in value or any(map(_refers, value.values()))
    return isinstance(value, list) and any(map(_refers, value))
