"""A value with blobs is the same value at the other end, whatever way its blobs take."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nxkernel._blob import Blob, Blobs
from nxkernel._canonical import blobs_of, decode, digest, encode
from nxkernel._values import lift, lower
from nxkernel._wire import (
    HEAVY,
    Inline,
    Reply,
    Result,
    Slice,
    pack,
    unpack_from_host,
    unpack_from_worker,
)
from nxkernel.host.arena import Arena
from nxkernel.host.memory import memory_file
from nxkernel.host.parcels import Parcels
from nxkernel.worker.arena import Arena as TheirArena
from nxkernel.worker.arena import Loan
from nxkernel.worker.parcels import Parcels as TheirParcels

SIZE = 1 << 18
#: Some lie in an arena, some do not, and some find no room there.
SIZES = (0, 1, 40, HEAVY - 1, HEAVY, HEAVY + 1, 3 * HEAVY, SIZE)
BLOBS = st.builds(
    lambda size, seed, media: Blob((bytes([seed]) * size)[:size], media),
    st.sampled_from(SIZES),
    st.integers(0, 3),
    st.sampled_from(["a/b", "image/png"]),
)
VALUES = st.recursive(
    BLOBS | st.none() | st.integers(0, 9) | st.binary(max_size=4) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)


@attrs.frozen
class Record:
    blob: Blob | None
    more: list[Blob]


@attrs.frozen
class Both:
    """The two ends of one worker's wire."""

    ours: Parcels
    theirs: TheirParcels


@pytest.fixture(scope="module", params=["arena", "frames"])
def both(request: pytest.FixtureRequest) -> Iterator[Both]:
    if request.param == "frames":
        yield Both(Parcels(1 << 26), TheirParcels())
        return
    arena = Arena(memory_file(), memory_file(), SIZE, lasting=True)
    yield Both(Parcels(1 << 26, arena), TheirParcels(TheirArena(arena.down.fd, arena.up.fd)))
    arena.close()


def blobs_in(value: Any) -> Blobs:
    return blobs_of(value, encode(value))


@given(VALUES, VALUES)
def test_it_crosses_down_and_up_again(both: Both, value: Any, answer: Any) -> None:
    """Down with a call, up with its answer, and the host has again what it had before."""
    payload = encode(value)
    message = Reply(1, payload, None, both.ours.sent(blobs_in(value), both.ours.height))
    heard = unpack_from_host(pack(message)[4:])
    assert isinstance(heard, Reply)
    loans: list[Loan] = []
    there = decode(heard.payload, both.theirs.opened(heard.blobs, loans))
    assert there == value
    assert encode(there) == payload

    both_ways = [there, answer]
    back = encode(both_ways)
    sent = Result(1, back, 0, both.theirs.sent(blobs_in(both_ways), loans))
    result = unpack_from_worker(pack(sent)[4:])
    assert isinstance(result, Result)
    shape = both.ours.opened(result.payload, result.blobs, 0)
    assert shape.value == [value, answer]
    assert digest(back) == digest(encode([value, answer]))
    del there, both_ways
    both.theirs.settled(loans)
    both.ours.lower(0)


@given(st.lists(BLOBS, max_size=6))
def test_what_is_kept_outlives_its_call(both: Both, blobs: list[Blob]) -> None:
    """A worker that keeps everything has everything, while the arena is used again and again."""
    kept: list[Any] = []
    for each in blobs:
        loans: list[Loan] = []
        pieces = both.ours.sent(blobs_in([each]), both.ours.height)
        kept += both.theirs.opened(pieces, loans).values()
        both.theirs.settled(loans)
        both.ours.lower(0)
    assert [each.bytes() for each in kept] == [each.bytes() for each in blobs]


@given(VALUES)
def test_annotations_leave_blobs_alone(value: Any) -> None:
    """Lowered and lifted as plain data, in a list or in a field, a blob is itself."""

    found = list(blobs_in(value).values())
    record = Record(found[0] if found else None, found)
    assert lift(lower(record, Record), Record) == record
    assert lower(value) == value


@given(st.binary(max_size=60), st.lists(st.binary(max_size=5), max_size=3))
def test_no_pieces_make_a_value_of_anything(both: Both, payload: bytes, data: list[bytes]) -> None:
    """Whatever a worker sends as value and blobs is taken whole, or refused as a whole."""
    pieces = [Inline(each, each) for each in data] + [Slice(b"", 0, len(data))]
    with pytest.raises(ValueError):
        both.ours.opened(payload, pieces, 0)
