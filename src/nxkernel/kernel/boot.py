"""The steps of a boot, in their order; each fails closed.

What concerns one plugin disables that plugin; what concerns all of them (the level, the audit, the
configuration) raises, and the kernel does not start.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

import attrs

from nxkernel import _temporary
from nxkernel._once import once
from nxkernel.dispatch.drivers import run_blocking
from nxkernel.dispatch.effects import Effects, Fork
from nxkernel.dispatch.stack import BootFacts, Event, Middleware
from nxkernel.errors import KernelConfigError, NxError, PluginDisabled, SandboxUnavailable
from nxkernel.hookspecs import HookSpec
from nxkernel.host.builtin import Builtins
from nxkernel.host.transport import Callbacks, Transport
from nxkernel.kernel.caches import Caches
from nxkernel.kernel.debugging import sockets
from nxkernel.kernel.facts import run_header
from nxkernel.kernel.impls import ImplCache, agree
from nxkernel.kernel.machine import CONFINING, check_level, load_walls
from nxkernel.kernel.members import Member, as_disabled
from nxkernel.kernel.places import Place, Places
from nxkernel.kernel.plant import Plant
from nxkernel.kernel.registry import Registry
from nxkernel.kernel.residents import Residents
from nxkernel.kernel.roster import Roster
from nxkernel.kernel.standings import Standings
from nxkernel.kernel.witnessed import WitnessCache, grounds
from nxkernel.run import Run
from nxkernel.settings import Hosting, Sandbox
from nxkernel.types import ImplFacts, PluginId

__all__ = ["Boot"]

_log = logging.getLogger("nxkernel.settings")
#: Why a plugin does not start now, but will.
_FOR_NOW = frozenset({"plugin.backoff", "plugin.quarantined"})
_PROBE = PluginId("nxkernel.probe")


@attrs.define(kw_only=True, slots=False)
class Boot:
    """The parts that a boot brings up, and the steps that do it."""

    run: Run
    sandbox: Sandbox
    hosting: Hosting
    specs: Mapping[str, HookSpec]
    middleware: Sequence[Middleware]
    builtins: Builtins
    builtin_ids: frozenset[PluginId]
    roster: Roster
    plant: Plant
    residents: Residents
    places: Places
    registry: Registry
    impl_cache: ImplCache
    callbacks: Callbacks
    #: Tells every middleware that listens.
    tell: Callable[..., None]
    #: How often the plugins have failed, if their order goes by that.
    standings: Standings

    def enlist(self) -> None:
        """Decide who runs, on files alone; no plugin code has been executed.

        The level comes first: nothing else matters if it cannot be had.
        """
        _temporary.sweep()
        _temporary.sweep(sockets(self.run.data_dir))
        load_walls()
        check_level(self.sandbox, witnessed=self._known)
        self.plant.begin()
        self.roster.enlist()

    @once
    def _witnesses(self) -> WitnessCache:
        folder = Caches(self.run.data_dir).witness
        return WitnessCache(folder, grounds(self.hosting.python))

    @once
    def _known(self) -> bool:
        """Whether an earlier boot saw the level hold, and nothing that it rests on has changed."""
        level = self.sandbox.level
        return level in CONFINING and self._witnesses.recall(level) is not None

    def open_stack(self) -> None:
        """Boot the middleware: the audit has the run's header before any worker is asked for."""
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
        self._tell_unused()

    def _tell_unused(self) -> None:
        """Say which settings nobody has: a plugin may not be there today, or its id is misspelt."""
        for name in self.roster.unused_settings():
            near = get_close_matches(name, sorted(self.roster.members), 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            _log.warning("settings for %r are not used: there is no such plugin%s", name, hint)
            self._emit(Event(kind="settings.unused", data={"named": name, "nearest": near}))

    def _boot_middleware(self) -> None:
        facts = BootFacts(
            run_id=self.run.id,
            seed=self.run.seed,
            clock=self.run.clock,
            specs=self.specs,
            plugins=self.roster.enabled_facts(),
            header=run_header(
                self.run,
                self.sandbox,
                self.hosting,
                self.middleware,
                self.roster.lock_digest,
                self.standings.told(),
            ),
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
        """Start the processes, and have a probe worker show that the level holds.

        Once for a machine, its kernel and what else the level rests on; every worker shows it again
        before it sees its plugin.
        """
        self.plant.start()
        for member in self._hosted():
            self._house(member)
        transport = Transport(
            self.plant.keepers,
            self.callbacks,
            self.run.clock,
            self.plant.aside,
            (self.hosting.stream_items, self.hosting.stream_bytes),
        )
        if not self._known:
            self.plant.ready()
            self._witness(transport)
        return transport

    def _house(self, member: Member) -> None:
        """Make the place for a plugin's workers, in quarantine if its code still is."""
        keeper = self.plant.add(self.places.of(member))
        keeper.supervisor.resume()

    def _witness(self, transport: Transport) -> None:
        place = Place(plugin=_PROBE, plan=self.roster.launches.probe, report=_silent)
        keeper = self.plant.add(place)
        try:
            problem = self._drive(transport.witness(keeper))
        finally:
            self.plant.remove(_PROBE)
        if problem is not None:
            raise problem
        self._witnesses.keep(self.sandbox.level, keeper.witnessed)

    def learn(self, transport: Transport) -> None:
        """Find out what each plugin implements: from lockfile, cache, or the plugin itself."""
        cache = self.impl_cache
        unknown = []
        self._settle()
        for member in self._hosted():
            known = self.roster.locked_impls(member.id) or _cached(cache, member)
            if known is not None:
                self._register(member, known)
            if known is None or self.hosting.eager:
                unknown.append(member)
        self.plant.ready()
        self._drive(self._start_all(transport, unknown))
        for member in self.roster.members.values():
            if not self.registry.impls(member.id):
                self.registry.register_declared(member.id, member.priority, member.declared)
            elif member.error is None:
                cache.put(member.facts.code_digest, self.registry.impls(member.id))
        for name in sorted(self.builtin_ids):
            self.registry.register(name, 0, self.builtins.impls(name))

    def _hosted(self) -> list[Member]:
        """Those that may run, in workers."""
        return [member for member in self.roster.enabled() if not member.in_process]

    def _settle(self) -> None:
        """Load the in-process allowlist, here and now: it is there to be debugged."""
        for member in self.roster.enabled():
            if member.in_process:
                problem = self._drive(self.residents.start(member))
                if problem is not None:
                    self._not_started(member, problem)

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
        if problem.code in _FOR_NOW and self.registry.impls(member.id):
            return  # What it does is known, and it may be released.
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
