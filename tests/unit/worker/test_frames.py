"""A call on a worker's stack."""

from __future__ import annotations

from nxkernel._streams import Streams
from nxkernel.worker.frames import Frame, depth


def test_calls_have_nothing_in_common() -> None:
    """What one lends or uses is not the other's."""
    one, other = (Frame(seq=seq, streams=Streams(bytes(32))) for seq in (1, 2))
    assert one.loans is not other.loans
    assert one.meter is not other.meter
    assert one != Frame(seq=1, streams=one.streams)


def test_depth_counts_what_is_under_way() -> None:
    """One more for each function that is entered."""

    def deeper() -> int:
        return depth()

    assert deeper() == depth() + 1
