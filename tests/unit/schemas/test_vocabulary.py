"""Annotations of ours in schemas."""

from __future__ import annotations

from typing import Any

import pytest

from nxkernel.errors import SchemaInvalid
from nxkernel.schemas import SchemaRegistry


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        (
            {"x-nx-eahc": "token"},
            "#/x-nx-eahc: unknown keyword; did you mean 'x-nx-each'?",
        ),
        (
            {"items": True, "x-nx-each": True},
            "#/x-nx-each: expected the name of a kind, such as code_block",
        ),
        (
            {"items": True, "x-nx-each": "Token"},
            "#/x-nx-each: expected the name of a kind, such as code_block",
        ),
        (
            {"type": "array", "x-nx-each": "token"},
            "#/x-nx-each: speaks of the elements that 'items' describes, and stands beside it",
        ),
        (
            {"properties": {"a": {"x-nx-artifact": ""}}},
            "#/properties/a/x-nx-artifact: expected the name of a kind, such as code_block",
        ),
    ],
)
def test_a_misspelt_annotation_of_ours_is_refused(schema: Any, message: str) -> None:
    """A keyword that would do nothing stops the schema, with its place and what belongs there."""
    with pytest.raises(SchemaInvalid) as caught:
        SchemaRegistry().compile(schema)
    assert caught.value.message == message


def test_annotations_of_others_are_theirs() -> None:
    """What begins with x- and is not ours may say anything."""
    schema = {"x-each": 1, "x-nx": [], "items": True, "x-nx-each": "row"}
    assert SchemaRegistry().validate([1], schema) == []
