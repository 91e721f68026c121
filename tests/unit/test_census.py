"""Values in MessagePack are counted without being built."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nxkernel import _canonical, _census

LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.text(max_size=300)
    | st.binary(max_size=300)
)
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=40), inner)
)


def count(value: Any) -> int:
    """Count *value*, its elements and keys."""
    if isinstance(value, dict):
        return 1 + len(value) + sum(map(count, value.values()))
    return 1 + sum(map(count, value)) if isinstance(value, list) else 1


@given(VALUES)
def test_the_count_is_that_of_the_value(value: Any) -> None:
    """Exactly as many values as there are pass; with room for one less they do not."""
    data = msgspec.msgpack.encode(value)
    for room, too_many in ((count(value), False), (count(value) - 1, True)):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(_census, "_FREE", 0)
            patch.setattr(_census, "MAX_VALUES", room)
            assert _census.has_too_many(data) is (too_many and room >= 0)


@pytest.mark.parametrize("body", [b"\x80", b"\x90", b"\xc0", b"\xa0", b"\x00"])
def test_a_million_values_are_the_most(body: bytes) -> None:
    """The list itself counts too; it is refused before anything is built of it."""
    most = _census.MAX_VALUES - 1
    assert len(_canonical.decode(b"\xdd" + most.to_bytes(4, "big") + body * most)) == most
    with pytest.raises(_canonical.NotCanonical, match="more than 1048576 values"):
        _canonical.decode(b"\xdd" + (most + 1).to_bytes(4, "big") + body * (most + 1))


def test_large_bytes_are_one_value() -> None:
    """Whatever stands in them."""
    data = msgspec.msgpack.encode(b"\x80" * (4 * _census.MAX_VALUES))
    assert not _census.has_too_many(data)


@given(st.binary())
def test_what_is_no_messagepack_is_left_to_the_decoder(data: bytes) -> None:
    """It is counted somehow, and never read beyond its end."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_census, "_FREE", 0)
        assert _census.has_too_many(data) is False
