"""Makes proofs from a log.

No leaf's hash is stored, so a proof takes a pass over the log. It is verified on the way: there is
no proof about a log that does not add up.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from nxkernel._sqlite import open_reader
from nxkernel.audit.checkpoint import Checkpoint
from nxkernel.audit.columns import leaf
from nxkernel.audit.failure import cannot
from nxkernel.audit.proofs import Consistency, Inclusion, consistency_path, inclusion_path
from nxkernel.audit.schema import FORMAT, TABLES
from nxkernel.audit.tree import leaf_hash
from nxkernel.audit.verification import verify
from nxkernel.errors import AuditError

__all__ = ["prove_consistency", "prove_inclusion"]


def prove_inclusion(path: Path | str, seq: int, note: str | None = None) -> Inclusion:
    """Prove that row *seq* is in the log at *path*, as the checkpoint *note* saw it.

    Without *note* the proof is about the log as it is now.

    Raises:
        AuditError: when there is no such row, or the checkpoint did not see it.
        IntegrityError: when the log does not add up or does not continue the checkpoint.
    """
    point, note = _checked(Path(path), note)
    if not 1 <= seq <= point.size:
        raise AuditError(f"no row {seq} in the log of the checkpoint: it has {point.size} rows")
    leaves = _leaves(Path(path), point.size)
    nodes = inclusion_path([leaf_hash(each) for each in leaves], seq - 1)
    return Inclusion(leaves[seq - 1], seq - 1, tuple(nodes), note)


def prove_consistency(path: Path | str, old: Checkpoint, note: str | None = None) -> Consistency:
    """Prove that the log at *path*, as the checkpoint *note* saw it, continues *old*.

    Raises:
        AuditError: when *old* is the newer one.
        IntegrityError: when the log does not add up or does not continue both checkpoints.
    """
    point, note = _checked(Path(path), note)
    verify(path, old).require()
    if not 1 <= old.size <= point.size:
        raise AuditError(
            f"a log of {point.size} rows does not continue one of {old.size}: give the older "
            "checkpoint first"
        )
    hashes = [leaf_hash(each) for each in _leaves(Path(path), point.size)]
    return Consistency(old.size, old.hash, tuple(consistency_path(hashes, old.size)), note)


def _checked(path: Path, note: str | None) -> tuple[Checkpoint, str]:
    """Verify the log; return the checkpoint that the proof is about, and its text."""
    point = Checkpoint.parse(note) if note is not None else None
    report = verify(path, point)
    report.require()
    point = point or report.head
    if point is None:
        raise AuditError("the log has no rows, so there is nothing to prove")
    return point, note or point.text()


def _leaves(path: Path, size: int) -> list[bytes]:
    """Return the leaves of the first *size* rows."""
    with _opened(path) as connection:
        found = {
            row[0]: leaf(row)
            for table in TABLES
            for row in connection.execute(table.select, (1, size))
        }
    return [found[seq] for seq in range(1, size + 1)]


@contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    try:
        with closing(open_reader(path, FORMAT)) as connection:
            yield connection
    except sqlite3.Error as error:
        raise cannot("read", path, error) from error
