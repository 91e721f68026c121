"""Admissions: from a candidate to a member that may run, or that says why it may not."""

from __future__ import annotations

import platform
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import nxkernel
from nxkernel.dispatch.stack import PluginFacts
from nxkernel.errors import KernelConfigError, PluginDisabled, SandboxUnavailable
from nxkernel.kernel.allowlist import level_of
from nxkernel.kernel.caches import Caches
from nxkernel.kernel.homes import Home, Homes
from nxkernel.kernel.machine import check_machine
from nxkernel.kernel.members import Member, as_disabled, broken, declared, same_bytes
from nxkernel.plugins.codestore import CodeStore
from nxkernel.plugins.compat import Versions, resolve
from nxkernel.plugins.discovery import Candidate
from nxkernel.plugins.grants import effective_grant
from nxkernel.plugins.layers import Settings
from nxkernel.plugins.lockcheck import (
    check,
    check_environment,
    check_hosting,
    hosting_values,
)
from nxkernel.plugins.lockentry import Lock, LockEntry
from nxkernel.plugins.lockfile import read_lock
from nxkernel.plugins.manifest import Manifest
from nxkernel.plugins.settings import effective_settings
from nxkernel.plugins.sightings import Sightings
from nxkernel.run import Run
from nxkernel.schemas import shared
from nxkernel.settings import Grant, Hosting
from nxkernel.types import ImplFacts, Level, PluginId

__all__ = ["Admissions"]


class Admissions:
    """Judges candidates by manifest, lockfile, grants, settings and versions; runs nothing."""

    def __init__(
        self,
        *,
        run: Run,
        level: Level,
        hosting: Hosting,
        homes: Homes,
        grants: Mapping[str, Grant] | None,
        lock: Path | None,
        settings: Settings,
        api_version: str | None,
    ) -> None:
        self._run = run
        self._level = level
        self._hosting = hosting
        self._homes = homes
        self._grants = grants
        self._lock_path = lock
        self._lock: Lock | None = None
        self._settings = settings
        #: Schemas of all plugins: equal ones are compiled once.
        self._schemas = shared()
        self._api_version = api_version

    @property
    def lock_digest(self) -> str | None:
        """Digest of the lockfile as it was read, or None without one."""
        return self._lock.digest if self._lock is not None else None

    def locked_impls(self, plugin: PluginId) -> tuple[ImplFacts, ...] | None:
        """Return the hookimpls that the lockfile records, or None."""
        entry = self._lock.plugins.get(plugin) if self._lock is not None else None
        return entry.impls if entry is not None else None

    def unused_settings(self, plugins: set[str]) -> list[str]:
        """What the application's settings say about nobody in *plugins*."""
        return self._settings.unused(plugins)

    def open(self) -> CodeStore:
        """Read the lockfile anew, and return where the copies of admitted code go.

        Raises:
            LockMismatch: the lockfile itself cannot be read.
        """
        if self._lock_path is not None:
            self._lock = read_lock(self._lock_path)
        caches = Caches(self._run.data_dir)
        store = CodeStore(caches.code, Sightings(caches.seen))
        return store.swept(self._run.clock.wall_ns())

    def admit(self, candidate: Candidate, store: CodeStore, taken: Collection[PluginId]) -> Member:
        """Return *candidate* as a member; its ``error`` says why it may not run.

        *taken*: ids that belong to somebody else.
        """
        manifest = candidate.manifest
        if manifest is None:
            return broken(candidate, self._hosting.limits)
        member = Member(
            id=manifest.id,
            priority=manifest.priority,
            declared=declared(manifest),
            facts=PluginFacts(
                id=manifest.id,
                version=manifest.version,
                code_digest="",
                asked=manifest.permissions,
            ),
            limits=manifest.limits_over(self._hosting.limits),
            manifest=manifest,
            candidate=candidate,
        )
        try:
            if manifest.id in taken:
                raise PluginDisabled(f"id {manifest.id!r} is taken", plugin=manifest.id)
            self._admit(member, manifest, store, candidate)
        except PluginDisabled as error:
            member.error = error
        except (KernelConfigError, SandboxUnavailable) as error:
            member.error = as_disabled(manifest.id, error)
        return member

    def _admit(
        self, member: Member, manifest: Manifest, store: CodeStore, candidate: Candidate
    ) -> None:
        source = candidate.source
        admitted = store.admit(candidate.code, manifest.read)
        same_bytes(manifest, admitted)
        entry = check(self._lock, admitted, manifest, place=source) if self._lock else None
        grant = effective_grant(manifest, self._grants, self._lock)
        check_machine(
            self._level,
            grant,
            fresh=self._is_fresh(manifest),
            zygote=self._hosting.launcher != "spawn",
        )
        settled = effective_settings(manifest, self._settings, self._schemas)
        level = level_of(self._hosting, manifest, grant, self._level)
        if entry is not None:
            options = hosting_values(self._hosting, member.limits)
            check_hosting(entry, manifest.id, level, options, place=source)
        member.home = self._home(manifest, entry, source)
        member.admitted = admitted
        member.settings = settled.sealed
        member.words = settled.words
        member.facts = PluginFacts(
            id=manifest.id,
            version=manifest.version,
            code_digest=member.home.code_digest(admitted.tree_digest),
            requires=manifest.requires,
            grant=grant,
            asked=manifest.permissions,
            contracts={str(hook): sides for hook, sides in manifest.contracts.items()},
            settings=settled.shown,
            level=level,
            tags=manifest.tags,
            provides=manifest.provides,
        )

    def _is_fresh(self, manifest: Manifest) -> bool:
        """Whether its calls are to have processes of their own; not those of a resident."""
        return manifest.state == "fresh" and manifest.id not in self._hosting.inproc_allowlist

    def _home(self, manifest: Manifest, entry: LockEntry | None, source: str) -> Home:
        """Where the plugin's code runs; last of all, as every byte of an environment is read."""
        home = self._homes.of(manifest.environment, who=manifest.id, place=source)
        if entry is not None and home.installed is not None:
            found = home.installed.environment
            abi = found.interpreter.abi
            check_environment(entry, manifest.id, abi, found.digest, place=source)
        return home

    def incompatible(self, members: Sequence[Member]) -> Mapping[PluginId, PluginDisabled]:
        """Return who of *members* could not run beside the others, each with the reason."""
        running = [m.manifest for m in members if m.manifest is not None]
        foreign = {m.id: m.home.python for m in members if m.home and m.home.python}
        versions = Versions(
            kernel=nxkernel.__version__,
            python=platform.python_version(),
            api=self._api_version,
            foreign=foreign,
        )
        return resolve(running, versions).disabled
