"""Where blobs lie in what a worker reads: found again, out of each other's way, never by halves."""

from __future__ import annotations

import pytest

from nxkernel._blob import NONE, Blob, name_of
from nxkernel.host.places import MOST, Places, aligned

PAGE = 4096
ROOM, NEAR = 64 * PAGE, 16 * PAGE


def blob(pages: int, seed: int = 0) -> Blob:
    return Blob(seed.to_bytes(8, "little") + bytes(pages * PAGE - 8))


@pytest.fixture
def places() -> Places:
    return Places(ROOM, NEAR, lasting=True)


def put(places: Places, given: Blob) -> int | None:
    """Put a blob where it lies or may lie, as the arena does."""
    at = places.again(given)
    if at is None:
        at = places.find(given)
        if at is not None:
            places.laid(given, at)
    return at


def call(places: Places, *given: Blob) -> list[int | None]:
    """A call by itself with these blobs, those first that lie there."""
    height = places.height
    found = {name_of(each): at for each in given if (at := places.again(each)) is not None}
    for each in given:
        if name_of(each) not in found:
            found[name_of(each)] = put(places, each)  # type: ignore[assignment]
    places.lower(height)
    return [found[name_of(each)] for each in given]


def test_it_is_found_again_after_its_call(places: Places) -> None:
    """Where it lay, as often as it comes, whatever its media type is."""
    given = blob(2)
    assert places.again(given) is None
    assert call(places, given) == [0]
    for media in ("a/b", "image/png"):
        assert places.again(Blob(given.bytes(), media)) == 0
        places.lower(0)


def test_nothing_is_found_where_bytes_do_not_last() -> None:
    """A worker that no wall keeps from writing is given every blob anew."""
    places = Places(ROOM, NEAR, lasting=False)
    given = blob(2)
    assert call(places, given) == [0]
    assert places.again(given) is None


def test_what_is_written_over_is_not_found(places: Places) -> None:
    """From the moment on in which a place for something else is named, in part or whole."""
    low, high, wide = blob(2, 1), blob(2, 2), blob(3, 3)
    assert call(places, low, high) == [0, 2 * PAGE]
    assert places.find(wide) == 0
    assert places.again(low) is None
    assert places.again(high) is None


def test_new_ones_go_around_what_is_found(places: Places) -> None:
    """Below it, where they fit, and else above: a place that is used is not used twice."""
    low, high = blob(2, 1), blob(2, 2)
    call(places, low, high)
    assert call(places, high, blob(2, 3)) == [2 * PAGE, 0]
    assert call(places, high, blob(3, 4)) == [2 * PAGE, 4 * PAGE]
    assert places.again(high) == 2 * PAGE
    small, more = blob(1, 5), blob(2, 6)
    assert [put(places, each) for each in (small, more)] == [0, 4 * PAGE]
    assert put(places, blob(1, 7)) == 6 * PAGE


def test_one_that_comes_back_gets_a_place_of_its_own(places: Places) -> None:
    """Two that come in turn are each found from then on; those that come once use one place."""
    one, two = blob(4, 1), blob(4, 2)
    assert [call(places, each) for each in (one, two, one, two, one)] == [
        [0],
        [0],
        [4 * PAGE],
        [0],
        [4 * PAGE],
    ]
    for seed in range(3, 40):
        assert call(places, blob(4, seed)) == [0]
    assert places.again(one) == 4 * PAGE


def test_a_place_of_its_own_is_one_of_the_call(places: Places) -> None:
    """What the call is given after it lies around it, and neither over it."""
    one, two = blob(4, 1), blob(4, 2)
    call(places, one)
    call(places, two)
    assert call(places, one, blob(6, 3), blob(3, 4)) == [4 * PAGE, 8 * PAGE, 14 * PAGE]


def test_what_would_need_more_memory_than_is_kept_gets_none(places: Places) -> None:
    """Places of their own end where memory is given back after the call."""
    one, two = blob(9, 1), blob(9, 2)
    assert [call(places, each) for each in (one, two, one, two)] == [[0]] * 4


def test_no_two_calls_have_the_same_place(places: Places) -> None:
    """The worker puts a copy over what is kept, call by call: the inner one is given another."""
    given = blob(2)
    assert put(places, given) == 0
    inner = places.height
    assert put(places, given) == 2 * PAGE
    assert places.since(inner) == {name_of(given): given}
    places.lower(inner)
    assert put(places, given) == 2 * PAGE, "it is found where it lay for the inner call"
    assert put(places, given) == 4 * PAGE, "and that place is in use once more"
    places.lower(0)
    assert places.since(0) is NONE


def test_what_is_left_is_read_on(places: Places) -> None:
    """It is nobody's place until its reader is done; calls below it go on as if it were not."""
    low, left = blob(2, 1), blob(2, 2)
    put(places, low)
    inner = places.height
    assert put(places, left) == 2 * PAGE
    places.leave(inner)
    assert (places.height, places.since(0)) == (1, {name_of(low): low})
    assert put(places, left) == 4 * PAGE, "not where it is read, though it lies there"
    places.lower(0)
    assert places.used
    places.settle()
    assert not places.used
    assert put(places, blob(4, 3)) == 0


def test_a_full_room_says_so(places: Places) -> None:
    """And forgets nothing for it."""
    given = blob(60)
    assert put(places, given) == 0
    assert put(places, blob(5, 1)) is None
    assert put(places, blob(4, 2)) == 60 * PAGE
    places.lower(0)
    assert places.again(given) == 0


def test_what_is_given_back_is_not_found(places: Places) -> None:
    """What ends beyond the memory that stays, and all of it when none stays."""
    low, high = blob(2, 1), blob(2, 2)
    call(places, low, high)
    places.forget(3 * PAGE)
    assert places.again(high) is None
    assert places.again(low) == 0
    places.lower(0)
    places.forget()
    assert places.again(low) is None


def test_what_is_remembered_is_bounded(places: Places) -> None:
    """A call with a thousand blobs leaves as many names as any other."""
    places = Places(1 << 30, 1 << 30, lasting=True)
    many = [blob(1, seed) for seed in range(4 * MOST)]
    call(places, *many)
    assert [each for each in many if places.again(each) is not None] == many[-MOST:]
    places.lower(0)
    for each in many:
        places.find(each)
        places.lower(0)
    assert len(places._there) <= MOST
    assert len(places._gone) <= MOST


def test_what_comes_often_is_remembered_longest() -> None:
    """Where one name too many lies there, the one is forgotten that was longest not asked for."""
    places = Places(1 << 30, 1 << 30, lasting=True)
    one, *many = [blob(1, seed) for seed in range(MOST)]
    call(places, one, *many)
    assert all(places.again(each) is not None for each in (*many, one))
    put(places, blob(1, MOST))
    places.lower(0)
    assert places.again(many[0]) is None
    assert places.again(one) == 0


@pytest.mark.parametrize("size", [1, PAGE - 1, PAGE, PAGE + 1])
def test_places_begin_at_pages(places: Places, size: int) -> None:
    """Whatever the sizes are: a page is the unit in which the worker maps memory."""
    one, two = Blob(b"1" * size), Blob(b"2" * size)
    assert [put(places, one), put(places, two)] == [0, aligned(size)]
