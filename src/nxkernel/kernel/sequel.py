"""What a usual call goes on as that is none any more: a hook call of which some were asked."""

from __future__ import annotations

import attrs

from nxkernel.dispatch.costs import Sample
from nxkernel.dispatch.effects import Effects
from nxkernel.dispatch.errand import Errand
from nxkernel.dispatch.executor import Provider, Sources
from nxkernel.hookspecs import HookSpec
from nxkernel.kernel.leg import Means
from nxkernel.kernel.registry import Order
from nxkernel.types import HookResult

__all__ = ["Sequel"]


@attrs.frozen(eq=False)
class Sequel:
    """How the calls of one hook go on that have become general ones."""

    _means: Means
    #: By which *providers* are asked. Whoever has a call go on has entered it for that call.
    _order: Order
    _providers: tuple[Provider, ...]
    _spec: HookSpec

    def of(self, errand: Errand, sources: Sources, sample: Sample | None) -> Effects[HookResult]:
        """Go on with the call that *errand* was sent for; *sources* are of all that were asked."""
        means = self._means
        try:
            call = means.intake.of_errand(errand, self._spec)
            result = yield from means.resume(call, self._providers, sources)
            if sample is not None:
                sample.add("result", 0.0)  # Its value is what the plugins' was.
                means.costs.keep(self._spec.name, sample)
            return result
        finally:
            # Here, not there: an interrupt may strike when a function begins.
            del self._order.entered[-1]
            means.registry.left(self._order)
