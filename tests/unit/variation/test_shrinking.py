"""Shrinking: what is left does it, and no part of that does."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from nxkernel.variation.shrinking import smallest


@pytest.mark.parametrize(
    "blamed", [{3}, {0}, {11}, {0, 11}, {5, 6}, {1, 4, 9}, set(range(12))], ids=str
)
def test_what_is_to_blame_is_found_whatever_it_is(blamed: set[int]) -> None:
    """One thing, two that only do it together, or all of them; in their order."""
    assert smallest(range(12), lambda some: blamed <= set(some)) == sorted(blamed)


def test_nothing_is_the_answer_where_nothing_is_needed() -> None:
    """What differs by itself needs no variation, and is not blamed on one."""
    assert smallest(range(12), lambda _: True) == []


def test_of_two_ways_one_is_found() -> None:
    """Either will do; it is one that cannot be made smaller."""

    def does(some: Sequence[int]) -> bool:
        return {2, 7} <= set(some) or 9 in some

    assert smallest(range(12), does) in ([9], [2, 7])


def test_one_thing_among_many_takes_a_bisection() -> None:
    """A thousand calls before the one that broke are not tried one by one."""
    asked: list[int] = []

    def does(some: Sequence[int]) -> bool:
        asked.append(len(some))
        return 613 in some

    assert smallest(range(1000), does) == [613]
    assert len(asked) <= 21
