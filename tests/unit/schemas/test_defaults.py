"""Defaults go where something was left out, and nowhere else."""

from __future__ import annotations

from typing import Any

import pytest

from nxkernel.schemas import SchemaRegistry

SECTION = {"type": "object", "properties": {"c": {"default": 3}}}


@pytest.mark.parametrize(
    ("schema", "value", "expected"),
    [
        ({"properties": {"a": {"default": 1}}}, {}, {"a": 1}),
        ({"properties": {"a": {"default": 1}}}, {"a": None}, {"a": None}),
        ({"properties": {"s": SECTION}}, {}, {"s": {"c": 3}}),
        ({"properties": {"s": SECTION}}, {"s": {"d": 1}}, {"s": {"d": 1, "c": 3}}),
        ({"properties": {"s": {**SECTION, "required": ["x"]}}}, {}, {}),
        ({"properties": {"s": {**SECTION, "default": {}}}}, {}, {"s": {"c": 3}}),
        (
            {"properties": {"s": {"$ref": "#/$defs/s"}}, "$defs": {"s": SECTION}},
            {},
            {"s": {"c": 3}},
        ),
        ({"allOf": [{"properties": {"a": {"default": 1}}}]}, {}, {"a": 1}),
        ({"items": SECTION}, [{}, {"c": 4}, 5], [{"c": 3}, {"c": 4}, 5]),
        ({"properties": {"a": {"default": 1}}}, [], []),
        (True, {"a": 1}, {"a": 1}),
    ],
)
def test_what_was_left_out_is_filled(schema: Any, value: Any, expected: Any) -> None:
    """Through tables, references and lists; what was given stays, also None."""
    assert SchemaRegistry().defaults(schema, value) == expected


def test_neither_value_nor_schema_is_changed() -> None:
    """A default that is a list is not shared between results."""
    schema = {"properties": {"a": {"default": []}}}
    registry = SchemaRegistry()
    value: dict[str, Any] = {}
    first = registry.defaults(schema, value)
    first["a"].append(1)
    assert value == {}
    assert registry.defaults(schema, value) == {"a": []}


def test_a_schema_that_holds_itself_ends() -> None:
    """A section within the same section is not made up."""
    itself = {"$ref": "#"}
    schema = {"type": "object", "properties": {"n": itself, "m": itself, "a": {"default": 1}}}
    filled = SchemaRegistry().defaults(schema, {})
    assert filled == {"a": 1, "n": {"a": 1}, "m": {"a": 1}}


def test_a_default_within_itself_ends() -> None:
    """An empty default that asks for itself is left empty at the second level."""
    schema = {"properties": {"n": {"$ref": "#", "default": {}}}}
    assert SchemaRegistry().defaults(schema, {}) == {"n": {"n": {}}}


def test_sections_that_hold_each_other_do_not_multiply() -> None:
    """Twelve sections that all hold all others are 479 million ways to nest; a few are made."""
    names = [f"s{number}" for number in range(12)]
    references = {name: {"$ref": f"#/$defs/{name}"} for name in names}
    section = {"type": "object", "properties": {**references, "a": {"default": 1}}}
    schema = {"properties": references, "$defs": {name: dict(section) for name in names}}
    assert SchemaRegistry().defaults(schema, {})["s0"]["a"] == 1
