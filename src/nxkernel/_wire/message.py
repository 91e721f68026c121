"""What all messages have in common: their shape, and the version of the protocol."""

from __future__ import annotations

from typing import Final

import msgspec

__all__ = ["VERSION", "Message"]

#: Version of the protocol; a peer with another one is refused at the handshake.
VERSION: Final = 1


class Message(msgspec.Struct, array_like=True, tag=True, forbid_unknown_fields=True):
    """A message, or one of several things in a message: an array with its tag first."""
