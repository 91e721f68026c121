"""The worker's end of the wire: whole messages, however their bytes come."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nxkernel._wire import Ping, pack
from nxkernel.worker.pipe import HostGone, Pipe


@given(cuts=st.sets(st.integers(1, 60)), count=st.integers(1, 6))
def test_every_message_is_taken_once_and_in_order(cuts: set[int], count: int) -> None:
    """In pieces, several at once, or each by itself; then the host's end is seen."""
    data = b"".join(pack(Ping(seq=seq)) for seq in range(count))
    edges = [0, *sorted(cut for cut in cuts if cut < len(data)), len(data)]
    pieces = [data[a:b] for a, b in itertools.pairwise(edges)]
    chunks = iter([*pieces, b""])
    pipe = Pipe(read=lambda _: next(chunks), write=len, descriptor=-1)
    assert [pipe.receive() for _ in range(count)] == [Ping(seq=seq) for seq in range(count)]
    with pytest.raises(HostGone):
        pipe.receive()
