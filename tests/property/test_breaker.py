"""The breaker against a model that keeps the whole history instead of a budget."""

from __future__ import annotations

from fractions import Fraction

import hypothesis.strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from nxkernel.middleware.breaker import (
    BreakerState,
    Limits,
    Verdict,
    admit,
    fresh,
    record,
)

VERDICTS = st.sampled_from(["success", "failure", "neutral"])


class Machine(RuleBasedStateMachine):
    """Calls come, last for a while and end; time passes; the model says who gets through.

    All times are multiples of 1/8 s and the budget refills one failure in a power of two of
    seconds, so that floats are exact and model and code can be compared without tolerance.
    """

    state: BreakerState
    limits: Limits

    @initialize(
        failures=st.sampled_from([1, 2, 4, 8]),
        refill=st.sampled_from([8, 16, 64]),
        reset=st.sampled_from([0, 1, 30]),
    )
    def begin(self, failures: int, refill: int, reset: int) -> None:
        self.limits = Limits(failures=failures, refill_s=float(refill), reset_s=float(reset))
        self.state = fresh(self.limits)
        self.now = 0.0
        self.running: list[tuple[int, bool]] = []
        self.opened_at: float | None = None
        self.trial = False
        self.half_open = False
        self.budget = Fraction(failures)
        self.counted_at = 0.0
        self.trials_since_open = 0

    @rule(eighths=st.integers(0, 400))
    def pass_time(self, eighths: int) -> None:
        """The clock never goes back."""
        self.now += eighths / 8

    @rule()
    def call(self) -> None:
        """A call passes when closed, or as the only trial once the reset time is over."""
        over = self.opened_at is not None and self.now - self.opened_at >= self.limits.reset_s
        may = self.opened_at is None or (over and not self.trial)
        self.state, admitted = admit(self.state, self.now, self.limits)
        assert admitted == may
        if admitted:
            self.trial = self.half_open = self.opened_at is not None
            self.running.append((self.state.era, self.trial))

    @precondition(lambda self: self.running)
    @rule(which=st.integers(0, 50), verdict=VERDICTS)
    def end(self, which: int, verdict: Verdict) -> None:
        """Any running call may be the next to end."""
        era, trial = self.running.pop(which % len(self.running))
        before = self.state
        self.state = record(self.state, self.now, self.limits, verdict, era)
        if era != before.era:
            assert self.state == before
        elif trial:
            self._end_trial(verdict)
        elif verdict == "failure":
            self._spend()

    def _end_trial(self, verdict: Verdict) -> None:
        self.trial = False
        if verdict == "failure":
            self.opened_at, self.half_open = self.now, False
        if verdict == "success":
            self.opened_at, self.half_open = None, False
            self.budget, self.counted_at = Fraction(self.limits.failures), self.now

    def _spend(self) -> None:
        gained = Fraction(self.now - self.counted_at) * self.limits.failures
        refilled = self.budget + gained / Fraction(self.limits.refill_s)
        self.budget = min(Fraction(self.limits.failures), refilled) - 1
        self.counted_at = self.now
        if self.budget < 1:
            self.opened_at = self.now

    @invariant()
    def modes_agree(self) -> None:
        """Code and model are in the same mode."""
        if self.opened_at is None:
            assert self.state.mode == "closed"
        else:
            assert self.state.mode == ("half_open" if self.half_open else "open")

    @invariant()
    def at_most_one_trial(self) -> None:
        """Of the running calls at most one may decide, and only while half-open."""
        deciding = [era for era, trial in self.running if trial and era == self.state.era]
        assert len(deciding) == (self.state.mode == "half_open" and self.state.trial)

    @invariant()
    def budget_stays_in_its_bounds(self) -> None:
        """A closed breaker can always afford one more failure; none has more than full."""
        assert 0 <= self.state.budget <= self.limits.failures
        assert self.state.mode != "closed" or self.state.budget >= 1


TestBreaker = Machine.TestCase
TestBreaker.__doc__ = "No order of calls, outcomes and pauses leads model and code apart."
