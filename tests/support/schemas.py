"""Random schemas of the profile, and values that they may accept."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

__all__ = ["NAMES", "SCHEMAS", "SIMPLE", "VALUES", "common", "objects"]

NAMES = st.sampled_from(["a", "b", "c", "aa", "é"])
NUMBERS = st.one_of(
    st.integers(-3, 3),
    st.integers(-(2**63), 2**64 - 1),
    st.sampled_from([0.0, -0.0, 1.0, 0.5, 1e300, 2.0**53, 2**53, 2**53 + 1, -1.5]),
    st.floats(allow_nan=False, allow_infinity=False),
)
LEAVES = st.one_of(st.none(), st.booleans(), NUMBERS, st.text(max_size=4), NAMES)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(NAMES, inner, max_size=4)),
    max_leaves=8,
)
TYPES = st.sampled_from("array boolean integer null number object string".split())
COUNTS = st.integers(0, 3)
LISTS_OF_NAMES = st.lists(NAMES, max_size=2, unique=True)
BOUNDS = st.one_of(st.integers(-2, 3), st.sampled_from([0.5, 1.5, 2**53 + 1, 2.0**53]))
PATTERNS = st.sampled_from(["^a$", "^[ab]+$", "^.{1,2}$", r"^\w*$", "^(a|bc)$", "^[^a]", "b$"])

SIMPLE: dict[str, st.SearchStrategy[Any]] = {
    "const": VALUES,
    "enum": st.lists(VALUES, min_size=1, max_size=3, unique_by=repr),
    "type": st.one_of(TYPES, st.lists(TYPES, min_size=1, max_size=3, unique=True)),
    "minimum": BOUNDS,
    "maximum": BOUNDS,
    "exclusiveMinimum": BOUNDS,
    "exclusiveMaximum": BOUNDS,
    "minLength": COUNTS,
    "maxLength": COUNTS,
    "pattern": PATTERNS,
    "minItems": COUNTS,
    "maxItems": COUNTS,
    "uniqueItems": st.booleans(),
    "minProperties": COUNTS,
    "maxProperties": COUNTS,
    "required": LISTS_OF_NAMES,
    "dependentRequired": st.dictionaries(
        NAMES, st.lists(NAMES, max_size=2, unique=True), max_size=2
    ),
}


def common(inner: st.SearchStrategy[Any]) -> dict[str, st.SearchStrategy[Any]]:
    """Keywords with schemas in them that mean the same in draft 7."""
    some = st.lists(inner, min_size=1, max_size=3)
    return {
        "properties": st.dictionaries(NAMES, inner, max_size=3),
        "patternProperties": st.dictionaries(PATTERNS, inner, max_size=2),
        "additionalProperties": inner,
        "propertyNames": inner,
        "contains": inner,
        "allOf": some,
        "anyOf": some,
        "oneOf": some,
        "not": inner,
        "if": inner,
        "then": inner,
        "else": inner,
    }


def compound(inner: st.SearchStrategy[Any]) -> dict[str, st.SearchStrategy[Any]]:
    return {
        **common(inner),
        "unevaluatedProperties": inner,
        "dependentSchemas": st.dictionaries(NAMES, inner, max_size=3),
        "items": inner,
        "prefixItems": st.lists(inner, min_size=1, max_size=3),
        "minContains": COUNTS,
        "maxContains": COUNTS,
        "unevaluatedItems": inner,
    }


def objects(keywords: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[Any]:
    """Schemas of up to four of *keywords*."""
    pairs = st.sampled_from(sorted(keywords)).flatmap(
        lambda name: st.tuples(st.just(name), keywords[name])
    )
    return st.lists(pairs, max_size=4).map(dict)


SCHEMAS = st.recursive(
    st.one_of(st.booleans(), objects(SIMPLE)),
    lambda inner: objects({**SIMPLE, **compound(inner)}),
    max_leaves=6,
)
