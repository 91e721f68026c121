"""Whatever a validator looks at by a schema that is marked secret is masked."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from typing import Any
from unittest.mock import patch

from hypothesis import assume, example, given
from hypothesis import strategies as st
from jsonschema import _keywords
from jsonschema.validators import extend

from nxkernel.errors import SchemaInvalid
from nxkernel.schemas import SchemaRegistry
from nxkernel.schemas._executable import executable
from nxkernel.schemas._reference import BudgetSpent, errors_of, reference
from nxkernel.schemas.patterns import to_python
from nxkernel.schemas.secrets import Secrets
from tests.support.schemas import COUNTS, NAMES, compound, objects

SHAPES = st.recursive(
    st.none(),
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=4),
        st.dictionaries(NAMES, inner, min_size=1, max_size=4),
    ),
    max_leaves=8,
)


def distinct(shape: Any, numbers: Iterator[int]) -> Any:
    """Return *shape* with a text of its own for each leaf."""
    if isinstance(shape, dict):
        return {key: distinct(shape[key], numbers) for key in shape}
    if isinstance(shape, list):
        return [distinct(item, numbers) for item in shape]
    return f"<{next(numbers)}>"


def leaves(value: Any) -> set[str]:
    """Return the texts in *value*."""
    if isinstance(value, dict):
        return set().union(*map(leaves, value.values()))
    if isinstance(value, list):
        return set().union(*map(leaves, value))
    return {value} if isinstance(value, str) else set()


@contextmanager
def looking_aside(aside: list[str]) -> Iterator[None]:
    """Have *aside* say so while the reference asks what is evaluated already.

    To find that out it tries ``unevaluatedProperties`` on each property, also on those that other
    keywords have evaluated, to which it does not apply. What applies is visited once more.
    """

    def said(find: Any) -> Any:
        def finds(*given: Any) -> Any:
            aside.append(find.__name__)
            try:
                return find(*given)
            finally:
                aside.pop()

        return finds

    names = ("find_evaluated_property_keys_by_schema", "find_evaluated_item_indexes_by_schema")
    with ExitStack() as patches:
        for name in names:
            find = said(getattr(_keywords, name))
            patches.enter_context(patch.object(_keywords, name, find))
        yield


#: Schemas that apply others and judge little: what they lead to is marked, or is nothing.
MARKED = {"writeOnly": True}
APPLIED = st.recursive(
    st.sampled_from([MARKED, MARKED, {}, {"$ref": "#/$defs/a"}]),
    lambda inner: objects({**compound(inner), "minLength": COUNTS}),
    max_leaves=6,
)


@given(APPLIED, APPLIED, SHAPES)
@example(
    {"unevaluatedProperties": MARKED, "patternProperties": {"^a$": {}}}, {}, {"a": None, "b": None}
)
@example({"unevaluatedItems": MARKED, "prefixItems": [{}]}, {}, [None, None])
def test_what_a_marked_schema_looks_at_is_masked(schema: Any, other: Any, shape: Any) -> None:
    """The reference validator visits; nothing that it visits by a mark is left in the copy."""
    schema, value = {**schema, "$defs": {"a": other}}, distinct(shape, count())
    try:
        SchemaRegistry().compile(schema)
    except SchemaInvalid:
        assume(False)  # it refers to itself
    seen: set[str] = set()
    aside: list[str] = []

    def note(_: Any, mark: Any, instance: Any, __: Any) -> None:
        if mark is True and not aside:
            seen.update(leaves(instance))

    run = reference(executable(schema, to_python))
    watching: Any = extend(type(run), validators={"writeOnly": note})
    try:
        with looking_aside(aside):
            errors_of(watching(run.schema, registry=run._registry), value, 10**6)
    except BudgetSpent:
        assume(False)
    shown = json.dumps(Secrets(schema).masked(value))
    assert not [text for text in seen if text in shown]
