"""The files of one log: ``audit.db``, and in ``segments`` beside it those that were sealed before.

A segment is called after the number of its first row: ``000000000001.db``, and with ``.gz`` once it
is compressed. ``manifest.jsonl`` has a line for each that was sealed and for each that was moved;
it is for people, and nothing is concluded from it.
"""

from __future__ import annotations

import gzip
import re
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import attrs

from nxkernel._sqlite import open_reader
from nxkernel.audit.failure import cannot, shown
from nxkernel.audit.request import is_asked
from nxkernel.audit.schema import FORMAT
from nxkernel.errors import AuditError

__all__ = ["MANIFEST", "Segment", "held", "opened", "plain_path", "sealed_folder", "segments_of"]

MANIFEST = "manifest.jsonl"
#: Seconds between two looks at a log whose newest file is just being sealed, and how many.
_PAUSE_S, _LOOKS = 0.02, 100
_IS_SEALED = "SELECT EXISTS (SELECT 1 FROM seals)"
_NAME = re.compile(r"([0-9]{12})\.db(\.gz)?")


@attrs.frozen(order=True)
class Segment:
    """One file of a log."""

    #: Number of its first row, as the file is called; 0 for the one that is written to.
    first: int
    path: Path

    @property
    def is_packed(self) -> bool:
        """Whether it is compressed."""
        return self.path.suffix == ".gz"


def sealed_folder(log: Path) -> Path:
    """Return the folder of the sealed segments of the log at *log*."""
    return log.with_name("segments")


def sealed_in(folder: Path) -> list[Segment]:
    """Return the segments in *folder*, oldest first; one that is there twice is taken as it was."""
    if not folder.is_dir():
        return []
    found: dict[int, Segment] = {}
    for path in sorted(folder.iterdir()):  # .db before .db.gz
        if match := _NAME.fullmatch(path.name):
            found.setdefault(int(match[1]), Segment(int(match[1]), path))
    return sorted(found.values())


def segments_of(log: Path, elsewhere: Sequence[Path] = ()) -> list[Segment]:
    """Return all files of the log at *log*, oldest first, also those that are in *elsewhere*.

    Of a segment itself it returns that alone.

    Raises:
        AuditError: when there is no log.
    """
    if log.is_file() and _NAME.fullmatch(log.name):
        return [Segment(0, log)]
    found = {
        each.first: each
        for folder in (*elsewhere, sealed_folder(log))
        for each in sealed_in(folder)
    }
    # A rotation that was killed may have left no file to write to, until the next who writes.
    if not log.is_file() and not sealed_in(sealed_folder(log)):
        raise AuditError(f"there is no audit log at {shown(log)}", details={"path": str(log)})
    return [*sorted(found.values()), *([Segment(0, log)] if log.is_file() else ())]


@contextmanager
def held(log: Path, elsewhere: Sequence[Path] = ()) -> Iterator[list[Segment]]:
    """Give all files of the log at *log*, oldest first; none is sealed while the body runs.

    Of a list that was made without that, the last one may be another file once it is opened, and
    the one that it was then would be in none.

    Raises:
        AuditError: when there is no log.
    """
    with ExitStack() as stack:
        for _ in range(_LOOKS):
            if _hold(log, stack) or not is_asked(log):
                break
            stack.close()
            time.sleep(_PAUSE_S)
        yield segments_of(log, elsewhere)


def _hold(log: Path, stack: ExitStack) -> bool:
    """Keep the newest file open; return whether that keeps it from being sealed."""
    try:
        connection = stack.enter_context(closing(open_reader(log, FORMAT)))
        (sealed,) = connection.execute(_IS_SEALED).fetchone()
    except (sqlite3.Error, OSError):
        return False  # whoever reads it says what is wrong
    return not sealed


@contextmanager
def opened(segment: Segment) -> Iterator[sqlite3.Connection]:
    """Open a segment for reading; a compressed one is unpacked to a temporary file.

    Raises:
        AuditError: when it cannot be read.
    """
    with ExitStack() as stack:
        try:
            path = plain_path(segment, stack)
            connection = stack.enter_context(closing(open_reader(path, FORMAT)))
        except (sqlite3.Error, OSError, EOFError) as error:
            raise cannot("read", segment.path, error) from error
        yield connection


def plain_path(segment: Segment, stack: ExitStack) -> Path:
    """Return where a segment is that is not compressed, until *stack* is closed.

    Raises:
        OSError, EOFError: when it cannot be unpacked.
    """
    if not segment.is_packed:
        return segment.path
    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="nxkernel-"))
    path = Path(folder) / segment.path.stem
    with gzip.open(segment.path) as packed, path.open("wb") as plain:
        shutil.copyfileobj(packed, plain)
    return path
