"""Which schemas are accepted, and what is said about the others."""

from __future__ import annotations

from typing import Any

import pytest

from nxkernel.errors import SchemaInvalid
from nxkernel.schemas import SchemaRegistry
from nxkernel.schemas.profile import DIALECT, MAX_PATTERNS, MAX_SCHEMA_NODES

ENDLESS = {"allOf": [{"$ref": "#/$defs/a"}], "$defs": {"a": {"not": {"$ref": "#"}}}}
REFUSED: list[tuple[Any, str]] = [
    (5, "#: a schema is an object or a boolean"),
    (None, "#: a schema is an object or a boolean"),
    ({"requierd": []}, "#/requierd: unknown keyword; did you mean 'required'?"),
    ({"zzz": 1}, "#/zzz: unknown keyword; an annotation of yours begins with x-"),
    ({"properties": {"a": {"tipe": 1}}}, "#/properties/a/tipe: unknown keyword"),
    ({"definitions": {}}, r"#/definitions: is not accepted; write \$defs"),
    ({"$dynamicRef": "#x"}, r"#/\$dynamicRef: is not accepted"),
    ({"$ref": "other.json"}, r"#/\$ref: only references inside the document"),
    ({"$ref": "#name"}, r"#/\$ref: only references inside the document"),
    ({"$ref": 5}, r"#/\$ref: only references inside the document"),
    ({"$ref": "#/$defs/x"}, r"#/\$ref: refers to a place where no schema stands"),
    ({"default": {}, "$ref": "#/default"}, r"#/\$ref: refers to a place where no schema stands"),
    ({"$ref": "#"}, "#: applies itself to the same value without end"),
    (ENDLESS, "applies itself to the same value without end"),
    ({"items": {"$id": "x"}}, r"#/items/\$id: only the whole document may have \$id"),
    ({"items": {"$schema": DIALECT}}, r"#/items/\$schema: only the whole document"),
    ({"$schema": "http://json-schema.org/draft-06/schema#"}, r"#/\$schema: the accepted dialect"),
    ({"$schema": 5}, r"#/\$schema: the accepted dialect"),
    ({"multipleOf": 0.1}, "#/multipleOf: must be an integer"),
    ({"pattern": "(a+)+"}, "#/pattern: the pattern can read the same text in many ways"),
    ({"patternProperties": {"(": {}}}, "the pattern has a group that is not closed"),
    ({"type": "strin"}, '#/type: expected one of "array"'),
    ({"type": ["string", "strin"]}, "#/type/1: expected one of"),
    ({"properties": 5}, "#/properties: expected object, got integer"),
    ({"required": "a"}, "#/required: expected array, got string"),
    ({"required": ["a", "a"]}, "#/required: expected items that differ"),
    ({"anyOf": []}, "#/anyOf: expected at least 1 item"),
    ({"minimum": "1"}, "#/minimum: expected number, got string"),
    ({"minLength": -1}, "#/minLength: expected at least 0"),
    ({"items": [{}]}, "#/items: expected object or boolean, got array"),
    ({"const": b"x"}, "#/const: bytes is no type of JSON"),
    ({"const": float("nan")}, "#/const: is not a finite number"),
    ({"const": 10**30}, "#/const: is an integer of more than 64 bits"),
    ({1: 2}, "#: has a key that is not a string"),
    ({"enum": list(range(MAX_SCHEMA_NODES))}, "holds more than"),
    (
        {"anyOf": [{"pattern": f"^{'a' * n}$"} for n in range(MAX_PATTERNS + 1)]},
        "more than 64 patterns",
    ),
]


@pytest.mark.parametrize(("schema", "message"), REFUSED, ids=range(len(REFUSED)))
def test_a_schema_outside_the_profile_is_refused_with_its_place(schema: Any, message: str) -> None:
    """The error carries `schema.invalid`, a JSON Pointer into the schema, and what is accepted."""
    with pytest.raises(SchemaInvalid, match=message) as caught:
        SchemaRegistry().compile(schema)
    assert caught.value.code == "schema.invalid"


def test_a_cycle_in_the_schema_object_is_refused() -> None:
    """A Python object that holds itself ends at the depth limit."""
    schema: dict[str, Any] = {}
    schema["not"] = schema
    with pytest.raises(SchemaInvalid, match="nested deeper than"):
        SchemaRegistry().compile(schema)


def test_the_error_names_whose_schema_it_is() -> None:
    """With a name, the message begins with it, as a file or key would be looked for."""
    with pytest.raises(SchemaInvalid, match=r"tokens\.schema\.json#/tipe: ") as caught:
        SchemaRegistry().compile({"tipe": 1}, name="tokens.schema.json")
    assert caught.value.details == {"pointer": "#/tipe", "schema": "tokens.schema.json"}


@pytest.mark.parametrize(
    "schema",
    [
        True,
        False,
        {},
        {"$schema": DIALECT, "$id": "urn:x:1", "x-mine": {"any": ["thing"]}},
        {"properties": {"next": {"$ref": "#"}, "$ref": {"type": "string"}}},
        {"$defs": {"a/b~c": {"type": "null"}}, "$ref": "#/$defs/a~1b~0c"},
        {"$defs": {"ä %": {}}, "$ref": "#/$defs/%C3%A4%20%25"},
        {"const": {"pattern": "(a+)+", "wombat": 1}},
    ],
)
def test_what_is_inside_the_profile_is_accepted(schema: Any) -> None:
    """Constants are not mistaken for schemas, and local references resolve."""
    SchemaRegistry().compile(schema)
