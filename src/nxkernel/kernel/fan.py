"""A fan: how the usual calls of a hook go that asks several providers, all of them at once.

Each is asked by an errand of its own, and all are sent before any is waited for. Where one of them
turns out to be no usual call, the whole goes on as one general call: what has been answered is
given to that, what was sent goes on there as it stands, and who was not asked yet is asked by it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nxkernel._altered import filled
from nxkernel._canonical import raw_digest
from nxkernel._system.pollers import Several
from nxkernel.dispatch.company import Standby
from nxkernel.dispatch.costs import Sample
from nxkernel.dispatch.drivers import abandon, drive_blocking
from nxkernel.dispatch.effects import AGAIN_S, Effects, Fork
from nxkernel.dispatch.errand import WHOLE, Errand
from nxkernel.dispatch.executor import Provider, Sources, given
from nxkernel.dispatch.tasks import Tasks
from nxkernel.hookspecs import HookSpec
from nxkernel.kernel.asking import CallOptions
from nxkernel.kernel.leg import Leg, Means
from nxkernel.kernel.packing import Packing
from nxkernel.kernel.registry import Order
from nxkernel.kernel.sequel import Sequel
from nxkernel.types import HookResult, Outcome

__all__ = ["Fan", "Round"]


class Round(Standby):
    """The errands of one hook call; one of the calls of its thread while it is waited for."""

    __slots__ = ("asked_s", "errands", "hook", "sample", "unasked", "waits")

    def __init__(self, fan: Fan, asked_s: float) -> None:
        super().__init__(fan.bell, fan.taken_on)
        self.asked_s = asked_s
        self.hook = fan.hook
        #: What its layers take, if it is a call to measure.
        self.sample: Sample | None = None
        #: In the order of their providers.
        self.errands: list[Errand] = []
        #: Whether there is a provider that could not be asked by an errand.
        self.unasked = False
        #: Those whose answers are not there yet, by the descriptors that these will come on.
        self.waits: dict[int, tuple[Leg, Errand]] = {}

    @property
    def unusual(self) -> bool:
        """Whether it has to go on as a general call."""
        left = any(errand.source is not None for errand in self.errands)
        return left or self.unasked or bool(self.waits)

    def unwrap(self) -> Any:
        """Return the hook's value.

        Raises:
            HookFailed: when it has become a general call, and that has none.
        """
        if self.taken is not None:
            return self.taken.result.unwrap()
        values = [errand.shape.value for errand in self.errands]
        return [value for value in values if value is not None]

    def result(self) -> HookResult:
        """Return the hook's result, when the call is over."""
        if self.taken is not None:
            made: HookResult = self.taken.result
            return made
        outcomes = tuple(errand.seeded() for errand in self.errands)
        whole = {"hook": self.hook, "value": self.unwrap(), "outcomes": outcomes}
        return filled(HookResult, {**WHOLE, **whole})


class Fan:
    """How the usual calls of one hook go that asks several providers."""

    def __init__(
        self,
        *,
        means: Means,
        order: Order,
        providers: tuple[Provider, ...],
        spec: HookSpec,
        legs: Sequence[Leg],
    ) -> None:
        """*order*: by which *providers* are asked; *legs*: of all of them."""
        self._means, self._order, self._legs = means, order, tuple(legs)
        self._sequel = Sequel(means, order, providers, spec)
        self.hook, self.bell = spec.name, means.bell
        self._packing, self._now = Packing(spec, means.max_frame), means.clock.monotonic
        self._sample, self._glance = means.costs.sample, means.glance_of(spec.name)

    def go(
        self, arguments: Mapping[str, Any], options: CallOptions, *, awaits: bool = False
    ) -> Round | None:
        """Make a call, as :meth:`Route.go` does."""
        made = self._drafted(arguments, options)
        if made is None:
            return None
        try:
            if not self._sent(made):
                return None
            self._gathered(made, awaits=awaits)
            if made.taken is not None and not awaits:
                drive_blocking(made.taken, self._means.clock, self.bell)
            return made
        except BaseException:
            self._break_off(made)
            raise

    def _drafted(self, arguments: Mapping[str, Any], options: CallOptions) -> Round | None:
        """Return the errands to all providers, if the layers of each admit them."""
        made = Round(self, self._now())
        if not all(leg.is_open() for leg in self._legs):
            return None
        found = self._packing.packed(arguments)
        if found is None:
            return None
        payload, shown = found
        raw = raw_digest(payload)
        for leg in self._legs:
            errand = leg.admitted(payload, raw, shown, options, _nothing)
            if errand is None:
                return None
            errand.asked_s = made.asked_s
            made.errands.append(errand)
        return made

    def _sent(self, made: Round) -> bool:
        """Send all errands; False if not even the first could be, and nothing was done."""
        first = made.errands[0]
        for leg, errand in zip(self._legs, made.errands, strict=True):
            if not leg.begun(errand):
                leg.leave(errand)
                if errand is first:
                    return False
                made.unasked = True
                continue
            if errand is first:
                self._measured(made, first)
            errand.sample = None if made.sample is None else made.sample.branch()
            if leg.sent(errand):
                made.waits[leg.messenger.source(errand)] = leg, errand
            else:
                leg.go_on(errand)
        return True

    def _measured(self, made: Round, first: Errand) -> None:
        sample = made.sample = self._sample(self.hook)
        if sample is not None:
            sample.asked(made.asked_s, first.came_s - made.asked_s, first.spent_ns)

    def _gathered(self, made: Round, *, awaits: bool) -> None:
        """Take the answers as they come; make a general call of it if that is not all there is."""
        self._waited(made, awaits=awaits)
        if made.taken is not None:
            return
        if made.unusual:
            self._go_on(made)
        else:
            self._kept(made)

    def _waited(self, made: Round, *, awaits: bool) -> None:
        """Take what comes, until all is there or something takes longer than one wait."""
        waits, several = made.waits, Several(made.waits)
        while waits:
            ready = several.ready(0) or self._later(made, several, awaits=awaits)
            if not ready or made.taken is not None:
                return
            for fd in ready:
                several.done(fd)
                leg, errand = waits.pop(fd)
                leg.hear(errand)

    def _later(self, made: Round, several: Several, *, awaits: bool) -> list[int]:
        """Wait for what is not there yet: a second at most, or no longer than a look.

        Who comes into the thread finds it there while it waits, and at no other time: an answer
        that is being taken is neither still to come nor there.
        """
        made.come()
        try:
            if not awaits:
                return several.ready(self._left(made))
            first = next(iter(list(made.waits)), -1)
            return several.ready(0) if self._glance(first, _never) else []
        finally:
            made.leave()

    def _left(self, made: Round) -> int:
        """Milliseconds until somebody has to look again, rounded up.

        None is left where somebody has taken it on just now.
        """
        now, left = self._now(), [errand for _, errand in list(made.waits.values())]
        deadline = min((errand.frame.deadline for errand in left), default=now)
        return int(min(max(deadline - now, 0.0), AGAIN_S) * 1000) + 1

    def _kept(self, made: Round) -> None:
        if made.sample is not None:
            made.sample.add("result", 0.0)  # Its values are what the plugins' were.
            self._means.costs.keep(self.hook, made.sample)

    # -- where it is no usual one any more ---------------------------------------------------------

    def taken_on(self, made: Round) -> Tasks:
        """Somebody has come into the thread while *made* is waited for."""
        return self._go_on(made)

    def _go_on(self, made: Round) -> Tasks:
        rest = self._sequel.of(made.errands[0], self._sources(made), made.sample)
        self._order.entered += (None,)
        tasks = made.taken = Tasks.resumed(rest)
        return tasks

    def _sources(self, made: Round) -> Sources:
        """What asks for the outcomes of all that were asked."""
        for leg, errand in made.waits.values():
            leg.go_on(errand)
        made.waits.clear()
        found = {}
        for errand in made.errands:
            if errand.source is not None:
                found[errand.whom.of] = errand.source
            elif errand.stage == Errand.ANSWERED:
                found[errand.whom.of] = given(errand.seeded())
        return found

    def _break_off(self, made: Round) -> None:
        """An interrupt has struck, or the host is broken: what was begun has its end on record."""
        if made.taken is None:
            for leg, errand in zip(self._legs, made.errands, strict=False):
                if errand.source is None:
                    leg.break_off(errand)
            # No more than that: who was not asked yet is not to be asked now.
            left = [errand.source for errand in made.errands if errand.source is not None]
            made.taken = Tasks.resumed(_all(left))
        if not made.taken.over:
            abandon(made.taken)


def _all(sources: list[Effects[Outcome]]) -> Effects[None]:
    yield Fork(tuple(sources))


def _never() -> bool:
    return False


def _nothing(_: Any) -> Tasks:
    raise AssertionError("an errand of a round is none of the calls of its thread")
