"""Findings: what a search says of one call, and the report over all of them."""

from __future__ import annotations

from typing import Literal

import attrs

from nxkernel.variation.catalogue import ADVICE, BY_ITSELF, Advice
from nxkernel.variation.conditions import Variation
from nxkernel.variation.trials import Subject

__all__ = ["Draw", "Finding", "Report"]


@attrs.frozen(kw_only=True)
class Draw:
    """What the guard saw a plugin ask for."""

    #: ``random.random()``.
    function: str
    #: ``plugin.py:12``.
    site: str


@attrs.frozen(kw_only=True)
class Finding:
    """A call that does not give the same, and the least that has to change for it."""

    call: Subject
    #: The smallest set of variations that breaks it; empty: it differs with nothing varied.
    variations: tuple[Variation, ...]
    #: The first place of the value that differs, ``$.tokens[3]``; empty where a call failed.
    path: str
    #: What stood there in the usual conditions, and under the variations, shortened.
    usual: str
    varied: str
    #: Other calls without which it does not differ, in their usual order.
    needs: tuple[Subject, ...] = ()
    #: False where the search was cut short, so that less may do.
    whole: bool = True
    #: For what differs by itself: what its plugin asked for that follows from no seed.
    draws: tuple[Draw, ...] = ()

    @property
    def by_itself(self) -> bool:
        """Whether nothing has to be varied."""
        return not self.variations

    @property
    def advice(self) -> tuple[Advice, ...]:
        """The sources in words, each with what to do about it."""
        return tuple(ADVICE[v.name] for v in self.variations) or (BY_ITSELF,)

    @property
    def held(self) -> bool:
        """Whether nxkernel holds one of the sources still, so that ordinary runs are the same."""
        return any(each.held for each in self.advice)

    @property
    def of_state(self) -> bool:
        """Whether it is about what an earlier call leaves behind."""
        return bool(self.needs) or any(v.of_state for v in self.variations)


#: ``fresh``: it needs a process for each call; ``warm``: it is the same however warm; ``unknown``:
#: something else differs, or fewer than two calls were made.
State = Literal["warm", "fresh", "unknown"]


@attrs.frozen(kw_only=True)
class Report:
    """What a search found."""

    calls: tuple[Subject, ...]
    findings: tuple[Finding, ...]
    #: How many times the calls, or some of them, were made.
    trials: int
    #: What was varied, by name.
    varied: tuple[str, ...]
    #: Whether the search ended before it was through.
    cut_short: bool = False

    @property
    def ok(self) -> bool:
        """Whether every call gave the same in every trial."""
        return not self.findings

    def state(self, plugin: str) -> State:
        """Say which ``state`` *plugin* needs."""
        mine = [finding for finding in self.findings if finding.call.plugin == plugin]
        if any(finding.of_state for finding in mine):
            return "fresh"
        calls = sum(call.plugin == plugin for call in self.calls)
        unsteady = any(finding.by_itself for finding in mine)
        return "unknown" if unsteady or calls < 2 or self.cut_short else "warm"
