"""Drafts: from a hook call and a provider to the call that the stack sees."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import attrs

from nxkernel._altered import filled
from nxkernel._arguments import Arguments
from nxkernel._canonical import blobs_of, digest, encode
from nxkernel._clock import Clock
from nxkernel.dispatch.errand import Errand
from nxkernel.dispatch.executor import Inner, Provider
from nxkernel.hookspecs import HookSpec
from nxkernel.host.conversation import UNWIND_S
from nxkernel.kernel.deliveries import in_builtin
from nxkernel.kernel.hookcalls import HookCall
from nxkernel.settings import Hosting
from nxkernel.types import EMPTY, Call, CallId, Digest, HookName, Level, Phase, PluginId, RunId

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
        if inner is not None or phase != "call":
            return self._of_wrapper(hook, provider, phase, inner or Inner(), token)
        return filled(Call, self._fields(hook, provider))

    def _fields(self, hook: HookCall, provider: Provider) -> dict[str, Any]:
        """Return the fields of a plain call: what never changes of it, and what always does."""
        template, parent = provider.template or self._common(hook.spec, provider), hook.parent
        number, plugin, options = next(hook.nest.ids), provider.plugin, hook.options
        seconds = template["deadline"] if options.timeout is None else options.timeout
        deadline = self.clock.monotonic() + seconds
        if hook.deadline is not None and hook.deadline < deadline:
            deadline = hook.deadline
        fields = {
            **template,
            "call_id": str(number),
            "arguments": hook.arguments,
            "payload": hook.payload,
            "blobs": hook.blobs,
            "input_digest": hook.input_digest,
            "deadline": deadline,
            "key": hook.key,
            "historic": hook.historic,
            "awaited": in_builtin(),
            "stack_ns": [],
        }
        if plugin in self.residents:  # it may have been loaded after its first call was written
            fields["level"] = "none"
        if parent is not None:
            fields["call_id"] = f"{parent.call_id}.{number}"
            fields["parent"] = parent.call_id
            fields["caller"] = parent.plugin
            fields["caller_edition"] = parent.edition
            fields["depth"] = parent.depth + 1
        return fields

    def seconds(self, spec: HookSpec, provider: Provider) -> float:
        """Return the seconds that a plain call of *provider* gets."""
        return float(self._common(spec, provider)["deadline"])

    def of_errand(self, errand: Errand, spec: HookSpec, provider: Provider) -> Call:
        """Return the call of *provider* that *errand* is."""
        fields = {
            "call_id": errand.call_id,
            "arguments": Arguments(errand.payload),
            "payload": errand.payload,
            "input_digest": errand.input_digest,
            "deadline": errand.deadline,
            "key": errand.logical_key,
            "stack_ns": errand.spent_ns,
        }
        return filled(Call, {**self._common(spec, provider), **fields})

    def _common(self, spec: HookSpec, provider: Provider) -> dict[str, Any]:
        """Return what all plain calls of *provider* have in common; as :meth:`_template`."""
        template = provider.template
        if not template:
            # Two threads may fill it, with the same.
            template.update(self._template(spec, provider))
        return template

    def _template(self, spec: HookSpec, provider: Provider) -> dict[str, Any]:
        """Return all fields of a call of *provider*; those of one call are not right yet.

        Its deadline is the seconds that it gets.
        """
        options = spec.options
        call = Call(
            run_id=self.run_id,
            call_id=CallId(""),
            plugin=provider.plugin,
            edition=provider.edition,
            impl=provider.facts.impl,
            hook=HookName(spec.name),
            arguments=EMPTY,
            payload=b"",
            input_digest=Digest(""),
            deadline=self._seconds(spec, provider.plugin),
            key=(),
            level="host" if provider.plugin in self.builtin_ids else self.level,
            lasting=bool(spec.historic),
            stream=options.stream,
            item_timeout=options.item_timeout,
            # A historic call is repeated by the next start of its worker.
            retries=self.hosting.retries if options.idempotent and not spec.historic else 0,
        )
        return dict(vars(call))

    def _of_wrapper(
        self, hook: HookCall, provider: Provider, phase: Phase, inner: Inner, token: Any
    ) -> Call:
        """Return a phase of a wrapper: the two belong together, and neither is made again."""
        fields = self._fields(hook, provider)
        fields.update(phase=phase, stream=False, retries=0, token=token)
        if phase == "teardown":
            shipped = encode(inner.value)
            # A wrapper that was entered gets a little time to leave, however late it is: what it
            # holds would never be given back.
            at_least = self.clock.monotonic() + UNWIND_S
            fields.update(
                arguments={"result": inner.value},
                payload=shipped,
                blobs=blobs_of(inner.value, shipped),
                input_digest=digest(shipped),
                deadline=max(fields["deadline"], at_least),
                key=(*hook.key, "teardown"),
                inner_error=inner.error,
                inner_fault=inner.fault,
                inner_origin=inner.origin,
            )
        return filled(Call, fields)

    def _seconds(self, spec: HookSpec, plugin: PluginId) -> float:
        """The hookspec's word counts first, then the manifest's, the host's."""
        if spec.options.timeout is not None:
            return spec.options.timeout
        seconds = self.timeouts.get(plugin)
        return self.hosting.timeout_s if seconds is None else seconds
