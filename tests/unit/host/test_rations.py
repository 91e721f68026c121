"""What a worker may send of a stream in one turn."""

from __future__ import annotations

import pytest

from nxkernel._wire import Inline, Item, Slice, Window
from nxkernel.host.rations import Ration


def item(size: int, *blobs: Inline | Slice) -> Item:
    """An item of so many bytes beside its blobs."""
    return Item(seq=1, payload=b"x" * size, blobs=list(blobs))


@pytest.mark.parametrize(("window", "sizes"), [((3, 100), [1, 1, 1]), ((9, 10), [4, 4, 4])])
def test_the_item_that_uses_up_either_part_is_the_last(
    window: tuple[int, int], sizes: list[int]
) -> None:
    """It may go beyond the bytes, as nobody knows before how large it is; none comes behind it."""
    ration = Ration(Window(*window))
    ration.begin()
    assert [ration.take(item(size)) for size in sizes] == [True] * len(sizes)
    assert not ration.take(item(0))


def test_nothing_comes_between_two_turns() -> None:
    """Before the first one begins either."""
    ration = Ration(Window(1, 100))
    assert not ration.take(item(1))
    assert ration.begin() == Window(1, 100)
    assert ration.take(item(1))
    assert ration.begin() == Window(1, 100)


def test_blobs_weigh_what_they_are() -> None:
    """Wherever they lie: in line or in the arena."""
    for blob in (Inline(b"n" * 32, b"x" * 90), Slice(b"n" * 32, 0, 90)):
        ration = Ration(Window(9, 100))
        ration.begin()
        assert ration.take(item(10, blob))
        assert not ration.take(item(1))


def test_a_turn_knows_whether_anything_came() -> None:
    """And how much still may."""
    ration = Ration(Window(4, 100))
    ration.begin()
    assert (ration.is_untouched, ration.items) == (True, 4)
    ration.take(item(1))
    assert (ration.is_untouched, ration.items) == (False, 3)
