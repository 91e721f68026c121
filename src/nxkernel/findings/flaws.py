"""What is wrong with an artifact, as its check says it."""

from __future__ import annotations

import attrs

from nxkernel.schemas import SchemaIssue
from nxkernel.schemas.profile import Path, pointer
from nxkernel.schemas.vocabulary import ARTIFACT

__all__ = ["CODES", "Flaw", "Path"]

#: Every code of a flaw, and what it means.
CODES = {
    "cycle": "An element stands inside itself.",
    "disordered": "What must ascend, or come in the order of time or of certainty, does not.",
    "inverted": "An end lies before its beginning.",
    "mismatch": "Two places that say the same thing differ.",
    "outside": "A box leaves its frame or its table, a cell its grid, a span its text.",
    "overlap": "Two cells are in one place.",
    "repeated_id": "Two artifacts of a list have one id.",
    "unknown_id": "An id names nothing that is in sight.",
}


@attrs.frozen(order=True)
class Flaw:
    """One rule that an artifact breaks. Like an issue, it quotes nothing of the value."""

    #: Where, from the root of the value.
    path: Path
    code: str
    message: str

    def issue(self) -> SchemaIssue:
        """Return it in the form of everything else that is wrong with a value."""
        return SchemaIssue(
            instance_path=pointer(self.path),
            keyword=ARTIFACT,
            schema_path="",
            code=self.code,
            message=self.message,
        )
