"""Schemas and values that are meant to hurt whoever looks at them, and what is said of each.

Run as ``python -m tests.support.hostile``: meets all that are large, and says in one line of JSON
by how many MiB the process grew at most while it did.
"""

from __future__ import annotations

import json
import resource
from collections.abc import Callable
from typing import Any

import attrs

from nxkernel.errors import SchemaInvalid
from nxkernel.schemas import SchemaRegistry, _reference

__all__ = ["SCHEMAS", "STEPS", "VALUES", "Hostile", "said_of_schema", "said_of_value", "tower"]

#: Steps that a check is given here: what ends for want of steps does so sooner, and no otherwise.
STEPS = 20_000
LONG = 10_000_000
DEEP = 100_000


@attrs.frozen
class Hostile:
    """One schema, or one value under a schema, made when it is asked for."""

    id: str
    make: Callable[[], Any]
    #: How what is said of it begins.
    said: str
    #: Of a value.
    schema: Any = True


def tower(levels: int, ground: Any = None, key: str | None = None) -> Any:
    """*ground* within *levels* lists, or within objects that hold it at *key*."""
    value = ground
    for _ in range(levels):
        value = [value] if key is None else {key: value}
    return value


def chain(links: int, last: Any) -> dict[str, Any]:
    """References from one to the next."""
    defs = {f"a{n}": {"$ref": f"#/$defs/a{n + 1}"} for n in range(links)}
    return {"$ref": "#/$defs/a0", "$defs": {**defs, f"a{links}": last}}


def pattern(text: str) -> Callable[[], Any]:
    return lambda: {"pattern": text}


MANY_WAYS = "#/pattern: the pattern can read the same text in many ways"
NO_END = "applies itself to the same value without end"
SCHEMAS = [
    Hostile("nested group", pattern("^(a+)+$"), MANY_WAYS),
    Hostile("alternatives that overlap", pattern("^(a|aa)*$"), MANY_WAYS),
    Hostile("neighbours that overlap", pattern(r"^\d*\d*x$"), "#/pattern: the pattern "),
    Hostile("counted groups", pattern("^((a{1,99}){1,99}){1,9}$"), "#/pattern: the pattern "),
    Hostile("back reference", pattern(r"^(a)\1$"), "#/pattern: the pattern "),
    Hostile("many groups", pattern("^" + "(" * 400 + "a" + ")" * 400), "#/pattern: the pattern n"),
    Hostile("long pattern", pattern("a" * 2000), "#/pattern: the pattern is longer than 1000"),
    Hostile("deep", lambda: tower(DEEP, {}, "not"), "#: nested deeper than 64"),
    Hostile("deep constant", lambda: {"const": tower(DEEP)}, "#: nested deeper than 64"),
    Hostile("10^400", lambda: {"maximum": 10**400}, "#/maximum: is an integer of more than 64"),
    Hostile("NaN", lambda: {"minimum": float("nan")}, "#/minimum: is not a finite number"),
    Hostile("infinity", lambda: {"enum": [float("inf")]}, "#/enum/0: is not a finite number"),
    Hostile("lone surrogate", lambda: {"const": "\ud800"}, "#/const: is text with a lone surro"),
    Hostile("surrogate pattern", pattern("^\udfff$"), "#/pattern: is text with a lone surrogate"),
    Hostile("surrogate name", lambda: {"properties": {"\ud800": {}}}, "#/properties: has a key w"),
    Hostile("10 MB of text", lambda: {"title": "x" * LONG}, "#: takes more than 1 MiB"),
    Hostile("10 MB of one keyword", lambda: {"x" * LONG: 1}, "#: takes more than 1 MiB"),
    Hostile("10 MB of numbers", lambda: {"enum": [*range(3_000_000)]}, "#: holds more than 20000"),
    Hostile(
        "10 MB of properties",
        lambda: {"properties": {f"key{n}": {"type": "string"} for n in range(300_000)}},
        "#: holds more than 20000 values",
    ),
    Hostile("one long keyword", lambda: {"x" * 9999: 1}, f"#/{'x' * 59}…: unknown keyword; "),
    Hostile("loop of itself", lambda: {"$ref": "#"}, f"#: {NO_END}"),
    Hostile("loop of two", lambda: chain(1, {"$ref": "#/$defs/a0"}), f"#/$defs/a0: {NO_END}"),
    Hostile("loop of many", lambda: chain(400, {"not": {"$ref": "#"}}), f"#: {NO_END}"),
    Hostile("loop of a branch", lambda: {"if": {"allOf": [{"$ref": "#"}]}}, f"#: {NO_END}"),
]

TEXT = {"type": "string"}
KEYS = [f"k{n}" for n in range(5000)]
CLOSED = {"properties": {"known": {}}, "additionalProperties": False}
TOO_MANY = "takes more steps to check than are allowed"
VALUES = [
    Hostile("deep list", lambda: tower(DEEP), "nested deeper", {"items": {"$ref": "#"}}),
    Hostile("deep object", lambda: tower(DEEP, 1, "a"), "nested deeper", {"type": "object"}),
    Hostile("10^400", lambda: [10**400], "an integer of more than 64 bits", {"type": "array"}),
    Hostile("NaN", lambda: {"a": float("nan")}, "not a finite number"),
    Hostile("infinity", lambda: [float("-inf")], "not a finite number"),
    Hostile("lone surrogate", lambda: ["\udfff"], "text with a lone surrogate"),
    Hostile("surrogate key", lambda: {"\ud800": 1}, "a key with a lone surrogate"),
    Hostile("million values", lambda: [0] * 1_000_001, "more than 1000000 values"),
    Hostile(
        "100,000 wrong", lambda: [0] * 100_000, "expected string", {"items": {"type": "string"}}
    ),
    Hostile("unknown keys", lambda: dict.fromkeys(map(str, range(50_000))), "unknown key", CLOSED),
    Hostile("missing keys", dict, "missing key", {"required": KEYS}),
    Hostile(
        "missing keys everywhere", lambda: [{}] * 9000, TOO_MANY, {"items": {"required": KEYS}}
    ),
    Hostile(
        "none of many",
        lambda: ["x"] * 9000,
        TOO_MANY,
        {"items": {"enum": KEYS}},
    ),
    Hostile(
        "large constants",
        lambda: [dict.fromkeys(KEYS, 1)] * 100,
        TOO_MANY,
        {"items": {"allOf": [{"const": {**dict.fromkeys(KEYS, 1), KEYS[-1]: 2}}] * 3}},
    ),
    Hostile(
        "quadratic",
        lambda: dict.fromkeys(map(str, range(50_000)), 1),
        TOO_MANY,
        {
            "patternProperties": {r"^\d+$": {}},
            "unevaluatedProperties": False,
            "minProperties": 60_000,
        },
    ),
    Hostile(
        "many patterns",
        lambda: dict.fromkeys(map(str, range(50_000)), 1),
        TOO_MANY,
        {"minProperties": 60_000, "patternProperties": {f"^x{n}": {} for n in range(60)}},
    ),
    Hostile("long chain", lambda: 1, "nested deeper than can be checked", chain(1500, {})),
    Hostile("long text", lambda: "a" * 1_000_000 + "!", "text that matches", {"pattern": "^a+$"}),
]


def said_of_schema(case: Hostile) -> str:
    """What a schema is refused with."""
    schema = case.make()
    try:
        SchemaRegistry().compile(schema)
    except SchemaInvalid as error:
        return error.message
    return "accepted"


def said_of_value(case: Hostile) -> str:
    """What is said of a value first."""
    issues = SchemaRegistry().validate(case.make(), case.schema)
    return issues[0].message if issues else "valid"


def main() -> None:
    _reference.MAX_CHECKS = STEPS
    said_of_schema(max(SCHEMAS, key=lambda case: case.id == "10 MB of properties"))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for case in filter(_large, SCHEMAS):
        said_of_schema(case)
    for case in filter(_large, VALUES):
        said_of_value(case)
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"grew_mib": (after - before) / 1024}))


def _large(case: Hostile) -> bool:
    return any(word in case.id for word in ("10 MB", "deep", "million", "unknown"))


if __name__ == "__main__":
    main()
