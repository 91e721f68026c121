"""A schema of draft 7 means the same after it was translated."""

from __future__ import annotations

from typing import Any

import jsonschema_rs
from hypothesis import given, settings
from hypothesis import strategies as st

from nxkernel.errors import SchemaInvalid
from nxkernel.schemas import SchemaRegistry
from tests.support.schemas import NAMES, SIMPLE, VALUES, common, objects

DRAFT7 = "http://json-schema.org/draft-07/schema#"
OLD_SIMPLE = {name: each for name, each in SIMPLE.items() if not name.startswith("dependent")}
PLACES = ["#/definitions/a", "#/definitions/b", "#/definitions/a/items/0", "#/definitions/b/items"]


def compound(inner: st.SearchStrategy[Any]) -> dict[str, st.SearchStrategy[Any]]:
    names = st.lists(NAMES, max_size=2, unique=True)
    return {
        **common(inner),
        "items": st.one_of(inner, st.lists(inner, min_size=1, max_size=3)),
        "additionalItems": inner,
        "dependencies": st.dictionaries(NAMES, st.one_of(inner, names), max_size=3),
    }


BELOW = st.recursive(
    st.one_of(
        st.booleans(), objects(OLD_SIMPLE), st.sampled_from(PLACES).map(lambda p: {"$ref": p})
    ),
    lambda inner: objects({**OLD_SIMPLE, **compound(inner)}),
    max_leaves=6,
)
WHOLE = st.tuples(objects({**OLD_SIMPLE, **compound(BELOW)}), BELOW, BELOW).map(
    lambda parts: {
        **parts[0],
        "definitions": {"a": {"items": [parts[1]]}, "b": {"items": parts[2]}},
    }
)


@settings(max_examples=200, deadline=None)
@given(WHOLE, st.lists(VALUES, min_size=1, max_size=8))
def test_a_translated_schema_says_what_draft_7_says(schema: Any, values: list[Any]) -> None:
    """A library that knows draft 7 itself has the same verdict on every value."""
    try:
        known = SchemaRegistry().compile({"$schema": DRAFT7, **schema})
    except SchemaInvalid:
        return  # outside the profile
    itself = jsonschema_rs.Draft7Validator(schema, offline=True, validate_formats=False)
    for value in values:
        assert (known.validate(value) == []) is itself.is_valid(value), value
