"""Frames: what was appended comes back, and nothing else does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nxkernel.audit.spool.frames import HEAD_BYTES, MAX_BYTES, frame, frames

PAYLOADS = st.lists(st.binary(min_size=1, max_size=40), max_size=8)


def read(data: bytes) -> tuple[list[bytes], int]:
    """Return all payloads and the place behind the last."""
    found = [(bytes(payload), end) for payload, end in frames(data)]
    return [payload for payload, _ in found], found[-1][1] if found else 0


@given(PAYLOADS)
def test_what_was_appended_comes_back(payloads: list[bytes]) -> None:
    """In the same order, to the last byte."""
    data = b"".join(map(frame, payloads))
    assert read(data) == (payloads, len(data))


@given(PAYLOADS, st.data())
def test_cut_anywhere_it_ends_at_a_frame(payloads: list[bytes], data: st.DataObject) -> None:
    """Of a file that was cut off, the whole frames are left, and it is known where they end."""
    whole = b"".join(map(frame, payloads))
    cut = data.draw(st.integers(0, len(whole)))
    found, end = read(whole[:cut])
    assert payloads[: len(found)] == found
    assert end <= cut < end + HEAD_BYTES + len((*payloads, b"")[len(found)]) + (cut == len(whole))


@given(st.lists(st.binary(min_size=1, max_size=20), min_size=1, max_size=4), st.data())
def test_a_flipped_bit_is_seen(payloads: list[bytes], data: st.DataObject) -> None:
    """No frame from the damaged one on is taken for what was written."""
    whole = bytearray(b"".join(map(frame, payloads)))
    bit = data.draw(st.integers(0, len(whole) * 8 - 1))
    whole[bit // 8] ^= 1 << bit % 8
    found, end = read(bytes(whole))
    assert found == payloads[: len(found)]
    assert end <= bit // 8


def test_a_hole_of_zeros_is_no_frame() -> None:
    """A loss of power may leave zeros where data was to be."""
    assert read(frame(b"x") + bytes(4096)) == ([b"x"], HEAD_BYTES + 1)


@pytest.mark.parametrize("length", [0, MAX_BYTES + 1])
def test_what_no_reader_would_take_is_not_written(length: int) -> None:
    """A frame has a length that a reader believes."""
    with pytest.raises(OverflowError):
        frame(bytes(length))
