"""What is proved narrower accepts nothing that the wider schema refuses."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from nxkernel.errors import SchemaInvalid
from nxkernel.schemas import SchemaRegistry
from nxkernel.schemas.narrowing import gap
from tests.support.schemas import SCHEMAS, VALUES


def tighter(schema: Any, by: Any, draw: Any) -> Any:
    """Make something of *schema* that may be narrower: parts of it replaced by *by*, or more."""
    if not isinstance(schema, dict) or draw(st.integers(0, 3)) == 0:
        return draw(st.sampled_from([schema, by]))
    changed = dict(schema)
    for keyword in sorted(schema):
        value = schema[keyword]
        choice = draw(st.integers(0, 3))
        if choice == 0:
            changed.pop(keyword)
        elif isinstance(value, dict | bool) and keyword in ("items", "additionalProperties", "not"):
            changed[keyword] = tighter(value, by, draw)
        elif isinstance(value, dict) and keyword == "properties":
            changed[keyword] = {name: tighter(below, by, draw) for name, below in value.items()}
        elif type(value) is int and choice == 1:
            changed[keyword] = max(0, value + draw(st.integers(-1, 1)))
    if isinstance(by, dict):
        changed = {**by, **changed} if draw(st.booleans()) else {**changed, **by}
    return changed


@st.composite
def pairs(draw: Any) -> tuple[Any, Any]:
    """Two schemas that have much in common."""
    wide, other = draw(SCHEMAS), draw(SCHEMAS)
    return tighter(wide, other, draw), wide


def valid(schema: Any, value: Any) -> bool:
    return SchemaRegistry().validate(value, schema) == []


def compiles(*schemas: Any) -> bool:
    try:
        for schema in schemas:
            SchemaRegistry().compile(schema)
    except SchemaInvalid:
        return False
    return True


@settings(max_examples=400, deadline=None)
@given(pairs(), st.lists(VALUES, min_size=1, max_size=20))
def test_a_proof_holds_for_every_value(pair: tuple[Any, Any], values: list[Any]) -> None:
    """No value is a counterexample to what was proved."""
    narrow, wide = pair
    if not compiles(narrow, wide) or gap(narrow, wide) is not None:
        return
    for value in values:
        assert not valid(narrow, value) or valid(wide, value), (narrow, wide, value)


@settings(max_examples=200, deadline=None)
@given(SCHEMAS)
def test_a_schema_without_references_is_narrower_than_itself(schema: Any) -> None:
    """Or it has a part of which only a value could tell; and then it says which."""
    if compiles(schema):
        found = gap(schema, schema)
        assert found is None or found.reason
