"""Compiling, limits, and that nothing is ever fetched."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from nxkernel.errors import SchemaInvalid
from nxkernel.schemas import SchemaRegistry
from nxkernel.schemas.instance import MAX_DEPTH
from tests.support.canary import Canary, canary

__all__ = ["canary"]


def nested(depth: int) -> Any:
    """Return an empty object within *depth* others."""
    value: dict[str, Any] = {}
    for _ in range(depth):
        value = {"n": value}
    return value


def test_a_schema_is_compiled_once_by_content() -> None:
    """Equal content is the same compiled schema, whatever object or order it came in."""
    registry = SchemaRegistry()
    first = registry.compile({"type": "object", "required": ["a"]})
    assert registry.compile({"required": ["a"], "type": "object"}) is first
    assert registry.compile({"type": "object", "required": ["b"]}) is not first


def test_the_schema_given_is_not_kept() -> None:
    """Changing the schema afterwards changes nothing that was compiled."""
    schema: dict[str, Any] = {"properties": {"a": {"type": "string"}}}
    compiled = SchemaRegistry().compile(schema)
    schema["properties"]["a"]["type"] = "integer"
    assert compiled.validate({"a": "x"}) == []


def test_many_schemas_do_not_fill_the_memory() -> None:
    """What is kept is bounded, and what was dropped compiles again."""
    registry = SchemaRegistry()
    for number in range(1100):
        assert registry.validate(number, {"const": number}) == []
    assert registry.validate(0, {"const": 0}) == []


@pytest.mark.parametrize("keyword", ["$ref", "$schema", "$dynamicRef"])
def test_no_schema_makes_the_host_connect(canary: Canary, keyword: str) -> None:
    """A remote reference is refused when it is loaded, before any connection."""
    for schema in ({keyword: canary.url}, {"properties": {"a": {keyword: canary.url}}}):
        with pytest.raises(SchemaInvalid):
            SchemaRegistry().validate({"a": 1}, schema)
    assert canary.hits() == 0


def test_a_base_address_is_not_fetched_either(canary: Canary) -> None:
    """A document's own $id is a name; local references below it need no network."""
    schema = {"$id": canary.url, "$ref": "#/$defs/a", "$defs": {"a": {"type": "null"}}}
    assert SchemaRegistry().validate(1, schema)[0].code == "wrong_type"
    assert canary.hits() == 0


def test_no_schema_makes_the_host_open_a_file(tmp_path: Path) -> None:
    """Neither a file address nor a path is opened."""
    secret = tmp_path / "schema.json"
    secret.write_text("{}")
    opened: list[str] = []
    armed = [True]

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if armed and event == "open":
            opened.append(str(arguments[0]))

    sys.addaudithook(hook)
    for ref in (secret.as_uri(), str(secret), "schema.json"):
        with pytest.raises(SchemaInvalid):
            SchemaRegistry().validate(1, {"$ref": ref})
    armed.clear()
    assert not [path for path in opened if path.endswith("schema.json")]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_what_is_not_finite_is_no_number(value: float) -> None:
    """NaN and the infinities pass nowhere, not even where the schema says nothing."""
    for schema in (True, {"type": "number"}):
        (issue,) = SchemaRegistry().validate([value], {"items": schema})
        assert (issue.instance_path, issue.code) == ("/0", "limit")


@pytest.mark.parametrize(
    ("value", "place", "message"),
    [
        ({"a": [10**30]}, "/a/0", "is an integer of more than 64 bits"),
        ({"a": {1: 2}}, "/a", "has a key that is not a string"),
    ],
)
def test_what_cannot_be_json_is_named_with_its_place(value: Any, place: str, message: str) -> None:
    """Values that no canonical form has are refused before the schema is asked."""
    (issue,) = SchemaRegistry().validate(value, True)
    assert (issue.instance_path, issue.message) == (place, message)


def test_depth_is_bounded_at_the_same_place_for_every_caller() -> None:
    """A hundred levels pass, one more does not, however deep the caller is."""
    schema = {"properties": {"n": {"$ref": "#"}}, "additionalProperties": False}
    registry = SchemaRegistry()
    assert registry.validate(nested(MAX_DEPTH), schema) == []
    (issue,) = registry.validate(nested(MAX_DEPTH + 1), schema)
    assert issue.message == "is nested deeper than 100"


def test_a_cyclic_value_ends() -> None:
    """A list that holds itself is too deep, not an endless loop."""
    value: list[Any] = []
    value.append(value)
    (issue,) = SchemaRegistry().validate(value, True)
    assert issue.code == "limit"


def test_alternatives_that_multiply_are_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sixty levels of two alternatives are two to the power of sixty checks; a few are made."""
    monkeypatch.setattr("nxkernel.schemas._reference.MAX_CHECKS", 10_000)
    both = {"anyOf": [{"$ref": "#/$defs/a"}, {"$ref": "#/$defs/a"}]}
    schema = {**both, "$defs": {"a": {"items": both, "maxItems": 1}}}
    value: list[Any] = [1, 2]
    for _ in range(60):
        value = [value]
    (issue,) = SchemaRegistry().validate(value, schema)
    assert issue.message == "takes more steps to check than are allowed"


def test_one_costly_value_does_not_shorten_the_next_check(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each validation has the whole budget."""
    monkeypatch.setattr("nxkernel.schemas._reference.MAX_CHECKS", 50)
    compiled = SchemaRegistry().compile({"items": {"type": "integer"}})
    assert compiled._issues([1] * 100)[0].code == "limit"
    assert compiled._issues([1] * 10) == []


@pytest.mark.parametrize(
    ("value", "schema", "valid"),
    [
        (1.0, {"type": "integer"}, True),
        (1.5, {"type": "integer"}, False),
        (1, {"type": "number"}, True),
        (True, {"type": "number"}, False),
        ([1, True], {"uniqueItems": True}, True),
        ([{"a": 1}, {"a": 1.0}], {"uniqueItems": True}, False),
        ([[], {}], {"uniqueItems": True}, True),
        (1, {"format": "email"}, True),
        ("x", {"format": "email"}, True),
        ({"x-a": 1}, {"patternProperties": {"^x-": {}}, "additionalProperties": False}, True),
        ({"a": 1}, {"$ref": "#/$defs/o", "$defs": {"o": {"required": ["a"]}}}, True),
        ([1, "a"], {"prefixItems": [{"type": "integer"}], "items": {"type": "string"}}, True),
        ([1, 2], {"prefixItems": [True], "items": False}, False),
    ],
)
def test_verdicts_are_those_of_2020_12(value: Any, schema: Any, valid: bool) -> None:
    """Strictness is in the types; formats are annotations."""
    assert (SchemaRegistry().validate(value, schema) == []) is valid
