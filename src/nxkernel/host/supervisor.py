"""Whether a plugin's worker may be started again: pure state, injected time.

In OTP's terms: strategy one_for_one, at most *intensity* deaths within *period* seconds, then the
plugin is quarantined. Quarantine ends when the oldest of those deaths has left the period, so that
a crash loop costs a bounded number of starts and still recovers by itself.
"""

from __future__ import annotations

import attrs

__all__ = ["Supervision", "died", "may_start"]


@attrs.frozen(kw_only=True)
class Supervision:
    """What the supervisor remembers of one plugin."""

    intensity: int
    period_s: float
    #: Times of the deaths that still count, oldest first.
    deaths: tuple[float, ...] = ()


def died(state: Supervision, now: float) -> Supervision:
    """Record a death at *now*."""
    recent = tuple(t for t in state.deaths if now - t < state.period_s)
    return attrs.evolve(state, deaths=(*recent, now)[-state.intensity - 1 :])


def may_start(state: Supervision, now: float) -> bool:
    """Whether a start at *now* stays within the restart intensity."""
    recent = [t for t in state.deaths if now - t < state.period_s]
    return len(recent) <= state.intensity
