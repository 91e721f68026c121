"""Which plugins run, and with what: decided on files alone, before any plugin code runs."""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import attrs

import nxkernel
from nxkernel._canonical import digest, encode
from nxkernel._seeds import child, draw, run_key
from nxkernel.dispatch.stack import PluginFacts
from nxkernel.errors import KernelConfigError, NxError, PluginDisabled, SandboxUnavailable
from nxkernel.host.launch import Confinement, Launch, Load
from nxkernel.kernel.plant import code_folders, worker_environment
from nxkernel.kernel.shared import share
from nxkernel.plugins.codestore import Admitted, CodeStore
from nxkernel.plugins.compat import Versions, resolve
from nxkernel.plugins.discovery import Candidate
from nxkernel.plugins.grants import effective_grant, expand
from nxkernel.plugins.lockfile import Lock, check, read_lock
from nxkernel.plugins.manifest import HookEntry, Manifest
from nxkernel.plugins.settings import effective_settings
from nxkernel.run import Run
from nxkernel.schemas import SchemaRegistry
from nxkernel.settings import Grant, Hosting, Limits, Sandbox
from nxkernel.types import ImplFacts, Level, PluginId

__all__ = ["Member", "Roster", "as_disabled"]


@attrs.define
class Member:
    """A plugin that was found, and whether it may run."""

    id: PluginId
    priority: int
    #: What its manifest says it implements; arguments are not known yet.
    declared: tuple[ImplFacts, ...]
    facts: PluginFacts
    limits: Limits
    manifest: Manifest | None = None
    admitted: Admitted | None = None
    #: Why it does not run, or None.
    error: PluginDisabled | None = None

    @property
    def entries(self) -> tuple[HookEntry, ...]:
        """Its manifest's ``hooks``, with what they leave open."""
        return self.manifest.hooks if self.manifest is not None else ()


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
        settings: Mapping[str, Mapping[str, Any]],
        paths: Mapping[str, Path | str],
        taken: frozenset[PluginId],
        api: Sequence[str] = (),
        api_version: str | None = None,
    ) -> None:
        self._run = run
        self._level = level
        self._hosting = hosting
        self._candidates = candidates
        self._grants = grants
        self._lock_path = lock
        self._lock: Lock | None = None
        self._settings = settings
        self._paths = paths
        self._taken = taken
        self._api = api
        self._api_version = api_version
        self._api_dir: Path | None = None
        self.members: dict[PluginId, Member] = {}
        #: Filled by :meth:`enlist`; the desk reads them.
        self.facts: dict[PluginId, PluginFacts] = {}
        self.timeouts: dict[PluginId, float] = {}

    @property
    def lock_digest(self) -> str | None:
        """Digest of the lockfile, or None without one."""
        if self._lock_path is None:
            return None
        return digest(self._lock_path.read_bytes(), b"nx.lock.v1\0")

    def locked_impls(self, plugin: PluginId) -> tuple[ImplFacts, ...] | None:
        """Return the hookimpls that the lockfile records, or None."""
        entry = self._lock.plugins.get(plugin) if self._lock is not None else None
        return entry.impls if entry is not None else None

    def enabled(self) -> list[Member]:
        """Members that may run, by id."""
        return [m for _, m in sorted(self.members.items()) if m.error is None]

    def disabled(self) -> list[Member]:
        """Members that may not, by id."""
        return [m for _, m in sorted(self.members.items()) if m.error is not None]

    def enabled_facts(self) -> dict[PluginId, PluginFacts]:
        """What the stack may know of the members that may run."""
        return {member.id: member.facts for member in self.enabled()}

    def disable(self, plugin: PluginId, error: PluginDisabled) -> None:
        """Keep *plugin* from running."""
        self.members[plugin].error = error

    # -- the level -------------------------------------------------------------------------

    def check_level(self, sandbox: Sandbox) -> None:
        """Raise SandboxUnavailable unless the demanded level can be had.

        Only what is certain beforehand is decided here; a probe worker and then every worker
        witnesses its level itself.
        """
        level = sandbox.level
        if level == "isolated":
            raise SandboxUnavailable(
                "level isolated: this version has no namespaces; "
                'use Sandbox(require="confined") or look at `nxkernel doctor`',
                details={"guarantee": "namespaces"},
            )
        if level == "none":
            raise KernelConfigError(
                'Sandbox(require="none") would run plugins in the host; this version refuses it. '
                'Use require="process" for a separate process without confinement'
            )
        if level == "confined" and sys.platform != "linux":
            raise SandboxUnavailable(
                f"level confined needs Linux; this is {sys.platform}. "
                'Sandbox(require="process") accepts a separate process without confinement',
                details={"guarantee": "landlock"},
            )

    # -- enlisting ---------------------------------------------------------------------------

    def enlist(self) -> None:
        """Admit every candidate: manifest, lockfile, grants, settings, compatibility.

        Raises:
            LockMismatch: the lockfile itself cannot be read.
        """
        if self._lock_path is not None:
            self._lock = read_lock(self._lock_path)
        store = CodeStore(self._run.data_dir / "cache" / "code")
        self._api_dir = share(self._api, store)
        for candidate in self._candidates:
            member = self._enlist(candidate, store)
            self.members[member.id] = member
        for plugin, error in self._incompatible().items():
            self.members[plugin].error = error
        for member in self.members.values():
            self.facts[member.id] = member.facts
            if member.limits.timeout_s is not None:
                self.timeouts[member.id] = member.limits.timeout_s

    def _enlist(self, candidate: Candidate, store: CodeStore) -> Member:
        manifest = candidate.manifest
        if manifest is None:
            return self._broken(candidate.id, candidate.error)
        member = Member(
            id=manifest.id,
            priority=manifest.priority,
            declared=_declared(manifest),
            facts=PluginFacts(id=manifest.id, version=manifest.version, code_digest=""),
            limits=manifest.limits_over(self._hosting.limits),
            manifest=manifest,
        )
        try:
            self._admit(member, manifest, store, candidate.source)
        except PluginDisabled as error:
            member.error = error
        except (KernelConfigError, SandboxUnavailable) as error:
            member.error = as_disabled(manifest.id, error)
        return member

    def _admit(self, member: Member, manifest: Manifest, store: CodeStore, source: str) -> None:
        if manifest.id in self._taken or manifest.id in self.members:
            raise PluginDisabled(f"id {manifest.id!r} is taken", plugin=manifest.id)
        admitted = store.admit(manifest.folder)
        _same_bytes(manifest, admitted)
        if self._lock is not None:
            check(self._lock, admitted, manifest, place=source)
        grant = effective_grant(manifest, self._grants, self._lock)
        settings, _, _ = effective_settings(
            manifest, self._settings.get(manifest.id, {}), SchemaRegistry()
        )
        member.admitted = admitted
        member.facts = PluginFacts(
            id=manifest.id,
            version=manifest.version,
            code_digest=admitted.tree_digest,
            requires=manifest.requires,
            grant=grant,
            contracts={str(hook): sides for hook, sides in manifest.contracts.items()},
            settings_schema=manifest.settings_schema,
            settings=settings,
            level=self._level,
            tags=manifest.tags,
            provides=manifest.provides,
        )

    def _broken(self, plugin: PluginId, error: NxError | None) -> Member:
        reason = error or PluginDisabled(f"{plugin}: no manifest", plugin=plugin)
        return Member(
            id=plugin,
            priority=0,
            declared=(),
            facts=PluginFacts(id=plugin, version="", code_digest=""),
            limits=self._hosting.limits,
            error=as_disabled(plugin, reason),
        )

    def _incompatible(self) -> Mapping[PluginId, PluginDisabled]:
        running = [m.manifest for m in self.enabled() if m.manifest is not None]
        versions = Versions(
            kernel=nxkernel.__version__, python=platform.python_version(), api=self._api_version
        )
        return resolve(running, versions).disabled

    # -- launching ---------------------------------------------------------------------------

    def planner(self, member: Member, project: str) -> Callable[[], Launch]:
        """Return what builds the launch of *member*'s workers, when it is needed."""
        return lambda: self._launch(member, project)

    def _launch(self, member: Member, project: str) -> Launch:
        manifest, admitted = member.manifest, member.admitted
        if manifest is None or admitted is None:
            raise PluginDisabled(f"plugin {member.id!r} was not admitted", plugin=member.id)
        run_dir = self._run_dir(member.id)
        granted = self._granted(member, run_dir)
        return Launch(
            level=self._level,
            confinement=self._confine(member.limits, admitted, run_dir, granted),
            environment={
                **worker_environment(),
                **self._hosting.environment,
                "HOME": str(run_dir / "home"),
                "TMPDIR": str(run_dir / "tmp"),
            },
            run_dir=str(run_dir),
            max_frame=self._hosting.max_frame,
            load=Load(
                plugin=member.id,
                project=project,
                entrypoint=manifest.entrypoint,
                code_dir=str(admitted.path),
                settings=encode(dict(member.facts.settings)),
                write_roots=tuple(sorted({str(run_dir), *granted.write})),
                import_seed=draw(child(run_key(self._run.seed), "import", member.id), "import"),
                run_started_ns=self._run.started_ns,
                api_dir=str(self._api_dir or ""),
            ),
        )

    def probe(self) -> Launch:
        """Return the launch of a worker that only shows that the level holds."""
        run_dir = self._run_dir(PluginId("nxkernel.probe"))
        confinement: Confinement = _unconfined(self._hosting.limits)
        if self._level == "confined":
            from nxkernel.host.sandbox.linux import policy

            confinement = policy.build(
                policy.ConfinementPlan(read=self._libraries, write=(str(run_dir),))
            )
        return Launch(
            level=self._level,
            confinement=confinement,
            environment=worker_environment(),
            run_dir=str(run_dir),
            max_frame=self._hosting.max_frame,
        )

    @cached_property
    def _libraries(self) -> tuple[str, ...]:
        """What any worker's code may read; looked up once, and not for each plugin."""
        from nxkernel.host.sandbox.linux import policy

        return policy.default_read_paths(code_folders())

    def _run_dir(self, plugin: PluginId) -> Path:
        folder = self._run.dir / "plugins" / plugin
        for each in (folder, folder / "home", folder / "tmp"):
            each.mkdir(parents=True, exist_ok=True, mode=0o700)
        return folder.resolve()

    def _templates(self, member: Member, run_dir: Path) -> dict[str, str]:
        data = self._run.data_dir
        cache = data / "cache" / "plugins" / member.id
        defaults = {
            "run_dir": run_dir,
            "plugin_dir": member.admitted.path if member.admitted else run_dir,
            "cache_dir": cache,
            "media_dir": data / "media",
            "metadata_db_path": data / "store" / "records.db",
            "audit_db_path": self._run.audit_log.path,
        }
        return {k: str(Path(self._paths.get(k, v)).resolve()) for k, v in defaults.items()}

    def _granted(self, member: Member, run_dir: Path) -> Grant:
        """The member's grant with real paths; its cache folder is made when it is granted."""
        templates = self._templates(member, run_dir)
        granted = expand(member.facts.grant, templates)
        for path in granted.write:
            if path.startswith(templates["cache_dir"]):
                Path(path).mkdir(parents=True, exist_ok=True, mode=0o700)
        return granted

    def _confine(
        self, limits: Limits, admitted: Admitted, run_dir: Path, granted: Grant
    ) -> Confinement:
        if self._level != "confined":
            return _unconfined(limits)
        from nxkernel.host.sandbox.linux import policy

        data = self._run.data_dir
        plan = policy.ConfinementPlan(
            code=tuple(str(path) for path in (admitted.path, self._api_dir) if path is not None),
            read=(*self._libraries, *granted.read),
            write=tuple(sorted({str(run_dir), *granted.write})),
            protected=(str(data / "audit"), str(data / "cache" / "code")),
            connect_tcp=tuple(int(port.removeprefix("tcp:")) for port in granted.network),
            limits=limits,
        )
        return policy.build(plan)


@attrs.frozen
class _Unconfined:
    """Level ``process``: resource limits alone."""

    limits: Mapping[str, tuple[int, int]]
    ruleset_fd: int = -1
    program: bytes = b""


def _unconfined(limits: Limits) -> _Unconfined:
    if sys.platform != "linux":
        return _Unconfined({})
    from nxkernel.host.sandbox.linux.policy import rlimits

    return _Unconfined(rlimits(limits))


def _same_bytes(manifest: Manifest, admitted: Admitted) -> None:
    """The manifest that was judged must be the one in the copy that runs."""
    copied = {file.path: file.sha256 for file in admitted.files}
    for path, judged in sorted(manifest.read.items()):
        if copied.get(path) != judged:
            raise PluginDisabled(
                f"plugin {manifest.id!r}: {path} changed while it was being admitted; try again",
                code="lock.mismatch",
                plugin=manifest.id,
            )


def _declared(manifest: Manifest) -> tuple[ImplFacts, ...]:
    return tuple(
        ImplFacts(
            impl=entry.impl or entry.hook,
            hook=entry.hook,
            args=entry.args or (),
            wrapper=bool(entry.wrapper),
            tryfirst=bool(entry.tryfirst),
            trylast=bool(entry.trylast),
            optionalhook=bool(entry.optional),
        )
        for entry in manifest.hooks
    )


def as_disabled(plugin: PluginId, error: NxError) -> PluginDisabled:
    """Return *error* as the reason why *plugin* does not run, with its code."""
    if isinstance(error, PluginDisabled):
        return error
    return PluginDisabled(error.message, code=error.code, plugin=plugin, details=error.details)
