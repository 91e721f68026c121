"""The first place where two values differ, in words that do not depend on how they were made."""

from __future__ import annotations

from typing import Any

import pytest

from nxkernel._blob import Blob
from nxkernel.replay.comparing import between, shown

CASES: dict[str, tuple[Any, Any, str]] = {
    "whole": (1, 2, "at $: 1 then, 2 now"),
    "item": ({"a": [1, 2]}, {"a": [1, 3]}, "at $.a[1]: 2 then, 3 now"),
    "first of several": ({"b": 1, "a": 1}, {"a": 2, "b": 2}, "at $.a: 1 then, 2 now"),
    "key gone": ({"a": 1}, {}, "at $.a: 1 then, nothing now"),
    "key new": ({}, {"a b": None}, 'at $["a b"]: nothing then, null now'),
    "shorter": ([1, 2], [1], "at $[1]: 2 then, nothing now"),
    "int and float": (1, 1.0, "at $: 1 then, 1.0 now"),
    "bool and int": ([True], [1], "at $[0]: true then, 1 now"),
    "sign of zero": (0.0, -0.0, "at $: 0.0 then, -0.0 now"),
    "bytes and text": (b"a", "a", 'at $: "1 bytes 61" then, "a" now'),
    "list and map": ([], {}, "at $: [] then, {} now"),
}


@pytest.mark.parametrize("name", sorted(CASES))
def test_first_difference_is_named(name: str) -> None:
    """With its path and both sides."""
    then, now, words = CASES[name]
    difference = between(then, now)
    assert difference is not None
    assert (difference.kind, str(difference)) == ("value", words)


def test_equal_values_have_none() -> None:
    """The order of a map's keys is no difference."""
    assert between({"a": [1, {"b": b"x"}], "c": 0.5}, {"c": 0.5, "a": [1, {"b": b"x"}]}) is None


def test_long_values_are_shortened() -> None:
    """A report stays readable whatever a plugin returns."""
    assert len(shown("x" * 1000)) == 80
    assert shown("x" * 1000).endswith("...")


def test_a_blob_is_its_digest() -> None:
    """Its bytes are for nobody's terminal."""
    assert shown(Blob(b"")).startswith('"sha256:e3b0c442')
