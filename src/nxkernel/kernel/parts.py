"""The parts of a running kernel: what one boot brings up, and one close takes down."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any

from nxkernel._blob import Blobs
from nxkernel._seeds import run_key
from nxkernel.dispatch.drivers import run_blocking
from nxkernel.dispatch.effects import Effects, Gate
from nxkernel.dispatch.spin import Look, Spin
from nxkernel.dispatch.stack import Event, PluginFacts
from nxkernel.errors import CallRejected, PluginDisabled
from nxkernel.host.builtin import Builtins
from nxkernel.host.transport import Brokered
from nxkernel.kernel.answers import Answers
from nxkernel.kernel.asking import as_asked, as_brokered
from nxkernel.kernel.boot import Boot
from nxkernel.kernel.breath import Breath
from nxkernel.kernel.caches import Caches
from nxkernel.kernel.composition import Composition
from nxkernel.kernel.debugging import Debugging
from nxkernel.kernel.desk import Desk
from nxkernel.kernel.editions import Edition
from nxkernel.kernel.endings import close_run
from nxkernel.kernel.history import Remembered
from nxkernel.kernel.impls import ImplCache, agree
from nxkernel.kernel.places import Places
from nxkernel.kernel.plant import Plant
from nxkernel.kernel.registry import Registry
from nxkernel.kernel.residents import Residents
from nxkernel.kernel.roster import Roster
from nxkernel.kernel.standings import Standings
from nxkernel.kernel.streams import Open
from nxkernel.kernel.terms import Terms
from nxkernel.kernel.traffic import Traffic
from nxkernel.types import Call, ImplFacts, Outcome, PluginId

__all__ = ["Parts"]

#: Seconds that calls of other threads have to end when the kernel is closed.
_LAST_CALLS_S = 2.0
_RESERVED = frozenset({PluginId("host"), PluginId("nxkernel.probe")})


class Parts:
    """Roster, registry, processes and desk of one kernel, each handed what it needs."""

    def __init__(self, given: Composition, history: Sequence[Remembered] = ()) -> None:
        """*history*: the historic calls of earlier parts, for every worker of these."""
        self.given = given
        self.builtins = Builtins(given.project, given.builtins)
        self.roster = _roster(given)
        self.streams = Open()
        self.plant = self._plant()
        #: How often the plugins have failed, as far as their order goes by that.
        self.standings = Standings(self._code_of)
        self.registry = Registry(
            given.project, given.specs, self.plant.bell.ring, self.standings.failing
        )
        #: What was learned of the plugins' code in earlier runs.
        self.impl_cache = ImplCache(Caches(given.run.data_dir).impls, given.project)
        self.residents = Residents(given.project, self.roster, self.plant.bell.ring, self)
        self.debugging = Debugging(given.run.dir, self.report, given.hosting)
        self.places = Places(given, self.roster.launches, self.debugging, self.report)
        self.traffic = Traffic(self.plant.bell.ring)
        self._spin = Spin(calls=self.traffic.count)
        #: How calls of a hook wait, by its name.
        self._looks: dict[str, Look] = {}
        self._clock = given.run.clock
        self.breath = Breath(self._clock.monotonic)
        #: Editions on trial, and those that finish their last calls.
        self.others: dict[tuple[PluginId, int], Edition] = {}
        self.desk = Desk(self._terms([each.anew() for each in history]))
        #: Whether what happens to workers belongs on record.
        self._recording = False

    def _plant(self) -> Plant:
        given = self.given
        return Plant(
            given.hosting,
            given.sandbox.level,
            given.run.clock,
            run_key(given.run.seed),
            given.run.dir / "logs",
            profile=lambda: self.roster.launches.profile,
            tidy=self.streams.tidy,
        )

    def _terms(self, history: Sequence[Remembered]) -> Terms:
        """What the desk goes by."""
        given = self.given
        return Terms(
            run_id=given.run.id,
            specs=given.specs,
            registry=self.registry,
            middleware=given.middleware,
            builtins=self.builtins,
            builtin_ids=given.builtin_ids,
            residents=self.residents.living,
            facts=self.roster.facts,
            timeouts=self.roster.timeouts,
            depths=self.roster.depths,
            disabled=self.disabled,
            hosting=given.hosting,
            clock=given.run.clock,
            level=given.sandbox.level,
            history=history,
            late=self._report_late,
            facts_of=self._facts_of,
            answers=Answers() if given.evidence is None else Answers(given.evidence, self.report),
            bell=self.plant.bell,
            look_of=self._look_of,
            glance_of=self._spin.glance_of,
        )

    def _code_of(self, plugin: PluginId) -> str | None:
        """The digest of the code that *plugin* has now."""
        member = self.roster.members.get(plugin)
        return None if member is None else member.facts.code_digest

    # -- boot and close --------------------------------------------------------------------

    def boot(self) -> None:
        """Bring everything up, or raise; what was brought up then waits for :meth:`shut`."""
        given = self.given
        boot = Boot(
            run=given.run,
            sandbox=given.sandbox,
            hosting=given.hosting,
            specs=given.specs,
            middleware=given.middleware,
            builtins=self.builtins,
            builtin_ids=given.builtin_ids,
            roster=self.roster,
            plant=self.plant,
            residents=self.residents,
            places=self.places,
            registry=self.registry,
            impl_cache=self.impl_cache,
            callbacks=self,
            tell=self.tell,
            standings=self.standings,
        )
        self._recording = True
        boot.enlist()
        self.standings.take(given.run, given.hosting.failure_window_s)
        boot.open_stack()
        transport = self.desk.transport = boot.start()
        boot.learn(transport)
        boot.require(given.required, self.disabled)

    def shut(self) -> None:
        """End every process and write the run's end, whatever fails on the way."""
        self._recording = False
        with ExitStack() as steps:
            # Backwards: each step is taken whatever becomes of those before it.
            steps.callback(self._write_checkpoint)
            for each in reversed(self.given.middleware):
                steps.callback(each.close)
            steps.callback(self.debugging.close)
            steps.callback(self.roster.close)
            steps.callback(self.plant.stop)
            steps.callback(self.residents.close)
            self.plant.retire()
            self.residents.retire()
            self.streams.end()
            self.drive(self._last_calls())

    def _last_calls(self) -> Effects[None]:
        """Wait until calls of other threads have their outcomes, and the stack has seen them.

        Not for ever, and not for those of this very thread or its event loop: they cannot go on.
        """
        own, until = self.traffic.here, self.given.run.clock.monotonic() + _LAST_CALLS_S
        yield Gate(lambda: self.traffic.calls <= own, until)

    def _write_checkpoint(self) -> None:
        """Put the audit's head beside the run: without it, a cut-off tail cannot be seen."""
        run = self.given.run
        try:
            if run.audit_log.checkpoint is not None:
                close_run(run, run.audit_log.checkpoint)
        finally:
            run.audit_log.close()

    def drive(self, generator: Any, hook: str = "") -> Any:
        """Run *generator*, a call of *hook* if it is one, to its end in this thread."""
        look = self._look_of(hook) if hook else None
        return run_blocking(generator, self._clock, self.plant.bell, look)

    def _look_of(self, hook: str) -> Look:
        look = self._looks.get(hook)
        if look is None:
            look = self._looks[hook] = partial(self._spin.wait, hook)
        return look

    # -- telling the stack -----------------------------------------------------------------

    def tell(self, method: str, *arguments: Any) -> None:
        """Call *method* of every middleware that has it."""
        for each in self.given.middleware:
            listener = getattr(each, method, None)
            if listener is not None:
                listener(*arguments)

    def report(self, kind: str, plugin: str, data: Mapping[str, Any]) -> None:
        """Tell the stack what happened to a worker."""
        if self._recording:
            self.tell("event", Event(kind=kind, plugin=plugin, data=data))

    # -- what the transport asks ------------------------------------------------------------

    def brokered(
        self, parent: Call, hook: str, payload: bytes, blobs: Blobs, deadline: float
    ) -> Effects[Brokered]:
        """Make the call that a worker asks for, and tell the stack what came of it."""
        if self.given.answering is not None:
            asked = self.given.answering.answer(parent, hook, payload, blobs)
            return as_brokered(asked)
        told = yield from self.desk.brokered(parent, hook, payload, blobs, deadline)
        self.tell("asked", as_asked(parent, hook, payload, blobs, told))
        return told

    def retrying(self, lost: Call, outcome: Outcome, again: Call) -> None:
        """Tell the stack that *lost* is made again."""
        self.desk.retrying(lost)
        self.tell("retrying", lost, outcome, again)

    def accept(self, plugin: PluginId, edition: int, impls: Sequence[ImplFacts]) -> None:
        """Check what a new worker says it implements.

        Raises:
            PluginDisabled: when it disagrees with its manifest, or with its last worker.
        """
        other = self.others.get((plugin, edition))
        member = self.roster.members[plugin] if other is None else other.member
        agree(plugin, member.declared, impls, member.entries)
        known = self.registry.impls(plugin) if other is None else other.impls
        if other is not None and other.impls is None:
            other.accept(impls)
        elif not known:
            self.registry.register(plugin, member.priority, impls)
        elif known != tuple(impls):
            # What was known may come from an earlier boot: the next one shall know better.
            self.impl_cache.put(member.facts.code_digest, impls)
            raise PluginDisabled(
                f"plugin {plugin!r} offers other hookimpls than when it was first started",
                code="plugin.handshake",
                plugin=plugin,
            )

    def told(self, call: Call) -> Outcome | None:
        """Return the outcome of *call* if its worker was told of it when it started."""
        return self.desk.replays.told(call)

    def history(self, plugin: PluginId, edition: int, starter: str) -> Effects[None]:
        """Replay historic calls into a new worker that is started for the call *starter*."""
        other = self.others.get((plugin, edition))
        impls = self.registry.impls(plugin) if other is None else other.impls or ()
        heard = yield from self.desk.replays.replay(plugin, edition, impls, starter)
        if other is not None:
            other.heard = heard

    # -- quarantine --------------------------------------------------------------------------

    def release(self, plugin: str) -> bool:
        """Forgive *plugin* its deaths; returns whether that lifted a quarantine.

        Raises:
            CallRejected: when there is no such plugin.
        """
        keeper = self.plant.keepers.get(PluginId(plugin))
        if keeper is not None:
            return keeper.release("application")
        if plugin in self.roster.members:
            return False  # It is disabled, which is another matter.
        raise CallRejected(f"release(): no plugin {plugin!r}")

    # -- who is there ------------------------------------------------------------------------

    def disabled(self, plugin: PluginId, edition: int | None = None) -> PluginDisabled | None:
        """Return why an edition of *plugin*, or the one that new calls go to, does not run."""
        if self.others and edition is not None:
            other = self.others.get((plugin, edition))
            if other is not None:
                return other.member.error or (other.keeper.disabled if other.keeper else None)
        member = self.roster.members.get(plugin)
        if member is not None and member.error is not None:
            return member.error
        keeper = self.plant.keepers.get(plugin)
        return keeper.disabled if keeper is not None else None

    def _facts_of(self, plugin: PluginId, edition: int) -> PluginFacts | None:
        other = self.others.get((plugin, edition))
        return other.member.facts if other is not None else None

    def _report_late(self, call: Call) -> None:
        """Name the code that a call runs on, where the plugin's newest row names another."""
        facts = self._facts_of(call.plugin, call.edition)
        if facts is not None:
            data = {"call": call.call_id, "edition": call.edition, "code_digest": facts.code_digest}
            self.report("call.edition", call.plugin, data)

    def everybody(self) -> set[str]:
        """Ids of all plugins and builtins."""
        return {*self.roster.members, *self.given.builtin_ids}


def _roster(given: Composition) -> Roster:
    return Roster(
        run=given.run,
        level=given.sandbox.level,
        hosting=given.hosting,
        candidates=given.candidates,
        grants=given.grants,
        lock=given.lock,
        settings=given.settings,
        paths=given.paths,
        # `host` is what policy rules call the application; no plugin may pass for it.
        taken=given.builtin_ids | _RESERVED,
        api=given.api,
        api_version=given.api_version,
        guard_of=given.guard_of,
    )
