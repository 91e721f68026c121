"""Verdicts: what became of one recorded call when it was made again."""

from __future__ import annotations

from typing import Literal

import attrs

from nxkernel.recording.records import RecordedCall
from nxkernel.replay.circumstances import Circumstance
from nxkernel.replay.comparing import Difference

__all__ = ["Verdict"]


@attrs.frozen(kw_only=True)
class Verdict:
    """What became of *call*."""

    call: RecordedCall
    #: ``left_out``: it was not made again, ``why`` says for what reason.
    state: Literal["same", "different", "left_out"]
    difference: Difference | None = None
    why: str = ""
    #: What has changed around it since then, whether or not that is to blame.
    circumstances: tuple[Circumstance, ...] = ()
    #: Digest of the value's canonical bytes now; empty where there is none.
    digest: str = ""

    @property
    def differs(self) -> bool:
        """Whether it was made again and is not what it was."""
        return self.state == "different"
