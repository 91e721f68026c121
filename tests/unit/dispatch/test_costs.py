"""What each layer of a call takes, by a clock that the test moves."""

from __future__ import annotations

import attrs

from nxkernel.dispatch.costs import EVERY, Costs


@attrs.define
class Clock:
    """Moves only when it is told."""

    now: float = 0.0

    def monotonic(self) -> float:
        """Seconds."""
        return self.now

    def wall_ns(self) -> int:
        """The same in nanoseconds."""
        return int(self.now * 1e9)


def test_one_call_in_sixteen_is_measured_for_each_hook() -> None:
    """The first call of each hook is, so that nobody waits; hooks are counted apart."""
    costs = Costs(Clock())
    measured = [costs.sample("a") is not None for _ in range(2 * EVERY)]
    assert [number for number, each in enumerate(measured) if each] == [0, EVERY]
    assert costs.sample("b") is not None


def test_time_goes_to_the_layer_that_took_it() -> None:
    """Each second is accounted for once; what nobody claims is the kernel's own."""
    clock = Clock()
    costs = Costs(clock)
    sample = costs.sample("a")
    assert sample is not None
    clock.now += 1
    sample.lap("arguments")
    clock.now += 2  # nobody's
    branch = sample.branch()
    clock.now += 4 + 8  # both layers, on the way in
    branch.sent(["audit", "policy"])
    clock.now += 32
    branch.answered(plugin_us=16_000_000)
    clock.now += 64  # the outer one, on the way out
    branch.layered(["audit", "policy"], [68_000_000_000, 8_000_000_000])
    costs.keep("a", sample)
    found = {each.layer: each.median_us / 1e6 for each in costs.of("a")}
    assert found == {
        "arguments": 1,
        "audit": 68,
        "policy": 8,
        "transport": 16,
        "plugin": 16,
        "kernel": 2,
    }
    assert costs.of("b") == ()


def test_a_worker_that_claims_more_than_there_was_gets_what_there_was() -> None:
    """The time inside a plugin is a worker's word: it cannot make the others' negative."""
    clock = Clock()
    costs = Costs(clock)
    sample = costs.sample("a")
    assert sample is not None
    clock.now += 3
    sample.answered(plugin_us=10**12)
    costs.keep("a", sample)
    found = {each.layer: each.least_us / 1e6 for each in costs.of("a")}
    assert found == {"transport": 0, "plugin": 3, "kernel": 0}


def test_the_consumer_of_a_stream_has_his_own_time() -> None:
    """What the application does with the items is no cost of the way to the worker."""
    clock = Clock()
    costs = Costs(clock)
    sample = costs.sample("a")
    assert sample is not None
    branch = sample.branch()
    branch.sent(["audit"])
    clock.now += 100
    branch.streamed(waited_us=7_000_000, plugin_us=3_000_000)
    costs.keep("a", sample)
    found = {each.layer: each.median_us / 1e6 for each in costs.of("a")}
    assert found == {"audit": 0, "transport": 4, "plugin": 3, "consumer": 93, "kernel": 0}
