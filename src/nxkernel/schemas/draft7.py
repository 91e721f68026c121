"""Schemas of draft 7, read as schemas of 2020-12.

Most published schemas are of draft 7. Its few differences can all be said in 2020-12, so it is
translated once, when it is loaded, and everything behind (the profile, both validators, proofs,
defaults, secrets) knows one dialect. Issues name the keywords of 2020-12.

========================  ======================================================================
draft 7                   2020-12
========================  ======================================================================
``definitions``           ``$defs``
``items`` with a list     ``prefixItems``
``additionalItems``       ``items`` beside ``prefixItems``
``dependencies``          ``dependentRequired`` for lists of names, ``dependentSchemas`` for schemas
========================  ======================================================================

What draft 7 would silently not check is refused: assertions beside ``$ref``, ``additionalItems``
without a list in ``items``, and every keyword that it does not know.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any
from urllib.parse import quote

from nxkernel.errors import SchemaInvalid
from nxkernel.schemas._pointers import parts_of
from nxkernel.schemas.profile import DIALECT, MAX_SHOWN, Path, pointer, refused

__all__ = ["DRAFT7", "KEYWORDS", "as_given", "check_keywords", "is_draft7", "modern"]

DRAFT7 = "http://json-schema.org/draft-07/schema"
ONE = frozenset(
    "additionalItems additionalProperties contains else if items not propertyNames then".split()
)
LIST = frozenset("allOf anyOf items oneOf".split())
MAP = frozenset("definitions dependencies patternProperties properties".split())
#: May stand beside a reference: they assert nothing, or hold what is referred to.
BESIDE = frozenset(
    "$comment $id $ref $schema default definitions description examples format readOnly title "
    "writeOnly".split()
)
LEAF = BESIDE | frozenset(
    "const contentEncoding contentMediaType enum exclusiveMaximum exclusiveMinimum maxItems "
    "maxLength maxProperties maximum minItems minLength minProperties minimum multipleOf pattern "
    "required type uniqueItems".split()
)
KEYWORDS = ONE | LIST | MAP | LEAF
#: What 2020-12 calls a keyword; items with a list is prefixItems.
NOW = {
    "additionalItems": "items",
    "definitions": "$defs",
    "dependencies": "dependentSchemas",
}
#: The other way round.
THEN = {
    "$defs": "definitions",
    "dependentRequired": "dependencies",
    "dependentSchemas": "dependencies",
    "prefixItems": "items",
}
#: Keywords of 2020-12 that draft 7 would pass over.
LATER = frozenset(
    "$anchor $defs $dynamicAnchor $dynamicRef contentSchema dependentRequired dependentSchemas "
    "deprecated maxContains minContains prefixItems unevaluatedItems unevaluatedProperties".split()
)


def is_draft7(schema: Any) -> bool:
    """Return whether *schema* says that it is of draft 7."""
    dialect = schema.get("$schema") if isinstance(schema, Mapping) else None
    return isinstance(dialect, str) and dialect.removesuffix("#") == DRAFT7


def check_keywords(schema: Any) -> None:
    """Check that draft 7 would check all that *schema* says.

    Raises:
        SchemaInvalid: for a keyword that it does not know or would not look at, with the place.
    """
    for _, _, path, below in _walk((), (), schema):
        if isinstance(below, dict):
            _check(path, below)


def modern(schema: Any) -> Any:
    """Return *schema*, which is well-formed, with the same meaning in 2020-12."""
    places = {key: new for key, new, _, _ in _walk((), (), schema)}
    return {**_written(schema, places), "$schema": DIALECT}


def as_given(error: SchemaInvalid, schema: Any) -> SchemaInvalid:
    """Return *error*, which is about what became of *schema*, with the place in *schema*."""
    place = error.details["pointer"]
    parts = parts_of(place)
    known = {tuple(map(str, new)): old for _, new, old, _ in _walk((), (), schema)}
    length = next(n for n in range(len(parts), -1, -1) if tuple(parts[:n]) in known)
    rest = [THEN.get(part, part) for part in parts[length : length + 1]] + parts[length + 1 :]
    return refused((*known[tuple(parts[:length])], *rest), error.message.removeprefix(f"{place}: "))


#: A subschema: its place with all parts as text, where it will stand, where it stands, itself.
Found = tuple[tuple[str, ...], Path, Path, Any]


def _walk(old: Path, new: Path, schema: Any) -> Iterator[Found]:
    """Yield every subschema; misshapen parts are left to the meta-schema."""
    yield tuple(map(str, old)), new, old, schema
    if isinstance(schema, dict):
        for keyword in sorted(schema):
            onward = _renamed(keyword, schema[keyword])
            for name, below in _below(keyword, schema[keyword]):
                yield from _walk((*old, keyword, *name), (*new, onward, *name), below)


def _below(keyword: str, value: Any) -> Iterator[tuple[Path, Any]]:
    """Yield the subschemas in a keyword's value, each with its place there."""
    if isinstance(value, list) and keyword in LIST:
        yield from (((index,), below) for index, below in enumerate(value))
    elif isinstance(value, dict) and keyword in MAP:
        yield from (((name,), value[name]) for name in sorted(value) if _is_schema(value[name]))
    elif keyword in ONE and _is_schema(value):
        yield (), value


def _is_schema(value: Any) -> bool:
    return isinstance(value, dict | bool)


def _renamed(keyword: str, value: Any) -> str:
    if keyword == "items" and isinstance(value, list):
        return "prefixItems"
    return NOW.get(keyword, keyword)


def _written(schema: Any, places: Mapping[tuple[str, ...], Path]) -> Any:
    if not isinstance(schema, dict):
        return schema
    written: dict[str, Any] = {}
    for keyword, value in schema.items():
        name = _renamed(keyword, value)
        if keyword == "$ref":
            written[name] = _led(value, places)
        elif keyword == "dependencies":
            written |= _dependencies(value, places)
        elif isinstance(value, list) and keyword in LIST:
            written[name] = [_written(each, places) for each in value]
        elif keyword in MAP:
            written[name] = {key: _written(value[key], places) for key in value}
        else:
            written[name] = _written(value, places) if keyword in ONE else value
    return written


def _dependencies(value: Any, places: Mapping[tuple[str, ...], Path]) -> dict[str, Any]:
    names = {key: each for key, each in value.items() if isinstance(each, list)}
    schemas = {key: _written(value[key], places) for key in value if key not in names}
    found = {"dependentRequired": names, "dependentSchemas": schemas}
    return {keyword: each for keyword, each in found.items() if each}


def _led(reference: str, places: Mapping[tuple[str, ...], Path]) -> str:
    """The reference to where its target will stand; one that leads nowhere is left as it is."""
    place = places.get(tuple(parts_of(reference))) if reference.startswith("#/") else None
    return reference if place is None else "#" + quote(pointer(place), safe="/~$")


def _check(path: Path, schema: Mapping[str, Any]) -> None:
    for keyword in sorted(schema):
        if keyword in LATER:
            why = "draft 7 does not know it; say $schema of 2020-12, or leave $schema out"
            raise refused((*path, keyword), why)
        if keyword not in KEYWORDS and not keyword.startswith("x-"):
            near = get_close_matches(keyword[:MAX_SHOWN], sorted(KEYWORDS), 1)
            hint = f"did you mean {near[0]!r}?" if near else "an annotation of yours begins with x-"
            raise refused((*path, keyword), f"unknown keyword; {hint}")
    ignored = sorted(name for name in schema.keys() - BESIDE if not name.startswith("x-"))
    if "$ref" in schema and ignored:
        why = "draft 7 does not check what stands beside $ref; put both into allOf"
        raise refused((*path, ignored[0]), why)
    if "additionalItems" in schema and not isinstance(schema.get("items"), list):
        raise refused((*path, "additionalItems"), "checks nothing unless items is a list")
