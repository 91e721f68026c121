"""The intake: what is asked becomes a hook call, or is refused before any provider hears of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from nxkernel._altered import filled
from nxkernel._arguments import Arguments
from nxkernel._blob import NONE, Blobs, weight
from nxkernel._canonical import NotCanonical, blobs_of, bounded, decode, digest, encode, refers
from nxkernel.dispatch.errand import Errand
from nxkernel.errors import CallRejected, PluginFailed
from nxkernel.hookspecs import HookSpec
from nxkernel.kernel.annotations import Annotations
from nxkernel.kernel.asking import PLAIN, CallOptions, check_names
from nxkernel.kernel.hookcalls import HookCall, Nest, Nests, logical_key
from nxkernel.settings import Hosting
from nxkernel.types import Call, PluginId

__all__ = ["Intake"]


@attrs.frozen(kw_only=True)
class Intake:
    """Checks what the application and its plugins ask of one kernel's hooks."""

    specs: Mapping[str, HookSpec]
    hosting: Hosting
    #: How deep a manifest lets its own calls nest, and those that it answers.
    depths: Mapping[PluginId, int]
    annotations: Annotations
    nests: Nests

    def spec(self, hook: str) -> HookSpec:
        """Return the spec of *hook*.

        Raises:
            CallRejected: when there is none.
        """
        spec = self.specs.get(hook)
        if spec is None:
            known = ", ".join(sorted(self.specs))
            raise CallRejected(
                f"no hook {hook!r}; the application offers: {known}",
                code="call.unknown_hook",
                hook=hook,
            )
        return spec

    def common(self, hook: str, arguments: Mapping[str, Any], options: CallOptions) -> HookCall:
        """Return the application's call of a hook that is not historic.

        Raises:
            CallRejected: when a name is wrong, or an argument cannot cross.
        """
        spec = self.specs.get(hook) or self.spec(hook)
        if spec.historic:
            raise CallRejected(
                f"hook {hook!r} is historic: use kernel.hook.{hook}.call_historic(kwargs=...)",
                hook=hook,
            )
        return self._of_application(spec, arguments, options)

    def historic(self, hook: str, arguments: Mapping[str, Any]) -> HookCall:
        """Return the application's call of a historic hook.

        Raises:
            CallRejected: when a name is wrong, or an argument cannot cross.
        """
        spec = self.spec(hook)
        if not spec.historic:
            raise CallRejected(f"hook {hook!r} is not historic", hook=hook)
        return self._of_application(spec, arguments, PLAIN)

    def nested(
        self, parent: Call, hook: str, payload: bytes, blobs: Blobs, deadline: float
    ) -> HookCall:
        """Return the call that *parent*'s plugin asks for; *payload* is only a worker's word.

        Raises:
            CallRejected: when it may not be made, or is none.
            PluginFailed: when it would nest too deep.
        """
        spec = self.spec(hook)
        if spec.historic:
            raise CallRejected(f"hook {hook!r} is historic; a plugin cannot call it")
        if spec.options.stream:
            raise CallRejected(f"hook {hook!r} streams; a plugin cannot call it")
        limit = min(self.hosting.max_depth, self.depths.get(parent.plugin, parent.depth + 1))
        if parent.depth + 1 > limit:
            raise PluginFailed(f"calls nest deeper than {limit}", code="call.depth")
        # What came over the wire is plain already; lowering it again would only ask for
        # annotations that its sender never saw.
        given = _decoded(hook, payload, blobs)
        arguments = check_names(spec, given)
        if len(arguments) > len(given):  # with defaults, they have other bytes
            payload = _encoded(hook, arguments)
        nest = self.nests.below(parent)
        shown = Arguments(payload, arguments)
        return self._assembled(spec, shown, payload, PLAIN, nest, parent, deadline)

    def _of_application(
        self, spec: HookSpec, arguments: Mapping[str, Any], options: CallOptions
    ) -> HookCall:
        given = check_names(spec, arguments)
        try:
            lowered, payload = self.annotations.packed(spec, given)
        except NotCanonical as error:
            raise _rejected(spec.name, error) from None
        return self._assembled(spec, lowered, payload, options, self.nests.top)

    def of_errand(self, errand: Errand, spec: HookSpec) -> HookCall:
        """Return the hook call that *errand* is."""
        return HookCall(
            spec=spec,
            arguments=Arguments(errand.payload),
            payload=errand.payload,
            blobs=NONE,
            input_digest=errand.input_digest,
            key=errand.logical_key,
            options=errand.options,
            deadline=None,
            nest=self.nests.top,
        )

    def _assembled(
        self,
        spec: HookSpec,
        arguments: Arguments,
        payload: bytes,
        options: CallOptions,
        nest: Nest,
        parent: Call | None = None,
        deadline: float | None = None,
    ) -> HookCall:
        blobs, size = NONE, len(payload)
        if refers(payload):
            blobs = _blobs(spec, arguments, payload)
            size += weight(blobs)
        if size > self.hosting.max_frame:
            raise self._too_large(spec, size)
        name = digest(payload)
        return filled(
            HookCall,
            {
                "spec": spec,
                "arguments": arguments,
                "payload": payload,
                "blobs": blobs,
                "input_digest": name,
                "key": logical_key(options.key, spec.name, name, nest, nested=parent is not None),
                "options": options,
                "deadline": deadline,
                "nest": nest,
                "parent": parent,
                "historic": False,
                "memory": None,
                "sample": None,
            },
        )

    def _too_large(self, spec: HookSpec, size: int) -> CallRejected:
        return CallRejected(
            f"arguments of {spec.name!r} have {size} bytes; the limit is "
            f"{self.hosting.max_frame}, see Hosting(max_frame=)",
            hook=spec.name,
        )


def _blobs(spec: HookSpec, arguments: Arguments, payload: bytes) -> Blobs:
    try:
        return blobs_of(arguments, payload)
    except NotCanonical as error:
        raise _rejected(spec.name, error) from None


def _rejected(hook: str, error: NotCanonical) -> CallRejected:
    return CallRejected(f"arguments of {hook!r}: {error}", hook=hook)


def _encoded(hook: str, arguments: dict[str, Any]) -> bytes:
    try:
        return bounded(encode(arguments))
    except NotCanonical as error:
        raise _rejected(hook, error) from None


def _decoded(hook: str, payload: bytes, blobs: Blobs) -> dict[str, Any]:
    try:
        arguments = decode(payload, blobs)
    except NotCanonical as error:
        raise CallRejected(f"arguments of {hook!r}: {error}") from None
    if not isinstance(arguments, dict):
        raise CallRejected(f"arguments of {hook!r} are no map of names")
    return arguments
