"""What is found in one look through a value, and what ends the look."""

from __future__ import annotations

import gc
from collections import OrderedDict
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings

from nxkernel import _canonical, _shape
from nxkernel._shape import Misshapen, glance, is_plain, survey
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
    assert shape.value is value


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
    """The decoder's shape is that of the value: its bounds hold, and can be made exact."""
    shape = _canonical.surveyed(_canonical.encode(value))
    again = survey(shape.value, 200, 10**6)
    assert shape.counted() == again._replace(marked=shape.marked)
    assert shape.depth >= again.depth
    assert shape.parts >= again.parts
    assert shape.json == again.json
    assert shape.types >= again.types


class Owner:
    """Whose attributes lie in a dict of its own."""

    def __init__(self, part: Any) -> None:
        self.part = part


class List(list[Any]):
    """What would arrive as a list."""


class Map(dict[str, Any]):
    """What would arrive as a dict."""


class Colour(StrEnum):
    """Whose members would arrive as text."""

    RED = "red"


@pytest.fixture(params=[True, False], ids=["collector", "items"])
def within(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Look in both ways that there are, whichever suits this interpreter."""
    collector = request.param and _shape._shows_all()
    monkeypatch.setattr(_shape, "_parts", gc.get_referents if collector else _shape._items)


@pytest.mark.usefixtures("within")
@given(VALUES)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_glance_sees_what_a_survey_finds(value: Any) -> None:
    """What it passes is of JSON's own types, with that depth and number of parts."""
    shape = survey(value, 200, 10**6)
    assert glance(value, 200, 10**6) == (shape.depth, shape.parts)


@pytest.mark.usefixtures("within")
@pytest.mark.parametrize(
    "part",
    [
        {Text("b"): 2},
        {Colour.RED: 1},
        Text("a"),
        int,
        Colour.RED,
        List([1]),
        Map(a=1),
        OrderedDict(a=1),
        (1,),
        {1},
        frozenset({1}),
        bytearray(b"a"),
        memoryview(b"a"),
        datetime(2026, 1, 1, tzinfo=UTC),
        UUID(int=1),
        Decimal(1),
        Owner(1),
        1j,
    ],
    ids=[f"{n}" for n in range(18)],
)
def test_a_glance_passes_nothing_but_json(part: Any) -> None:
    """Nowhere in a value, also in a dict that an object has for its attributes."""
    owner = Owner(part)
    for value in (part, [part], {"a": part}, [[{"a": [1, part]}]], vars(owner), [1, vars(owner)]):
        assert glance(value, 200, 10**6) is None
        assert glance(value, 200, 10**6, binary=True) is None
        assert _canonical.sealed(value) is None


def test_bytes_are_plain_and_no_json() -> None:
    """What goes by types of JSON alone does not take them for such."""
    value = [{"a": b"x"}]
    assert glance(value, 200, 100) is None
    assert glance(value, 200, 100, binary=True) == (2, 3)
    assert _canonical.sealed(value) == _canonical.encode(value)
    assert shape_of(value) is None


@pytest.mark.usefixtures("within")
@pytest.mark.parametrize("key", [1, None, True, 1.5])
def test_a_key_of_another_type_has_no_bytes(key: Any) -> None:
    """A glance may pass a key of JSON's types; who goes by it encodes, where it ends."""
    for value in ({key: 1}, [{"a": 1, key: 2}]):
        assert _canonical.sealed(value) is None
        assert shape_of(value) is None


@pytest.mark.usefixtures("within")
def test_a_glance_ends_at_its_limits() -> None:
    """With nothing to say, also where a value holds itself."""
    assert glance(deep(7), 7, 100) == (7, 8)
    assert glance(deep(8), 7, 100) is None
    assert glance([0] * 99, 7, 100) == (1, 100)
    assert glance([0] * 100, 7, 100) is None
    cycle: list[Any] = []
    cycle += [cycle] * 3
    assert glance(cycle, 200, 10_000) is None


def test_a_dict_that_once_had_another_key_is_looked_into() -> None:
    """Whatever a dict has been, it is what it holds now that counts."""
    value: dict[Any, Any] = {1: 2}
    del value[1]
    value["a"] = [1]
    assert glance(value, 200, 100) is not None
    value["a"] = [{1}]
    assert glance(value, 200, 100) is None


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


@pytest.mark.usefixtures("within")
@given(VALUES)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_told_without_a_count_is_what_a_glance_passes(value: Any) -> None:
    """The usual case of it says the same of every value, and of bytes in it."""
    for each in (value, [value, b"x"], {"a": {"b": value}}):
        assert is_plain(each, range(64), 10**6)
        assert glance(each, 64, 10**6, binary=True) is not None


@pytest.mark.usefixtures("within")
def test_what_is_told_without_a_count_ends_at_its_limits() -> None:
    """Also in a value that another thread made a cycle after it was encoded."""
    assert is_plain(deep(7), range(7), 100)
    assert not is_plain(deep(8), range(7), 100)
    assert not is_plain([0] * 100, range(7), 99)
    cycle: list[Any] = []
    cycle += [cycle] * 3
    assert not is_plain(cycle, range(64), 1000)
