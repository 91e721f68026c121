"""Routes: how the usual calls of each hook go, worked out once for as long as nothing changes.

A hook has a route while whoever is asked answers in a worker of its own, the first alone or all at
once, and every layer of the stack says beforehand what it does with usual calls. All of that
follows from the order of providers; with another order there is another route.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from nxkernel.dispatch.company import occupied
from nxkernel.dispatch.effects import LEAVING
from nxkernel.dispatch.errand import Errand, Whom, steps_of
from nxkernel.dispatch.executor import Provider
from nxkernel.hookspecs import HookSpec
from nxkernel.host.messenger import messenger
from nxkernel.host.transport import Transport
from nxkernel.kernel.annotations import Annotations
from nxkernel.kernel.asking import CallOptions
from nxkernel.kernel.deliveries import in_builtin
from nxkernel.kernel.fan import Fan, Round
from nxkernel.kernel.leg import Leg, Means
from nxkernel.kernel.registry import Order
from nxkernel.kernel.route import Route
from nxkernel.types import HookName, Level

__all__ = ["Routes"]

#: A hook, and who alone is asked.
_Asked = tuple[str, frozenset[str] | None]
#: Routes that are kept.
MOST = 1024


@attrs.define(eq=False, kw_only=True)
class Routes:
    """The routes of one kernel's hooks. Thread-safe: two threads may find the same one twice."""

    means: Means
    specs: Mapping[str, HookSpec]
    annotations: Annotations
    #: The level of what runs in workers.
    level: Level
    _known: dict[_Asked, tuple[Order, Route | Fan | None]] = attrs.Factory(dict)

    def go(
        self,
        hook: str,
        arguments: Mapping[str, Any],
        options: CallOptions,
        *,
        awaits: bool = False,
    ) -> Errand | Round | None:
        """Make the application's call of *hook*; None says that nothing was done.

        An errand that turned out to be no usual call has become tasks. They are over; but who
        *awaits* the call is to drive them.
        """
        if LEAVING.now or in_builtin() or occupied(self.means.bell):
            return None
        registry = self.means.registry
        order = registry.enter()
        try:
            asked = hook, options.only
            known = self._known.get(asked)
            if known is None or known[0] is not order:
                known = order, self._route(order, *asked)
                self._keep(asked, known)
            route = known[1]
            return None if route is None else route.go(arguments, options, awaits=awaits)
        finally:
            # Here, not there: an interrupt may strike when a function begins.
            del order.entered[-1]
            registry.left(order)

    def _keep(self, asked: _Asked, known: tuple[Order, Route | Fan | None]) -> None:
        if len(self._known) >= MOST and asked not in self._known:
            self._known.clear()  # Callers may ask for any set of plugins.
        self._known[asked] = known

    def _route(self, order: Order, hook: str, only: frozenset[str] | None) -> Route | Fan | None:
        spec, providers = self.specs[hook], order.of(hook)
        if only is not None:
            providers = tuple(each for each in providers if each.plugin in only)
        transport = self.means.deliveries.transport
        if transport is None or not (providers and self._is_plain(spec, providers)):
            return None
        asked = providers[:1] if spec.firstresult else providers
        legs = [self._leg(spec, each, transport) for each in asked]
        found = [leg for leg in legs if leg is not None]
        if len(found) < len(legs):
            return None
        means = self.means
        if len(found) == 1:
            return Route(means=means, order=order, providers=providers, spec=spec, leg=found[0])
        return Fan(means=means, order=order, providers=providers, spec=spec, legs=found)

    def _leg(self, spec: HookSpec, provider: Provider, transport: Transport) -> Leg | None:
        whom = self._whom(spec, provider)
        steps = steps_of(self.means.stack.middleware, whom)
        keeper = transport.keeper(whom.plugin, whom.edition)
        carrier = None if keeper is None else messenger(keeper, self.means.clock)
        if carrier is None or steps is None:
            return None
        return Leg(
            means=self.means,
            spec=spec,
            provider=provider,
            whom=whom,
            steps=steps,
            messenger=carrier,
            transport=transport,
        )

    def _is_plain(self, spec: HookSpec, providers: Sequence[Provider]) -> bool:
        """Whether none of *providers* wraps the others, and they answer with plain values."""
        options = spec.options
        if spec.historic or options.stream or options.answers:
            return False
        return not providers[0].facts.wraps and self.annotations.are_plain(spec)

    def _whom(self, spec: HookSpec, provider: Provider) -> Whom:
        return Whom(
            plugin=provider.plugin,
            edition=provider.edition,
            impl=provider.facts.impl,
            hook=HookName(spec.name),
            level=self.level,
            single=spec.firstresult,
        )
