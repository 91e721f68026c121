"""What a command of the command line leaves behind."""

from __future__ import annotations

import json
from typing import Any

import attrs


@attrs.frozen
class Ran:
    """What a command printed, and how it ended."""

    code: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        """The object that ``--json`` printed: all of standard output."""
        return json.loads(self.out)
