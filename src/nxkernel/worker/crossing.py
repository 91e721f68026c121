"""What crosses: the values of a plugin's calls as bytes and blobs, checked before they leave."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from nxkernel._blob import Blobs, weight
from nxkernel._canonical import NotCanonical, blobs_of, bounded, encode
from nxkernel._census import MAX_VALUES, has_too_many
from nxkernel._hookimpls import FoundImpl
from nxkernel._values import NotLiftable, lift, lower, packed
from nxkernel._wire import PIECE, Piece, Setup
from nxkernel.errors import CallRejected
from nxkernel.worker.arena import Loan
from nxkernel.worker.failure import BadValue
from nxkernel.worker.parcels import Parcels

__all__ = ["Crossing"]


@attrs.frozen(eq=False)
class Crossing:
    """Makes of values what travels, and of what came the arguments of a hookimpl."""

    setup: Setup
    parcels: Parcels

    def arguments(self, impl: FoundImpl, given: dict[str, Any]) -> dict[str, Any]:
        """Return what of *given* the hookimpl takes, by its annotations.

        Raises:
            BadValue: when something does not fit them.
        """
        if given.keys() == impl.taken:
            return given
        names = [*impl.facts.args, *(name for name in impl.facts.kwargs if name in given)]
        try:
            return {name: lift(given[name], impl.hints.get(name, Any)) for name in names}
        except NotLiftable as error:
            raise BadValue(
                "provider.not_applicable",
                f"an argument does not fit the hookimpl's annotation: {error}",
                {"impl": impl.facts.impl},
            ) from None

    def result(
        self, value: Any, hint: Any, loans: list[Loan], *, tried: bool = False
    ) -> tuple[bytes, list[Piece], Blobs]:
        """Return the canonical bytes of a result, by its annotation or else by what it is.

        And its blobs, as they travel and as they are; *loans* are those of the call. *tried*: it
        is known not to be certainly plain.

        Raises:
            BadValue: when it cannot cross.
        """
        hint = type(value) if hint is Any else hint
        try:
            payload, blobs = packed(value, hint, "result", tried=tried)
        except CallRejected as error:
            raise BadValue("contract.output", error.message, error.details) from None
        except NotCanonical as error:
            raise BadValue("contract.output", f"result: {error}", {}) from None
        self._bound(_size(payload, blobs) if blobs else len(payload))
        return payload, self.parcels.sent(blobs, loans) if blobs else [], blobs

    def hold(self, payload: bytes) -> None:
        """Let *payload*, the canonical bytes of a plain result, cross as it is.

        Raises:
            BadValue: when it is too large.
        """
        try:
            bounded(payload)
        except NotCanonical as error:
            raise BadValue("contract.output", f"result: {error}", {}) from None
        self._bound(len(payload))

    def _bound(self, size: int) -> None:
        if size > self.setup.max_payload:
            code = "contract.output" if self.setup.output_mb is None else "plugin.limit"
            raise BadValue(code, f"result {self._too_large(size)}", {"seen": size})

    def request(self, hook: str, arguments: Mapping[str, Any]) -> tuple[bytes, Blobs]:
        """Return the canonical bytes of the arguments of a brokered call, and their blobs.

        Raises:
            CallRejected: when they cannot cross.
        """
        plain = {name: lower(v, type(v), name) for name, v in arguments.items()}
        payload = encode(plain)
        if has_too_many(payload):
            raise CallRejected(f"the call of {hook!r} has more than {MAX_VALUES} values")
        try:
            blobs = blobs_of(plain, payload)
        except NotCanonical as error:
            raise CallRejected(f"the call of {hook!r} has {error}") from None
        size = _size(payload, blobs)
        if size > self.setup.max_payload:
            raise CallRejected(f"the call of {hook!r} {self._too_large(size)}")
        return payload, blobs

    def _too_large(self, size: int) -> str:
        text = f"has {size} bytes; the limit is {self.setup.max_payload}"
        if self.setup.output_mb is None:
            return text
        return f"{text}, by output_mb = {self.setup.output_mb} below [limits] in the manifest"


def _size(payload: bytes, blobs: Blobs) -> int:
    """How many bytes a value and its blobs take on the wire, at most."""
    return len(payload) + weight(blobs) + PIECE * len(blobs)
