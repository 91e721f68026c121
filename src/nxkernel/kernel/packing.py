"""Packing: the arguments of a call as bytes, if they are plain and of the usual kind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nxkernel._canonical import SHORT, offered, refers
from nxkernel._census import has_too_many
from nxkernel._shape import Shape
from nxkernel.hookspecs import HookSpec

__all__ = ["Packing"]


class Packing:
    """Packs the arguments of one hook."""

    def __init__(self, spec: HookSpec, max_frame: int) -> None:
        """*max_frame*: most bytes."""
        self._names, self._defaults, self._most = spec.names, spec.defaults, max_frame

    def packed(self, given: Mapping[str, Any]) -> tuple[bytes, Shape | None] | None:
        """Return the canonical bytes of arguments, and what was seen of them if that was quick.

        None for what the general way has to look at: it says what is wrong, if anything is.
        """
        arguments = {**self._defaults, **given} if self._defaults else given
        if arguments.keys() != self._names:
            return None
        found = offered(arguments)
        if found is None or len(found[0]) > self._most:
            return None
        data, shown = found
        if shown is None and (refers(data) or (len(data) > SHORT and has_too_many(data))):
            return None
        return found
