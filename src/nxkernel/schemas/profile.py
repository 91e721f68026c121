"""Which schemas are accepted: a closed profile of JSON Schema 2020-12.

Unknown keywords are refused, because a keyword with a typing error in it would check nothing.
References stay inside the document: no schema makes the host open a socket or a file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any
from urllib.parse import unquote

import attrs

from nxkernel.errors import SchemaInvalid
from nxkernel.schemas.instance import JSON_TYPES, json_type
from nxkernel.schemas.instance import obstacle as find_obstacle
from nxkernel.schemas.patterns import PatternRefused, to_python
from nxkernel.schemas.vocabulary import OURS, problem

__all__ = [
    "DIALECT",
    "KEYWORDS",
    "MAX_SHOWN",
    "Path",
    "Profiled",
    "check_size",
    "plain",
    "pointer",
    "profile",
    "refused",
    "shortened",
]

DIALECT = "https://json-schema.org/draft/2020-12/schema"
#: Deepest nesting and most values of one schema document.
MAX_SCHEMA_DEPTH = 64
MAX_SCHEMA_NODES = 20_000
#: Most bytes of one, in canonical form.
MAX_SCHEMA_BYTES = 1 << 20
#: Longest key of a path that is shown whole, in characters.
MAX_SHOWN = 60
#: Most different patterns of one schema; each takes time to check.
MAX_PATTERNS = 64

ONE = frozenset(
    "additionalProperties contains contentSchema else if items not propertyNames then "
    "unevaluatedItems unevaluatedProperties".split()
)
LIST = frozenset("allOf anyOf oneOf prefixItems".split())
MAP = frozenset("$defs dependentSchemas patternProperties properties".split())
#: Subschemas that look at the same value as the schema they stand in.
IN_PLACE = frozenset("allOf anyOf dependentSchemas else if not oneOf then".split())
LEAF = frozenset(
    "$comment $id $ref $schema const contentEncoding contentMediaType default dependentRequired "
    "deprecated description enum examples exclusiveMaximum exclusiveMinimum format maxContains "
    "maxItems maxLength maxProperties maximum minContains minItems minLength minProperties minimum "
    "multipleOf pattern readOnly required title type uniqueItems writeOnly".split()
)
KEYWORDS = ONE | LIST | MAP | LEAF
#: Keywords of other drafts or of dynamic scope, and what to write in their place.
INSTEAD = {
    "$anchor": "a reference by JSON Pointer: #/$defs/...",
    "$dynamicAnchor": "a reference by JSON Pointer: #/$defs/...",
    "$dynamicRef": "$ref",
    "$recursiveRef": "$ref",
    "$vocabulary": "nothing: the vocabularies are those of 2020-12",
    "additionalItems": "items beside prefixItems",
    "definitions": "$defs",
    "dependencies": "dependentRequired or dependentSchemas",
    "id": "$id",
}

_ELSEWHERE = (
    "only references inside the document, and to schemas that were loaded with it, are accepted: "
    "#/$defs/..."
)
Path = tuple[str | int, ...]


def pointer(path: Path) -> str:
    """Return *path* as a JSON Pointer (RFC 6901)."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)


def shortened(part: str | int) -> str | int:
    """Return *part* of a path as it is shown: a long key is cut."""
    if isinstance(part, int) or len(part) <= MAX_SHOWN:
        return part
    return part[: MAX_SHOWN - 1] + "…"


def refused(path: Path, reason: str) -> SchemaInvalid:
    """Return the error for the place *path* of a schema."""
    place = "#" + pointer(tuple(map(shortened, path)))
    return SchemaInvalid(f"{place}: {reason}", details={"pointer": place})


def plain(value: Any) -> Any:
    """Return *value* with every mapping as a dict and every sequence as a list.

    Raises:
        SchemaInvalid: beyond the limits of depth, which also ends a cycle, and of size; and for
            what is not JSON.
    """
    return _Copier().copied(value, ())


@attrs.define
class _Copier:
    """Copies one document, and no more of it than is accepted."""

    left: int = MAX_SCHEMA_NODES

    def copied(self, value: Any, path: Path) -> Any:
        if len(path) > MAX_SCHEMA_DEPTH:
            raise refused((), f"nested deeper than {MAX_SCHEMA_DEPTH}")
        self.left -= 1
        if self.left < 0:
            raise refused((), f"holds more than {MAX_SCHEMA_NODES} values")
        if isinstance(value, Mapping):
            return {key: self.copied(item, (*path, str(key))) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.copied(item, (*path, index)) for index, item in enumerate(value)]
        if type(value) not in JSON_TYPES:
            raise refused(path, f"{json_type(value)} is no type of JSON")
        return value


@attrs.define
class Profiled:
    """A schema that was looked through: all its subschemas by place, and its patterns."""

    schemas: dict[Path, Any] = attrs.field(factory=dict)
    #: From a pattern in Python's syntax to the one in the schema.
    patterns: dict[str, str] = attrs.field(factory=dict)
    #: Where the reference of a subschema leads, by the subschema's place.
    targets: dict[Path, Path] = attrs.field(factory=dict)


def profile(schema: Any) -> Profiled:
    """Check that *schema* (plain values) is inside the profile.

    Raises:
        SchemaInvalid: with the place and what is accepted there.
    """
    _check_document(schema)
    profiled = Profiled()
    for path, subschema in _walk((), schema):
        profiled.schemas[path] = subschema
        if isinstance(subschema, dict):
            _check_keywords(path, subschema)
            _check_patterns(path, subschema, profiled)
    _check_references(profiled)
    return profiled


def check_size(schema: Any) -> None:
    """Check that *schema* holds nothing that no schema can judge.

    Raises:
        SchemaInvalid: with the place, if there is one.
    """
    obstacle = find_obstacle(schema)
    if obstacle:
        raise refused(obstacle[0], f"a schema cannot hold what {obstacle[1]}")


def _check_document(schema: Any) -> None:
    check_size(schema)
    if not isinstance(schema, dict | bool):
        raise refused((), f"a schema is an object or a boolean, not {json_type(schema)}")
    dialect = schema.get("$schema", DIALECT) if isinstance(schema, dict) else DIALECT
    if not isinstance(dialect, str) or dialect.removesuffix("#") != DIALECT:
        raise refused(("$schema",), f"the accepted dialects are {DIALECT} and draft 7")


def _walk(path: Path, schema: Any) -> Iterator[tuple[Path, Any]]:
    """Yield every schema with its place; misshapen parts are left to the meta-schema."""
    yield path, schema
    if not isinstance(schema, dict):
        return
    for child, _ in children(schema):
        value = schema
        for part in child:
            value = value[part]
        yield from _walk((*path, *child), value)


def children(schema: Mapping[str, Any]) -> Iterator[tuple[Path, str]]:
    """Yield the place of every direct subschema, with the keyword that holds it."""
    for keyword in sorted(schema, key=str):
        value = schema[keyword]
        if keyword in ONE:
            yield (keyword,), keyword
        elif keyword in LIST and isinstance(value, list):
            yield from (((keyword, index), keyword) for index in range(len(value)))
        elif keyword in MAP and isinstance(value, dict):
            yield from (((keyword, name), keyword) for name in sorted(value))


def _check_keywords(path: Path, schema: Mapping[str, Any]) -> None:
    for keyword in sorted(schema):
        if keyword in OURS and (reason := problem(schema, keyword)):
            raise refused((*path, keyword), reason)
        ours = keyword.startswith("x-nx-") and keyword not in OURS
        if keyword in KEYWORDS or (keyword.startswith("x-") and not ours):
            continue
        if keyword in INSTEAD:
            raise refused((*path, keyword), f"is not accepted; write {INSTEAD[keyword]}")
        near = get_close_matches(keyword, sorted(OURS if ours else KEYWORDS), 1)
        hint = f"did you mean {near[0]!r}?" if near else "an annotation of yours begins with x-"
        raise refused((*path, keyword), f"unknown keyword; {hint}")
    for keyword in ("$id", "$schema"):
        if path and keyword in schema:
            raise refused((*path, keyword), f"only the whole document may have {keyword}")
    if not isinstance(schema.get("multipleOf", 1), int):
        raise refused((*path, "multipleOf"), "must be an integer: fractions are not exact")


def _check_patterns(path: Path, schema: Mapping[str, Any], profiled: Profiled) -> None:
    places: list[tuple[Path, Any]] = []
    if "pattern" in schema:
        places.append(((*path, "pattern"), schema["pattern"]))
    named = schema.get("patternProperties", {})
    for pattern in sorted(named) if isinstance(named, dict) else ():
        places.append(((*path, "patternProperties", pattern), pattern))
    for place, pattern in places:
        if len(profiled.patterns) >= MAX_PATTERNS:
            raise refused(place, f"more than {MAX_PATTERNS} patterns in one schema")
        if isinstance(pattern, str):
            try:
                profiled.patterns[to_python(pattern)] = pattern
            except PatternRefused as error:
                raise refused(place, f"the pattern {error}") from None


def _check_references(profiled: Profiled) -> None:
    onward: dict[Path, list[Path]] = {}
    places = {tuple(map(str, path)): path for path in profiled.schemas}
    for path, schema in profiled.schemas.items():
        if isinstance(schema, dict):
            onward[path] = [(*path, *c) for c, keyword in children(schema) if keyword in IN_PLACE]
            if "$ref" in schema:
                profiled.targets[path] = _target(places, path, schema["$ref"])
                onward[path].append(profiled.targets[path])
    _check_endless(onward)


def _target(places: Mapping[tuple[str, ...], Path], path: Path, ref: Any) -> Path:
    place = (*path, "$ref")
    if not isinstance(ref, str) or not (ref == "#" or ref.startswith("#/")):
        raise refused(place, _ELSEWHERE)
    parts = (unquote(p).replace("~1", "/").replace("~0", "~") for p in ref.split("/")[1:])
    target = places.get(tuple(parts))
    if target is None or "patternProperties" in target:
        raise refused(place, "refers to a place where no schema stands; put it under $defs")
    return target


def _check_endless(onward: Mapping[Path, list[Path]]) -> None:
    """Refuse a schema that applies itself to the same value without end."""
    done: set[Path] = set()
    for root in onward:
        trail: list[tuple[Path, Iterator[Path]]] = [(root, iter(onward[root]))]
        open_: set[Path] = {root}
        while trail and root not in done:
            path, rest = trail[-1]
            step = next(rest, None)
            if step is None:
                trail.pop()
                open_.discard(path)
                done.add(path)
            elif step in open_:
                raise refused(step, "applies itself to the same value without end")
            elif step not in done and step in onward:
                open_.add(step)
                trail.append((step, iter(onward[step])))
