"""What is found in one look through a value, and what ends the look."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given

from nxkernel import _canonical
from nxkernel._shape import Misshapen, survey
from nxkernel.schemas.instance import obstacle, shape_of
from tests.support.schemas import VALUES


class Text(str):
    """A subclass, which would arrive as something else."""


def deep(levels: int) -> Any:
    value: Any = []
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "depth", "parts"),
    [
        (None, 0, 1),
        ([], 0, 1),
        ({}, 0, 1),
        ([[]], 1, 2),
        ({"a": [1, 2.5, {"b": None}], "c": b"x"}, 3, 7),
    ],
)
def test_depth_and_parts_are_counted(value: Any, depth: int, parts: int) -> None:
    """Keys do not count; an empty container is as deep as a scalar."""
    shape = survey(value, 200, 100)
    assert (shape.depth, shape.parts) == (depth, parts)
    assert shape.of(value)
    assert not shape.of([value])


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({1: 2}, "a map key is no string"),
        ([{"a": 1, Text("b"): 2}], "a map key is no string"),
        ([{"a": 1}, {Text("a"): 2}], "a map key is no string"),
        (float("nan"), "a float is not finite"),
        ([[float("inf")]], "a float is not finite"),
        (deep(8), "nested deeper than 7"),
        ([[0] * 50, [0] * 50], "more than 100 values"),
    ],
)
def test_what_no_plain_value_has_ends_the_look(value: Any, reason: str) -> None:
    """A key that equals a string is none; it is its type that counts."""
    with pytest.raises(Misshapen, match=reason):
        survey(value, 7, 100)


def test_a_value_that_holds_itself_ends() -> None:
    """However it branches: by its depth or by its parts."""
    for copies in (1, 2, 50):
        cycle: list[Any] = []
        cycle += [cycle] * copies
        with pytest.raises(Misshapen):
            survey(cycle, 200, 10_000)


@given(VALUES)
def test_the_quick_look_finds_no_less_than_the_slow_one(value: Any) -> None:
    """A value has a shape exactly where nothing is in the way of a validator."""
    assert (shape_of(value) is None) == (obstacle(value) is not None)


@given(VALUES)
def test_what_was_seen_while_decoding_is_what_is_there(value: Any) -> None:
    """The decoder's shape is that of the value that it gives."""
    shape = _canonical.surveyed(_canonical.encode(value))
    again = survey(shape.value, 200, 10**6)
    assert shape == again._replace(marked=shape.marked)


@pytest.mark.parametrize(
    ("value", "marked"),
    [
        ({"$bytes": 1}, True),
        ([{"a": {"$$bytes": 1}}], True),
        ({"bytes": 1, "$id": "x"}, False),
        ("a text of $bytes", True),
    ],
)
def test_a_key_that_reads_like_a_mark_is_noticed(value: Any, marked: bool) -> None:
    """It may be noticed where there is none, and never overlooked."""
    assert _canonical.surveyed(_canonical.encode(value)).marked is marked
