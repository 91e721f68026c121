"""Slots: the calls in flight, as somebody else reads them."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from nxkernel.audit.spool.slots import CHUNK, MAX_BYTES, Found, Slots, fence, found_slots


def seen(path: Path) -> list[bytes]:
    """Return what a reader of the file sees, sorted."""
    return sorted(found.payload for found in found_slots(path.read_bytes()))


def test_a_call_is_seen_from_fill_to_clear(tmp_path: Path) -> None:
    """Another process sees it at once, without a write."""
    path = tmp_path / "x.slots"
    slots = Slots(path)
    slot = slots.take(5)
    assert seen(path) == []
    slot.fill(b"call1")
    assert list(found_slots(path.read_bytes())) == [Found(b"call1", 0, 0)]
    slot.aim(3, 99)
    assert list(found_slots(path.read_bytes())) == [Found(b"call1", 3, 99)]
    slot.clear()
    assert seen(path) == []
    slots.close()


def test_there_is_a_slot_for_every_call(tmp_path: Path) -> None:
    """The file grows with the number of calls and with the length of their facts."""
    path = tmp_path / "x.slots"
    slots = Slots(path)
    said = [bytes([number % 256]) * length for number, length in enumerate(LENGTHS)]
    taken = [slots.take(len(text)) for text in said]
    for slot, text in zip(taken, said, strict=True):
        slot.fill(text)
    assert seen(path) == sorted(said)
    for slot in taken:
        slot.clear()
        slots.give_back(slot)
    size = path.stat().st_size
    for text in said:
        slots.take(len(text)).fill(text)
    assert (seen(path), path.stat().st_size) == (sorted(said), size)
    slots.close()


LENGTHS = [1, 400, 488, 489, 2000, 5000, 9000, MAX_BYTES] * 3 + [20] * 300


def test_a_call_that_fits_no_slot_is_refused(tmp_path: Path) -> None:
    """Its facts would not be on record before the worker sees it."""
    slots = Slots(tmp_path / "x.slots")
    with pytest.raises(OverflowError):
        slots.take(MAX_BYTES + 1)
    slots.close()


def test_a_torn_slot_is_none(tmp_path: Path) -> None:
    """Killed at any byte of filling it, the kernel had not made the call."""
    path = tmp_path / "x.slots"
    slots = Slots(path)
    before = path.read_bytes()
    slots.take(9).fill(b"the facts")
    after = path.read_bytes()
    slots.close()
    changed = [at for at, (a, b) in enumerate(zip(before, after, strict=True)) if a != b]
    for cut in range(changed[0], changed[-1] + 1):
        # The head is written last, so a store that was cut off may have any part of it.
        torn = before[:cut] + after[cut:]
        assert [found.payload for found in found_slots(torn)] in ([], [b"the facts"])
    for at, bit in itertools.product(changed, range(8)):
        damaged = bytearray(after)
        damaged[at] ^= 1 << bit
        found = [found.payload for found in found_slots(bytes(damaged))]
        assert found in ([], [b"the facts"])


@pytest.mark.parametrize("length", [0, 1, 511, CHUNK - 1, CHUNK + 1, CHUNK + 600])
def test_a_file_of_any_length_can_be_read(tmp_path: Path, length: int) -> None:
    """A chunk that was not wholly written is passed over."""
    path = tmp_path / "x.slots"
    slots = Slots(path)
    slots.take(1).fill(b"x")
    slots.close()
    data = (path.read_bytes() + path.read_bytes())[:length]
    assert [found.payload for found in found_slots(data)] in ([], [b"x"], [b"x", b"x"])


def test_damage_to_one_chunk_hides_no_other(tmp_path: Path) -> None:
    """Where a capacity is none, reading goes on with the next chunk."""
    path = tmp_path / "x.slots"
    slots = Slots(path)
    taken = [slots.take(1) for _ in range(200)]
    for slot in taken:
        slot.fill(b"x")
    slots.close()
    data = bytearray(path.read_bytes())
    data[512] ^= 0xFF
    assert len(list(found_slots(bytes(data)))) == 200 - 127


def test_the_fence_is_seen_by_the_kernel(tmp_path: Path) -> None:
    """Whoever takes a kernel for dead tells it so, and disturbs no slot."""
    path = tmp_path / "x.slots"
    fence(path)  # nobody is there
    slots = Slots(path)
    slots.take(1).fill(b"x")
    assert not slots.is_fenced
    fence(path)
    assert slots.is_fenced
    assert seen(path) == [b"x"]
    slots.close()
