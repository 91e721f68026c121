"""The quick judge and the reference agree on every schema of the profile and every value."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from nxkernel.errors import SchemaInvalid
from nxkernel.schemas import CompiledSchema, SchemaRegistry
from nxkernel.schemas.instance import shape_of
from tests.support.schemas import SCHEMAS, VALUES


def compiled(schema: Any) -> CompiledSchema | None:
    try:
        return SchemaRegistry().compile(schema)
    except SchemaInvalid:
        return None  # outside the profile


@settings(max_examples=200, deadline=None)
@given(SCHEMAS, st.lists(VALUES, min_size=1, max_size=8))
def test_the_quick_judge_agrees_with_the_reference(schema: Any, values: list[Any]) -> None:
    """Valid for one is valid for the other, whatever the schema of the profile."""
    known = compiled(schema)
    if known is None or known._holds is None:
        return
    for value in values:
        shape = shape_of(value)
        assert shape is not None
        assert known._holds(shape) is (known._issues(value) == []), value
