"""Supervision against a model that keeps the whole history instead of what counts.

Times are whole seconds. The model knows no jitter: it holds the pauses to their bounds.
"""

from __future__ import annotations

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from nxkernel._seeds import child, run_key
from nxkernel.host.supervision import (
    Event,
    Policy,
    Supervision,
    after,
    budget,
    may_start,
    quarantined,
)

LIVE = ("starting", "ready", "busy")


class Machine(RuleBasedStateMachine):
    """Workers start, answer, die and are ended; time passes; an operator releases."""

    policy: Policy
    state: Supervision

    @initialize(
        intensity=st.integers(0, 4),
        period=st.sampled_from([1, 10, 60]),
        backoff=st.sampled_from([0, 1, 8]),
        longest=st.sampled_from([1, 16]),
        quarantine=st.sampled_from([None, 0, 30, 300]),
    )
    def begin(
        self, intensity: int, period: int, backoff: int, longest: int, quarantine: int | None
    ) -> None:
        self.policy = Policy(
            intensity=intensity,
            period_s=period,
            backoff_s=backoff,
            backoff_max_s=longest,
            quarantine_s=quarantine,
        )
        self.state = Supervision()
        self.now = 100
        #: Every death that nobody has forgiven.
        self.deaths: list[int] = []
        #: Of them, those since the last answer.
        self.in_a_row = 0
        self.alive = False
        self.probation = False
        #: When the quarantine began, or None.
        self.quarantine: int | None = None

    def tell(self, event: Event) -> None:
        self.state = after(self.state, event, self.now, self.policy)

    @rule(seconds=st.integers(0, 40))
    def time_goes_by(self, seconds: int) -> None:
        self.now += seconds

    @precondition(lambda self: not self.alive)
    @rule()
    def somebody_calls(self) -> None:
        """A worker is started exactly when that is allowed."""
        allowed = may_start(self.state, self.now)
        before = self.state
        self.tell("start")
        assert (self.state.state == "starting") == allowed
        if not allowed:
            assert self.state == before
            return
        self.alive, self.probation = True, self.quarantine is not None
        self.quarantine = None

    @precondition(lambda self: self.alive)
    @rule(event=st.sampled_from(["loaded", "called", "idle"]))
    def life_goes_on(self, event: Event) -> None:
        """None of it counts for or against the plugin."""
        before = self.state
        self.tell(event)
        assert attrs.evolve(self.state, state=before.state) == before
        moves = {
            ("starting", "loaded"): "busy",
            ("busy", "idle"): "ready",
            ("ready", "called"): "busy",
        }
        assert self.state.state == moves.get((before.state, event), before.state)

    @precondition(lambda self: self.alive)
    @rule()
    def it_answers(self) -> None:
        """That ends a probation, and the row of deaths."""
        self.tell("answered")
        self.in_a_row = 0
        if self.probation:
            self.probation, self.deaths = False, []

    @precondition(lambda self: self.alive)
    @rule()
    def it_dies(self) -> None:
        """Too often, or on probation: quarantine. Again without an answer: a pause."""
        self.tell("died")
        self.alive = False
        self.deaths.append(self.now)
        self.in_a_row += 1
        if self.probation or len(self._recent()) > self.policy.intensity:
            self.quarantine, self.probation = self.now, False
            assert self.state.state == "quarantined"
        elif self.in_a_row > 1 and self.policy.backoff_s:
            doubled = self.policy.backoff_s * 2 ** (self.in_a_row - 2)
            longest = min(doubled, self.policy.backoff_max_s)
            assert self.state.state == "backoff"
            assert self.state.until is not None
            assert longest / 2 <= self.state.until - self.now <= longest
        else:
            assert self.state.state == "stopped"

    @precondition(lambda self: self.alive)
    @rule()
    def the_host_ends_it(self) -> None:
        """That is no death; but a probation is not over by it."""
        self.tell("ended")
        self.alive = False
        if self.probation:
            self.quarantine, self.probation = self.now, False
            assert may_start(self.state, self.now)

    @rule()
    def an_operator_releases(self) -> None:
        """Everything is forgiven; a live worker lives on."""
        self.tell("released")
        self.deaths, self.in_a_row = [], 0
        self.quarantine, self.probation = None, False
        assert may_start(self.state, self.now)

    def _recent(self) -> list[int]:
        return [t for t in self.deaths if self.now - t < self.policy.period_s]

    @invariant()
    def it_lives_or_not(self) -> None:
        if hasattr(self, "state"):
            assert (self.state.state in LIVE) == self.alive
            assert self.state.probation == self.probation

    @invariant()
    def the_budget_refills(self) -> None:
        """A death costs one start, and gives it back when it is a period old."""
        if hasattr(self, "state"):
            left = max(0, self.policy.intensity - len(self._recent()))
            assert budget(self.state, self.now, self.policy) == left

    @invariant()
    def quarantine_ends_when_it_should(self) -> None:
        """After its time and not before; without a time, never by itself."""
        if not hasattr(self, "state") or self.quarantine is None:
            return
        assert self.state.at(self.now) == "quarantined"
        if self.policy.quarantine_s is None and self.state.until is None:
            assert not may_start(self.state, self.now + 10**9)
        elif self.state.until is not None:
            assert may_start(self.state, self.state.until)

    @invariant()
    def a_pause_that_is_over_is_no_state(self) -> None:
        """Who looks sees a worker that is stopped."""
        if hasattr(self, "state") and self.state.at(self.now) == "backoff":
            assert not may_start(self.state, self.now)

    @invariant()
    def it_remembers_no_more_than_it_needs(self) -> None:
        """A crash loop does not fill the host's memory."""
        if hasattr(self, "state"):
            assert len(self.state.deaths) <= self.policy.intensity + 1


Machine.TestCase.settings = settings(max_examples=200, stateful_step_count=40)
TestSupervision = Machine.TestCase
TestSupervision.__doc__ = "No order of starts, deaths and pauses leads model and code apart."


@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(
                ["start", "loaded", "called", "idle", "answered", "died", "ended", "released"]
            ),
            st.integers(0, 30),
        ),
        max_size=60,
    )
)
def test_no_order_of_events_is_too_much(steps: list[tuple[Event, int]]) -> None:
    """Also events that cannot happen: threads may tell late. Only the pauses have an end."""
    policy, state, now = Policy(intensity=2), Supervision(), 0.0
    for event, seconds in steps:
        now += seconds
        state = after(state, event, now, policy)
        assert state.until is None or state.state in ("backoff", "quarantined")
        assert not state.probation or state.state in LIVE


def death(state: Supervision, now: float, policy: Policy) -> Supervision:
    return after(after(state, "start", now, policy), "died", now, policy)


def pauses(policy: Policy, count: int) -> list[float]:
    """The pauses of a plugin that dies as soon as it may."""
    state, now, found = Supervision(), 0.0, []
    for _ in range(count):
        state = death(state, now, policy)
        found.append((state.until or now) - now)
        now = state.until or now
    return found


def a_policy(seed: int, plugin: str) -> Policy:
    key = child(run_key(seed), "supervisor", plugin)
    return Policy(intensity=100, backoff_s=1.0, backoff_max_s=1e9, key=key)


def test_the_first_death_costs_no_time() -> None:
    """A plugin that dies once is there again at the next call."""
    assert pauses(a_policy(7, "a"), 1) == [0.0]


def test_the_pauses_grow_and_are_drawn_from_seed_and_plugin() -> None:
    """Equal runs rest equally long; two plugins that die together do not come back together."""
    mine = pauses(a_policy(7, "a"), 8)
    assert mine == pauses(a_policy(7, "a"), 8)
    assert mine[1:] != pauses(a_policy(8, "a"), 8)[1:]
    assert mine[1:] != pauses(a_policy(7, "b"), 8)[1:]
    for number, pause in enumerate(mine[1:]):
        assert 2**number / 2 <= pause <= 2**number


def test_a_pause_has_an_upper_bound() -> None:
    """However often it dies: doubling must not overflow either."""
    policy = attrs.evolve(a_policy(7, "a"), intensity=10**6, backoff_max_s=3.0)
    assert all(pause <= 3.0 for pause in pauses(policy, 2000))


def test_an_answer_ends_the_row() -> None:
    """A plugin that works between its deaths does not rest; intensity alone bounds it."""
    policy, state = a_policy(7, "a"), Supervision()
    for now in range(20):
        state = after(state, "start", now, policy)
        state = after(state, "answered", now, policy)
        state = after(state, "died", now, policy)
        assert state.state == "stopped"


def test_the_quarantine_of_an_earlier_kernel_ends_in_a_trial() -> None:
    """One death on probation is enough to go back."""
    policy = Policy(intensity=5, quarantine_s=30.0)
    state = quarantined(Supervision(), until=10.0)
    assert not may_start(state, 9.0)
    state = after(state, "start", 10.0, policy)
    assert (state.state, state.probation) == ("starting", True)
    state = after(state, "died", 11.0, policy)
    assert (state.state, state.until) == ("quarantined", 41.0)


@pytest.mark.parametrize("intensity", [0, 1, 3])
def test_an_intensity_is_the_number_of_deaths_that_are_forgiven(intensity: int) -> None:
    """One more within the period, and it is quarantined."""
    policy, state = Policy(intensity=intensity, backoff_s=0.0), Supervision()
    for number in range(intensity):
        state = death(state, float(number), policy)
        assert may_start(state, float(number))
    assert death(state, float(intensity), policy).state == "quarantined"
