"""The hash chain over all rows, and the checkpoint that pins it from outside.

``digest = SHA-256("nx.audit.v1\\0" || prev || u64le(length) || body)``, where *body* is the
canonical MessagePack of ``[table, seq, *facts]`` and *prev* the digest of the row before, 32 zero
bytes for the first.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import attrs

from nxkernel._canonical import encode, raw_digest
from nxkernel.errors import AuditError

__all__ = ["DOMAIN", "GENESIS", "Checkpoint", "link", "origin_of"]

DOMAIN = b"nx.audit.v1\0"
#: What the first row commits to.
GENESIS = bytes(32)
_TEXT = re.compile(r"(nxkernel\.audit\.v1/[0-9a-f]{16})\n(0|[1-9][0-9]{0,18})\n([0-9a-f]{64})\n")


def link(prev: bytes, table: str, seq: int, facts: Sequence[int | str | None]) -> bytes:
    """Return the digest of a row that follows the row with digest *prev*.

    Raises:
        NotCanonical: for a fact that is no int of 64 bits, text or None.
    """
    return raw_digest(encode([table, seq, *facts]), DOMAIN + prev)


def origin_of(first: bytes) -> str:
    """Return the name of the log whose first row has the digest *first*."""
    return f"nxkernel.audit.v1/{first.hex()[:16]}"


@attrs.frozen
class Checkpoint:
    """The state of a log at one moment, to be kept somewhere else.

    In the manner of a tlog checkpoint (https://c2sp.org/tlog-checkpoint), but with the digest of
    a chain in hex, where that has the root of a Merkle tree in base64.
    """

    #: Names the log: derived from its first row.
    origin: str
    #: Number of rows.
    size: int
    #: Digest of row number ``size``, in hex.
    root: str

    def text(self) -> str:
        """Return three lines: origin, size, root."""
        return f"{self.origin}\n{self.size}\n{self.root}\n"

    @classmethod
    def parse(cls, text: str) -> Checkpoint:
        """Read what :meth:`text` wrote.

        Raises:
            AuditError: when *text* is anything else.
        """
        match = _TEXT.fullmatch(text.replace("\r\n", "\n"))
        if match is None:
            raise AuditError(
                "this is no checkpoint: expected three lines, origin, size and root, as the run "
                "directory's checkpoint file has them"
            )
        return cls(match[1], int(match[2]), match[3])
