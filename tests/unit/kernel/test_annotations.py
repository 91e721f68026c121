"""Annotations: objects on both sides, plain data between them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.desks import Bench, Everything, Point, hookimpl


def test_values_are_annotated_types_on_both_sides() -> None:
    """Builtins are given objects, the caller gets objects, plain data crosses."""
    bench = Bench({"a": Everything(lambda at: Point(at.x, at.y + 1))})
    assert bench.call("points", at=Point(1)).value == [Point(1, 1)]
    assert bench.call("point", at=Point(1)).value == Point(1, 1)
    assert bench.witness.outcomes[0].value == {"x": 1, "y": 1}


@pytest.mark.parametrize("bad", [[1], {"x": "text"}, {"z": 1}])
def test_a_value_that_the_hookspec_forbids_is_its_providers_fault(bad: Any) -> None:
    """In a fan-out the others still count; the stack sees the reason."""
    bench = Bench({"a": Everything(lambda at: bad), "b": Everything(lambda at: Point(1))})
    result = bench.call("points", at=Point(1))
    assert (result.value, result.degraded) == ([Point(1)], True)
    assert result[0].error.code == "contract.output"
    assert bench.witness.outcomes[0].error == result[0].error


def test_a_wrapper_may_make_anything_of_a_fan_out() -> None:
    """As under pluggy; only a list is held against the annotation, element by element."""

    class Wraps:
        def __init__(self, made: Any) -> None:
            self.made = made

        @hookimpl(wrapper=True)
        def points(self, at):
            yield
            return self.made

    for made, expected in ((7, 7), (None, None), ([{"x": 1}], [Point(1)])):
        bench = Bench({"a": Everything(lambda at: None), "w": Wraps(made)})
        assert bench.call("points", at=Point(1)).value == expected
    result = Bench({"a": Everything(lambda at: None), "w": Wraps(["no"])}).call(
        "points", at=Point(1)
    )
    assert result.error is not None
    assert result.error.code == "contract.output"
