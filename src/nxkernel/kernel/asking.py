"""What a call is asked with, and what is counted of those that were asked."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Mapping, Set
from typing import Any

import attrs

from nxkernel._blob import Blobs
from nxkernel.dispatch.stack import Asked
from nxkernel.errors import CallRejected
from nxkernel.hookspecs import HookSpec
from nxkernel.host.transport import Brokered
from nxkernel.types import Call

__all__ = [
    "PLAIN",
    "CallOptions",
    "PluginStats",
    "as_asked",
    "as_brokered",
    "asked_with",
    "check_ids",
    "check_names",
    "ids_of",
]

#: Durations kept per plugin for its median.
_SAMPLES = 1000


@attrs.frozen(kw_only=True)
class CallOptions:
    """What the caller may say about one call."""

    #: Seconds for each provider.
    timeout: float | None = None
    #: The logical call id; without it, the digest of the arguments.
    key: Any = None
    #: Ask these plugins only.
    only: frozenset[str] | None = None


#: Those of a caller who says nothing.
PLAIN = CallOptions()


@attrs.define
class PluginStats:
    """Counts and times of one plugin's calls."""

    calls: int = 0
    errors: int = 0
    #: Elements of its results that were dropped.
    dropped: int = 0
    #: Microseconds inside the plugin, the latest calls.
    plugin_us: deque[int] = attrs.Factory(lambda: deque(maxlen=_SAMPLES))


def check_names(spec: HookSpec, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return *arguments* with the hook's defaults.

    Raises:
        CallRejected: when one is missing or has no such name.
    """
    given = {**spec.defaults, **arguments}
    if given.keys() == spec.names:
        return given
    unknown = sorted(given.keys() - spec.names)
    missing = [name for name in spec.args if name not in given]
    if unknown or missing:
        wrong = (
            f"unknown argument {unknown[0]!r}" if unknown else f"missing argument {missing[0]!r}"
        )
        raise CallRejected(
            f"hook {spec.name!r}: {wrong}; its arguments are: {', '.join(spec.args) or 'none'}",
            hook=spec.name,
        )
    return given


def ids_of(only: object) -> frozenset[str]:
    """Return *only*, as the application gives it. Raises CallRejected for anything but ids."""
    if isinstance(only, str):
        raise CallRejected(f"options(only=) takes several ids: write only={{{only!r}}}")
    given: list[Any] = list(only) if isinstance(only, Iterable) else [only]
    if wrong := [each for each in given if not isinstance(each, str)]:
        raise CallRejected(f"options(only=) takes ids of plugins, not {type(wrong[0]).__name__}")
    return frozenset(given)


def check_ids(only: Set[str], everybody: Set[str]) -> None:
    """Raise CallRejected for an id in *only* that nobody has."""
    unknown = sorted(only - everybody)
    if unknown:
        raise CallRejected(f"options(only=): no plugin {unknown[0]!r}")


def _seconds(timeout: object) -> float:
    if isinstance(timeout, bool) or not isinstance(timeout, int | float):
        raise CallRejected(f"options(timeout=) is a number of seconds, not {timeout!r}")
    if not timeout > 0:
        raise CallRejected("options(timeout=) must be more than 0 seconds")
    try:
        return float(timeout)
    except OverflowError:  # an int beyond all floats: as good as for ever
        return math.inf


def asked_with(*, timeout: float | None, key: Any, only: frozenset[str] | None) -> CallOptions:
    """Return the options of a call, as the application gives them.

    Raises:
        CallRejected: for a time that is none or has passed already, or a key of other parts than
            int, str and bytes.
    """
    if timeout is not None:
        timeout = _seconds(timeout)
    parts = key if isinstance(key, tuple) else () if key is None else (key,)
    if wrong := [part for part in parts if type(part) not in (int, str, bytes)]:
        raise CallRejected(
            f"options(key=) is made of int, str and bytes, not {type(wrong[0]).__name__}"
        )
    return CallOptions(timeout=timeout, key=key, only=only)


def as_asked(call: Call, hook: str, payload: bytes, blobs: Blobs, told: Brokered) -> Asked:
    """Return a brokered call as the stack is told of it."""
    return Asked(
        call=call,
        hook=hook,
        payload=payload,
        blobs=blobs,
        answer=told.payload,
        answer_blobs=told.blobs,
        error=told.error,
        origin=told.origin,
        degraded=told.degraded,
    )


def as_brokered(asked: Asked) -> Brokered:
    """Return a brokered call as its worker is answered."""
    return Brokered(
        payload=asked.answer,
        blobs=asked.answer_blobs,
        error=asked.error,
        origin=asked.origin,
        degraded=asked.degraded,
    )
