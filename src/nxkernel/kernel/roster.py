"""Which plugins run, and with what: decided on files alone, before any plugin code runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import attrs

from nxkernel.dispatch.stack import PluginFacts
from nxkernel.errors import PluginDisabled
from nxkernel.kernel.admissions import Admissions
from nxkernel.kernel.allowlist import check_names
from nxkernel.kernel.folders import Folders
from nxkernel.kernel.homes import Homes
from nxkernel.kernel.launches import PROBE, Launches
from nxkernel.kernel.members import Member
from nxkernel.kernel.shared import share
from nxkernel.plugins.discovery import Candidate
from nxkernel.plugins.layers import Settings
from nxkernel.run import Run
from nxkernel.settings import Grant, Guard, Hosting
from nxkernel.types import ImplFacts, Level, PluginId

__all__ = ["Roster"]


class Roster:
    """The plugins of one kernel."""

    def __init__(
        self,
        *,
        run: Run,
        level: Level,
        hosting: Hosting,
        candidates: Sequence[Candidate],
        grants: Mapping[str, Grant] | None,
        lock: Path | None,
        settings: Settings,
        paths: Mapping[str, Path | str],
        taken: frozenset[PluginId],
        api: Sequence[str] = (),
        api_version: str | None = None,
        guard_of: Callable[[PluginId], Guard] = lambda _: Guard(),
    ) -> None:
        self._hosting = hosting
        self._candidates = candidates
        self._taken = taken
        self._api = api
        guarded = guard_of(PROBE).chance != "off"
        self._homes = homes = Homes(hosting, level, guarded=guarded)
        self._admissions = Admissions(
            run=run,
            level=level,
            hosting=hosting,
            homes=homes,
            grants=grants,
            lock=lock,
            settings=settings,
            api_version=api_version,
        )
        #: What their workers are started with.
        self.launches = Launches(run, level, hosting, homes, Folders(run, level, paths), guard_of)
        self.members: dict[PluginId, Member] = {}
        #: Filled by :meth:`enlist`; the desk reads them.
        self.facts: dict[PluginId, PluginFacts] = {}
        self.timeouts: dict[PluginId, float] = {}
        self.depths: dict[PluginId, int] = {}
        #: What the stack knows of those that run; it sees the changes.
        self._shown: dict[PluginId, PluginFacts] = {}

    def close(self) -> None:
        """Let go of what the plugins were given."""
        self._homes.close()

    @property
    def lock_digest(self) -> str | None:
        """Digest of the lockfile, or None without one."""
        return self._admissions.lock_digest

    def locked_impls(self, plugin: PluginId) -> tuple[ImplFacts, ...] | None:
        """Return the hookimpls that the lockfile records, or None."""
        return self._admissions.locked_impls(plugin)

    def unused_settings(self) -> list[str]:
        """What the application's settings say about nobody: ids, names of variables."""
        return self._admissions.unused_settings(set(self.members))

    def enabled(self) -> list[Member]:
        """Members that may run, by id."""
        return [m for _, m in sorted(self.members.items()) if m.error is None]

    def disabled(self) -> list[Member]:
        """Members that may not, by id."""
        return [m for _, m in sorted(self.members.items()) if m.error is not None]

    def enabled_facts(self) -> Mapping[PluginId, PluginFacts]:
        """What the stack may know of the members that may run: a view that follows changes."""
        self._shown = {member.id: member.facts for member in self.enabled()}
        return MappingProxyType(self._shown)

    def disable(self, plugin: PluginId, error: PluginDisabled) -> None:
        """Keep *plugin* from running."""
        self.members[plugin].error = error

    # -- enlisting ---------------------------------------------------------------------------

    def enlist(self) -> None:
        """Admit every candidate: manifest, lockfile, grants, settings, compatibility.

        Raises:
            LockMismatch: the lockfile itself cannot be read.
        """
        store = self._admissions.open()
        self.launches.api_dir = share(self._api, store)
        for candidate in self._candidates:
            taken = self._taken | self.members.keys()
            member = self._admissions.admit(candidate, store, taken)
            self.members[member.id] = member
        check_names(self._hosting, self.members)
        for plugin, error in self._admissions.incompatible(self.enabled()).items():
            self.members[plugin].error = error
        for member in self.members.values():
            self._publish(member)

    def _publish(self, member: Member) -> None:
        self.facts[member.id] = member.facts
        self.timeouts.pop(member.id, None)
        if member.limits.timeout_s is not None:
            self.timeouts[member.id] = member.limits.timeout_s
        self.depths.pop(member.id, None)
        if member.limits.call_depth is not None:
            self.depths[member.id] = member.limits.call_depth

    # -- changes while the kernel runs ---------------------------------------------------------

    def examine(self, candidate: Candidate, edition: int) -> Member:
        """Admit *candidate* as a boot would, for an edition that nobody knows of yet.

        The lockfile is read anew: it may have changed with the plugin.

        Raises:
            PluginDisabled: for whatever would disable it, or another one because of it.
            LockMismatch: the lockfile itself cannot be read.
        """
        store = self._admissions.open()
        known = edition > 1 and candidate.id in self.members
        taken = frozenset() if known else self._taken | self.members.keys()
        member = self._admissions.admit(candidate, store, taken)
        member.facts = attrs.evolve(member.facts, edition=edition)
        if member.error is None:
            others = [each for each in self.enabled() if each.id != member.id]
            self._refuse(self._admissions.incompatible([*others, member]), member)
        if member.error is not None:
            raise member.error
        return member

    def check_without(self, plugin: PluginId) -> None:
        """Raise PluginDisabled when another plugin could not run without *plugin*."""
        others = [each for each in self.enabled() if each.id != plugin]
        for name, error in sorted(self._admissions.incompatible(others).items()):
            raise PluginDisabled(
                f"plugin {plugin!r} cannot be removed: {error.message}",
                code=error.code,
                plugin=name,
            )

    @staticmethod
    def _refuse(disabled: Mapping[PluginId, PluginDisabled], member: Member) -> None:
        """Keep *member* out when it, or anybody because of it, could not run."""
        for name, error in sorted(disabled.items()):
            member.error = error
            if name != member.id:
                member.error = PluginDisabled(
                    f"plugin {member.id!r} would keep another from running: {error.message}",
                    code=error.code,
                    plugin=member.id,
                )

    def install(self, member: Member) -> None:
        """Let everybody know *member* in the place of what had its id."""
        self.members = {**self.members, member.id: member}
        self._publish(member)
        if member.error is None:
            self._shown[member.id] = member.facts
        else:
            self._shown.pop(member.id, None)

    def discard(self, plugin: PluginId) -> None:
        """Let nobody know *plugin* any more."""
        self.members = {name: each for name, each in self.members.items() if name != plugin}
        for table in (self.facts, self.timeouts, self.depths, self._shown):
            table.pop(plugin, None)
