"""Secrets: found wherever the schema marks them, and said of them is next to nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest

from nxkernel.schemas import SchemaRegistry
from nxkernel.schemas.secrets import MASK, Secrets

CANARY = "hunter2-hunter2"
MARK = {"type": "string", "minLength": 99, "writeOnly": True}
#: A schema that marks something, a value with the canary in it, and the place of the secret.
PLACES: dict[str, tuple[Any, Any, str]] = {
    "the value": (MARK, CANARY, ""),
    "properties": ({"properties": {"key": MARK}}, {"key": CANARY}, "/key"),
    "nested": ({"properties": {"a": {"properties": {"b": MARK}}}}, {"a": {"b": CANARY}}, "/a/b"),
    "items": ({"items": MARK}, [CANARY], "/0"),
    "prefixItems": ({"prefixItems": [{}, MARK]}, [1, CANARY], "/1"),
    "contains": ({"contains": MARK}, [CANARY], "/0"),
    "unevaluatedItems": ({"prefixItems": [{}], "unevaluatedItems": MARK}, [1, CANARY], "/1"),
    "anyOf": ({"anyOf": [{"type": "null"}, MARK]}, CANARY, ""),
    "oneOf": ({"oneOf": [{"type": "null"}, MARK]}, CANARY, ""),
    "allOf": ({"allOf": [{"type": "integer"}, {"writeOnly": True}]}, CANARY, ""),
    "not": ({"not": {"type": "string", "writeOnly": True}}, CANARY, ""),
    "if": ({"if": {"writeOnly": True}, "then": False}, CANARY, ""),
    "then": ({"if": True, "then": MARK}, CANARY, ""),
    "else": ({"if": False, "else": MARK}, CANARY, ""),
    "dependentSchemas": (
        {"dependentSchemas": {"key": {"properties": {"key": MARK}}}},
        {"key": CANARY},
        "/key",
    ),
    "additionalProperties": ({"additionalProperties": MARK}, {"x": CANARY}, "/x"),
    "unevaluatedProperties": ({"unevaluatedProperties": MARK}, {"x": CANARY}, "/x"),
    "patternProperties": ({"patternProperties": {"^k": MARK}}, {"key": CANARY}, "/key"),
    "a key": (
        {"propertyNames": {"maxLength": 1, "writeOnly": True}},
        {CANARY: 1},
        "",
    ),
    "$ref": ({"$ref": "#/$defs/a/items", "$defs": {"a": {"items": MARK}}}, CANARY, ""),
    "$ref within itself": (
        {"properties": {"n": {"$ref": "#"}, "key": MARK}},
        {"n": {"n": {"key": CANARY}}},
        "/n/n/key",
    ),
    "contentSchema": (
        {
            "minLength": 99,
            "contentMediaType": "application/json",
            "contentSchema": {"properties": {"key": {"writeOnly": True}}},
        },
        CANARY,
        "",
    ),
    "a whole table": (
        {"properties": {"t": {"writeOnly": True, "additionalProperties": {"maxLength": 1}}}},
        {"t": {CANARY: CANARY}},
        "/t",
    ),
    "a key with a slash": ({"properties": {"a/~b": MARK}}, {"a/~b": CANARY}, "/a~1~0b"),
}


@pytest.mark.parametrize("name", PLACES)
def test_a_secret_is_masked_wherever_the_schema_marks_it(name: str) -> None:
    """Whatever keyword leads to the mark, the value is gone from the masked copy."""
    schema, value, _ = PLACES[name]
    before = json.dumps(value)
    masked = json.dumps(Secrets(schema).masked(value))
    assert CANARY not in masked
    assert MASK in masked
    assert json.dumps(value) == before


@pytest.mark.parametrize("name", PLACES)
def test_no_issue_tells_of_a_secret(name: str) -> None:
    """The place is never within it, and the words hold nothing of it."""
    schema, value, place = PLACES[name]
    issues = SchemaRegistry().validate(value, schema)
    assert issues
    assert all(place.startswith(issue.instance_path) for issue in issues)
    assert CANARY not in repr(issues)


@pytest.mark.parametrize("name", PLACES)
@pytest.mark.parametrize("wrong", [float("nan"), 10**30, {CANARY: {CANARY: float("inf")}}])
def test_what_no_schema_can_judge_is_placed_outside_the_secret(name: str, wrong: Any) -> None:
    """The path to a number that is not finite ends where the secret begins."""
    schema, value, _ = PLACES[name]
    text = json.dumps(value).replace(f'"{CANARY}"', '"<>"')
    hurt = json.loads(text, object_hook=lambda each: {key: _hurt(each[key], wrong) for key in each})
    issues = SchemaRegistry().validate(_hurt(hurt, wrong), schema)
    assert CANARY not in repr(issues)


def _hurt(value: Any, wrong: Any) -> Any:
    if isinstance(value, list):
        return [_hurt(item, wrong) for item in value]
    return wrong if value == "<>" else value


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ({"const": CANARY}, "is not the value that the schema allows"),
        ({"enum": [CANARY, "b"]}, "is none of the values that the schema allows"),
        ({"pattern": f"^{CANARY}$"}, "is not text of the form that the schema asks for"),
        ({"type": "integer"}, "expected integer, got string"),
    ],
)
def test_the_constants_of_a_secret_are_not_quoted(schema: Any, message: str) -> None:
    """Elsewhere they help; here one of them may be the secret of somebody else."""
    (issue,) = SchemaRegistry().validate("a", {**schema, "writeOnly": True})
    assert issue.message == message


def test_a_key_in_a_secret_is_not_named() -> None:
    """Neither is it compared with the keys that are known."""
    table = {"properties": {CANARY: {}}, "additionalProperties": False, "writeOnly": True}
    (issue,) = SchemaRegistry().validate({"t": {CANARY + "x": 1}}, {"properties": {"t": table}})
    assert issue.instance_path == "/t"
    assert issue.message == "what is in this secret is not what its schema asks for"


def test_what_is_not_marked_is_shown_as_it_is() -> None:
    """A schema without secrets masks nothing, and named keys are not the additional ones."""
    schema = {"properties": {"a": {"type": "string"}}, "additionalProperties": MARK}
    assert Secrets(schema).masked({"a": "x", "b": "y"}) == {"a": "x", "b": MASK}
    value = {"a": ["x", {"writeOnly": True}]}
    assert Secrets({"properties": {"a": {}}}).masked(value) == value
    assert Secrets({"writeOnly": False}).masked("x") == "x"


def test_a_schema_with_secrets_is_shown_without_the_values_in_it() -> None:
    """A default may be the secret, as far from the mark as an example of the whole document."""
    schema = {
        "properties": {"key": MARK, "default": {"const": 1}},
        "examples": [{"key": CANARY}],
        "allOf": [{"default": {"key": CANARY}}],
        "title": "t",
    }
    assert Secrets(schema).schema() == {
        "properties": {"key": MARK, "default": {"const": MASK}},
        "examples": MASK,
        "allOf": [{"default": MASK}],
        "title": "t",
    }
    open_ = {"properties": {"a": {"default": 1}}}
    assert Secrets(open_).schema() == open_


def test_a_name_that_refers_to_itself_ends() -> None:
    """The schema of keys may be the document itself."""
    schema = {"propertyNames": {"$ref": "#"}, "properties": {"a": {}}, "$defs": {"b": MARK}}
    assert Secrets(schema).masked({"a": 1}) == {"a": 1}
