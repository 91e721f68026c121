"""What a plugin implements, learned from a confined worker and without its application."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from nxkernel._blob import Blobs
from nxkernel._seeds import run_key
from nxkernel._temporary import temporary
from nxkernel.dispatch.drivers import run_blocking
from nxkernel.dispatch.effects import Effects
from nxkernel.errors import KernelConfigError, NxError, SandboxUnavailable
from nxkernel.host.transport import Brokered, Transport
from nxkernel.kernel.impls import agree
from nxkernel.kernel.machine import check_level
from nxkernel.kernel.members import Member
from nxkernel.kernel.places import Place
from nxkernel.kernel.plant import Plant
from nxkernel.kernel.roster import Roster
from nxkernel.plugins.discovery import Candidate
from nxkernel.plugins.layers import Settings
from nxkernel.run import Run
from nxkernel.settings import Hosting, Permissions, Sandbox
from nxkernel.types import Call, CallError, ImplFacts, Outcome, PluginId

__all__ = ["Inspection", "inspect"]


@attrs.frozen(kw_only=True)
class Inspection:
    """What one plugin's worker said when it was started."""

    id: PluginId
    #: What it implements, by attribute name; empty when there is an error.
    impls: tuple[ImplFacts, ...] = ()
    #: Milliseconds that the start took, or None if nothing was started.
    start_ms: float | None = None
    #: Why it does not start, or why code and manifest disagree.
    error: NxError | None = None
    #: The end of what it printed meanwhile.
    log: str = ""


def inspect(
    candidates: Sequence[Candidate], project: str, *, sandbox: Sandbox | None = None
) -> list[Inspection]:
    """Start each of *candidates* in a sandbox, ask for its hookimpls and end it.

    Whatever a manifest requests, the default policy is all that is granted here: looking at a
    plugin must not be the moment in which it gets what it asked for.

    *project* is the pluggy project of the markers. Returns inspections in the order of ids.

    Raises:
        SandboxUnavailable: the level of *sandbox* cannot be had.
        KernelConfigError: this program cannot start workers.
    """
    with temporary("inspect") as folder:
        inspector = _Inspector(folder, candidates, project, sandbox or Sandbox())
        return inspector.run()


class _Inspector:
    """A kernel without hooks: it starts workers, hears their handshake, and ends them."""

    def __init__(
        self, folder: Path, candidates: Sequence[Candidate], project: str, sandbox: Sandbox
    ) -> None:
        self._run = Run.create(folder)
        self._sandbox = sandbox
        self._project = project
        hosting = Hosting()
        self._roster = Roster(
            run=self._run,
            level=sandbox.level,
            hosting=hosting,
            candidates=[_modest(candidate) for candidate in candidates],
            grants=None,
            lock=None,
            settings=Settings(),
            paths={},
            taken=frozenset(),
        )
        self._plant = Plant(hosting, sandbox.level, self._run.clock, run_key(self._run.seed))
        self._found: dict[PluginId, tuple[ImplFacts, ...]] = {}

    def run(self) -> list[Inspection]:
        check_level(self._sandbox)
        self._roster.enlist()
        try:
            self._plant.start()
            transport = Transport(self._plant.keepers, self, self._run.clock)
            members = [member for _, member in sorted(self._roster.members.items())]
            return [self._inspect(member, transport) for member in members]
        finally:
            self._plant.stop()

    def _inspect(self, member: Member, transport: Transport) -> Inspection:
        if member.error is not None:
            return Inspection(id=member.id, error=member.error)
        plan = self._roster.launches.planner(member, self._project)
        keeper = self._plant.add(
            Place(plugin=member.id, plan=plan, report=_ignore, forks_calls=member.fresh)
        )
        problem = run_blocking(transport.ensure(member.id), self._run.clock, self._plant.bell)
        if isinstance(problem, SandboxUnavailable | KernelConfigError):
            raise problem
        return Inspection(
            id=member.id,
            impls=() if problem else self._found[member.id],
            start_ms=None if problem else keeper.start_us / 1000,
            error=problem,
            log=keeper.log.text(),
        )

    # -- what the transport asks ------------------------------------------------------------

    def brokered(
        self, parent: Call, hook: str, payload: bytes, blobs: Blobs, deadline: float
    ) -> Effects[Brokered]:
        """Refuse: there is no application here that could answer."""
        yield from ()
        reason = f"{hook!r} cannot be called while the plugin is being inspected"
        return Brokered(error=CallError(code="policy.denied", message=reason))

    def retrying(self, lost: Call, outcome: Outcome, again: Call) -> None:
        """Nothing is called here, so nothing is lost."""

    def accept(self, plugin: PluginId, edition: int, impls: Sequence[ImplFacts]) -> None:
        """Keep what the worker says it implements, if its manifest says the same."""
        member = self._roster.members[plugin]
        agree(plugin, member.declared, impls, member.entries)
        self._found[plugin] = tuple(impls)

    def told(self, call: Call) -> Outcome | None:
        """Nothing is called here."""

    def history(self, plugin: PluginId, edition: int, starter: str) -> Effects[None]:
        """Replay nothing."""
        yield from ()


def _modest(candidate: Candidate) -> Candidate:
    """Return *candidate* with no request beyond the default policy."""
    if candidate.manifest is None:
        return candidate
    asked = Permissions(calls=candidate.manifest.permissions.calls)
    manifest = attrs.evolve(candidate.manifest, permissions=asked)
    return attrs.evolve(candidate, manifest=manifest)


def _ignore(_kind: str, _plugin: str, _data: Mapping[str, Any]) -> None:
    """Nothing here is an event of a run."""
