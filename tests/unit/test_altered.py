"""Frozen values with some fields changed."""

from __future__ import annotations

import attrs
import pytest

from nxkernel._altered import altered, filled
from nxkernel.types import Call, Outcome


@attrs.frozen(kw_only=True, slots=False)
class Point:
    """A value with a default and a field that counts for nothing."""

    x: int
    y: int = 2
    note: list[str] = attrs.field(factory=list, eq=False)


@attrs.frozen(slots=False)
class Checked:
    """A value that looks at its field."""

    x: int = attrs.field(validator=attrs.validators.instance_of(int))


def test_the_others_stay_as_they_are() -> None:
    """What is not named is the very object that it was; the first value does not change."""
    point = Point(x=1)
    moved = altered(point, y=3)
    assert (point.x, point.y, moved.x, moved.y) == (1, 2, 1, 3)
    assert moved.note is point.note
    assert altered(point) == point
    assert altered(point) is not point


@pytest.mark.parametrize("cls", [Call, Outcome])
def test_as_attrs_would(cls: type) -> None:
    """Of the classes on the path of every call it makes what attrs.evolve makes."""
    required = {each.name: each.name for each in attrs.fields(cls) if each.default is attrs.NOTHING}
    value = cls(**required)
    for name in (each.name for each in attrs.fields(cls)):
        assert altered(value, **{name: name}) == attrs.evolve(value, **{name: name})


def test_a_name_that_is_no_field_is_an_error() -> None:
    """A mistake is not kept beside the fields."""
    with pytest.raises(KeyError):
        altered(Point(x=1), z=1)


def test_a_class_that_checks_its_fields_is_refused() -> None:
    """No value comes into being that its class would not have let."""
    with pytest.raises(TypeError, match=r"attrs\.evolve"):
        altered(Checked(1), x="one")


@attrs.frozen
class Slotted:
    """A value whose fields are in no dict."""

    x: int = 1


def test_a_class_with_slots_is_refused() -> None:
    """What cannot be copied at once is not half copied."""
    with pytest.raises(TypeError, match=r"attrs\.evolve"):
        altered(Slotted(), x=2)


def test_filled_from_a_template() -> None:
    """All fields given at once make what the class itself makes of them, and it stays frozen."""
    template = dict(vars(Point(x=1)))
    made = filled(Point, {**template, "y": 5})
    assert made == Point(x=1, y=5)
    assert (hash(made), repr(made)) == (hash(Point(x=1, y=5)), repr(Point(x=1, y=5)))
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        made.y = 6  # type: ignore[misc]
