"""The steps of a boot, in their order; each fails closed.

What concerns one plugin disables that plugin; what concerns all of them (the level, the audit, the
configuration) raises, and the kernel does not start.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs

from nxkernel.dispatch.drivers import run_blocking
from nxkernel.dispatch.effects import Effects, Fork
from nxkernel.dispatch.stack import BootFacts, Event, Middleware
from nxkernel.errors import KernelConfigError, NxError, PluginDisabled, SandboxUnavailable
from nxkernel.hookspecs import HookSpec
from nxkernel.host.builtin import Builtins
from nxkernel.host.transport import Callbacks, Transport
from nxkernel.kernel.facts import run_header
from nxkernel.kernel.impls import ImplCache, agree
from nxkernel.kernel.plant import Plant
from nxkernel.kernel.registry import Registry
from nxkernel.kernel.roster import Member, Roster, as_disabled
from nxkernel.run import Run
from nxkernel.settings import Hosting, Sandbox
from nxkernel.types import ImplFacts, PluginId

__all__ = ["Boot"]

_PROBE = PluginId("nxkernel.probe")


@attrs.define(kw_only=True)
class Boot:
    """The parts that a boot brings up, and the steps that do it."""

    project: str
    run: Run
    sandbox: Sandbox
    hosting: Hosting
    specs: Mapping[str, HookSpec]
    middleware: Sequence[Middleware]
    builtins: Builtins
    builtin_ids: frozenset[PluginId]
    roster: Roster
    plant: Plant
    registry: Registry
    callbacks: Callbacks
    #: Tells every middleware that listens.
    tell: Callable[..., None]
    #: Where exits of workers are reported.
    report: Callable[[str, str, Mapping[str, Any]], None]

    def enlist(self) -> None:
        """Decide who runs, on files alone; no plugin code has been executed.

        The level comes first: nothing else matters if it cannot be had.
        """
        self.roster.check_level(self.sandbox)
        self.roster.enlist()

    def open_stack(self) -> None:
        """Boot the middleware: the audit has the run's header before the first process starts."""
        for _ in range(len(self.roster.members) + 1):
            try:
                self._boot_middleware()
                break
            except PluginDisabled as error:
                member = self.roster.members.get(PluginId(error.plugin))
                if member is None or member.error is not None:
                    raise
                self.roster.disable(member.id, error)
        for member in self.roster.disabled():
            self._tell_disabled(member)

    def _boot_middleware(self) -> None:
        facts = BootFacts(
            run_id=self.run.id,
            seed=self.run.seed,
            clock=self.run.clock,
            specs=self.specs,
            plugins=self.roster.enabled_facts(),
            header=run_header(self.sandbox, self.middleware, self.roster.lock_digest),
            emit=self._emit,
        )
        for each in self.middleware:
            each.boot(facts)

    def _emit(self, event: Event) -> None:
        self.tell("event", event)

    def _tell_disabled(self, member: Member) -> None:
        if member.error is not None:
            self.tell("plugin_disabled", member.facts, member.error.code)

    def start(self) -> Transport:
        """Start the processes and have a probe worker show that the level holds."""
        self.plant.start()
        for member in self.roster.enabled():
            self.plant.add(
                member.id,
                self.roster.planner(member, self.project),
                cpu_seconds=member.limits.cpu_seconds_per_call,
                report=self.report,
            )
        transport = Transport(self.plant.keepers, self.callbacks, self.run.clock)
        self._witness(transport)
        return transport

    def _witness(self, transport: Transport) -> None:
        keeper = self.plant.add(_PROBE, self.roster.probe, cpu_seconds=None, report=_silent)
        try:
            problem = self._drive(transport.witness(keeper))
        finally:
            self.plant.remove(_PROBE)
        if problem is not None:
            raise problem

    def learn(self, transport: Transport) -> None:
        """Find out what each plugin implements: from lockfile, cache, or the plugin itself."""
        cache = ImplCache(self.run.data_dir / "cache" / "impls", self.project)
        unknown = []
        for member in self.roster.enabled():
            known = self.roster.locked_impls(member.id) or _cached(cache, member)
            if known is not None:
                self._register(member, known)
            if known is None or self.hosting.eager:
                unknown.append(member)
        self._drive(self._start_all(transport, unknown))
        for member in self.roster.members.values():
            if not self.registry.impls(member.id):
                self.registry.register_declared(member.id, member.priority, member.declared)
            elif member.error is None:
                cache.put(member.facts.code_digest, self.registry.impls(member.id))
        for name in sorted(self.builtin_ids):
            self.registry.register(name, 0, self.builtins.impls(name))

    def _register(self, member: Member, impls: Sequence[ImplFacts]) -> None:
        try:
            agree(member.id, member.declared, impls, member.entries)
            self.registry.register(member.id, member.priority, impls)
        except PluginDisabled as error:
            self.roster.disable(member.id, error)
            self._tell_disabled(member)

    def _start_all(self, transport: Transport, members: Sequence[Member]) -> Effects[None]:
        starting = [member for member in members if member.error is None]
        problems = yield Fork(tuple(transport.ensure(member.id) for member in starting))
        for member, problem in zip(starting, problems, strict=True):
            if problem is not None:
                self._not_started(member, problem)

    def _not_started(self, member: Member, problem: NxError) -> None:
        if isinstance(problem, SandboxUnavailable | KernelConfigError):
            raise problem
        self.roster.disable(member.id, as_disabled(member.id, problem))
        self._tell_disabled(member)

    def require(self, required: frozenset[str], running: Callable[[PluginId], Any]) -> None:
        """Raise unless everybody who must be there is there.

        *running* returns the reason why a plugin does not run, or None.
        """
        for name in sorted(required):
            plugin = PluginId(name)
            if plugin not in self.roster.members and plugin not in self.builtin_ids:
                known = ", ".join(sorted(self.roster.members)) or "none"
                raise KernelConfigError(f"required plugin {name!r} was not found; found: {known}")
            error = running(plugin)
            if error is not None:
                raise error

    def _drive(self, generator: Any) -> Any:
        return run_blocking(generator, self.run.clock, self.plant.bell)


def _cached(cache: ImplCache, member: Member) -> tuple[ImplFacts, ...] | None:
    """What the cache knows of *member*, unless its manifest says that this is wrong."""
    known = cache.get(member.facts.code_digest)
    try:
        agree(member.id, member.declared, known or (), member.entries)
    except PluginDisabled:
        return None
    return known


def _silent(_kind: str, _plugin: str, _data: Mapping[str, Any]) -> None:
    """The probe's exit is no event of the run."""
