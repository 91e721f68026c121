"""Launches: all that a worker is started with, put together when it is needed."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import attrs

from nxkernel._canonical import digest, encode
from nxkernel._once import once
from nxkernel._seeds import child, draw, run_key
from nxkernel.errors import KernelConfigError, PluginDisabled, SandboxUnavailable
from nxkernel.host import launch
from nxkernel.host.denials import Advisor
from nxkernel.host.launch import Launch, Load
from nxkernel.host.masking import Masking
from nxkernel.host.zygote import Profile
from nxkernel.kernel.allowlist import Residence
from nxkernel.kernel.caches import Caches
from nxkernel.kernel.folders import Folders
from nxkernel.kernel.homes import Home, Homes
from nxkernel.kernel.machine import CONFINING
from nxkernel.kernel.members import Member, as_disabled
from nxkernel.kernel.profiles import environment_of, worker_environment
from nxkernel.kernel.walls import Walls
from nxkernel.plugins.bytecode import Bytecode, sources_of
from nxkernel.plugins.codestore import Admitted
from nxkernel.plugins.manifest import Manifest
from nxkernel.plugins.sightings import Sightings
from nxkernel.run import Run
from nxkernel.settings import Grant, Guard, Hosting
from nxkernel.types import Level, PluginId

__all__ = ["Launches"]

#: Tasks of a worker beside its processes: the threads of its libraries.
_THREADS = 64
#: Tasks of all calls at a time whose processes are forked from one template.
_CALLS = 1024
_BYTECODE = b"nx.bytecode.v1\0"


#: Stands for every plugin of which nothing in particular is said.
PROBE = PluginId("nxkernel.probe")


@attrs.frozen(kw_only=True)
class _Given:
    """A member that was admitted, and what it is given in this run."""

    member: Member
    manifest: Manifest
    admitted: Admitted
    home: Home
    run_dir: Path
    #: What its manifest's templates stand for.
    templates: Mapping[str, str]
    granted: Grant
    bytecode: Bytecode
    #: Where its code is, compiled or not.
    code: tuple[str, ...]
    guard: Guard


class Launches:
    """Says what the workers of one kernel, and its residents, are started with."""

    def __init__(
        self,
        run: Run,
        level: Level,
        hosting: Hosting,
        homes: Homes,
        folders: Folders,
        guard_of: Callable[[PluginId], Guard],
    ) -> None:
        self._run = run
        self._level = level
        self._hosting = hosting
        self._homes = homes
        self._folders = folders
        self._guard_of = guard_of
        self._walls = Walls(run, level)
        self._caches = Caches(run.data_dir)
        self._seen = Sightings(self._caches.seen)
        #: Where the application's modules for its plugins are copied to, if it has any.
        self.api_dir: Path | None = None

    def planner(self, member: Member, project: str) -> Callable[[], Launch]:
        """Return what builds the launch of *member*'s workers, when it is needed.

        What cannot be granted here, such as a path that does not exist, concerns this plugin alone.
        """

        def plan() -> Launch:
            try:
                return self._launch(member, project)
            except (KernelConfigError, SandboxUnavailable) as error:
                raise as_disabled(member.id, error) from None

        return plan

    def _launch(self, member: Member, project: str) -> Launch:
        given = self._given(member)
        granted, strict = given.granted, given.guard.chance == "strict"
        return Launch(
            profile=self._homes.profile(
                given.home, network=bool(granted.network), fixed_addresses=strict
            ),
            level=self._level,
            confinement=self._walls.around(
                member.limits,
                given.code,
                given.home,
                given.run_dir,
                granted,
                entropy=not strict,
                template=member.fresh,
            ),
            environment=environment_of(self._hosting, given.run_dir, strict=strict),
            run_dir=str(given.run_dir),
            max_frame=self._hosting.max_frame,
            limits=member.limits,
            tasks=self._tasks(member, granted),
            call_filter=(
                self._walls.around_calls(granted, entropy=not strict) if member.fresh else None
            ),
            load=self._load(given, project),
            advisor=self._advisor(member, given.manifest, given.home, given.templates),
        )

    def _given(self, member: Member) -> _Given:
        manifest, admitted, home = member.manifest, member.admitted, member.home
        if manifest is None or admitted is None or home is None:
            raise _not_admitted(member)
        run_dir = self._folders.of_run(member.id)
        templates = self._folders.templates(member, run_dir)
        granted = self._folders.granted(member, templates)
        bytecode = self._bytecode(admitted, home)
        return _Given(
            member=member,
            manifest=manifest,
            admitted=admitted,
            home=home,
            run_dir=run_dir,
            templates=templates,
            granted=granted,
            bytecode=bytecode,
            code=(*self._code(admitted), bytecode.place),
            guard=self._guard_of(member.id),
        )

    def _load(self, given: _Given, project: str) -> Load:
        """What the worker has to load, once it is confined."""
        member, manifest, granted = given.member, given.manifest, given.granted
        return Load(
            plugin=member.id,
            project=project,
            entrypoint=manifest.entrypoint,
            code_dir=str(given.admitted.path),
            inside=given.admitted.inside,
            settings=encode(member.settings.reveal()),
            write_roots=tuple(sorted({str(given.run_dir), *granted.write})),
            import_seed=self._import_seed(member),
            run_started_ns=self._run.started_ns,
            api_dir=str(self.api_dir or ""),
            fence=self._walls.fence(given.code, given.home, granted),
            guard=_told(given.guard, rng_global=manifest.rng == "global"),
            environment=given.home.environment,
            bytecode=given.bytecode,
            masking=Masking(member.words.reveal()),
        )

    def _tasks(self, member: Member, granted: Grant) -> int:
        """How many a worker with processes of its own may have; 0 is the walls' own limit."""
        if self._walls.let_programs_start(granted):
            return member.limits.processes + _THREADS
        return _CALLS if member.fresh and self._level in CONFINING else 0

    def _code(self, admitted: Admitted) -> tuple[str, ...]:
        """What the plugin itself is imported from."""
        return tuple(str(path) for path in (admitted.path, self.api_dir) if path is not None)

    def _bytecode(self, admitted: Admitted, home: Home) -> Bytecode:
        """Where the plugin's code is kept as its interpreter compiles it."""
        key = digest(encode([admitted.tree_digest, *self._interpreter(home)]), _BYTECODE)
        return Bytecode(
            self._caches.bytecode / key.removeprefix("sha256:")[:40],
            sources_of([(file.path, file.size) for file in admitted.files]),
            self._seen,
        )

    def _interpreter(self, home: Home) -> list[str]:
        """What tells interpreters apart whose byte code differs; each checks its own as well."""
        if home.installed is not None:
            found = home.installed.environment.interpreter
            return [found.executable, found.version]
        return [str(self._hosting.python or sys.executable), sys.version]

    def _advisor(
        self, member: Member, manifest: Manifest, home: Home, templates: Mapping[str, str]
    ) -> Advisor:
        closed = [templates["plugin_dir"], self._audit]
        if self._level in CONFINING:
            closed += home.read
        return Advisor(
            plugin=member.id,
            level=self._level,
            templates=templates,
            requested=manifest.permissions,
            closed=closed,
        )

    @once
    def _audit(self) -> str:
        """Where the audit is, free of symbolic links."""
        return str(self._run.data_dir.resolve() / "audit")

    def _import_seed(self, member: Member) -> bytes:
        return draw(child(run_key(self._run.seed), "import", member.id), "import")

    def residence(self, member: Member) -> Residence:
        """Return what a plugin of the in-process allowlist is loaded with."""
        if member.manifest is None or member.admitted is None:
            raise _not_admitted(member)
        return Residence(
            entrypoint=member.manifest.entrypoint,
            code_dir=member.admitted.home,
            run_dir=self._folders.of_run(member.id),
            settings=copy.deepcopy(member.settings.reveal()),
            masking=Masking(member.words.reveal()),
            import_seed=self._import_seed(member),
            run_started_ns=self._run.started_ns,
        )

    @property
    def fixes_addresses(self) -> bool:
        """Whether plugins have fixed addresses, but for those of which the guard says otherwise."""
        return self._guard_of(PROBE).chance == "strict"

    @property
    def profile(self) -> Profile:
        """What the workers of most plugins are started with."""
        return self._homes.profile(self._homes.common, fixed_addresses=self.fixes_addresses)

    def probe(self) -> Launch:
        """Return the launch of a worker that only shows that the level holds."""
        run_dir, home = self._folders.of_run(PROBE), self._homes.common
        return Launch(
            profile=self.profile,
            level=self._level,
            confinement=self._walls.around_nobody(self._hosting.limits, home, run_dir),
            environment=worker_environment(),
            run_dir=str(run_dir),
            max_frame=self._hosting.max_frame,
            limits=self._hosting.limits,
        )


def _told(guard: Guard, *, rng_global: bool) -> launch.Guard:
    """Return *guard* as a worker is told of it."""
    return launch.Guard(
        chance=guard.chance,
        clocks=guard.clocks,
        environment=guard.environment,
        rng_global=rng_global,
    )


def _not_admitted(member: Member) -> PluginDisabled:
    return PluginDisabled(f"plugin {member.id!r} was not admitted", plugin=member.id)
