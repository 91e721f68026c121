"""The desk: from a hook's name and arguments, through stack and transport, to its result.

What is asked becomes a hook call (``intake``), the executor runs it over the providers, each
invocation is written down (``drafts``) and made (``deliveries``). The brokered calls of workers go
the same way again one level deeper, historic calls once more for every later worker (``replays``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs

from nxkernel._blob import Blobs
from nxkernel._canonical import blobs_of, encode
from nxkernel.dispatch.costs import Costs
from nxkernel.dispatch.effects import Effects
from nxkernel.dispatch.executor import (
    Inner,
    Invoke,
    Provider,
    Sources,
    execute,
    under_way,
)
from nxkernel.errors import NxError
from nxkernel.hookspecs import HookSpec
from nxkernel.host.transport import Brokered, Transport
from nxkernel.kernel.annotations import Annotations
from nxkernel.kernel.asking import CallOptions, PluginStats
from nxkernel.kernel.history import Remembered
from nxkernel.kernel.hookcalls import HookCall, Nests
from nxkernel.kernel.leg import Means
from nxkernel.kernel.refusals import brokered_error, denial, origin
from nxkernel.kernel.replays import Replays
from nxkernel.kernel.routes import Routes
from nxkernel.kernel.terms import Terms
from nxkernel.types import (
    Call,
    HookName,
    HookResult,
    Outcome,
    Phase,
    PluginId,
)

__all__ = ["Desk"]


class Desk:
    """Makes the calls of one kernel."""

    def __init__(self, terms: Terms) -> None:
        self.specs, self.registry = terms.specs, terms.registry
        #: What the layers of calls take.
        self.costs = Costs(terms.clock)
        self._answers, self._annotations, self._nests = terms.answers, Annotations(), Nests()
        self._intake = terms.intake(self._annotations, self._nests)
        self._drafts = terms.drafts()
        self._deliveries = terms.deliveries(self._annotations, self._nests)
        self.replays = Replays(
            drafts=self._drafts,
            deliveries=self._deliveries,
            annotations=self._annotations,
            nest=self._nests.top,
            history=list(terms.history),
        )
        self.routes = Routes(
            means=self._means(terms),
            specs=terms.specs,
            annotations=self._annotations,
            level=terms.level,
        )

    def _means(self, terms: Terms) -> Means:
        return Means(
            registry=terms.registry,
            stack=self._deliveries.stack,
            intake=self._intake,
            drafts=self._drafts,
            deliveries=self._deliveries,
            costs=self.costs,
            resume=self._resumed,
            disabled=terms.disabled,
            facts=terms.facts,
            clock=terms.clock,
            max_frame=terms.hosting.max_frame,
            bell=terms.bell,
            look_of=terms.look_of,
            glance_of=terms.glance_of,
        )

    @property
    def transport(self) -> Transport | None:
        """What reaches the workers; None until the kernel has booted."""
        return self._deliveries.transport

    @transport.setter
    def transport(self, transport: Transport) -> None:
        self._deliveries.transport = transport

    @property
    def stats(self) -> Mapping[PluginId, PluginStats]:
        """Counts and times of the calls so far, by plugin."""
        return self._deliveries.stats

    # -- for the application -----------------------------------------------------------------

    def spec(self, hook: str) -> HookSpec:
        """Return the spec of *hook*.

        Raises:
            CallRejected: when there is none.
        """
        return self._intake.spec(hook)

    def lifting(self, spec: HookSpec) -> Callable[[Any], Any]:
        """Return what rebuilds an item of the stream of *spec*."""
        return self._annotations.lifting(spec)

    def hook_call(
        self, hook: str, arguments: Mapping[str, Any], options: CallOptions
    ) -> Effects[HookResult]:
        """Prepare the application's call of *hook*; arguments are checked before it returns."""
        sample = self.costs.sample(hook) if hook in self.specs else None
        call = self._intake.common(hook, arguments, options)
        if sample is None:
            # Where the annotations say nothing of the value, there is no more to do with it.
            return self._run(call) if hook in self._annotations.silent else self._answer(call)
        sample.lap("arguments")
        call.sample = sample
        return self._answer(call)

    def historic_call(
        self,
        hook: str,
        arguments: Mapping[str, Any],
        callback: Callable[[Any], None] | None,
    ) -> Effects[HookResult]:
        """Call all providers of a historic hook, and every worker that starts later."""
        return self._remember(self._intake.historic(hook, arguments), callback)

    def _answer(self, call: HookCall) -> Effects[HookResult]:
        result = yield from self._run(call)
        sample = call.sample
        if sample is None:
            return self._annotations.lifted(call.spec, result)
        sample.skip()
        lifted = self._annotations.lifted(call.spec, result)
        sample.lap("result")
        self.costs.keep(call.spec.name, sample)
        return lifted

    def _remember(
        self, call: HookCall, callback: Callable[[Any], None] | None
    ) -> Effects[HookResult]:
        first = attrs.evolve(call, memory=Remembered(call, callback))
        result = yield from self._answer(first)
        if callback is not None:
            for value in result.value or ():
                callback(value)
        return result

    def deliver(self, call: Call) -> Effects[Outcome]:
        """Make one invocation that is given whole, without the others of its hook call."""
        return self._deliveries.invoke(call)

    # -- for the workers ---------------------------------------------------------------------

    def brokered(
        self, parent: Call, hook: str, payload: bytes, blobs: Blobs, deadline: float
    ) -> Effects[Brokered]:
        """Make the call that *parent*'s plugin asks for, as part of the same call tree."""
        try:
            call = self._intake.nested(parent, hook, payload, blobs, deadline)
        except NxError as error:
            return brokered_error(error.code, error.message, parent.plugin)
        requested = self._deliveries.requested(parent, HookName(hook))
        if not self.registry.providers(hook) and not requested:
            denied = denial(parent.plugin, hook)
            return brokered_error("policy.denied", denied, parent.plugin)
        result = yield from self._run(call)
        if result.error is not None:
            return brokered_error(result.error.code, result.error.message, origin(result, parent))
        answer = encode(result.value)
        blobs = blobs_of(result.value, answer)
        return Brokered(payload=answer, blobs=blobs, degraded=result.degraded)

    def retrying(self, lost: Call) -> None:
        """Let the next attempt of *lost* ask under the same keys as this one did."""
        self._nests.begin_again(lost)

    # -- one hook call -------------------------------------------------------------------------

    def _run(self, call: HookCall) -> Effects[HookResult]:
        order, spec = self.registry.enter(), call.spec
        try:
            providers = order.of(spec.name)
            if call.options.only is not None:
                providers = tuple(p for p in providers if p.plugin in call.options.only)
            if call.memory is not None:
                self.replays.begin(call.memory, providers)
            result = yield from execute(spec, providers, self._invoker(call))
        finally:
            # Here, not there: an interrupt may strike when a function begins, and whoever changes
            # the order would wait for this call for ever.
            del order.entered[-1]
            self.registry.left(order)
        return self._answers.sealed(spec, result) if spec.options.answers else result

    def _resumed(
        self, call: HookCall, providers: Sequence[Provider], sources: Sources
    ) -> Effects[HookResult]:
        """Go on with *call*: those of *providers* that are in *sources* are not asked again."""
        return execute(call.spec, providers, under_way(sources, self._invoker(call)))

    def _invoker(self, call: HookCall) -> Invoke:
        """Return what makes the calls of *call*'s providers."""

        def invoke(
            provider: Provider, phase: Phase, inner: Inner | None = None, token: Any = None
        ) -> Effects[Outcome]:
            made = self._drafts.draft(call, provider, phase, inner, token)
            if call.memory is not None:
                return self.replays.tell(call.memory, made)
            sample = None if call.sample is None else call.sample.branch()
            return self._deliveries.invoke(made, call.parent, sample)

        return invoke
