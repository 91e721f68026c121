"""Deliveries: one call through the stack to whoever answers it, and its outcome back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import TypeVar

import attrs

from nxkernel import _forks, _locks
from nxkernel.dispatch.costs import Sample
from nxkernel.dispatch.effects import Effects
from nxkernel.dispatch.stack import Open, PluginFacts, Stack, item_check
from nxkernel.errors import KernelNotRunning, PluginDisabled
from nxkernel.hookspecs import HookSpec
from nxkernel.host.builtin import Builtins
from nxkernel.host.inproc import Resident
from nxkernel.host.sources import pulled
from nxkernel.host.transport import Transport
from nxkernel.host.unanswered import cancelled
from nxkernel.kernel.annotations import Annotations
from nxkernel.kernel.asking import PluginStats
from nxkernel.kernel.hookcalls import Nests
from nxkernel.kernel.items import checked
from nxkernel.kernel.refusals import not_requested, too_deep
from nxkernel.types import Call, HookName, Outcome, PluginId

__all__ = ["Deliveries", "in_builtin"]

T = TypeVar("T")


class _Stay:
    """One time in the code of a builtin."""

    __slots__ = ("lasts",)

    def __init__(self) -> None:
        self.lasts = False


#: Where this context is: a call that a builtin makes has another one wait for it.
_stay: ContextVar[_Stay | None] = ContextVar("nxkernel_stay", default=None)


def in_builtin() -> bool:
    """Whether this is the code of a builtin, in the middle of a call."""
    stay = _stay.get()
    return stay is not None and stay.lasts


@attrs.define(eq=False, kw_only=True)
class Deliveries:
    """Makes one kernel's calls, and counts them."""

    specs: Mapping[str, HookSpec]
    stack: Stack
    builtins: Builtins
    builtin_ids: frozenset[PluginId]
    #: Plugins of the in-process allowlist, once they are loaded.
    residents: Mapping[PluginId, Resident]
    facts: Mapping[PluginId, PluginFacts]
    #: What an edition is known to be, where ``facts`` has a newer one.
    facts_of: Callable[[PluginId, int], PluginFacts | None] | None
    #: How deep a manifest lets its own calls nest, and those that it answers.
    depths: Mapping[PluginId, int]
    #: Why an edition of a plugin does not run, or None.
    disabled: Callable[[PluginId, int], PluginDisabled | None]
    #: Told of a call that goes to another edition of its plugin than new calls do.
    late: Callable[[Call], None]
    annotations: Annotations
    nests: Nests
    transport: Transport | None = None
    stats: dict[PluginId, PluginStats] = attrs.Factory(dict)
    _lock: _locks.Lock = attrs.Factory(_locks.lock)

    def __attrs_post_init__(self) -> None:
        _forks.register(self)

    def abandon(self) -> None:
        """In a forked child: no thread that could hold the lock is there."""
        self._lock = _locks.lock()

    def invoke(
        self, call: Call, parent: Call | None = None, sample: Sample | None = None
    ) -> Effects[Outcome]:
        """Make *call*; *parent* is the call whose plugin asks for it.

        *sample* is told what the layers take.
        """
        try:
            opened = self.stack.open(call)
        except BaseException:
            self.stack.break_off(call)
            raise
        try:
            if opened.early is not None:
                self._forsake(call)
                return self.counted(opened.early)
            if sample is not None:
                sample.sent(self.stack.names)
            sent = opened.call
            try:
                outcome = self._refused(sent, parent) or (yield from self._source(sent))
                if outcome.error is None and sent.hook not in self.annotations.silent:
                    outcome = self._checked(sent, outcome)
            finally:
                self.nests.forget(call)
            if sample is not None:
                _sampled(sample, call, outcome)
            outcome = opened.close(outcome)
        except BaseException:
            self._break_off(call, opened)
            raise
        if sample is not None:
            sample.layered(self.stack.names, call.stack_ns)
        return self.counted(outcome)

    def resumed(self, opened: Open, source: Effects[Outcome]) -> Effects[Outcome]:
        """Bring a call to its end whose layers were entered without this; *source* asks for it."""
        call = opened.call
        try:
            try:
                outcome = yield from source
            finally:
                self.nests.forget(call)
            outcome = opened.close(outcome)
        except BaseException:
            self._break_off(call, opened)
            raise
        return self.counted(outcome)

    def _break_off(self, call: Call, opened: Open) -> None:
        """An interrupt in the host's own code: what was begun has its end on record.

        It may have struck between a layer and the note of it, on the way in or out.
        """
        try:
            self.counted(opened.close(cancelled(opened.call)))
        finally:
            self.stack.break_off(call)

    def requested(self, caller: Call, hook: HookName) -> bool:
        """Whether the manifest of the calling edition asks for *hook*."""
        facts = self.facts.get(caller.plugin)
        if self.facts_of is not None and (facts is None or facts.edition != caller.edition):
            facts = self.facts_of(caller.plugin, caller.edition)
        names = {hook, self.specs[hook].capability or hook}
        return facts is not None and bool(names & set(facts.requires))

    def _refused(self, call: Call, parent: Call | None) -> Outcome | None:
        """Return why nobody is asked, or None."""
        refusal = self._refusal(call, parent)
        if refusal is not None:
            self._forsake(call)
        return refusal

    def _source(self, call: Call) -> Effects[Outcome]:
        """Return what asks whoever answers *call*; items of a stream are held to what is said."""
        if call.stream:
            return checked(self._answer(call), self._check(call))
        return self._answer(call)

    def _checked(self, call: Call, outcome: Outcome) -> Outcome:
        """Hold a value against the annotations; the items of a stream were, one by one."""
        if call.stream:
            return outcome
        return self.annotations.checked(self.specs[call.hook], call, outcome)

    def _check(self, call: Call) -> Callable[[Outcome], Outcome]:
        """Return what an item of a stream has to pass before anybody sees it."""
        layers, spec = item_check(self.stack.middleware, call), self.specs[call.hook]
        return lambda item: layers(self.annotations.checked(spec, call, item))

    def _refusal(self, call: Call, parent: Call | None) -> Outcome | None:
        """Return why nobody is asked, or None."""
        plugin, edition = call.plugin, call.edition
        known = self.facts.get(plugin)
        if known is not None and known.edition != edition:
            self.late(call)
        disabled = self.disabled(plugin, edition)
        if disabled is not None:
            return Outcome.failed(call, disabled.code, disabled.message, "plugin")
        if parent is not None and not self.requested(parent, call.hook):
            return not_requested(call)
        depth = call.depth
        if depth and depth > self.depths.get(plugin, depth):
            return too_deep(call, self.depths[plugin])
        return None

    def _forsake(self, call: Call) -> None:
        """*call* is not made: if it would have left a wrapper, have that end."""
        if call.token is None:
            return
        if call.plugin in self.builtin_ids:
            self.builtins.forsake(call)
        elif call.plugin in self.residents:
            self.residents[call.plugin].forsake(call)
        elif self.transport is not None:
            self.transport.forsake(call)

    def _answer(self, call: Call) -> Effects[Outcome]:
        """Return what asks whoever answers *call*."""
        plugin = call.plugin
        if plugin in self.builtin_ids:
            return pulled(self.builtins.source(call), _Here()) if call.stream else self._own(call)
        if plugin in self.residents:
            return self.residents[plugin].exchange(call)
        if self.transport is None:
            raise KernelNotRunning("the kernel has no transport")
        return self.transport.exchange(call)

    def _own(self, call: Call) -> Effects[Outcome]:
        yield from ()  # There is nothing to wait for.
        return _within(lambda: self.builtins.call(call))

    def counts(self, plugin: PluginId) -> PluginStats:
        """Return the counts of *plugin*, begun if there are none."""
        return self.stats.get(plugin) or self.stats.setdefault(plugin, PluginStats())

    def count(self, stats: PluginStats, plugin_us: int) -> None:
        """Count a call with a value that was made without this."""
        with self._lock:
            stats.calls += 1
            stats.plugin_us.append(plugin_us)

    def counted(self, outcome: Outcome) -> Outcome:
        """Count the call of *outcome*, and return that."""
        stats = self.counts(outcome.plugin)
        with self._lock:
            stats.calls += 1
            if outcome.error is not None:
                stats.errors += 1
            if outcome.diagnostics:
                stats.dropped += len(outcome.diagnostics)
            stats.plugin_us.append(outcome.timing.plugin_us)
        return outcome


def _sampled(sample: Sample, call: Call, outcome: Outcome) -> None:
    """Tell *sample* what the way to the plugin and back took."""
    timing = outcome.timing
    if call.stream:
        sample.streamed(timing.queue_us + timing.transport_us, timing.plugin_us)
    else:
        sample.answered(timing.plugin_us)


def _within(work: Callable[[], T]) -> T:
    """Do *work*, which is code of a builtin.

    Not in a copy of the context: what a wrapper sets there before, it resets there afterwards.
    """
    stay = _Stay()
    token = _stay.set(stay)  # An interrupt that comes now leaves a stay that does not last.
    try:
        stay.lasts = True
        return work()
    finally:
        stay.lasts = False  # Also in copies of the context, which a task or a thread goes on with.
        _stay.reset(token)


class _Here:
    """Runs the streams of builtins: here and now."""

    def do(self, work: Callable[[], Outcome | None]) -> Effects[Outcome | None]:
        """Do *work*."""
        yield from ()  # There is nothing to wait for.
        return _within(work)

    def drop(self, work: Callable[[], Outcome | None]) -> None:
        """Do *work*."""
        _within(work)
