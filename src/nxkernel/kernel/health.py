"""How the plugins of a kernel stand: what ``kernel.health()`` returns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import attrs

from nxkernel.types import HookName, PluginId

__all__ = ["BreakerHealth", "ExitHealth", "Health", "PluginHealth"]


@attrs.frozen(kw_only=True)
class BreakerHealth:
    """One hook's breaker; hooks on which nothing has failed yet have none."""

    hook: HookName
    #: ``closed``, ``open`` or ``half_open``.
    mode: str
    #: Failures that are still affordable.
    budget: float
    #: Seconds until a trial call is let through, or None unless open.
    retry_in_s: float | None = None

    def __str__(self) -> str:
        retry = "" if self.retry_in_s is None else f", trial in {self.retry_in_s:g} s"
        return f"{self.hook} {self.mode}{retry}"


@attrs.frozen(kw_only=True)
class ExitHealth:
    """How the plugin's last worker ended."""

    #: Exit status, or None after a signal.
    status: int | None
    #: Number of the signal, or None.
    signal: int | None
    #: By whose hand: ``host``, ``limit``, ``out_of_memory``, ``forbidden_call``; None if unknown.
    cause: str | None = None
    #: The last lines of what it wrote to stdout and stderr.
    log: tuple[str, ...] = ()

    def __str__(self) -> str:
        if self.signal is not None:
            return f"by signal {self.signal}" + (f" ({self.cause})" if self.cause else "")
        return "unseen" if self.status is None else f"with status {self.status}"


@attrs.frozen(kw_only=True)
class PluginHealth:
    """One plugin at one moment."""

    id: PluginId
    #: ``disabled``, ``stopped``, ``starting``, ``ready``, ``busy``, ``backoff``, ``quarantined``.
    state: str
    level: str
    #: What a call leaves behind for the next one: ``warm``, its process; ``fresh``, files alone.
    memory: str = "warm"
    #: Code of the error for which it does not run, or None.
    error: str | None = None
    #: Workers that were started after the first one; with fresh state, templates.
    restarts: int = 0
    #: Deaths that count against the restart intensity now, and how many more are forgiven.
    deaths: int = 0
    budget: int = 0
    #: In backoff and quarantine: seconds until a worker may be started; None is for ever.
    retry_in_s: float | None = None
    #: Its worker was started out of quarantine and has not answered a call yet.
    probation: bool = False
    #: Pings that its workers answered, and that they did not.
    pings: int = 0
    pings_missed: int = 0
    #: Elements of its results that were dropped because they were invalid.
    dropped: int = 0
    last_exit: ExitHealth | None = None
    #: By hook, where there is one.
    breakers: tuple[BreakerHealth, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether calls reach it: it runs or may be started, and no breaker refuses."""
        refused = self.state in ("disabled", "backoff", "quarantined")
        return not refused and all(each.mode == "closed" for each in self.breakers)

    def __str__(self) -> str:
        parts = [f"{self.id}: {self.state}"]
        if self.memory == "fresh":
            parts.append("each call in a fresh process")
        if self.error:
            parts.append(f"[{self.error}]")
        if self.state in ("backoff", "quarantined"):
            until = "until released" if self.retry_in_s is None else f"for {self.retry_in_s:g} s"
            parts.append(until)
        if self.last_exit is not None:
            parts.append(f"{self.deaths} recent deaths, last worker ended {self.last_exit}")
        if self.dropped:
            parts.append(f"{self.dropped} invalid elements dropped")
        parts += [str(each) for each in self.breakers if each.mode != "closed"]
        return ", ".join(parts)

    def to_json(self) -> dict[str, Any]:
        """Return plain data for ``--json``."""
        return {**attrs.asdict(self), "ok": self.ok}


@attrs.frozen
class Health(Mapping[str, PluginHealth]):
    """Every plugin by id, in the order of the ids."""

    plugins: Mapping[str, PluginHealth]

    @property
    def ok(self) -> bool:
        """Whether every plugin's calls reach it."""
        return all(each.ok for each in self.plugins.values())

    def __getitem__(self, plugin: str) -> PluginHealth:
        return self.plugins[plugin]

    def __iter__(self) -> Iterator[str]:
        return iter(self.plugins)

    def __len__(self) -> int:
        return len(self.plugins)

    def __str__(self) -> str:
        return "\n".join(str(each) for each in self.plugins.values()) or "no plugins"

    def to_json(self) -> dict[str, Any]:
        """Return plain data for ``--json``."""
        return {name: each.to_json() for name, each in self.plugins.items()}
