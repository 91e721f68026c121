"""From stored evidence to answers: what may be claimed, and why a claim was dropped."""

from nxkernel.pipeline.answers import (
    CheckedAnswer,
    RejectedClaim,
    check_answer,
    sealed_answer,
)
from nxkernel.pipeline.citations import Evidence, Library, StoredLibrary

__all__ = [
    "CheckedAnswer",
    "Evidence",
    "Library",
    "RejectedClaim",
    "StoredLibrary",
    "check_answer",
    "sealed_answer",
]
