"""A route: how the usual calls of one hook go, and what is made of one that turns out otherwise.

The steps of a call are those of the general way, in its order but for one thing: whatever may
refuse the call without having done anything is asked before its intent is put on record. So what
is out of the ordinary until then is left to the general way from its beginning, and what is
afterwards goes on there as a call that was sent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from time import perf_counter_ns
from typing import Any, Protocol

import attrs

from nxkernel._canonical import SHORT, offered, refers, sealed
from nxkernel._census import has_too_many
from nxkernel._clock import Clock
from nxkernel.dispatch.costs import Costs
from nxkernel.dispatch.drivers import Bell, abandon, drive_blocking
from nxkernel.dispatch.effects import Effects
from nxkernel.dispatch.entrances import Passage
from nxkernel.dispatch.errand import Errand, Steps, Whom
from nxkernel.dispatch.executor import Provider, given
from nxkernel.dispatch.spin import Look
from nxkernel.dispatch.stack import Open, PluginFacts, Stack
from nxkernel.dispatch.tasks import Tasks
from nxkernel.errors import AuditError, PluginDisabled
from nxkernel.hookspecs import HookSpec
from nxkernel.host.messenger import Heard, Messenger
from nxkernel.host.transport import Transport
from nxkernel.kernel.asking import CallOptions, PluginStats
from nxkernel.kernel.deliveries import Deliveries
from nxkernel.kernel.drafts import Drafts
from nxkernel.kernel.hookcalls import HookCall, as_key
from nxkernel.kernel.intake import Intake
from nxkernel.kernel.registry import Order, Registry
from nxkernel.types import Call, CallId, HookResult, Outcome, PluginId

__all__ = ["Means", "Resume", "Route"]


class Resume(Protocol):
    """What has a hook call go on after its first provider."""

    def __call__(
        self, call: HookCall, providers: Sequence[Provider], outcome: Outcome
    ) -> Effects[HookResult]:
        """Go on with *call*, of whose *providers* the first has given *outcome*."""


@attrs.frozen(eq=False, kw_only=True)
class Means:
    """What all routes of one kernel go by."""

    registry: Registry
    stack: Stack
    intake: Intake
    drafts: Drafts
    deliveries: Deliveries
    costs: Costs
    resume: Resume
    #: Why an edition of a plugin does not run, or None.
    disabled: Callable[[PluginId, int], PluginDisabled | None]
    #: What is known of the editions that new calls go to.
    facts: Mapping[PluginId, PluginFacts]
    clock: Clock
    max_frame: int
    #: Of the kernel: the calls of its that are under way in a thread are known by it.
    bell: Bell
    #: How calls of a hook wait that block their thread, and those of an event loop.
    look_of: Callable[[str], Look]
    glance_of: Callable[[str], Look]


class Route:
    """How the usual calls of one hook go."""

    def __init__(
        self,
        *,
        means: Means,
        order: Order,
        providers: tuple[Provider, ...],
        spec: HookSpec,
        whom: Whom,
        steps: Sequence[Steps],
        messenger: Messenger,
        transport: Transport,
    ) -> None:
        """*order*: by which *providers* are asked; of those, the first is *whom*."""
        self._means, self._order, self._providers = means, order, providers
        self._spec, self._whom, self._steps = spec, whom, tuple(steps)
        self._messenger, self._transport = messenger, transport
        self._now = means.clock.monotonic
        self._seconds = means.drafts.seconds(spec, providers[0])
        self._numbers = means.intake.nests.top.ids
        self._stats: PluginStats = means.deliveries.counts(whom.plugin)
        self._names, self._defaults = spec.names, spec.defaults
        self._bell, self._look = means.bell, means.look_of(spec.name)
        self._glance = means.glance_of(spec.name)
        self._untaken = [0] * len(self._steps)
        places = list(enumerate(self._steps))
        self._briefs = [each.admit for each in self._steps if each.admit and each.brief]
        self._admits = [(at, each.admit) for at, each in places if each.admit and not each.brief]
        self._begins = [(at, each.begin) for at, each in places if each.begin]
        self._accepts = [(at, each.accept) for at, each in reversed(places) if each.accept]
        self._ends = [(at, each.end) for at, each in reversed(places) if each.end]

    def go(
        self, arguments: Mapping[str, Any], options: CallOptions, *, awaits: bool = False
    ) -> Errand | None:
        """Make a call; None says that it is none of the usual ones and that nothing was done.

        For who *awaits* it, one that takes longer has become tasks, which he is to drive.
        """
        errand = self._asked(arguments, options) if self._is_open() else None
        if errand is None:
            return None
        try:
            if not self._begun(errand):
                self._messenger.leave(errand)
                return None
            self._made(errand, self._glance if awaits else self._look)
            if errand.taken is not None and not awaits:
                drive_blocking(errand.taken, self._means.clock, self._bell, self._look)
            return errand
        except BaseException:
            self._break_off(errand)
            raise

    # -- before anything has happened ------------------------------------------------------------

    def _is_open(self) -> bool:
        """Whether the plugin runs, is not about to be another edition, and seems to be idle."""
        whom, means = self._whom, self._means
        known = means.facts.get(whom.plugin)
        if known is not None and known.edition != whom.edition:
            return False
        return means.disabled(whom.plugin, whom.edition) is None and self._messenger.ready

    def _asked(self, given: Mapping[str, Any], options: CallOptions) -> Errand | None:
        """Return the errand of these arguments, if they are plain and all layers admit it."""
        asked, arguments = self._now(), given
        if self._defaults:
            arguments = {**self._defaults, **given}
        if arguments.keys() != self._names:
            return None
        shown, payload = None, None
        found = offered(arguments)
        if found is None:
            payload = self._packed(arguments)
        else:
            payload, shown = found
        if payload is None or len(payload) > self._means.max_frame:
            return None
        errand = Errand(self._whom, payload, shown, options, asked, self._bell, self._taken_on)
        if options.key is not None:
            errand.key = as_key(options.key)
        return errand if self._admitted(errand) else None

    def _packed(self, arguments: Mapping[str, Any]) -> bytes | None:
        """Return the bytes of arguments that are plain, and not too many or with blobs in them."""
        data = sealed(arguments)
        if data is None or refers(data) or (len(data) > SHORT and has_too_many(data)):
            return None
        return data

    def _admitted(self, errand: Errand) -> bool:
        for brief in self._briefs:
            if not brief(errand):
                return False
        spent = errand.spent_ns = self._untaken.copy()
        for at, admit in self._admits:
            began = perf_counter_ns()
            if not admit(errand):
                return False
            spent[at] = perf_counter_ns() - began
        return True

    def _begun(self, errand: Errand) -> bool:
        """Give *errand* its place on the worker, and put it on record."""
        errand.call_id = CallId(str(next(self._numbers)))
        now = errand.came_s = errand.began_s = self._now()
        seconds = errand.options.timeout
        errand.deadline = now + (self._seconds if seconds is None else seconds)
        if not self._messenger.seat(errand) or self._now() >= errand.deadline:
            return False
        errand.stage = Errand.BEGUN
        spent = errand.spent_ns
        for at, begin in self._begins:
            began = perf_counter_ns()
            try:
                begin(errand)
            except AuditError:
                return False  # The general way fails likewise, and says what becomes of that.
            spent[at] += perf_counter_ns() - began
        return True

    # -- on the worker ---------------------------------------------------------------------------

    def _made(self, errand: Errand, look: Look) -> None:
        """Have *errand* answered, or make a general call of it."""
        sample = errand.sample = self._means.costs.sample(self._spec.name)
        if sample is not None:
            sample.asked(errand.asked_s, errand.came_s - errand.asked_s, errand.spent_ns)
            sample.sent(self._means.stack.names)
        carrier = self._messenger
        errand.stage = Errand.SENT
        ready = carrier.send(errand) and self._waited(errand, look)
        if errand.taken is None:
            heard = carrier.hear(errand) if ready else None
            if carrier.take(errand, heard) and carrier.leave(errand):
                errand.stage = Errand.ANSWERED
                self._answered(errand)
            else:
                self._sent(errand, heard)

    def _waited(self, errand: Errand, look: Look) -> bool:
        """Wait for the answer, and be there for who comes into the thread meanwhile."""
        errand.come()
        try:
            return self._messenger.wait(errand, look)
        finally:
            errand.leave()

    def _taken_on(self, errand: Errand) -> Tasks:
        """Somebody has come into the thread while *errand* is waited for."""
        self._messenger.renew(errand)
        return self._sent(errand)

    def _answered(self, errand: Errand) -> None:
        """Have all layers accept the answer, and put it on record; else it goes the general way."""
        sample, spent = errand.sample, errand.spent_ns
        if sample is not None:
            sample.answered(errand.plugin_us)
        usual = errand.value is not None  # which is pluggy's way to say that others may answer
        for at, accept in self._accepts:
            began = perf_counter_ns()
            usual = usual and accept(errand)
            spent[at] += perf_counter_ns() - began
        if not usual:
            self._judged(errand)
            return
        for at, end in self._ends:
            began = perf_counter_ns()
            withheld = end(errand)
            spent[at] += perf_counter_ns() - began
            if withheld is not None:
                self._withheld(errand, withheld)
                return
        self._means.deliveries.count(self._stats, errand.plugin_us)
        if sample is not None:
            sample.layered(self._means.stack.names, spent)
            sample.add("result", 0.0)  # Its value is what the plugin's was.
            self._means.costs.keep(self._spec.name, sample)

    # -- where it is no usual one any more ---------------------------------------------------------

    def _sent(self, errand: Errand, heard: Heard = None) -> Tasks:
        """Make a general call of *errand*, which was sent; *heard* is what was said since."""
        opened = self._opened(errand)
        source = self._transport.resumed(opened.call, errand, heard)
        return self._go_on(errand, self._means.deliveries.resumed(opened, source))

    def _judged(self, errand: Errand) -> None:
        """Make a general call of *errand*, which was answered with what not every layer accepts."""
        opened = self._opened(errand)
        self._go_on(errand, self._means.deliveries.resumed(opened, given(errand.outcome())))

    def _withheld(self, errand: Errand, withheld: Callable[[Call], Outcome]) -> None:
        """Make a general call of *errand*, whose answer nobody is to have."""
        outcome = withheld(self._call(errand))
        self._go_on(errand, given(self._means.deliveries.counted(outcome)))

    def _call(self, errand: Errand) -> Call:
        return self._means.drafts.of_errand(errand, self._spec, self._providers[0])

    def _opened(self, errand: Errand) -> Open:
        """Return the stack as it is when a call has gone through that."""
        call, passed = self._call(errand), list[Passage]()
        for each in self._steps:
            passage = each.passage(errand, call)
            passed.append(passage)
            call = passage[0]
        return Open(self._means.stack.names, passed, call)

    def _go_on(self, errand: Errand, outcome: Effects[Outcome]) -> Tasks:
        self._order.entered += (None,)
        tasks = errand.taken = Tasks.resumed(self._rest(errand, outcome))
        return tasks

    def _rest(self, errand: Errand, outcome: Effects[Outcome]) -> Effects[HookResult]:
        try:
            call = self._means.intake.of_errand(errand, self._spec)
            return (yield from self._means.resume(call, self._providers, (yield from outcome)))
        finally:
            del self._order.entered[-1]
            self._means.registry.left(self._order)

    def _break_off(self, errand: Errand) -> None:
        """An interrupt has struck, or the host is broken: what was begun has its end on record."""
        if errand.stage == Errand.SENT and errand.taken is None:
            self._sent(errand)
        if errand.taken is not None:
            if not errand.taken.over:
                abandon(errand.taken)
            return
        if errand.frame is not None:
            self._messenger.leave(errand)
        if errand.stage != Errand.DRAFTED:
            self._means.stack.break_off(self._call(errand))
