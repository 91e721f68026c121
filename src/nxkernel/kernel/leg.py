"""A leg: one provider of a hook, how its errands go, and how one goes on that is none any more.

The steps of a call are those of the general way, in its order but for one thing: whatever may
refuse the call without having done anything is asked before its intent is put on record. So what
is out of the ordinary until then is left to the general way from its beginning, and what is
afterwards goes on there as a call that was sent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from time import perf_counter_ns
from typing import Protocol

import attrs

from nxkernel._clock import Clock
from nxkernel._shape import Shape
from nxkernel.dispatch.company import Begin
from nxkernel.dispatch.costs import Costs
from nxkernel.dispatch.drivers import Bell
from nxkernel.dispatch.effects import Effects
from nxkernel.dispatch.entrances import Passage
from nxkernel.dispatch.errand import Errand, Steps, Whom
from nxkernel.dispatch.executor import Provider, Sources, given
from nxkernel.dispatch.spin import Look
from nxkernel.dispatch.stack import Open, PluginFacts, Stack, broken
from nxkernel.errors import PluginDisabled
from nxkernel.hookspecs import HookSpec
from nxkernel.host.messenger import Heard, Messenger
from nxkernel.host.transport import Transport
from nxkernel.kernel.asking import CallOptions
from nxkernel.kernel.deliveries import Deliveries
from nxkernel.kernel.drafts import Drafts
from nxkernel.kernel.hookcalls import HookCall, as_key
from nxkernel.kernel.intake import Intake
from nxkernel.kernel.registry import Registry
from nxkernel.types import Call, CallId, HookResult, Outcome, PluginId

__all__ = ["Leg", "Means", "Resume"]


class Resume(Protocol):
    """What has a hook call go on of which some providers have been asked."""

    def __call__(
        self, call: HookCall, providers: Sequence[Provider], sources: Sources
    ) -> Effects[HookResult]:
        """Go on with *call*: those of *providers* that are in *sources* are not asked again."""


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


class Leg:
    """One provider, and how usual calls of it go."""

    def __init__(
        self,
        *,
        means: Means,
        spec: HookSpec,
        provider: Provider,
        whom: Whom,
        steps: Sequence[Steps],
        messenger: Messenger,
        transport: Transport,
    ) -> None:
        """*whom*: what *provider* is to the layers, which have given *steps* for it."""
        self.whom, self.messenger = whom, messenger
        self._means, self._spec, self._provider = means, spec, provider
        self._steps, self._transport = tuple(steps), transport
        self._now = means.clock.monotonic
        self._seconds = means.drafts.seconds(spec, provider)
        self._numbers = means.intake.nests.top.ids
        self._stats = means.deliveries.counts(whom.plugin)
        self._untaken = [0] * len(self._steps)
        places = list(enumerate(self._steps))
        self._briefs = [each.admit for each in self._steps if each.admit and each.brief]
        self._admits = [(at, each.admit) for at, each in places if each.admit and not each.brief]
        self._begins = [(at, each.begin) for at, each in places if each.begin]
        self._accepts = [(at, each.accept) for at, each in reversed(places) if each.accept]
        self._ends = [(at, each.end) for at, each in reversed(places) if each.end]

    # -- before anything has happened ------------------------------------------------------------

    def is_open(self) -> bool:
        """Whether the plugin runs, is not about to be another edition, and seems to be idle."""
        whom, means = self.whom, self._means
        known = means.facts.get(whom.plugin)
        if known is not None and known.edition != whom.edition:
            return False
        return means.disabled(whom.plugin, whom.edition) is None and self.messenger.ready

    def admitted(
        self, payload: bytes, raw: bytes, shown: Shape | None, options: CallOptions, begin: Begin
    ) -> Errand | None:
        """Return the errand of these arguments, if all layers admit it."""
        errand = Errand(self.whom, payload, raw, shown, options, self._means.bell, begin)
        if options.key is not None:
            errand.key = as_key(options.key)
        try:
            return errand if self._is_admitted(errand) else None
        except Exception:
            return None  # Where a layer breaks, the general way says so.

    def _is_admitted(self, errand: Errand) -> bool:
        for brief in self._briefs:
            if not brief(errand):
                return False
        spent = errand.spent_ns = self._untaken.copy()
        # What each layer takes is within the call, as where one calls the next.
        errand.entered_s = self._now()
        for at, admit in self._admits:
            began = perf_counter_ns()
            if not admit(errand):
                return False
            spent[at] = perf_counter_ns() - began
        return True

    def begun(self, errand: Errand) -> bool:
        """Give *errand* its place on the worker, and put it on record; False: :meth:`leave` it."""
        errand.call_id = CallId(str(next(self._numbers)))
        now = errand.came_s = errand.began_s = self._now()
        seconds = errand.options.timeout
        errand.deadline = now + (self._seconds if seconds is None else seconds)
        if not self.messenger.seat(errand) or self._now() >= errand.deadline:
            return False
        errand.stage = Errand.BEGUN
        spent = errand.spent_ns
        for at, begin in self._begins:
            began = perf_counter_ns()
            try:
                begin(errand)
            except Exception:
                return False  # The general way fails likewise, and says what becomes of that.
            spent[at] += perf_counter_ns() - began
        return True

    def leave(self, errand: Errand) -> None:
        """Nothing has become of *errand*."""
        self.messenger.let_go(errand)
        errand.stage = Errand.DRAFTED

    # -- on the worker ---------------------------------------------------------------------------

    def sent(self, errand: Errand) -> bool:
        """Send *errand*; False if that takes longer than one step."""
        sample = errand.sample
        if sample is not None:
            sample.sent(self._means.stack.names)
        errand.stage = Errand.SENT
        return self.messenger.send(errand)

    def hear(self, errand: Errand) -> None:
        """Take what the worker has said: the usual answer, or what goes on in general."""
        heard = self.messenger.hear(errand)
        if not self.messenger.take(errand, heard):
            self.go_on(errand, heard)
            return
        # Before its place is free: what strikes from here on must not end a worker that by then
        # is somebody else's.
        errand.stage = Errand.ANSWERED
        if self.messenger.leave(errand):
            self._answered(errand)
        else:
            errand.stage = Errand.SENT
            self.go_on(errand, heard)

    def _answered(self, errand: Errand) -> None:
        """Have all layers accept the answer, and put it on record; else it goes on in general."""
        sample, spent = errand.sample, errand.spent_ns
        if sample is not None:
            sample.answered(errand.plugin_us)
        if not self._accepted(errand):
            self._judged(errand)
            return
        for at, end in self._ends:
            began = perf_counter_ns()
            try:
                withheld = end(errand)
            except Exception as error:
                withheld = partial(broken, self._means.stack.names[at], error)
            spent[at] += perf_counter_ns() - began
            if withheld is not None:
                self._withheld(errand, withheld)
                return
        self._means.deliveries.count(self._stats, errand.plugin_us)
        if sample is not None:
            sample.layered(self._means.stack.names, spent)

    def _accepted(self, errand: Errand) -> bool:
        if errand.shape.value is None:
            return not self.whom.single  # Else somebody else may answer.
        for at, accept in self._accepts:
            began = perf_counter_ns()
            try:
                if not accept(errand):
                    return False
            except Exception:
                return False  # As above: the general way asks it again.
            errand.spent_ns[at] += perf_counter_ns() - began
        return True

    # -- where it is no usual one any more ---------------------------------------------------------

    def go_on(self, errand: Errand, heard: Heard = None) -> None:
        """*errand*, which was sent, goes on as a general call; *heard* is what was said since."""
        opened = self._opened(errand)
        source = self._transport.resumed(opened.call, errand, heard)
        errand.source = self._sampled(errand, self._means.deliveries.resumed(opened, source))

    def _judged(self, errand: Errand) -> None:
        """Not every layer accepts its answer: what becomes of that is said in general."""
        opened = self._opened(errand)
        source = self._means.deliveries.resumed(opened, given(errand.outcome()))
        errand.source = self._sampled(errand, source)

    def _withheld(self, errand: Errand, withheld: Callable[[Call], Outcome]) -> None:
        """Nobody is to have its answer."""
        outcome = withheld(self._call(errand))
        errand.source = given(self._means.deliveries.counted(outcome))

    def _sampled(self, errand: Errand, source: Effects[Outcome]) -> Effects[Outcome]:
        outcome = yield from source
        sample = errand.sample
        if sample is not None:
            if errand.stage == Errand.SENT:
                sample.answered(outcome.timing.plugin_us)
            sample.layered(self._means.stack.names, errand.spent_ns)
        return outcome

    def _call(self, errand: Errand) -> Call:
        return self._means.drafts.of_errand(errand, self._spec, self._provider)

    def _opened(self, errand: Errand) -> Open:
        """Return the stack as it is when a call has gone through that."""
        call, passed = self._call(errand), list[Passage]()
        for each in self._steps:
            passage = each.passage(errand, call)
            passed.append(passage)
            call = passage[0]
        return Open(self._means.stack.names, passed, call)

    def break_off(self, errand: Errand) -> None:
        """An interrupt has struck, or the host is broken; *errand* is no general call.

        What was sent becomes one, for who cancels that. Of what was begun the end is on record.
        """
        if errand.stage == Errand.SENT:
            self.go_on(errand)
            return
        if errand.frame is not None:
            self.messenger.let_go(errand)
        if errand.stage != Errand.DRAFTED:
            self._means.stack.break_off(self._call(errand))
