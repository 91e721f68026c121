"""The host's side of blobs: what lies in an arena, what is taken, what is given back."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from typing import Any

import pytest

from nxkernel._blob import NONE, Blob, name_of
from nxkernel._canonical import NotCanonical, blobs_of, encode
from nxkernel._wire import ALIGNMENT, HEAVY, Inline, Slice
from nxkernel.host.arena import KEPT, Arena
from nxkernel.host.memory import memory_file
from nxkernel.host.parcels import Parcels
from nxkernel.host.places import aligned
from tests.support.descriptors import open_files

SIZE = 64 << 20
LARGEST = 48 << 20


def blob(size: int, seed: int = 0) -> Blob:
    return Blob(seed.to_bytes(8, "little") + bytes(size - 8))


def by_name(*blobs: Blob) -> dict[bytes, Blob]:
    return {name_of(each): each for each in blobs}


@pytest.fixture
def arena() -> Iterator[Arena]:
    made = Arena(memory_file(), memory_file(), SIZE, lasting=True)
    yield made
    made.close()


@pytest.fixture
def parcels(arena: Arena) -> Parcels:
    return Parcels(LARGEST, arena)


def footprint(arena: Arena) -> int:
    """Bytes of memory that the arena's files have."""
    return sum(os.fstat(each.fd).st_blocks * 512 for each in (arena.down, arena.up))


def worker_puts(arena: Arena, given: Blob, offset: int) -> Slice:
    os.pwrite(arena.up.fd, given.bytes(), offset)
    return Slice(name_of(given), offset, given.size)


def opened(parcels: Parcels, value: Any, *pieces: Any, since: int = 0) -> Any:
    return parcels.opened(encode(value), pieces, since).value


def test_small_blobs_are_in_the_frame_and_large_ones_in_the_arena(parcels: Parcels) -> None:
    """Each lies at the first place after the one before."""
    small, large, next_ = blob(HEAVY - 1), blob(HEAVY, 1), blob(HEAVY + 1, 2)
    sent = parcels.sent(by_name(small, large, next_), 0)
    assert sent == [
        Inline(name_of(small), small.bytes()),
        Slice(name_of(large), 0, HEAVY),
        Slice(name_of(next_), HEAVY, HEAVY + 1),
    ]
    assert parcels.sent(NONE, 0) == []


def test_without_an_arena_all_are_in_the_frame() -> None:
    """As for a worker that was spawned."""
    large = blob(HEAVY)
    assert Parcels(LARGEST).sent(by_name(large), 0) == [Inline(name_of(large), large.bytes())]


def test_what_finds_no_room_is_in_the_frame(parcels: Parcels) -> None:
    """A full arena is no reason to refuse a call."""
    parcels.sent(by_name(blob(SIZE - ALIGNMENT)), 0)
    late = blob(HEAVY, 9)
    assert parcels.sent(by_name(late), 1) == [Inline(name_of(late), late.bytes())]


def test_what_a_call_has_goes_by_its_name(parcels: Parcels) -> None:
    """In both directions, while the call lasts; another call does not have it."""
    given = blob(HEAVY)
    parcels.sent(by_name(given), 0)
    assert parcels.sent(by_name(given), 0) == []
    assert opened(parcels, [given]) == [given]
    assert opened(parcels, [given])[0] is given
    assert len(parcels.sent(by_name(given), 1)) == 1
    parcels.lower(0)
    with pytest.raises(NotCanonical, match="did not come"):
        opened(parcels, [given])


def test_calls_are_a_stack(parcels: Parcels) -> None:
    """What lies above a call's place goes with it, and its place is used again."""
    low, high, other = (blob(HEAVY, n) for n in range(3))
    parcels.sent(by_name(low), 0)
    mark = parcels.height
    parcels.sent(by_name(high), mark)
    parcels.lower(mark)
    assert parcels.sent(by_name(other), mark) == [Slice(name_of(other), HEAVY, HEAVY)]
    parcels.keep(0, 1)
    assert parcels.height == 1


@pytest.mark.parametrize("held", [-1, 2, 2**63])
def test_a_call_holds_what_it_was_given_at_most(parcels: Parcels, held: int) -> None:
    """Else a worker could have the host believe that somebody else's place is free."""
    parcels.sent(by_name(blob(HEAVY)), 0)
    with pytest.raises(NotCanonical, match="never given"):
        parcels.keep(0, held)
    with pytest.raises(NotCanonical, match="never given"):
        parcels.keep(1, 1)


def test_what_a_worker_sends_is_copied(parcels: Parcels, arena: Arena) -> None:
    """What it writes afterwards is not seen."""
    one, two = blob(HEAVY + 1, 1), blob(100_000, 2)
    pieces = [worker_puts(arena, one, 0), worker_puts(arena, two, aligned(HEAVY + 1))]
    value = opened(parcels, {"a": one, "b": [two, two]}, *pieces)
    os.pwrite(arena.up.fd, b"!" * 200_000, 0)
    assert value["a"].bytes() == one.bytes()
    assert hashlib.sha256(value["b"][0].view()).digest() == name_of(two)


def test_a_hole_costs_no_more_than_the_arena(parcels: Parcels, arena: Arena) -> None:
    """Zeros that the worker never wrote are zeros, or a digest that does not fit."""
    zeros = Blob(bytes(1 << 20))
    assert opened(parcels, [zeros], Slice(name_of(zeros), 0, 1 << 20)) == [zeros]
    with pytest.raises(NotCanonical, match="do not have its digest"):
        opened(parcels, [blob(1 << 20, 7)], Slice(name_of(blob(1 << 20, 7)), 0, 1 << 20))


def test_slices_need_an_arena() -> None:
    """Nothing lies in an arena that was never made."""
    given = blob(HEAVY)
    with pytest.raises(NotCanonical, match="beyond the arena"):
        opened(Parcels(LARGEST), [given], Slice(name_of(given), 0, HEAVY))


def test_blobs_count_with_their_value(parcels: Parcels) -> None:
    """In the frame and in the arena alike; nothing is copied that is too large."""
    given = blob(LARGEST)
    with pytest.raises(NotCanonical, match=f"more bytes than the limit of {LARGEST}"):
        opened(parcels, [given], Slice(name_of(given), 0, LARGEST))
    with pytest.raises(NotCanonical, match=f"more bytes than the limit of {LARGEST}"):
        opened(parcels, [given], Inline(name_of(given), given.bytes()))


def again(parcels: Parcels, arena: Arena, given: Blob, mark: int) -> int:
    """Send a blob to two calls, one after the other; return what is at *mark* for the second.

    Before it, the host itself writes a zero there, which stays where nothing is copied.
    """
    for _ in range(2):
        assert parcels.sent(by_name(given), 0) == [Slice(name_of(given), 0, given.size)]
        parcels.lower(0)
        seen, arena.down.view[mark] = arena.down.view[mark], 0
    return seen


def test_what_lies_there_still_is_not_copied_again(parcels: Parcels, arena: Arena) -> None:
    """The worker cannot write there: its bytes are those of the call before."""
    assert again(parcels, arena, Blob(b"1" * HEAVY), HEAVY - 1) == 0


def test_without_a_wall_it_is_copied_again() -> None:
    """Below `confined` nothing but its own will keeps a worker from writing there."""
    arena = Arena(memory_file(), memory_file(), SIZE)
    assert again(Parcels(LARGEST, arena), arena, Blob(b"1" * HEAVY), HEAVY - 1) == ord("1")
    arena.close()


def test_what_was_given_back_is_copied_again(parcels: Parcels, arena: Arena) -> None:
    """After a rest, and where it lay beyond what is kept after a call."""
    low, high = Blob(b"1" * (KEPT - HEAVY)), Blob(b"2" * (KEPT - HEAVY))
    for pause in (lambda: None, parcels.rest):
        for _ in range(2):
            for piece in parcels.sent(by_name(low, high), 0):
                assert isinstance(piece, Slice)
                there = os.pread(arena.down.fd, piece.size, piece.offset)
                assert hashlib.sha256(there).digest() == piece.name
            parcels.lower(0)
            pause()
            assert footprint(arena) <= KEPT


def test_memory_is_given_back(parcels: Parcels, arena: Arena) -> None:
    """Beyond what is kept for the next call, in both halves; what lies there is not touched."""
    one, two = blob(20 << 20, 1), blob(20 << 20, 2)
    parcels.sent(by_name(one, two), 0)
    big = blob(24 << 20, 3)
    opened(parcels, [big], worker_puts(arena, big, 0))
    assert footprint(arena) >= 64 << 20
    parcels.lower(1)
    assert footprint(arena) >= 64 << 20
    parcels.lower(0)
    assert footprint(arena) <= 2 * KEPT
    parcels.sent(by_name(one, two), 0)
    assert os.pread(arena.down.fd, one.size, 0) == one.bytes()
    assert opened(parcels, [big], worker_puts(arena, big, 0))[0].bytes() == big.bytes()


def test_a_worker_at_rest_has_no_memory(parcels: Parcels, arena: Arena) -> None:
    """All of it is given back, unless a call is there; the next call finds its place again."""
    given = blob(HEAVY * 2, 5)
    parcels.sent(by_name(given), 0)
    opened(parcels, [given], worker_puts(arena, given, 0))
    parcels.rest()
    assert footprint(arena) >= HEAVY * 4
    parcels.lower(0)
    parcels.rest()
    assert footprint(arena) == 0
    parcels.sent(by_name(given), 0)
    assert os.pread(arena.down.fd, given.size, 0) == given.bytes()
    Parcels(LARGEST).rest()


def test_what_is_left_keeps_its_memory(parcels: Parcels, arena: Arena) -> None:
    """Until it is settled, however long no call is there; then it is given back like any other."""
    given = blob(KEPT + HEAVY, 6)
    parcels.sent(by_name(given), 0)
    parcels.leave(0)
    parcels.lower(0)
    parcels.rest()
    assert os.pread(arena.down.fd, given.size, 0) == given.bytes()
    parcels.settle()
    assert footprint(arena) <= KEPT
    parcels.rest()
    assert footprint(arena) == 0


def test_memory_does_not_grow_with_calls(parcels: Parcels, arena: Arena) -> None:
    """A thousand calls use the memory of one."""
    for seed in range(1000):
        given = blob(HEAVY * 3, seed)
        parcels.sent(by_name(given), 0)
        parcels.lower(0)
    assert footprint(arena) <= aligned(HEAVY * 3)


def test_an_arena_that_cannot_be_mapped_is_done_without(
    parcels: Parcels, arena: Arena, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host with little room for addresses sends blobs in frames, and reads what comes."""

    def refuse(*_: object) -> None:
        raise OSError(12, "Cannot allocate memory")

    monkeypatch.setattr("nxkernel.host.memory.mmap.mmap", refuse)
    given = blob(HEAVY)
    assert parcels.sent(by_name(given), 0) == [Inline(name_of(given), given.bytes())]
    assert opened(parcels, [given], worker_puts(arena, given, 0)) == [given]


def test_nothing_lies_in_a_closed_arena(parcels: Parcels) -> None:
    """What lay there is sent in the frame, as by a host that was forked in the middle of a call."""
    given = blob(HEAVY)
    parcels.sent(by_name(given), 0)
    parcels.close()
    assert parcels.sent(by_name(given), 0) == [Inline(name_of(given), given.bytes())]


def mapped() -> set[int]:
    """Return the numbers of the files that this process has in its memory; see proc_maps(5)."""
    with open("/proc/self/maps") as maps:
        return {int(line.split()[4]) for line in maps}


def test_a_closed_arena_leaves_nothing_open() -> None:
    """Neither a descriptor nor a mapping, however often it is closed."""
    before, files = open_files(), set()
    for _ in range(3):
        arena = Arena(memory_file(), memory_file(), SIZE)
        files |= {os.fstat(each.fd).st_ino for each in (arena.down, arena.up)}
        Parcels(LARGEST, arena).sent(by_name(blob(HEAVY)), 0)
        assert mapped() & files
        arena.close()
        arena.close()
    assert open_files() == before
    assert not mapped() & files


def test_blobs_of_a_value_come_in_the_order_of_their_names() -> None:
    """So that equal values make equal frames."""
    blobs = [blob(9, n) for n in range(20)]
    assert list(blobs_of(blobs, encode(blobs))) == sorted(map(name_of, blobs))
