"""Laws of shrinking, whatever is to blame."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from nxkernel.variation.shrinking import smallest

_ITEMS = 16
_blames = st.lists(
    st.frozensets(st.integers(0, _ITEMS - 1), min_size=1, max_size=4), min_size=1, max_size=3
)


@given(_blames)
def test_what_is_left_does_it_and_nothing_less(blames: list[frozenset[int]]) -> None:
    """The result does it; without any one of its items it does not; it keeps their order."""

    def does(some: Sequence[int]) -> bool:
        return any(blame <= set(some) for blame in blames)

    found = smallest(range(_ITEMS), does)
    assert does(found)
    assert found == sorted(found)
    assert not any(does([item for item in found if item != left]) for left in found)
