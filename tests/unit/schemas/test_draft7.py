"""Schemas of draft 7: what they become, and what draft 7 would silently not have checked."""

from __future__ import annotations

from typing import Any

import pytest

from nxkernel.errors import SchemaInvalid
from nxkernel.schemas import SchemaRegistry
from nxkernel.schemas.draft7 import KEYWORDS
from nxkernel.schemas.profile import KEYWORDS as MODERN

DRAFT7 = "http://json-schema.org/draft-07/schema#"


def compiled(schema: Any) -> Any:
    return SchemaRegistry().compile({"$schema": DRAFT7, **schema})


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"definitions": {"a": {"type": "null"}}}, {"$defs": {"a": {"type": "null"}}}),
        ({"items": {"type": "null"}}, {"items": {"type": "null"}}),
        ({"items": [True]}, {"prefixItems": [True]}),
        ({"items": [True], "additionalItems": False}, {"prefixItems": [True], "items": False}),
        ({"dependencies": {"a": ["b"]}}, {"dependentRequired": {"a": ["b"]}}),
        ({"dependencies": {"a": {"minProperties": 2}, "b": ["a"], "c": False}}, None),
        ({"dependencies": {}}, {}),
        ({"if": {"items": [True]}, "then": False}, {"if": {"prefixItems": [True]}, "then": False}),
        ({"const": {"definitions": {"items": []}}}, {"const": {"definitions": {"items": []}}}),
        ({"properties": {"items": {"items": [True]}}}, None),
    ],
)
def test_what_draft_7_writes_otherwise_is_said_in_2020_12(old: Any, new: Any) -> None:
    """Only schemas are translated; names of keys and constants are what they are."""
    whole = {
        "dependencies": {
            "dependentRequired": {"b": ["a"]},
            "dependentSchemas": {"a": {"minProperties": 2}, "c": False},
        },
        "properties": {"properties": {"items": {"prefixItems": [True]}}},
    }
    expected = new if new is not None else whole[next(iter(old))]
    found = dict(compiled(old).schema)
    del found["$schema"]
    assert found == expected


@pytest.mark.parametrize(
    ("reference", "place"),
    [
        ("#/definitions/a", "#/$defs/a"),
        ("#/definitions/list/items/1", "#/$defs/list/prefixItems/1"),
        ("#/definitions/list/additionalItems", "#/$defs/list/items"),
        ("#/definitions/deps/dependencies/x", "#/$defs/deps/dependentSchemas/x"),
        ("#/definitions/a%25b~1c", "#/$defs/a%25b~1c"),
        ("#/properties/definitions", "#/properties/definitions"),
        ("#", "#"),
    ],
)
def test_a_reference_leads_to_where_its_target_went(reference: str, place: str) -> None:
    """References by JSON Pointer are moved with what they refer to."""
    schema = {
        "properties": {"definitions": {"type": "null"}, "x": {"$ref": reference}},
        "definitions": {
            "a": {"type": "null"},
            "a%b/c": {"type": "null"},
            "list": {"items": [True, {"type": "null"}], "additionalItems": {"type": "null"}},
            "deps": {"dependencies": {"x": {"type": "null"}}},
        },
    }
    known = compiled(schema)
    assert known.schema["properties"]["x"] == {"$ref": place}
    assert known.validate({"x": 1 if reference != "#" else {"definitions": 1}}) != []
    assert known.validate({"x": None if reference != "#" else {}}) == []


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        (
            {"definitions": {"a": {"tipe": 1}}},
            "#/definitions/a/tipe: unknown keyword; did you mean",
        ),
        ({"$defs": {}}, r"#/\$defs: draft 7 does not know it; say \$schema of 2020-12"),
        ({"items": {"prefixItems": []}}, "#/items/prefixItems: draft 7 does not know it"),
        ({"minContains": 2}, "#/minContains: draft 7 does not know it"),
        ({"zzz": 1}, "#/zzz: unknown keyword; an annotation of yours begins with x-"),
        ({"$ref": "#/definitions/a", "type": "null", "definitions": {"a": {}}}, "#/type: draft 7 "),
        ({"additionalItems": False}, "#/additionalItems: checks nothing unless items is a list"),
        ({"items": {}, "additionalItems": False}, "#/additionalItems: checks nothing"),
        ({"items": 5}, "#/items: "),
        ({"items": []}, "#/items: expected at least 1 item"),
        ({"items": [5]}, "#/items"),
        ({"dependencies": {"a": 5}}, "#/dependencies/a: "),
        ({"definitions": []}, "#/definitions: expected object"),
        ({"allOf": []}, "#/allOf: expected at least 1 item"),
        ({"$ref": 5}, r"#/\$ref: expected string"),
        ({"$ref": "#/definitions/b"}, r"#/\$ref: refers to a place where no schema stands"),
        ({"definitions": {"a": {"$ref": "b.json"}}}, r"#/definitions/a/\$ref: only references"),
        ({"definitions": {"a": {"$id": "x"}}}, r"#/definitions/a/\$id: only the whole document"),
        ({"items": [{"pattern": "(a+)+"}]}, "#/items/0/pattern: the pattern can read"),
        ({"dependencies": {"a": {"multipleOf": 0.5}}}, "#/dependencies/a/multipleOf: must be an"),
        ({"definitions": {"a": {"not": {"$ref": "#/definitions/a"}}}}, "#/definitions/a: applies"),
    ],
)
def test_what_is_refused_is_named_where_it_was_written(schema: Any, message: str) -> None:
    """The place is one of the schema that was given, and not of what it became."""
    with pytest.raises(SchemaInvalid, match=message) as caught:
        compiled(schema)
    assert caught.value.message.startswith(caught.value.details["pointer"] + ": ")


def test_annotations_may_stand_beside_a_reference() -> None:
    """A title or the definitions themselves assert nothing that would be passed over."""
    known = compiled(
        {"title": "T", "$ref": "#/definitions/a", "definitions": {"a": {"type": "null"}}}
    )
    assert known.validate(None) == []
    assert known.validate(1)[0].code == "wrong_type"


def test_it_may_refer_to_a_published_schema() -> None:
    """By its name, as a schema of 2020-12 may."""
    known = compiled({"items": [{"$ref": "urn:nxkernel:sst:token:1"}]})
    assert known.validate([1])[0].instance_path == "/0"


def test_its_digest_is_that_of_what_was_given() -> None:
    """Two documents are two, also where they come to mean the same."""
    one, other = compiled({"dependencies": {}}), compiled({})
    assert one.schema == other.schema
    assert one.digest != other.digest


def test_every_keyword_is_one_of_2020_12_or_has_become_one() -> None:
    """Draft 7 asserts nothing that 2020-12 could not say."""
    assert {"additionalItems", "definitions", "dependencies"} == KEYWORDS - MODERN
