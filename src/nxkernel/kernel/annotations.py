"""Annotations of hookspecs: what arguments become on their way out, and values on their way back.

Plain data crosses; whoever calls a hook and whoever answers it in this process has the types that
the hookspec names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import attrs

from nxkernel._arguments import Arguments
from nxkernel._values import (
    NotLiftable,
    hints_of,
    item_hint,
    lift,
    needs_structuring,
    packed_arguments,
)
from nxkernel.hookspecs import HookSpec
from nxkernel.types import Call, CallError, HookResult, Outcome

__all__ = ["Annotations"]


@attrs.define
class Annotations:
    """The annotations of one kernel's hookspecs, each looked up once."""

    _known: dict[str, Mapping[str, Any]] = attrs.Factory(dict)
    #: The hooks of which it is known that they say no more of a value than that it is plain: for
    #: those neither :meth:`checked` nor :meth:`lifted` does anything.
    silent: set[str] = attrs.Factory(set)
    #: Of each hook, whether they say no more of any argument than that.
    _arguments: dict[str, bool] = attrs.Factory(dict)
    #: What each says of its value, where that is more than that it is plain; None where it is not.
    _values: dict[str, Any] = attrs.Factory(dict)

    def of(self, spec: HookSpec) -> Mapping[str, Any]:
        """Return the annotations of *spec* by argument, and that of its value as ``return``."""
        hints = self._known.get(spec.name)
        if hints is None:
            hints = self._known[spec.name] = hints_of(spec.function)
        return hints

    def of_value(self, spec: HookSpec) -> Any:
        """Return what *spec* says of a provider's value, or of each item of its stream.

        ``Any`` when it says nothing.
        """
        hint = self.of(spec).get("return", Any)
        return item_hint(hint) if spec.options.stream else hint

    def _telling(self, spec: HookSpec) -> Any:
        """Return :meth:`of_value` where values are more than plain by it, or else None."""
        known = self._values.get(spec.name, spec)
        if known is spec:  # which no annotation is
            hint = self.of_value(spec)
            known = self._values[spec.name] = hint if needs_structuring(hint) else None
            if known is None:
                self.silent.add(spec.name)
        return known

    def are_plain(self, spec: HookSpec) -> bool:
        """Whether those of *spec* say no more of arguments and value than that they are plain."""
        return self._telling(spec) is None and self._are_arguments_plain(spec)

    def _are_arguments_plain(self, spec: HookSpec) -> bool:
        plain = self._arguments.get(spec.name)
        if plain is None:
            hints = self.of(spec)
            plain = not any(needs_structuring(hints.get(name)) for name in spec.names)
            self._arguments[spec.name] = plain
        return plain

    def packed(self, spec: HookSpec, arguments: dict[str, Any]) -> tuple[Arguments, bytes]:
        """Return *arguments* as plain data, and their canonical bytes.

        Raises:
            CallRejected: when one cannot cross.
            NotCanonical: when they have too many values.
        """
        hints = None if self._are_arguments_plain(spec) else self.of(spec)
        return packed_arguments(arguments, hints, spec.name)

    def checked(self, spec: HookSpec, call: Call, outcome: Outcome) -> Outcome:
        """Hold a provider's value against the annotation; one that does not fit is its fault."""
        hint = self._telling(spec)
        if hint is None or outcome.error is not None or call.phase != "call":
            return outcome
        try:
            if outcome.value is not None:
                lift(outcome.value, hint)
        except NotLiftable as error:
            return Outcome.failed(
                call, "contract.output", f"result does not fit the hookspec: {error}", "plugin"
            )
        return outcome

    def lifting(self, spec: HookSpec) -> Callable[[Any], Any]:
        """Return what rebuilds an item of the stream of *spec*, which was checked before."""
        hint = self.of_value(spec)
        return lambda value: None if value is None else lift(value, hint)

    def lifted(self, spec: HookSpec, result: HookResult) -> HookResult:
        """Rebuild what the annotation names; plain values stay as they are."""
        hint = self._telling(spec)
        if hint is None or result.error is not None:
            return result
        if not spec.firstresult and not isinstance(result.value, list):
            return result  # A wrapper may make anything of a fan-out, as under pluggy.
        try:
            if spec.firstresult:
                value = None if result.value is None else lift(result.value, hint)
            else:
                value = [lift(each, hint) for each in result.value]
        except NotLiftable as error:
            text = f"a wrapper made a value that does not fit the hookspec: {error}"
            broken = CallError(code="contract.output", message=text)
            return attrs.evolve(result, value=None, error=broken)
        return attrs.evolve(result, value=value)
