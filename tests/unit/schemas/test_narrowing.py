"""Proofs that one schema is narrower, and the places where there is none."""

from __future__ import annotations

from typing import Any

import pytest

from nxkernel.schemas.narrowing import gap

TOKEN = {
    "type": "object",
    "properties": {"text": {"type": "string"}, "score": {"type": "integer", "minimum": 0}},
    "required": ["text"],
    "additionalProperties": False,
}
TREE = {
    "$ref": "#/$defs/t",
    "$defs": {"t": {"type": "object", "properties": {"below": {"items": {"$ref": "#/$defs/t"}}}}},
}
ONE_CHILD = {
    "$ref": "#/$defs/t",
    "$defs": {
        "t": {
            "type": "object",
            "properties": {"below": {"items": {"$ref": "#/$defs/t"}, "maxItems": 1}},
        }
    },
}


SQUARE = {
    "type": "object",
    "properties": {"kind": {"const": "square"}, "size": {"type": "integer"}},
    "required": ["kind"],
}
CIRCLE = {**SQUARE, "properties": {"kind": {"const": "circle"}, "size": {"type": "number"}}}
SHAPES = {"oneOf": [SQUARE, CIRCLE, {"type": "null"}]}
#: What "#" means in a part of it is not that part.
SELFISH = {"type": "object", "properties": {"a": {"items": {"$ref": "#"}}}}


@pytest.mark.parametrize(
    ("narrow", "wide"),
    [
        (False, {"type": "string"}),
        ({"type": "string"}, True),
        ({"type": "integer"}, {"type": ["number", "null"]}),
        ({"type": "string", "maxLength": 3}, {"type": "string", "maxLength": 5}),
        ({"type": "string", "pattern": "^a$"}, {"type": "string", "pattern": "^a$"}),
        ({"minimum": 1, "type": "integer"}, {"exclusiveMinimum": 0}),
        ({"exclusiveMaximum": 5, "type": "integer"}, {"maximum": 5}),
        ({"multipleOf": 6, "type": "integer"}, {"multipleOf": 3}),
        ({"enum": ["a", "b"]}, {"type": "string", "maxLength": 1}),
        ({"enum": ["a", 1], "type": "string"}, {"type": "string"}),
        ({"const": 4}, {"enum": [3, 4]}),
        ({"type": "array", "items": {"const": 1}, "maxItems": 2}, {"items": {"type": "integer"}}),
        ({"type": "array", "prefixItems": [{"type": "string"}], "items": False, "maxItems": 1},
         {"items": {"type": "string"}}),
        ({"type": "array", "maxItems": 1}, {"uniqueItems": True}),
        ({**TOKEN, "required": ["text", "score"]}, TOKEN),
        ({**TOKEN, "properties": {"text": {"const": "x"}}}, TOKEN),
        ({"type": "object", "additionalProperties": {"type": "string"}},
         {"patternProperties": {}, "additionalProperties": {"type": ["string", "null"]}}),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, {"type": ["string", "null"]}),
        ({"type": "string"}, {"anyOf": [{"type": "null"}, {"type": "string"}]}),
        ({"allOf": [{"type": "string"}, {"maxLength": 2}]}, {"type": "string", "maxLength": 3}),
        ({"type": "string", "title": "a"}, {"type": "string", "description": "b", "default": 5}),
        (ONE_CHILD, TREE),
        (TREE, TREE),
        ({"type": "array", "items": {"const": 1}},
         {"type": "array", "items": {"type": "integer"}, "x-nx-each": "n", "x-mine": 7}),
        ({"type": "string", "not": {"const": "x"}}, {"not": {"const": "x"}}),
        ({"type": "integer"}, {"minLength": 3, "required": ["a"], "items": False}),
        ({"type": "string"}, {"oneOf": [{"type": "string"}, {"type": "null"}]}),
        ({"type": ["string", "null"]}, {"anyOf": [{"type": "null"}, {"type": "string"}]}),
        ({"type": ["string", "null"]}, {"oneOf": [{"type": "null"}, {"type": "string"}]}),
        (SQUARE, SHAPES),
        ({**CIRCLE, "required": ["kind", "size"]}, SHAPES),
        (SHAPES, SHAPES),
        ({"oneOf": [CIRCLE, SQUARE]}, SHAPES),
        ({"type": "integer", "minimum": 5}, {"oneOf": [{"minimum": 5}, {"exclusiveMaximum": 5}]}),
        ({"type": "string"}, {"not": {"type": "null"}}),
        ({"type": "string", "not": {"maxLength": 4}}, {"not": {"maxLength": 3, "type": "string"}}),
        ({"type": "boolean"}, {"enum": [True, False, None]}),
        ({"type": "boolean"}, {"enum": [True, False], "$defs": {"a": {"items": {"$ref": "#"}}}}),
        ({"const": [2]}, {"items": {"$ref": "#/$defs/a"},
                          "$defs": {"a": {"minimum": 2}, "b": {"items": {"$ref": "#"}}}}),
        ({"type": "integer"}, {"multipleOf": 1}),
        ({"type": "array", "contains": {"const": 1}, "minContains": 2},
         {"contains": {"type": "integer"}}),
        ({"type": "object", "properties": {"a": True, "bc": True}, "additionalProperties": False},
         {"propertyNames": {"maxLength": 2}, "patternProperties": {"^x": False}}),
        ({"type": "object", "propertyNames": {"maxLength": 2}},
         {"propertyNames": {"maxLength": 3}}),
        ({"type": "object", "required": ["b"]}, {"dependentRequired": {"a": ["b"]}}),
        ({"type": "object", "dependentRequired": {"a": ["b", "c"]}},
         {"dependentRequired": {"a": ["b"]}}),
        ({"type": "string"}, {"if": {"type": "null"}, "then": False, "else": {"type": "string"}}),
        ({"type": "integer", "minimum": 1}, {"if": {"type": "integer"}, "then": {"minimum": 0}}),
        ({"const": 3}, {"$ref": "#/$defs/a", "$defs": {"a": {"minimum": 2}}}),
    ],
)  # fmt: skip
def test_what_is_narrower_is_proved(narrow: Any, wide: Any) -> None:
    """Tighter values, fewer types, fewer alternatives, constants that fit."""
    assert gap(narrow, wide) is None


@pytest.mark.parametrize(
    ("narrow", "wide", "said"),
    [
        (True, {"type": "string"}, "the value itself: allows array"),
        ({"type": "number"}, {"type": "integer"}, "the value itself: allows number"),
        ({"type": "string"}, False, "the value itself: nothing is allowed here"),
        ({"type": "string"}, {"maxLength": 5}, "maxLength 5 does not follow"),
        ({"type": "string"}, {"pattern": "^a$"}, "'pattern' does not follow"),
        ({"exclusiveMinimum": 0, "type": "number"}, {"minimum": 1}, "minimum does not follow"),
        ({"minimum": 0, "type": "number"}, {"exclusiveMinimum": 0}, "exclusiveMinimum does not"),
        ({"multipleOf": 4, "type": "integer"}, {"multipleOf": 3}, "multiple of 3"),
        ({"enum": ["a", 1]}, {"type": "string"}, "one of its constants is not allowed"),
        ({"type": "string"}, {"enum": ["a"]}, "allows more than the constants there"),
        ({"type": "array"}, {"uniqueItems": True}, "items may repeat"),
        ({"type": "array", "items": {"type": "null"}}, {"items": {"type": "string"}}, "/*: allows"),
        ({"type": "array", "prefixItems": [True]}, {"items": {"type": "null"}}, "/0: allows"),
        ({**TOKEN, "required": []}, TOKEN, "/text: may be missing"),
        ({**TOKEN, "additionalProperties": True}, TOKEN, "/*: nothing is allowed here"),
        ({**TOKEN, "properties": {**TOKEN["properties"], "more": True}}, TOKEN, "/more: nothing"),
        (TREE, ONE_CHILD, "/below: maxItems 1 does not follow"),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, {"type": "string"}, "allows"),
        ({"type": "string"}, {"oneOf": [{"type": "string"}, {"maxLength": 3}]}, "'oneOf' does not"),
        ({"type": "number"}, {"multipleOf": 1}, "is not always a multiple of 1"),
        ({"not": {"const": 1}}, {"not": {"const": True}}, "'not' does not follow"),
        (SHAPES, {"oneOf": [SQUARE, {**CIRCLE, "properties": {"kind": {"const": "square"}}}]},
         "'oneOf' does not"),
        ({"const": {"a": [[]]}}, SELFISH, "one of its constants is not allowed"),
        ({"contains": {"const": 1}, "type": "array"}, {"contains": {"const": 1}, "maxContains": 2},
         "'contains' does not follow"),
        ({"type": "object"}, {"propertyNames": {"maxLength": 3}}, "'propertyNames' does not"),
        ({"type": "object", "dependentRequired": {"a": ["b"]}},
         {"dependentRequired": {"a": ["b", "c"]}}, "'dependentRequired' does not"),
        ({"type": "boolean"}, {"enum": [True, 0]}, "allows more than the constants there"),
        ({"contains": {"const": 1}, "minContains": 0, "type": "array"},
         {"contains": {"const": 1}}, "'contains' does not follow"),
        ({"properties": {"a": True, "b": True}, "unevaluatedProperties": False, "type": "object"},
         {"properties": {"a": True}, "unevaluatedProperties": False}, "'unevaluatedProperties'"),
        ({"patternProperties": {"^a$": True}, "type": "object"},
         {"patternProperties": {"^b$": {"type": "string"}}}, "keys by pattern"),
    ],
)  # fmt: skip
def test_what_is_not_is_named_with_its_place(narrow: Any, wide: Any, said: str) -> None:
    """The place is that of the value, as a JSON Pointer; a star is any item or other key."""
    found = gap(narrow, wide)
    assert found is not None
    assert said in str(found)


def test_a_proof_ends() -> None:
    """Schemas that unfold differently at each level are given up, not followed for ever."""
    deep: Any = {"type": "string"}
    for _ in range(200):
        deep = {"type": "array", "items": deep}
    assert gap(deep, deep) is None or "nested deeper" in str(gap(deep, deep))


def multiplying(**more: Any) -> Any:
    """A chain of two alternatives each, that differ from the second on."""
    defs: dict[str, Any] = {
        f"a{n}": {"anyOf": [{"items": ref(n + 1), "minItems": 2}, {"items": ref(n + 1), **more}]}
        for n in range(40)
    }
    return {**ref(0), "$defs": {**defs, "a40": {"type": "string", **more}}}


def ref(number: int) -> Any:
    return {"$ref": f"#/$defs/a{number}"}


def test_a_proof_that_multiplies_is_given_up() -> None:
    """Alternatives within alternatives are two to the power of forty ways; a few are tried."""
    found = gap(multiplying(), multiplying(minLength=3, maxItems=3))
    assert found is not None
    assert found.reason == "is in none of the alternatives for certain"
