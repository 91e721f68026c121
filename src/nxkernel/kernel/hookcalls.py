"""Hook calls: what one asks, and what it has asked for itself so far."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import attrs

from nxkernel._blob import Blobs
from nxkernel.dispatch.costs import Sample
from nxkernel.hookspecs import HookSpec
from nxkernel.kernel.asking import CallOptions
from nxkernel.types import Call, CallId, Digest

if TYPE_CHECKING:
    from nxkernel.kernel.history import Remembered

__all__ = ["HookCall", "Nest", "Nests", "as_key", "logical_key"]


@attrs.define
class Nest:
    """What one call has asked for so far: ids and ordinals of its brokered calls."""

    ids: itertools.count[int] = attrs.Factory(lambda: itertools.count(1))
    ordinals: Counter[tuple[str, Digest]] = attrs.Factory(Counter)


@attrs.define
class Nests:
    """The nests of the calls that are under way, and that of the application itself."""

    top: Nest = attrs.Factory(Nest)
    _by_call: dict[CallId, Nest] = attrs.Factory(dict)

    def below(self, parent: Call) -> Nest:
        """Return the nest of what *parent* asks for."""
        return self._by_call.setdefault(parent.call_id, Nest())

    def begin_again(self, lost: Call) -> None:
        """Let the next attempt of *lost* ask under the same keys as this one did."""
        nest = self._by_call.get(lost.call_id)
        if nest is not None:
            nest.ordinals.clear()

    def forget(self, call: Call) -> None:
        """*call* has its outcome and asks for nothing more."""
        self._by_call.pop(call.call_id, None)


@attrs.define(kw_only=True, eq=False, slots=False)  # so that it is made at once: see _altered
class HookCall:
    """One hook call: what all of its invocations share. It does not change once it is under way."""

    spec: HookSpec
    arguments: Mapping[str, Any]
    payload: bytes
    blobs: Blobs
    input_digest: Digest
    key: tuple[Any, ...]
    options: CallOptions
    deadline: float | None
    nest: Nest
    parent: Call | None = None
    historic: bool = False
    #: What is remembered of it, for a historic call that is made for the first time.
    memory: Remembered | None = None
    #: What its layers take, if it is a call to measure.
    sample: Sample | None = None


def as_key(given: Any) -> tuple[Any, ...]:
    """Return the key that the caller has *given* as the parts of a path."""
    return given if isinstance(given, tuple) else (given,)


def logical_key(
    given: Any, hook: str, name: Digest, nest: Nest, *, nested: bool
) -> tuple[Any, ...]:
    """Return the logical call id: the caller's, or what the arguments are.

    Equal calls from one parent are told apart by an ordinal; calls of the application are not,
    because their order may be that of threads.
    """
    if given is not None:
        return as_key(given)
    ordinal = 0
    if nested:
        ordinal = nest.ordinals[hook, name]
        nest.ordinals[hook, name] += 1
    return (bytes.fromhex(name.removeprefix("sha256:")), ordinal)
