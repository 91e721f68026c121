"""Looks at one plugin's keeper and breakers, and says how it stands."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol, runtime_checkable

from nxkernel.dispatch.stack import Middleware
from nxkernel.host.keeper import Keeper
from nxkernel.host.supervision import budget
from nxkernel.kernel.health import BreakerHealth, ExitHealth, PluginHealth
from nxkernel.types import HookName, PluginId

__all__ = ["allowances", "breakers", "checkup"]

_LAST_LINES = 10


class _Standing(Protocol):
    """One breaker as the middleware shows it."""

    @property
    def hook(self) -> HookName: ...
    @property
    def mode(self) -> str: ...
    @property
    def budget(self) -> float: ...
    @property
    def retry_in_s(self) -> float | None: ...


@runtime_checkable
class _HasBreakers(Protocol):
    def standings(self, plugin: PluginId) -> Iterable[_Standing]: ...


def breakers(stack: Sequence[Middleware], plugin: PluginId) -> tuple[BreakerHealth, ...]:
    """The breakers of *plugin* in every middleware of *stack* that has any, by hook."""
    found = [
        BreakerHealth(hook=b.hook, mode=b.mode, budget=b.budget, retry_in_s=b.retry_in_s)
        for each in stack
        if isinstance(each, _HasBreakers)
        for b in each.standings(plugin)
    ]
    return tuple(sorted(found, key=lambda breaker: breaker.hook))


@runtime_checkable
class _HasAllowances(Protocol):
    def allowances(self, hook: str) -> Iterable[tuple[str, str]]: ...


def allowances(stack: Sequence[Middleware], hook: str) -> list[tuple[str, str]]:
    """Kind and place of what any middleware of *stack* drops alone from a result of *hook*."""
    found = [
        (kind, place or "the result")
        for each in stack
        if isinstance(each, _HasAllowances)
        for place, kind in each.allowances(hook)
    ]
    return sorted(found)


def checkup(plugin: PluginId, level: str, keeper: Keeper, now: float) -> PluginHealth:
    """How the workers of *plugin* stand at *now*, seconds of the kernel's clock."""
    supervision, policy = keeper.supervisor.supervision, keeper.supervisor.policy
    state = supervision.at(now)
    rests = state in ("backoff", "quarantined") and supervision.until is not None
    return PluginHealth(
        id=plugin,
        state=state,
        level=level,
        restarts=max(0, keeper.starts - 1),
        deaths=supervision.recent(now, policy),
        budget=budget(supervision, now, policy),
        retry_in_s=round(max(0.0, (supervision.until or now) - now), 3) if rests else None,
        probation=supervision.probation,
        pings=keeper.pings,
        pings_missed=keeper.pings_missed,
        last_exit=_last_exit(keeper),
    )


def _last_exit(keeper: Keeper) -> ExitHealth | None:
    facts = keeper.last_exit
    if facts is None:
        return None
    return ExitHealth(
        status=facts["exit_status"],
        signal=facts["signal"],
        cause=facts.get("cause"),
        log=tuple(facts["log"]),
    )
