"""Supervision: pure state over injected time."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from nxkernel.host.supervisor import Supervision, died, may_start


class Supervisor(RuleBasedStateMachine):
    """Deaths and starts of one plugin against the plain list of all its deaths."""

    state: Supervision

    @initialize(intensity=st.integers(0, 4), period=st.sampled_from([1, 10, 60]))
    def begin(self, intensity: int, period: int) -> None:
        self.state = Supervision(intensity=intensity, period_s=period)
        self.now = 100
        self.deaths: list[int] = []

    @rule(seconds=st.integers(0, 30))
    def time_goes_by(self, seconds: int) -> None:
        self.now += seconds

    @rule()
    def a_worker_dies(self) -> None:
        self.state = died(self.state, self.now)
        self.deaths.append(self.now)

    @rule()
    def it_recovers_by_itself(self) -> None:
        """A period after the last death it may start, however many there were."""
        if self.deaths:
            assert may_start(self.state, self.deaths[-1] + self.state.period_s)

    @invariant()
    def it_may_start_while_the_deaths_are_few(self) -> None:
        """At most *intensity* deaths within the period."""
        if not hasattr(self, "state"):
            return
        recent = [t for t in self.deaths if self.now - t < self.state.period_s]
        assert may_start(self.state, self.now) == (len(recent) <= self.state.intensity)

    @invariant()
    def it_remembers_no_more_than_it_needs(self) -> None:
        """A crash loop does not fill the host's memory."""
        if hasattr(self, "state"):
            assert len(self.state.deaths) <= self.state.intensity + 1


Supervisor.TestCase.settings = settings(max_examples=150, stateful_step_count=30)
TestSupervisor = Supervisor.TestCase


def test_a_plugin_that_never_died_may_start() -> None:
    """Also where no death at all is forgiven."""
    assert may_start(Supervision(intensity=0, period_s=60.0), 0.0)


def test_an_intensity_of_zero_forgives_nothing() -> None:
    """The first death quarantines, until the period is over."""
    state = died(Supervision(intensity=0, period_s=60.0), 10.0)
    assert not may_start(state, 69.9)
    assert may_start(state, 70.0)
