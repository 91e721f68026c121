"""Drafts: from a hook call and a provider to the call that the stack sees."""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping
from typing import Any

import attrs

from nxkernel import _forks
from nxkernel._canonical import blobs_of, digest, encode
from nxkernel._clock import Clock
from nxkernel.dispatch.executor import Inner, Provider
from nxkernel.host.conversation import UNWIND_S
from nxkernel.kernel.deliveries import in_builtin
from nxkernel.kernel.hookcalls import HookCall, Nest
from nxkernel.settings import Hosting
from nxkernel.types import Call, CallId, HookName, Level, Phase, PluginId, RunId

__all__ = ["Drafts"]


@attrs.define(eq=False, kw_only=True)
class Drafts:
    """Writes the calls of one kernel: who is asked for what, under which id and until when."""

    run_id: RunId
    builtin_ids: frozenset[PluginId]
    #: Plugins of the in-process allowlist, once they are loaded.
    residents: Collection[PluginId]
    #: Seconds that a manifest gives its own calls.
    timeouts: Mapping[PluginId, float]
    hosting: Hosting
    clock: Clock
    #: The level of what runs in workers.
    level: Level
    _lock: threading.Lock = attrs.Factory(threading.Lock)

    def __attrs_post_init__(self) -> None:
        _forks.register(self)

    def abandon(self) -> None:
        """In a forked child: no thread that could hold the lock is there."""
        self._lock = threading.Lock()

    def draft(
        self,
        hook: HookCall,
        provider: Provider,
        phase: Phase = "call",
        inner: Inner | None = None,
        token: Any = None,
    ) -> Call:
        """Return the call of one hookimpl for *hook*.

        *inner* is what a wrapper's second phase is given, *token* what its first one returned.
        """
        parent = hook.parent
        shipped = hook.payload if inner is None else encode(inner.value)
        return Call(
            run_id=self.run_id,
            call_id=self._id(hook.nest, parent),
            plugin=provider.plugin,
            edition=provider.edition,
            impl=provider.facts.impl,
            hook=HookName(hook.spec.name),
            phase=phase,
            arguments=hook.arguments if inner is None else {"result": inner.value},
            payload=shipped,
            blobs=hook.blobs if inner is None else blobs_of(inner.value, shipped),
            input_digest=hook.input_digest if inner is None else digest(shipped),
            deadline=self._deadline(hook, provider.plugin, phase),
            key=(*hook.key, "teardown") if phase == "teardown" else hook.key,
            parent=parent.call_id if parent else None,
            caller=parent.plugin if parent else None,
            caller_edition=parent.edition if parent else None,
            depth=parent.depth + 1 if parent else 0,
            level=self._level_of(provider.plugin),
            historic=hook.historic,
            lasting=bool(hook.spec.historic),
            awaited=in_builtin(),
            stream=hook.spec.options.stream and phase == "call",
            item_timeout=hook.spec.options.item_timeout,
            retries=self._retries(hook, phase),
            token=token,
            inner_error=inner.error if inner else None,
            inner_fault=inner.fault if inner else None,
            inner_origin=inner.origin if inner else None,
        )

    def _id(self, nest: Nest, parent: Call | None) -> CallId:
        with self._lock:
            number = next(nest.ids)
        return CallId(f"{parent.call_id}.{number}" if parent else str(number))

    def _retries(self, hook: HookCall, phase: Phase) -> int:
        """A wrapper's phases belong together, a historic call to the next start of its worker."""
        repeatable = hook.spec.options.idempotent and phase == "call" and not hook.spec.historic
        return self.hosting.retries if repeatable else 0

    def _level_of(self, plugin: PluginId) -> Level:
        if plugin in self.builtin_ids:
            return "host"
        return "none" if plugin in self.residents else self.level

    def _deadline(self, hook: HookCall, plugin: PluginId, phase: Phase) -> float:
        """The caller's word counts first, then the hookspec's, the manifest's, the host's.

        A wrapper that was entered gets a little time to leave, however late it is: what it holds
        would never be given back.
        """
        choices = (
            hook.options.timeout,
            hook.spec.options.timeout,
            self.timeouts.get(plugin),
            self.hosting.timeout_s,
        )
        seconds = next(s for s in choices if s is not None)
        now = self.clock.monotonic()
        deadline = now + seconds if hook.deadline is None else min(now + seconds, hook.deadline)
        return max(deadline, now + UNWIND_S) if phase == "teardown" else deadline
