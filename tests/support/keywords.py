"""One value for each keyword of the profile that the keyword refuses, with every issue it gives.

The same table is put to settings, arguments and results: a keyword that is checked at one border
and not at another would be found by its row. Places begin at the value; :meth:`Case.at` moves them
to where a border puts it. A row's ``$ref`` leads to ``#/$defs``, which the border's schema
carries; the path of an issue goes on behind a reference as if what it leads to stood there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from nxkernel.schemas import SchemaIssue

__all__ = ["ANNOTATIONS", "CASES", "DEFS", "Case"]

#: What ``$ref`` of the rows refers to: put it under ``$defs`` of the whole schema.
DEFS: Mapping[str, Any] = {"word": {"type": "string"}, "list": {"items": {"$ref": "#/$defs/word"}}}


@attrs.frozen
class Case:
    """A keyword, a schema that uses it, a value that it refuses, and the issues."""

    keyword: str
    schema: Any
    value: Any
    issues: tuple[SchemaIssue, ...]
    #: A value that the same schema accepts.
    good: Any

    @property
    def id(self) -> str:
        """The keyword, for the name of a test."""
        return self.keyword

    def at(self, instance: str, schema: str) -> list[SchemaIssue]:
        """The issues where the value stands at *instance* and its schema at *schema*."""
        return [
            attrs.evolve(
                issue,
                instance_path=instance + issue.instance_path,
                schema_path=schema + issue.schema_path,
            )
            for issue in self.issues
        ]


def _case(
    name: str, schema: Any, value: Any, good: Any, *found: tuple[str, str, str, str, str]
) -> Case:
    fields = ("instance_path", "keyword", "schema_path", "code", "message")
    issues = tuple(SchemaIssue(**dict(zip(fields, each, strict=True))) for each in found)
    return Case(name, schema, value, issues, good)


_TEXT = {"type": "string"}
_WRONG = "expected string, got integer"


def _inner(place: str, schema_path: str) -> tuple[str, str, str, str, str]:
    """The issue of a keyword that has another schema judge: an integer where text is wanted."""
    return (place, "type", schema_path, "wrong_type", _WRONG)


#: Sorted by keyword; those that only have other schemas judge are there too.
CASES: tuple[Case, ...] = (
    _case(
        "$ref",
        {"$ref": "#/$defs/list"},
        ["a", 1],
        ["a"],
        _inner("/1", "/items/type"),
    ),
    _case(
        "additionalProperties",
        {"properties": {"lang": {}}, "additionalProperties": False},
        {"langg": 1},
        {"lang": 1},
        (
            "/langg",
            "additionalProperties",
            "/additionalProperties",
            "unknown_key",
            'unknown key; did you mean "lang"?',
        ),
    ),
    _case("allOf", {"allOf": [True, _TEXT]}, 1, "a", _inner("", "/allOf/1/type")),
    _case(
        "anyOf",
        {"anyOf": [_TEXT, {"type": "null"}]},
        1,
        None,
        (
            "",
            "anyOf",
            "/anyOf",
            "no_match",
            "matches none of 2 alternatives: expected null or string, got integer",
        ),
    ),
    _case(
        "const", {"const": "a"}, "b", "a", ("", "const", "/const", "not_allowed", 'expected "a"')
    ),
    _case(
        "contains",
        {"contains": {"const": 1}},
        [2],
        [2, 1],
        ("", "contains", "/contains", "no_match", "expected an item that matches 'contains'"),
    ),
    _case(
        "dependentRequired",
        {"dependentRequired": {"user": ["key"]}},
        {"user": "u"},
        {"user": "u", "key": "k"},
        (
            "",
            "dependentRequired",
            "/dependentRequired",
            "missing",
            'missing key "key", needed beside "user"',
        ),
    ),
    _case(
        "dependentSchemas",
        {"dependentSchemas": {"user": {"properties": {"key": _TEXT}}}},
        {"user": "u", "key": 1},
        {"key": 1},
        _inner("/key", "/dependentSchemas/user/properties/key/type"),
    ),
    _case(
        "else",
        {"if": {"const": 0}, "else": _TEXT},
        1,
        0,
        _inner("", "/else/type"),
    ),
    _case(
        "enum",
        {"enum": ["a", "b"]},
        "c",
        "b",
        ("", "enum", "/enum", "not_allowed", 'expected one of "a", "b"'),
    ),
    _case(
        "exclusiveMaximum",
        {"exclusiveMaximum": 3},
        3,
        2,
        ("", "exclusiveMaximum", "/exclusiveMaximum", "out_of_range", "expected less than 3"),
    ),
    _case(
        "exclusiveMinimum",
        {"exclusiveMinimum": 3},
        3,
        4,
        ("", "exclusiveMinimum", "/exclusiveMinimum", "out_of_range", "expected more than 3"),
    ),
    _case(
        "if",
        {"if": {"type": "integer"}, "then": {"minimum": 5}},
        1,
        "a",
        ("", "minimum", "/then/minimum", "out_of_range", "expected at least 5"),
    ),
    _case("items", {"items": _TEXT}, ["a", 1], ["a"], _inner("/1", "/items/type")),
    _case(
        "maxContains",
        {"contains": {"const": 1}, "maxContains": 1},
        [1, 1],
        [1],
        (
            "",
            "maxContains",
            "/contains",
            "wrong_size",
            "expected fewer items that match 'contains'",
        ),
    ),
    _case(
        "maxItems",
        {"maxItems": 1},
        [1, 2],
        [1],
        ("", "maxItems", "/maxItems", "wrong_size", "expected at most 1 item"),
    ),
    _case(
        "maxLength",
        {"maxLength": 2},
        "abc",
        "ab",
        ("", "maxLength", "/maxLength", "wrong_size", "expected at most 2 characters"),
    ),
    _case(
        "maxProperties",
        {"maxProperties": 1},
        {"a": 1, "b": 2},
        {"a": 1},
        ("", "maxProperties", "/maxProperties", "wrong_size", "expected at most 1 key"),
    ),
    _case(
        "maximum",
        {"maximum": 3},
        4,
        3,
        ("", "maximum", "/maximum", "out_of_range", "expected at most 3"),
    ),
    _case(
        "minContains",
        {"contains": {"const": 1}, "minContains": 2},
        [1],
        [1, 1],
        (
            "",
            "minContains",
            "/contains",
            "wrong_size",
            "expected more items that match 'contains'",
        ),
    ),
    _case(
        "minItems",
        {"minItems": 2},
        [1],
        [1, 2],
        ("", "minItems", "/minItems", "wrong_size", "expected at least 2 items"),
    ),
    _case(
        "minLength",
        {"minLength": 1},
        "",
        "a",
        ("", "minLength", "/minLength", "wrong_size", "expected at least 1 character"),
    ),
    _case(
        "minProperties",
        {"minProperties": 2},
        {"a": 1},
        {"a": 1, "b": 2},
        ("", "minProperties", "/minProperties", "wrong_size", "expected at least 2 keys"),
    ),
    _case(
        "minimum",
        {"minimum": 3},
        2,
        3,
        ("", "minimum", "/minimum", "out_of_range", "expected at least 3"),
    ),
    _case(
        "multipleOf",
        {"multipleOf": 2},
        3,
        4,
        ("", "multipleOf", "/multipleOf", "out_of_range", "expected a multiple of 2"),
    ),
    _case(
        "not",
        {"not": _TEXT},
        "a",
        1,
        ("", "not", "/not", "no_match", "matches what 'not' excludes"),
    ),
    _case(
        "oneOf",
        {"oneOf": [_TEXT, {"minLength": 1}]},
        "a",
        1,
        ("", "oneOf", "/oneOf", "no_match", "matches more than one of 2 alternatives"),
    ),
    _case(
        "pattern",
        {"pattern": r"^\d+$"},
        "1a",
        "12",
        ("", "pattern", "/pattern", "wrong_form", r"expected text that matches ^\d+$"),
    ),
    _case(
        "patternProperties",
        {"patternProperties": {r"^x-\d": _TEXT}},
        {"x-1": 1, "y": 1},
        {"x-1": "a"},
        _inner("/x-1", r"/patternProperties/^x-\d/type"),
    ),
    _case(
        "prefixItems",
        {"prefixItems": [True, _TEXT]},
        [1, 1],
        [1, "a", 1],
        _inner("/1", "/prefixItems/1/type"),
    ),
    _case(
        "properties",
        {"properties": {"a/b": _TEXT}, "additionalProperties": False},
        {"a/b": 1},
        {"a/b": "c"},
        _inner("/a~1b", "/properties/a~1b/type"),
    ),
    _case(
        "propertyNames",
        {"propertyNames": {"maxLength": 1}},
        {"ab": 1},
        {"a": 1},
        (
            "/ab",
            "maxLength",
            "/propertyNames/maxLength",
            "wrong_size",
            "as a key: expected at most 1 character",
        ),
    ),
    _case(
        "required",
        {"required": ["a", "b"]},
        {"b": 1},
        {"a": 1, "b": 1},
        ("", "required", "/required", "missing", 'missing key "a"'),
    ),
    _case(
        "then",
        {"if": {"type": "array"}, "then": {"maxItems": 0}},
        [1],
        [],
        ("", "maxItems", "/then/maxItems", "wrong_size", "expected at most 0 items"),
    ),
    _case("type", _TEXT, 1, "a", _inner("", "/type")),
    _case(
        "unevaluatedItems",
        {"prefixItems": [True], "unevaluatedItems": False},
        [1, 2],
        [1],
        (
            "",
            "unevaluatedItems",
            "/unevaluatedItems",
            "wrong_size",
            "holds items that no part of the schema describes",
        ),
    ),
    _case(
        "unevaluatedProperties",
        {"allOf": [{"properties": {"a": True}}], "unevaluatedProperties": False},
        {"a": 1, "b": 2},
        {"a": 1},
        (
            "",
            "unevaluatedProperties",
            "/unevaluatedProperties",
            "unknown_key",
            "holds keys that no part of the schema describes",
        ),
    ),
    _case(
        "uniqueItems",
        {"uniqueItems": True},
        [1, 1.0],
        [1, True],
        (
            "",
            "uniqueItems",
            "/uniqueItems",
            "repeated",
            "expected items that differ from each other",
        ),
    ),
)

#: Keywords that say something and refuse nothing, each with a value that it looks wrong for.
#: ``$id`` and ``$schema`` stand at the top of a document only; ``$defs`` is used by ``$ref``.
ANNOTATIONS: Mapping[str, tuple[Any, Any]] = {
    "$comment": ("a number", "a"),
    "contentEncoding": ("base64", "!"),
    "contentMediaType": ("application/json", "{"),
    "contentSchema": ({"type": "object"}, "[]"),
    "default": (1, "a"),
    "deprecated": (True, "a"),
    "description": ("a number", "a"),
    "examples": ([1], "a"),
    "format": ("ipv4", "no address"),
    "readOnly": (True, "a"),
    "title": ("a number", "a"),
    "writeOnly": (True, "a"),
}
