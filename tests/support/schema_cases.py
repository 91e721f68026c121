"""Schemas of the profile and values that are close to them, from a seed, and both judges' verdicts.

Run as ``python -m tests.support.schema_cases SEED SCHEMAS [--without-fast]``: judges values under
SCHEMAS schemas that SEED decides, and says in one line of JSON how many there were of which kind,
and the digest of every issue that was reported.
"""

from __future__ import annotations

import hashlib
import json
import random
import sys
from collections import Counter
from collections.abc import Callable
from typing import Any, ClassVar

import attrs

from nxkernel.errors import SchemaInvalid
from nxkernel.schemas import CompiledSchema, SchemaRegistry, _fast
from nxkernel.schemas.instance import shape_of
from nxkernel.schemas.narrowing import gap

__all__ = ["Difference", "Schemas", "Tally", "Values", "judge", "prove"]

#: Values that each schema is tried with.
VALUES_EACH = 10
NAMES = ["a", "b", "c", "aa", "é", "$bytes", "x-1", ""]
TEXTS = ["", "a", "ab", "ba", "é", "aé", "\n", "a\n", "0", "٣", "\u2028", "😀", "b" * 5, "0.5"]
NUMBERS: list[Any] = [
    *(0, 1, 2, 3, -1, -2, 7, 2**31, 2**53, 2**53 + 1, -(2**63), 2**63, 2**64 - 1),
    *(0.0, -0.0, 1.0, 2.0, 0.5, 1.5, -1.5, 1e300, -1e300, 5e-324, 0.1, 2.0**53, 2.0**63),
]
PATTERNS = [
    "^a$",
    "^[ab]+$",
    "^.{1,2}$",
    r"^\w*$",
    "^(a|bc)$",
    "^[^a]",
    "b$",
    r"\d",
    "^x-",
    r"^\s?$",
]
TYPES = ["array", "boolean", "integer", "null", "number", "object", "string"]
FORMATS = ["date-time", "email", "ipv4", "regex", "uuid"]


@attrs.frozen
class Schemas:
    """Makes schemas: every keyword of the profile comes up, references too."""

    dice: random.Random

    def document(self) -> Any:
        """A whole schema, with definitions that its parts may refer to."""
        if self.dice.random() < 0.02:
            return self.dice.random() < 0.5
        schema = self.object(3)
        schema["$defs"] = {name: self.schema(2, refers=name != "d0") for name in ("d0", "d1")}
        if self.dice.random() < 0.1:
            schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
        return schema

    def schema(self, depth: int, *, refers: bool = True) -> Any:
        """A subschema of at most *depth* levels."""
        if self.dice.random() < 0.08:
            return self.dice.random() < 0.6
        if refers and self.dice.random() < 0.12:
            return {"$ref": self.dice.choice(["#/$defs/d0", "#/$defs/d0", "#/$defs/d1", "#"])}
        return self.object(depth)

    def object(self, depth: int) -> dict[str, Any]:
        """A schema of some keywords."""
        names = [*self.leaves, *(self.compounds if depth else ())]
        chosen = self.dice.sample(names, self.dice.randint(1, 4))
        made: dict[str, Any] = {}
        for name in chosen:
            make = self.leaves.get(name)
            made[name] = make(self) if make else self.compounds[name](self, depth - 1)
        return made

    def some(self, least: int, most: int, make: Callable[[], Any]) -> list[Any]:
        return [make() for _ in range(self.dice.randint(least, most))]

    def names(self) -> list[str]:
        return self.dice.sample(NAMES, self.dice.randint(0, 2))

    def named(self, depth: int) -> dict[str, Any]:
        return {name: self.schema(depth) for name in self.dice.sample(NAMES, 2)}

    def listed(self, depth: int) -> list[Any]:
        return self.some(1, 3, lambda: self.schema(depth))

    def bound(self) -> Any:
        return self.dice.choice(NUMBERS)

    def count(self) -> int:
        return self.dice.randint(0, 3)

    def constant(self) -> Any:
        return Values(self.dice).anything(2)

    def constants(self) -> list[Any]:
        found = {json.dumps(each): each for each in self.some(1, 4, self.constant)}
        return list(found.values())

    def types(self) -> Any:
        if self.dice.random() < 0.7:
            return self.dice.choice(TYPES)
        return self.dice.sample(TYPES, self.dice.randint(1, 3))

    def needs(self) -> dict[str, list[str]]:
        return {name: self.names() for name in self.dice.sample(NAMES, 2)}

    def by_pattern(self, depth: int) -> dict[str, Any]:
        return {p: self.schema(depth) for p in self.dice.sample(PATTERNS, self.dice.randint(1, 2))}

    leaves: ClassVar = {
        "const": constant,
        "default": constant,
        "dependentRequired": needs,
        "enum": constants,
        "exclusiveMaximum": bound,
        "exclusiveMinimum": bound,
        "format": lambda self: self.dice.choice(FORMATS),
        "maxContains": count,
        "maxItems": count,
        "maxLength": count,
        "maxProperties": count,
        "maximum": bound,
        "minContains": count,
        "minItems": count,
        "minLength": count,
        "minProperties": count,
        "minimum": bound,
        "pattern": lambda self: self.dice.choice(PATTERNS),
        "required": names,
        "title": lambda self: "T",
        "type": types,
        "uniqueItems": lambda self: self.dice.random() < 0.8,
    }
    compounds: ClassVar = {
        "additionalProperties": schema,
        "allOf": listed,
        "anyOf": listed,
        "contains": schema,
        "dependentSchemas": named,
        "else": schema,
        "if": schema,
        "items": schema,
        "not": schema,
        "oneOf": listed,
        "patternProperties": by_pattern,
        "prefixItems": listed,
        "properties": named,
        "propertyNames": schema,
        "then": schema,
        "unevaluatedItems": schema,
        "unevaluatedProperties": schema,
    }


@attrs.frozen
class Values:
    """Makes values, of any kind or after a schema: half of those satisfy it, or nearly do."""

    dice: random.Random

    def anything(self, depth: int) -> Any:
        kind = self.dice.randrange(7 if depth else 5)
        if kind == 0:
            return None
        if kind == 1:
            return self.dice.random() < 0.5
        if kind == 2:
            return self.dice.choice(NUMBERS)
        if kind in (3, 4):
            return self.dice.choice(TEXTS)
        items = [self.anything(depth - 1) for _ in range(self.dice.randint(0, 3))]
        if kind == 5:
            return items
        return dict(zip(self.dice.sample(NAMES, len(items)), items, strict=True))

    def after(self, schema: Any, root: Any, depth: int = 4) -> Any:
        """A value that looks like one of *schema*."""
        if not isinstance(schema, dict) or depth == 0 or self.dice.random() < 0.15:
            return self.anything(2)
        if "$ref" in schema:
            if not isinstance(root, dict) or "$defs" not in root:
                return self.anything(2)
            target = root
            for part in schema["$ref"].split("/")[1:]:
                target = target[part]
            return self.after(target, root, depth - 1)
        for keyword in ("const", "enum", "anyOf", "oneOf", "allOf", "then", "else"):
            if keyword in schema and self.dice.random() < 0.6:
                return self._of_keyword(schema, keyword, root, depth)
        kind = schema.get(
            "type", self.dice.choice(["array", "object", "object", "number", "string"])
        )
        kind = self.dice.choice(kind) if isinstance(kind, list) else kind
        return self._of_type(kind, schema, root, depth)

    def _of_keyword(self, schema: Any, keyword: str, root: Any, depth: int) -> Any:
        value = schema[keyword]
        if keyword == "const":
            return value
        if keyword == "enum":
            return self.dice.choice(value)
        if isinstance(value, list):
            value = self.dice.choice(value)
        return self.after(value, root, depth - 1)

    def _of_type(self, kind: str, schema: Any, root: Any, depth: int) -> Any:
        if kind == "object":
            return self._object(schema, root, depth)
        if kind == "array":
            return self._array(schema, root, depth)
        if kind in ("number", "integer"):
            bounds = [n for n in schema.values() if type(n) in (int, float) and abs(n) < 2**63]
            near = self.dice.choice(bounds or [0])
            return self.dice.choice([near, near + 1, near - 1, self.dice.choice(NUMBERS)])
        if kind == "string":
            return self.dice.choice(TEXTS)
        return self.dice.choice([True, False]) if kind == "boolean" else None

    def _object(self, schema: Any, root: Any, depth: int) -> dict[str, Any]:
        known: dict[str, Any] = {
            **schema.get("dependentSchemas", {}),
            **schema.get("properties", {}),
        }
        names = {*schema.get("required", ()), *known} or {self.dice.choice(NAMES)}
        names |= {self.dice.choice(NAMES)} if self.dice.random() < 0.4 else set()
        other = schema.get("additionalProperties", schema.get("unevaluatedProperties", True))
        return {
            name: self.after(known.get(name, other), root, depth - 1)
            for name in sorted(names)
            if self.dice.random() < 0.85
        }

    def _array(self, schema: Any, root: Any, depth: int) -> list[Any]:
        first = schema.get("prefixItems", [])
        rest = schema.get("items", schema.get("contains", schema.get("unevaluatedItems", True)))
        length = self.dice.choice(
            [schema.get("minItems", 1), schema.get("maxItems", 2), len(first)]
        )
        each = [*first, *[rest] * 4][: length + (self.dice.random() < 0.3)]
        return [self.after(schema, root, depth - 1) for schema in each]


class Difference(AssertionError):
    """The two judges do not agree."""


@attrs.define
class Tally:
    """What was judged."""

    kinds: Counter[str] = attrs.Factory(Counter)
    issues: Any = attrs.Factory(hashlib.sha256)

    def count(self, known: CompiledSchema, value: Any) -> None:
        """Judge *value* both ways.

        Raises:
            Difference: where the quick judge and the reference do not agree.
        """
        reference = known._issues(value)
        shape = shape_of(value)
        holds = known._holds is not None and shape is not None and known._holds(shape)
        self.kinds["valid" if not reference else "invalid"] += 1
        self.kinds["judged by both"] += known._holds is not None
        if known._holds is not None and holds is not (reference == []):
            raise Difference(json.dumps([known.schema, value, holds, list(map(str, reference))]))
        found = known.validate(value)
        self.issues.update(repr(found).encode())
        if found != reference:
            raise Difference(json.dumps([known.schema, value]))


def judge(seed: str, schemas: int) -> Tally:
    """Judge ten values under each of *schemas* schemas; *seed* decides all of them.

    The quick judge has no word in a schema that refers to itself; that is counted.

    Raises:
        Difference: for the first pair that is judged differently.
    """
    tally, dice = Tally(), random.Random(seed)
    for _ in range(schemas):
        schema = Schemas(dice).document()
        values = [Values(dice).after(schema, schema) for _ in range(VALUES_EACH)]
        try:
            known = SchemaRegistry().compile(schema)
        except SchemaInvalid:
            tally.kinds["schemas outside the profile"] += 1
            continue
        for value in values:
            tally.count(known, value)
    return tally


@attrs.frozen
class Edits:
    """Changes schemas a little, so that many a change is a narrower schema and many is not."""

    dice: random.Random

    def edited(self, schema: Any, depth: int = 3) -> Any:
        """A copy of *schema* with one or two changes somewhere in it."""
        if not isinstance(schema, dict) or not depth:
            return self.dice.choice([schema, False, Schemas(self.dice).schema(1)])
        copy = dict(schema)
        for _ in range(self.dice.randint(1, 2)):
            self.dice.choice([self._tighten, self._replace, self._add, self._descend])(copy, depth)
        return copy

    def _names(self, schema: dict[str, Any]) -> list[str]:
        return sorted(schema.keys() - {"$defs", "$schema"})

    def _tighten(self, schema: dict[str, Any], _depth: int) -> None:
        for name in self._names(schema):
            value = schema[name]
            if type(value) is int:
                schema[name] = max(0, value + (1 if name.startswith(("min", "excl")) else -1))
            elif name in ("enum", "anyOf", "oneOf", "type") and isinstance(value, list):
                schema[name] = value[: max(1, len(value) - 1)]

    def _replace(self, schema: dict[str, Any], _depth: int) -> None:
        names = self._names(schema)
        if names:
            schema.pop(self.dice.choice(names))

    def _add(self, schema: dict[str, Any], _depth: int) -> None:
        schema.update(Schemas(self.dice).object(1))

    def _descend(self, schema: dict[str, Any], depth: int) -> None:
        name = self.dice.choice(self._names(schema) or ["title"])
        value = schema.get(name)
        if name in Schemas.compounds and isinstance(value, dict | bool):
            if name in ("properties", "patternProperties", "dependentSchemas"):
                schema[name] = {key: self.edited(value[key], depth - 1) for key in value}
            else:
                schema[name] = self.edited(value, depth - 1)
        elif name in Schemas.compounds and isinstance(value, list):
            schema[name] = [self.edited(each, depth - 1) for each in value]


def prove(seed: str, pairs: int) -> Counter[str]:
    """Try to prove that an edited schema is narrower, and look for a value against each proof.

    Raises:
        Difference: for a value that the narrower schema accepts and the wider one refuses.
    """
    counts, dice = Counter[str](), random.Random(seed)
    for _ in range(pairs):
        wide = Schemas(dice).document()
        narrow = Edits(dice).edited(wide)
        values = [Values(dice).after(narrow, wide) for _ in range(VALUES_EACH)]
        try:
            inner, outer = (SchemaRegistry().compile(each) for each in (narrow, wide))
        except SchemaInvalid:
            continue
        proved = gap(inner.schema, outer.schema) is None
        counts["proved" if proved else "open"] += 1
        for value in filter(lambda value: proved and inner.validate(value) == [], values):
            counts["values that both accept"] += 1
            if outer.validate(value):
                raise Difference(json.dumps([narrow, wide, value]))
    return counts


def main(arguments: list[str]) -> None:
    seed, schemas, *options = arguments
    if options == ["--without-fast"]:
        _fast._library = lambda: None  # type: ignore[assignment]
    tally = judge(seed, int(schemas))
    print(json.dumps({**tally.kinds, "issues": tally.issues.hexdigest()}))


if __name__ == "__main__":
    main(sys.argv[1:])
