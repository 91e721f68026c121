"""Looking at a kernel: who provides a hook and why, and how every plugin stands."""

from __future__ import annotations

import statistics
from collections.abc import Mapping

import attrs

from nxkernel.dispatch.executor import Provider
from nxkernel.errors import CallRejected, ManifestInvalid
from nxkernel.kernel.asking import PluginStats
from nxkernel.kernel.checkup import allowances, breakers, checkup
from nxkernel.kernel.health import Health, PluginHealth
from nxkernel.kernel.members import Member
from nxkernel.kernel.parts import Parts
from nxkernel.kernel.views import Explanation, PluginView, ProviderView
from nxkernel.plugins.discovery import Candidate
from nxkernel.plugins.manifest import Manifest
from nxkernel.plugins.settings import effective_settings
from nxkernel.schemas import shared
from nxkernel.settings import PluginSettings
from nxkernel.types import Level, PluginId

__all__ = ["Overview"]


@attrs.frozen
class Overview:
    """What there is to see of the parts of a kernel; it changes nothing."""

    _parts: Parts

    def explain(self, hook: str, *, cost: bool = False) -> Explanation:
        """Return who provides *hook*, in which order and why, and the stack around each.

        *cost*: what each layer of its calls has taken so far, too.
        """
        given = self._parts.given
        spec = self._parts.desk.spec(hook)
        mode = "first answer" if spec.firstresult else "all at once"
        providers = self._parts.registry.providers(spec.name)
        return Explanation(
            hook=spec.name,
            mode="historic, all at once" if spec.historic else mode,
            providers=tuple(self._explained(p) for p in providers),
            stack=tuple(each.name for each in given.middleware),
            level=given.sandbox.level,
            alone=tuple(allowances(given.middleware, spec.name)),
            cost=self._parts.desk.costs.of(spec.name) if cost else None,
        )

    def _explained(self, provider: Provider) -> ProviderView:
        facts = provider.facts
        member = self._parts.roster.members.get(provider.plugin)
        reasons = [n for n in ("tryfirst", "trylast") if getattr(facts, n)]
        history = self._parts.standings.words(provider.plugin) if member is not None else ""
        reasons.append(f"priority {member.priority if member else 0}")
        reasons += [f"then {history}"] if history else []
        reasons.append("then by id")
        if member is not None and member.in_process:
            reasons.append("IN THE HOST'S PROCESS")
        error = self._parts.disabled(provider.plugin)
        return ProviderView(
            plugin=provider.plugin,
            impl=facts.impl,
            kind="wrapper" if facts.wraps else "plain",
            reason=", ".join(reasons),
            disabled=error.code if error else None,
            memory=_memory(member),
        )

    def plugins(self) -> Mapping[str, PluginView]:
        """Return every plugin by id, as it stands now."""
        return {name: self._view(name) for name in sorted(self._parts.roster.members)}

    def health(self) -> Health:
        """Return how every plugin stands: its worker, its breakers, its last exit."""
        return Health({name: self._health(name) for name in sorted(self._parts.roster.members)})

    def settings(self, plugin: str) -> PluginSettings:
        """Return the settings that *plugin* has, or would have when the kernel is booted.

        Raises:
            PluginDisabled: for a manifest or settings that are wrong.
            CallRejected: when there is no such plugin.
        """
        member = self._parts.roster.members.get(PluginId(plugin))
        if member is not None and member.error is None:
            return member.facts.settings
        given = self._parts.given
        for candidate in given.candidates:
            if candidate.id == plugin:
                return effective_settings(_manifest(candidate), given.settings, shared()).shown
        known = ", ".join(sorted(candidate.id for candidate in given.candidates)) or "none"
        raise CallRejected(f"no plugin {plugin!r}; there are: {known}")

    def _health(self, plugin: PluginId) -> PluginHealth:
        given, keeper = self._parts.given, self._parts.plant.keepers.get(plugin)
        level = self._level(self._parts.roster.members[plugin])
        resident = self._parts.residents.living.get(plugin)
        seen = (
            checkup(plugin, level, keeper, given.run.clock.monotonic())
            if keeper is not None
            else PluginHealth(
                id=plugin, state=resident.state if resident else "stopped", level=level
            )
        )
        error = self._parts.disabled(plugin)
        if error is not None:
            seen = attrs.evolve(seen, state="disabled", error=error.code)
        dropped = self._parts.desk.stats.get(plugin, PluginStats()).dropped
        return attrs.evolve(
            seen,
            breakers=breakers(given.middleware, plugin),
            dropped=dropped,
            memory=_memory(self._parts.roster.members[plugin]),
        )

    def _view(self, plugin: PluginId) -> PluginView:
        member = self._parts.roster.members[plugin]
        keeper = self._parts.plant.keepers.get(plugin)
        stats = self._parts.desk.stats.get(plugin, PluginStats())
        error = self._parts.disabled(plugin)
        samples = list(stats.plugin_us)
        return PluginView(
            id=plugin,
            version=member.facts.version,
            state=self._health(plugin).state,
            level=self._level(member),
            memory=_memory(member),
            error=error,
            settings=member.facts.settings,
            calls=stats.calls,
            errors=stats.errors,
            dropped=stats.dropped,
            p50_us=int(statistics.median(samples)) if samples else None,
            start_ms=keeper.start_us / 1000 if keeper and keeper.starts else None,
            starts=keeper.starts if keeper else 0,
            pid=keeper.pid if keeper else None,
            witnessed=dict(keeper.witnessed) if keeper else {},
            log=keeper.log.text if keeper else str,
        )

    def _level(self, member: Member) -> Level:
        return "none" if member.in_process else self._parts.given.sandbox.level


def _memory(member: Member | None) -> str:
    """What a call leaves behind for the next one."""
    return "fresh" if member is not None and member.fresh else "warm"


def _manifest(candidate: Candidate) -> Manifest:
    if candidate.manifest is None:
        raise candidate.error or ManifestInvalid(f"{candidate.id}: no manifest")
    return candidate.manifest
