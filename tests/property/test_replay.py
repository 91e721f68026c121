"""Comparing and recording, for values and files of any make."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from nxkernel._canonical import encode
from nxkernel.recording.frames import MAGIC, frame, frames_of
from nxkernel.replay.comparing import between
from tests.property.test_canonical import VALUES

FRAMES = st.lists(st.tuples(st.sampled_from("hpvbcieZ"), st.binary(max_size=40)), max_size=5)


@settings(max_examples=20)
@given(VALUES, VALUES)
def test_there_is_a_difference_where_the_bytes_differ(one: Any, other: Any) -> None:
    """And nowhere else; it is the same one, with its sides changed, from the other side."""
    there, back = between(one, other), between(other, one)
    assert (there is None) == (encode(one) == encode(other))
    if there is not None:
        assert back is not None
        assert (there.path, there.then, there.now) == (back.path, back.now, back.then)


@settings(max_examples=50)
@given(FRAMES, st.data())
def test_a_file_is_read_up_to_where_it_was_cut_off(
    frames: list[tuple[str, bytes]], data: st.DataObject
) -> None:
    """Whatever is in it, and wherever that is: whole frames, in order, and no damage."""
    pieces = [frame(kind, body) for kind, body in frames]
    whole = MAGIC + b"".join(pieces)
    size = data.draw(st.integers(0, len(whole)))
    cut = whole[:size]
    read = [
        (each.kind, cut[each.start : each.start + each.size])
        for each in frames_of(lambda at, length: cut[at : at + length], size)
    ]
    ends, at = 0, len(MAGIC)
    for piece in pieces:
        at += len(piece)
        ends += at <= size
    assert read == frames[:ends]
