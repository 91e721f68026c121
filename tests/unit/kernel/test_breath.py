"""Breath: an event loop gets a turn for each millisecond that calls have kept it."""

from __future__ import annotations

from nxkernel.kernel.breath import LONGEST_S, Breath
from tests.support.calls import FakeClock


def test_many_short_calls_are_as_long_as_one_long_one() -> None:
    """Their times add up, a turn begins anew, and time between calls is nobody's."""
    clock = FakeClock()
    breath = Breath(clock.monotonic)

    def call(seconds: float) -> bool:
        since = clock.now
        clock.now += seconds
        return breath.is_due(since)

    assert [call(0.4 * LONGEST_S) for _ in range(6)] == [False, False, True] * 2
    clock.now += 100.0
    assert not call(0.4 * LONGEST_S)
    assert call(1.5 * LONGEST_S)
    assert not call(0.4 * LONGEST_S)
