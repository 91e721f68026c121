"""A route: how the usual calls of one hook go, of whose providers the first answers for all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nxkernel._canonical import raw_digest
from nxkernel.dispatch.drivers import abandon, drive_blocking
from nxkernel.dispatch.effects import Effects
from nxkernel.dispatch.errand import Errand
from nxkernel.dispatch.executor import Provider
from nxkernel.dispatch.spin import Look
from nxkernel.dispatch.tasks import Tasks
from nxkernel.hookspecs import HookSpec
from nxkernel.kernel.asking import CallOptions
from nxkernel.kernel.leg import Leg, Means
from nxkernel.kernel.packing import Packing
from nxkernel.kernel.registry import Order
from nxkernel.kernel.sequel import Sequel

__all__ = ["Route"]


class Route:
    """How the usual calls of one hook go, whose first provider answers for all."""

    def __init__(
        self,
        *,
        means: Means,
        order: Order,
        providers: tuple[Provider, ...],
        spec: HookSpec,
        leg: Leg,
    ) -> None:
        """*order*: by which *providers* are asked; *leg*: of the first of them."""
        self._means, self._order, self._spec, self._leg = means, order, spec, leg
        self._sequel = Sequel(means, order, providers, spec)
        self._packing = Packing(spec, means.max_frame)
        self._now, self._sample = means.clock.monotonic, means.costs.sample
        self._look, self._glance = means.look_of(spec.name), means.glance_of(spec.name)

    def go(
        self, arguments: Mapping[str, Any], options: CallOptions, *, awaits: bool = False
    ) -> Errand | None:
        """Make a call; None says that it is none of the usual ones and that nothing was done.

        For who *awaits* it, one that takes longer has become tasks, which he is to drive.
        """
        leg, asked = self._leg, self._now()
        found = self._packing.packed(arguments) if leg.is_open() else None
        if found is None:
            return None
        payload, shown = found
        errand = leg.admitted(payload, raw_digest(payload), shown, options, self._taken_on)
        if errand is None:
            return None
        errand.asked_s = asked
        try:
            if not leg.begun(errand):
                leg.leave(errand)
                return None
            self._made(errand, self._glance if awaits else self._look)
            if errand.taken is not None and not awaits:
                drive_blocking(errand.taken, self._means.clock, self._means.bell, self._look)
            return errand
        except BaseException:
            self._break_off(errand)
            raise

    def _made(self, errand: Errand, look: Look) -> None:
        """Have *errand* answered, or make a general call of it."""
        leg, sample = self._leg, self._sample(self._spec.name)
        if sample is not None:
            sample.asked(errand.asked_s, errand.came_s - errand.asked_s, errand.spent_ns)
            errand.sample = sample
        ready = leg.sent(errand) and self._waited(errand, look)
        if errand.taken is not None:
            return
        if ready:
            leg.hear(errand)
        else:
            leg.go_on(errand)
        if errand.source is not None:
            self._go_on(errand, errand.source)
        elif sample is not None:
            sample.add("result", 0.0)  # Its value is what the plugin's was.
            self._means.costs.keep(self._spec.name, sample)

    def _waited(self, errand: Errand, look: Look) -> bool:
        """Wait for the answer, and be there for who comes into the thread meanwhile."""
        errand.come()
        try:
            return self._leg.messenger.wait(errand, look)
        finally:
            errand.leave()

    def _taken_on(self, errand: Errand) -> Tasks:
        """Somebody has come into the thread while *errand* is waited for."""
        self._leg.messenger.renew(errand)
        return self._unusual(errand)

    def _unusual(self, errand: Errand) -> Tasks:
        """*errand*, which was sent, goes on as a general call."""
        self._leg.go_on(errand)
        assert errand.source is not None, "as go_on() has it"
        return self._go_on(errand, errand.source)

    def _go_on(self, errand: Errand, source: Effects[Any]) -> Tasks:
        rest = self._sequel.of(errand, {errand.whom.of: source}, errand.sample)
        self._order.entered += (None,)
        tasks = errand.taken = Tasks.resumed(rest)
        return tasks

    def _break_off(self, errand: Errand) -> None:
        """An interrupt has struck, or the host is broken: what was begun has its end on record."""
        if errand.taken is None:
            if errand.source is None:
                self._leg.break_off(errand)
            if errand.source is not None:
                self._go_on(errand, errand.source)
        if errand.taken is not None and not errand.taken.over:
            abandon(errand.taken)
