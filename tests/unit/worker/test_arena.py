"""A worker's side of its arena: what a plugin keeps of a blob is its own after the call."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator

import pytest

from nxkernel._blob import Blob, name_of
from nxkernel._wire import ALIGNMENT, HEAVY, Inline, Slice
from nxkernel.worker.arena import Arena, Loan
from nxkernel.worker.parcels import Parcels

SIZE = 1 << 20


def blob(size: int, seed: int = 0) -> Blob:
    return Blob((seed.to_bytes(8, "little") * (size // 8 + 1))[:size])


def memory(name: str) -> Iterator[int]:
    made = os.memfd_create(name)
    os.ftruncate(made, SIZE)
    yield made
    os.close(made)


@pytest.fixture
def fd() -> Iterator[int]:
    """Where the host writes."""
    yield from memory("test")


@pytest.fixture
def ours() -> Iterator[int]:
    yield from memory("ours")


@pytest.fixture
def parcels(fd: int, ours: int) -> Parcels:
    return Parcels(Arena(os.open(f"/proc/self/fd/{fd}", os.O_RDONLY), ours))


def host_puts(fd: int, given: Blob, offset: int = 0) -> Slice:
    os.pwrite(fd, given.bytes(), offset)
    return Slice(name_of(given), offset, given.size)


def digest_of(view: memoryview) -> str:
    return "sha256:" + hashlib.sha256(view).hexdigest()


def private_bytes() -> int:
    with open("/proc/self/maps") as maps:
        return sum("memfd:test" in line for line in maps)


def test_a_blob_is_read_in_place(parcels: Parcels, fd: int) -> None:
    """No copy is made while the call lasts: the memory is the arena's."""
    given = blob(HEAVY)
    loans: list[Loan] = []
    (got,) = parcels.opened([host_puts(fd, given)], loans).values()
    assert got == given
    os.pwrite(fd, b"!", 0)
    assert got.view()[0] == ord("!")


def test_what_is_kept_stays_what_it_was(parcels: Parcels, fd: int) -> None:
    """Blobs, views and slices of views hold the old bytes when the place is used again."""
    one, two = blob(HEAVY + 5, 1), blob(HEAVY + 5, 2)
    loans: list[Loan] = []
    (got,) = parcels.opened([host_puts(fd, one)], loans).values()
    view, part = got.view(), got.view()[3:]
    del got
    parcels.settled(loans)
    assert loans == []
    (other,) = parcels.opened([host_puts(fd, two)], loans).values()
    assert digest_of(view) == one.digest
    assert bytes(part) == one.bytes()[3:]
    assert digest_of(other.view()) == two.digest
    # The newer one lies beside what was kept; kept itself, it stays what it was as well.
    parcels.settled(loans)
    os.pwrite(fd, bytes(SIZE), 0)
    assert (digest_of(view), digest_of(other.view())) == (one.digest, two.digest)


def test_what_is_dropped_makes_room_again(parcels: Parcels, fd: int) -> None:
    """Once nothing is left of it, blobs are read in place there as before; no mapping is left."""
    before = private_bytes()
    for round_ in range(50):
        loans: list[Loan] = []
        given = blob(HEAVY, round_)
        (got,) = parcels.opened([host_puts(fd, given)], loans).values()
        parcels.settled(loans)
        os.pwrite(fd, bytes(SIZE), 0)
        assert digest_of(got.view()) == given.digest
        del got
    (got,) = parcels.opened([host_puts(fd, blob(HEAVY, 99))], []).values()
    os.pwrite(fd, b"!", 0)
    assert got.view()[0] == ord("!")
    del got
    assert private_bytes() <= before + 1  # the file itself


def test_many_may_be_kept(parcels: Parcels, fd: int) -> None:
    """Of the same place, one after another; each has its own bytes."""
    kept = []
    for seed in range(40):
        loans: list[Loan] = []
        kept += parcels.opened([host_puts(fd, blob(HEAVY, seed))], loans).values()
        parcels.settled(loans)
    assert [digest_of(each.view()) for each in kept] == [
        blob(HEAVY, seed).digest for seed in range(40)
    ]
    while kept:
        kept.pop(len(kept) // 2)


def test_what_the_call_has_goes_by_its_name(parcels: Parcels, fd: int) -> None:
    """It is not sent back, and a reply may refer to it, also when the plugin dropped it before."""
    given, new = blob(HEAVY, 1), blob(HEAVY, 2)
    loans: list[Loan] = []
    got = parcels.opened([host_puts(fd, given)], loans)
    assert parcels.sent(got, loans) == []
    del got
    assert parcels.opened([], loans) == {name_of(given): given}
    assert parcels.sent({name_of(new): new}, loans) == [Slice(name_of(new), 0, HEAVY)]


def test_held_counts_from_below(parcels: Parcels, fd: int) -> None:
    """What is dropped below something that is held keeps its place."""
    loans: list[Loan] = []
    pieces = [host_puts(fd, blob(HEAVY, n), n * HEAVY) for n in range(3)]
    got = list(parcels.opened(pieces, loans).values())
    assert parcels.held(loans) == 3
    got[0] = None  # type: ignore[call-overload]
    assert parcels.held(loans) == 3
    got[2] = None  # type: ignore[call-overload]
    assert parcels.held(loans) == 2
    got.clear()
    assert parcels.held(loans) == 0


def test_large_blobs_are_put_one_after_another(parcels: Parcels, ours: int) -> None:
    """Small ones, and what finds no room, go in the frame."""
    small, one, two, huge = blob(9), blob(HEAVY + 1, 1), blob(HEAVY, 2), blob(SIZE, 3)
    blobs = {name_of(each): each for each in (small, one, two, huge)}
    end = (HEAVY // ALIGNMENT + 1) * ALIGNMENT
    assert parcels.sent(blobs, []) == [
        Inline(name_of(small), small.bytes()),
        Slice(name_of(one), 0, HEAVY + 1),
        Slice(name_of(two), end, HEAVY),
        Inline(name_of(huge), huge.bytes()),
    ]
    assert os.pread(ours, one.size, 0) == one.bytes()
    assert os.pread(ours, two.size, end) == two.bytes()


def test_a_worker_without_an_arena_sends_all_in_frames() -> None:
    """As one that was spawned."""
    large = blob(HEAVY)
    assert Parcels().sent({name_of(large): large}, []) == [Inline(name_of(large), large.bytes())]
    assert Parcels().opened([Inline(name_of(large), large.bytes())], []) == {name_of(large): large}
