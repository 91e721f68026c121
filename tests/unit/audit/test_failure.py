"""Errors of the database say what to do."""

from __future__ import annotations

import errno
import sqlite3
from pathlib import Path

import pytest

from nxkernel._canonical import NotCanonical
from nxkernel._sqlite import Busy, Refused
from nxkernel.audit.failure import cannot, shown


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (sqlite3.OperationalError("database or disk is full"), "free some disk space"),
        (sqlite3.OperationalError("disk I/O error"), "file size limit"),
        (sqlite3.OperationalError("attempt to write a readonly database"), "write access"),
        (sqlite3.OperationalError("database is locked"), "stop the program"),
        (sqlite3.OperationalError("unable to open database file"), "folder exists"),
        (sqlite3.DatabaseError("file is not a database"), "another data directory"),
        (sqlite3.DatabaseError("something new"), "check the disk"),
        (Refused("it has a step that this version does not know (x)"), "upgrade nxkernel"),
        (Refused("it is a database, but not an audit log"), "data directory of a run"),
        (Busy("another process keeps it locked"), "stop the program"),
        (OSError(errno.EACCES, "Permission denied", "/tmp/somewhere"), "write access"),
        (OSError(errno.EROFS, "Read-only file system"), "write access"),
        (OSError(errno.ESTALE, "its file was removed or replaced"), "put it back"),
        (NotCanonical("no canonical form"), "report it as a bug"),
        (OverflowError("too large"), "report it as a bug"),
    ],
)
def test_each_cause_has_its_advice(error: Exception, advice: str) -> None:
    """The message ends with the next step, and the path is for programs."""
    raised = cannot("write", Path("/some/where/audit/audit.db"), error)
    assert raised.message.startswith("cannot write audit/audit.db: ")
    assert advice in raised.message
    assert "/tmp" not in raised.message
    assert raised.details == {"path": "/some/where/audit/audit.db"}


def test_a_path_is_shown_by_its_end() -> None:
    """Messages are the same on every machine."""
    assert shown(Path("/home/someone/data/audit/audit.db")) == "audit/audit.db"
    assert shown(Path("audit.db")) == "audit.db"
