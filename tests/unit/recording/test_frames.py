"""The bytes of a recording: each frame answers for itself."""

from __future__ import annotations

import pytest

from nxkernel.recording.frames import HEAD, MAGIC, Damage, Frame, frame, frames_of

WHOLE = MAGIC + frame("h", b"head") + frame("v", b"n" * 32, b"value") + frame("e", b"end")


def found(data: bytes) -> list[tuple[Frame, bytes]]:
    """The frames in *data*, each with its body."""
    frames = frames_of(lambda at, size: data[at : at + size], len(data))
    return [(each, each.checked(data[each.start : each.start + each.size])) for each in frames]


def test_what_is_written_is_read() -> None:
    """Kind and body of each frame come back, in order."""
    read = [(each.kind, body) for each, body in found(WHOLE)]
    assert read == [("h", b"head"), ("v", b"n" * 32 + b"value"), ("e", b"end")]


def test_a_tail_that_is_cut_off_at_any_byte_is_left_out() -> None:
    """Whatever a SIGKILL leaves of the last write, the frames before it are read."""
    for size in range(len(WHOLE)):
        whole = [each for each in (len(MAGIC) + HEAD + 4, len(WHOLE) - HEAD - 3) if each <= size]
        assert len(found(WHOLE[:size])) == len(whole)


def test_a_changed_byte_anywhere_is_noticed() -> None:
    """No byte can be turned without damage, and none makes the rest look cut off."""
    for at in range(len(WHOLE)):
        data = bytearray(WHOLE)
        data[at] ^= 1
        with pytest.raises(Damage):
            found(bytes(data))


def test_an_unknown_kind_is_damage() -> None:
    """The set of kinds is closed: a newer writer has another magic."""
    with pytest.raises(Damage, match="damaged head"):
        found(MAGIC + frame("x", b""))
