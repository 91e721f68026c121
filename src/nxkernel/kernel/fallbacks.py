"""A hookspec's fallback, as the plain data that a provider's answer would be.

Decided when the kernel is built: a fallback that could not cross would otherwise be found out
on the day on which everything else has failed.
"""

from __future__ import annotations

from typing import Any

import attrs

from nxkernel._values import hints_of, lower
from nxkernel.errors import CallRejected, KernelConfigError
from nxkernel.hookspecs import HookSpec

__all__ = ["with_plain_fallback"]


def with_plain_fallback(spec: HookSpec) -> HookSpec:
    """Return *spec* with its fallback as the plain data that a provider's answer would be.

    Raises:
        KernelConfigError: for a fallback that could not cross either.
    """
    fallback = spec.options.fallback
    if not spec.options.has_fallback or fallback is None:
        return spec
    hint = hints_of(spec.function).get("return", Any)
    if hint is Any or (not spec.firstresult and not isinstance(fallback, list)):
        hint = type(fallback)
    elif not spec.firstresult:
        hint = list[hint]  # type: ignore[valid-type]
    try:
        plain = lower(fallback, hint, "fallback")
    except CallRejected as error:
        raise KernelConfigError(f"hook {spec.name!r}: {error.message}") from None
    return attrs.evolve(spec, options=attrs.evolve(spec.options, fallback=plain))
