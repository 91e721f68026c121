"""Errors of the database, in words that say what to do."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from nxkernel._sqlite import Busy, Refused
from nxkernel.errors import AuditError

__all__ = ["cannot", "shown"]

_ADVICE = (
    ("full", "free some disk space"),
    ("No space", "free some disk space"),
    ("too large", "check free space, quota and file size limit of the disk"),
    ("disk I/O", "check free space, quota and file size limit of the disk"),
    ("readonly", "give the kernel's user write access to the file and its folder"),
    ("Read-only", "give the kernel's user write access to the file and its folder"),
    ("Permission", "give the kernel's user write access to the file and its folder"),
    ("locked", "stop the program that holds the database"),
    ("unable to open", "check that its folder exists and that you may use it"),
    ("not a database", "keep the file and give another data directory"),
    ("malformed", "keep the file as evidence and give another data directory"),
    ("removed or replaced", "put it back, or leave it to the next run to begin another"),
    (
        "are gone",
        "keep the audit's folder as it is while a kernel is at work, and start the kernel anew",
    ),
    ("not authorized", "the audit log takes new rows and nothing else"),
)


def shown(path: Path) -> str:
    """Return the end of *path*: a message holds nothing that differs between machines."""
    return f"{path.parent.name}/{path.name}" if path.parent.name else path.name


def cannot(verb: str, path: Path, error: Exception) -> AuditError:
    """Return the AuditError for *error*; ``details["path"]`` has the whole path."""
    text = str(error) or type(error).__name__
    if isinstance(error, OSError) and error.strerror:
        text = error.strerror
    return AuditError(
        f"cannot {verb} {shown(path)}: {text}; {_advice(error, text)}",
        details={"path": str(path)},
    )


def _advice(error: Exception, text: str) -> str:
    if isinstance(error, Refused):
        if "was forked" in text:
            return "close it before the fork, or start the child as a new program"
        if "neither reads" in text:
            return "keep the file and give another data directory"
        newer = "does not know" in text
        return "upgrade nxkernel" if newer else "give the data directory of a run"
    if isinstance(error, Busy):
        return "stop the program that holds the database"
    if not isinstance(error, OSError | sqlite3.Error):
        return "this row has no canonical form; report it as a bug"
    return next((advice for part, advice in _ADVICE if part in text), "check the disk")
