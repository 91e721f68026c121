"""A checkpoint: the state of a log at one moment, to be kept somewhere else.

The text is that of a tlog checkpoint (https://c2sp.org/tlog-checkpoint): origin, size in decimal
and root in base64 on a line each. Extension lines and signatures may follow; ``note`` knows those.
"""

from __future__ import annotations

import base64
import binascii
import re

import attrs

from nxkernel.errors import AuditError

__all__ = ["PREFIX", "Checkpoint"]

#: How the name of a log begins that nobody gave another one.
PREFIX = "nxkernel.audit.v2/"
_TEXT = re.compile(r"([^\s+]{1,200})\n(0|[1-9][0-9]{0,18})\n([A-Za-z0-9+/]{43}=)\n([\s\S]*)")


@attrs.frozen
class Checkpoint:
    """Name, size and root of a log."""

    #: Names the log, over all its segments.
    origin: str
    #: Number of leaves.
    size: int
    #: Root of the tree over them, in base64.
    root: str

    @classmethod
    def of(cls, origin: str, size: int, root: bytes) -> Checkpoint:
        """Return the checkpoint with the 32 bytes *root*."""
        return cls(origin, size, base64.b64encode(root).decode())

    @property
    def hash(self) -> bytes:
        """The 32 bytes of the root."""
        return base64.b64decode(self.root)

    def text(self) -> str:
        """Return three lines: origin, size, root."""
        return f"{self.origin}\n{self.size}\n{self.root}\n"

    @classmethod
    def parse(cls, text: str) -> Checkpoint:
        """Read what :meth:`text` wrote, also from the head of a signed note.

        Whether signatures are good is another question: see :mod:`nxkernel.audit.note`.

        Raises:
            AuditError: when *text* is anything else.
        """
        match = _TEXT.fullmatch(text.replace("\r\n", "\n"))
        if match is None or not _is_canonical(match[3]) or not _may_follow(match[4]):
            raise AuditError(
                "this is no checkpoint: expected three lines, origin, size and root, as the run "
                "directory's checkpoint file has them"
            )
        return cls(match[1], int(match[2]), match[3])


def _is_canonical(root: str) -> bool:
    """Whether *root* is the only base64 text of its bytes: the last digit has two spare bits."""
    try:
        return base64.b64encode(base64.b64decode(root, validate=True)).decode() == root
    except binascii.Error:  # pragma: no cover - the pattern lets no such text in
        return False


def _may_follow(rest: str) -> bool:
    """Whether *rest* is nothing, extension lines, or those and a blank line and signatures."""
    _, blank, signatures = ("\n" + rest).partition("\n\n")
    if not blank:
        return rest == "" or rest.endswith("\n")
    lines = signatures.split("\n")
    return lines[-1] == "" and len(lines) > 1 and all(s.startswith("— ") for s in lines[:-1])
