"""The life of a plugin's worker as a value: its state, and whether it may be started.

In OTP's terms: strategy one_for_one, at most *intensity* deaths within *period* seconds. Each death
takes one from that budget, and gives it back when it is a period old. A plugin that dies again
before its worker has answered anything waits a little longer each time; one that overdraws its
budget is quarantined, until somebody releases it or, after a while, one worker is started on
probation.

Everything here is a function from value to value: no clock, no lock, no process.

```
stopped ─start▶ starting ─loaded▶ busy ─idle▶ ready          from every state of a live worker:
   ▲               ▲               ▲──called──╯                ended ▶ stopped
   ╰─ it is time ─ backoff                                     died  ▶ stopped, backoff, quarantined
                   quarantined ─ released ▶ stopped
                        ╰─ it is time, start ▶ starting (on probation) ─answered▶ forgiven
```
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import attrs

from nxkernel._seeds import draw

__all__ = ["Event", "Policy", "State", "Supervision", "after", "budget", "may_start", "quarantined"]

State = Literal["stopped", "starting", "ready", "busy", "backoff", "quarantined"]
Event = Literal["start", "loaded", "called", "idle", "answered", "died", "ended", "released"]

_LIVE = ("starting", "ready", "busy")
#: More doublings than any pause can have.
_DOUBLINGS = 60


@attrs.frozen(kw_only=True)
class Policy:
    """How often a plugin's worker may die, and what it costs."""

    #: Deaths within *period_s* that are forgiven.
    intensity: int = 5
    period_s: float = 60.0
    #: Seconds before the second start in a row; doubles with each further one ...
    backoff_s: float = 0.1
    #: ... up to this.
    backoff_max_s: float = 5.0
    #: Seconds in quarantine before a worker is started on probation; None is for ever.
    quarantine_s: float | None = 300.0
    #: Node of the seed tree from which the jitter of the pauses is drawn.
    key: bytes = b"\0" * 32


@attrs.frozen(kw_only=True)
class Supervision:
    """What is remembered of one plugin's workers.

    Invariants: ``len(deaths) <= intensity + 1``; ``until`` is None but in ``backoff`` and
    ``quarantined``, where None stands for ever; on probation only while a worker lives.
    """

    state: State = "stopped"
    #: Times of the deaths that may still count, oldest first.
    deaths: tuple[float, ...] = ()
    #: All deaths so far; names the draw of the next pause's jitter.
    total: int = 0
    #: Deaths since a worker last answered a call.
    in_a_row: int = 0
    #: When the next start is allowed.
    until: float | None = None
    #: The worker was started out of quarantine and has not answered yet.
    probation: bool = False

    def at(self, now: float) -> State:
        """The state at *now*: a pause that is over leaves the worker stopped."""
        over = self.state == "backoff" and may_start(self, now)
        return "stopped" if over else self.state

    def recent(self, now: float, policy: Policy) -> int:
        """Deaths that count at *now*."""
        return sum(now - t < policy.period_s for t in self.deaths)


def budget(state: Supervision, now: float, policy: Policy) -> int:
    """How many further deaths are forgiven at *now*."""
    return max(0, policy.intensity - state.recent(now, policy))


def may_start(state: Supervision, now: float) -> bool:
    """Whether a worker may be started at *now*."""
    if state.state not in ("backoff", "quarantined"):
        return True
    return state.until is not None and now >= state.until


def quarantined(state: Supervision, until: float | None) -> Supervision:
    """Put a plugin without a worker into quarantine."""
    return attrs.evolve(state, state="quarantined", until=until, probation=False)


def after(state: Supervision, event: Event, now: float, policy: Policy) -> Supervision:
    """Return the state after *event* at *now*. What cannot happen to a state leaves it as it is."""
    return _MOVES[event](state, now, policy)


def _start(state: Supervision, now: float, _: Policy) -> Supervision:
    if not may_start(state, now):
        return state
    probation = state.probation or state.state == "quarantined"
    return attrs.evolve(state, state="starting", until=None, probation=probation)


def _loaded(state: Supervision, _now: float, _: Policy) -> Supervision:
    # Whoever had it started is still on it.
    return attrs.evolve(state, state="busy") if state.state == "starting" else state


def _called(state: Supervision, _now: float, _: Policy) -> Supervision:
    return attrs.evolve(state, state="busy") if state.state == "ready" else state


def _idle(state: Supervision, _now: float, _: Policy) -> Supervision:
    return attrs.evolve(state, state="ready") if state.state == "busy" else state


def _answered(state: Supervision, _now: float, _: Policy) -> Supervision:
    if state.state not in _LIVE:
        return state
    deaths = () if state.probation else state.deaths
    return attrs.evolve(state, deaths=deaths, in_a_row=0, probation=False)


def _died(state: Supervision, now: float, policy: Policy) -> Supervision:
    if state.state not in _LIVE:
        return state
    recent = tuple(t for t in state.deaths if now - t < policy.period_s)
    counted = attrs.evolve(
        state,
        deaths=(*recent, now)[-policy.intensity - 1 :],
        total=state.total + 1,
        in_a_row=state.in_a_row + 1,
    )
    if state.probation or counted.recent(now, policy) > policy.intensity:
        return quarantined(counted, _plus(now, policy.quarantine_s))
    pause = _pause(counted, policy)
    if pause == 0:
        return attrs.evolve(counted, state="stopped")
    return attrs.evolve(counted, state="backoff", until=now + pause)


def _plus(now: float, seconds: float | None) -> float | None:
    return None if seconds is None else now + seconds


def _pause(state: Supervision, policy: Policy) -> float:
    """Seconds before the next start: none after the first death in a row.

    The jitter halves it at most, so that plugins which die together do not come back together. It
    is drawn from the number of the death, never from time: a run's pauses repeat with its seed.
    """
    if state.in_a_row < 2:
        return 0.0
    doubled = policy.backoff_s * 2.0 ** min(state.in_a_row - 2, _DOUBLINGS)
    drawn = int.from_bytes(draw(policy.key, f"backoff/{state.total}", 8), "little") / 2**64
    return min(policy.backoff_max_s, doubled) * (0.5 + drawn / 2)


def _ended(state: Supervision, now: float, policy: Policy) -> Supervision:
    """The host ended it for a reason that is not the plugin's."""
    if state.state not in _LIVE:
        return state
    if state.probation:  # It proved nothing: the next start is on probation again.
        return quarantined(state, now)
    return attrs.evolve(state, state="stopped")


def _released(state: Supervision, _now: float, _: Policy) -> Supervision:
    alive = state.state in _LIVE
    return Supervision(state=state.state if alive else "stopped", total=state.total)


_MOVES: dict[Event, Callable[[Supervision, float, Policy], Supervision]] = {
    "start": _start,
    "loaded": _loaded,
    "called": _called,
    "idle": _idle,
    "answered": _answered,
    "died": _died,
    "ended": _ended,
    "released": _released,
}
