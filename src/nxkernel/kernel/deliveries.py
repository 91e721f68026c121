"""Deliveries: one call through the stack to whoever answers it, and its outcome back."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar

import attrs

from nxkernel import _forks
from nxkernel.dispatch.effects import Effects
from nxkernel.dispatch.stack import Middleware, PluginFacts, open_stack
from nxkernel.errors import KernelNotRunning, PluginDisabled
from nxkernel.hookspecs import HookSpec
from nxkernel.host.builtin import Builtins
from nxkernel.host.inproc import Resident
from nxkernel.host.replies import cancelled
from nxkernel.host.transport import Transport
from nxkernel.kernel.annotations import Annotations
from nxkernel.kernel.asking import PluginStats
from nxkernel.kernel.hookcalls import Nests
from nxkernel.kernel.refusals import not_requested, too_deep
from nxkernel.types import Call, HookName, Outcome, PluginId

__all__ = ["Deliveries", "in_builtin"]

#: Whether this context is inside a builtin: a call that it makes has another one wait for it.
_in_builtin: ContextVar[bool] = ContextVar("nxkernel_in_builtin", default=False)


def in_builtin() -> bool:
    """Whether this is the code of a builtin, in the middle of a call."""
    return _in_builtin.get()


@attrs.define(eq=False, kw_only=True)
class Deliveries:
    """Makes one kernel's calls, and counts them."""

    specs: Mapping[str, HookSpec]
    middleware: Sequence[Middleware]
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
    _lock: threading.Lock = attrs.Factory(threading.Lock)

    def __attrs_post_init__(self) -> None:
        _forks.register(self)

    def abandon(self) -> None:
        """In a forked child: no thread that could hold the lock is there."""
        self._lock = threading.Lock()

    def invoke(self, call: Call, parent: Call | None = None) -> Effects[Outcome]:
        """Make *call*; *parent* is the call whose plugin asks for it."""
        opened = open_stack(self.middleware, call)
        if opened.early is not None:
            self._forsake(call)
            return self._counted(opened.early)
        try:
            outcome = yield from self._deliver(opened.call, parent)
        except BaseException:
            # An interrupt in the host's own code: what was begun has its end on record.
            self._counted(opened.close(cancelled(opened.call)))
            raise
        finally:
            self.nests.forget(call)
        return self._counted(opened.close(outcome))

    def requested(self, caller: Call, hook: HookName) -> bool:
        """Whether the manifest of the calling edition asks for *hook*."""
        facts = self.facts.get(caller.plugin)
        if self.facts_of is not None and (facts is None or facts.edition != caller.edition):
            facts = self.facts_of(caller.plugin, caller.edition)
        names = {hook, self.specs[hook].capability or hook}
        return facts is not None and bool(names & set(facts.requires))

    def _deliver(self, call: Call, parent: Call | None) -> Effects[Outcome]:
        known = self.facts.get(call.plugin)
        if known is not None and known.edition != call.edition:
            self.late(call)
        refusal = self._refusal(call, parent)
        if refusal is not None:
            self._forsake(call)
            return refusal
        outcome = yield from self._answer(call)
        return self.annotations.checked(self.specs[call.hook], call, outcome)

    def _refusal(self, call: Call, parent: Call | None) -> Outcome | None:
        """Return why nobody is asked, or None."""
        disabled = self.disabled(call.plugin, call.edition)
        if disabled is not None:
            return Outcome.failed(call, disabled.code, disabled.message, "plugin")
        if parent is not None and not self.requested(parent, call.hook):
            return not_requested(call)
        if call.depth > self.depths.get(call.plugin, call.depth):
            return too_deep(call, self.depths[call.plugin])
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
        if call.plugin in self.builtin_ids:
            return self._built_in(call)
        if call.plugin in self.residents:
            return (yield from self.residents[call.plugin].exchange(call))
        if self.transport is None:
            raise KernelNotRunning("the kernel has no transport")
        return (yield from self.transport.exchange(call))

    def _built_in(self, call: Call) -> Outcome:
        token = _in_builtin.set(True)
        try:
            return self.builtins.call(call)
        finally:
            _in_builtin.reset(token)

    def _counted(self, outcome: Outcome) -> Outcome:
        with self._lock:
            stats = self.stats.setdefault(outcome.plugin, PluginStats())
            stats.calls += 1
            stats.errors += outcome.error is not None
            stats.dropped += len(outcome.diagnostics)
            stats.plugin_us.append(outcome.timing.plugin_us)
        return outcome
