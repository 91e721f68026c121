"""Makes proofs from a log.

No leaf's hash is stored, so a proof takes a pass over the log. It is verified on the way: there is
no proof about a log that does not add up.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from nxkernel.audit.checkpoint import Checkpoint
from nxkernel.audit.columns import leaf
from nxkernel.audit.proofs import Consistency, Inclusion, consistency_path, inclusion_path
from nxkernel.audit.schema import TABLES
from nxkernel.audit.segments import held, opened
from nxkernel.audit.tree import leaf_hash
from nxkernel.audit.verification import verify
from nxkernel.errors import AuditError

__all__ = ["prove_consistency", "prove_inclusion"]


def prove_inclusion(
    path: Path | str, seq: int, note: str | None = None, *, archives: Sequence[Path] = ()
) -> Inclusion:
    """Prove that row *seq* is in the log at *path*, as the checkpoint *note* saw it.

    Without *note* the proof is about the log as it is now. *archives* are folders with its older
    files.

    Raises:
        AuditError: when there is no such row, or the checkpoint did not see it.
        IntegrityError: when the log does not add up or does not continue the checkpoint.
    """
    point, note = _checked(Path(path), note, archives)
    if not 1 <= seq <= point.size:
        raise AuditError(f"no row {seq} in the log of the checkpoint: it has {point.size} rows")
    leaves = _leaves(Path(path), point.size, archives)
    nodes = inclusion_path([leaf_hash(each) for each in leaves], seq - 1)
    return Inclusion(leaves[seq - 1], seq - 1, tuple(nodes), note)


def prove_consistency(
    path: Path | str, old: Checkpoint, note: str | None = None, *, archives: Sequence[Path] = ()
) -> Consistency:
    """Prove that the log at *path*, as the checkpoint *note* saw it, continues *old*.

    Raises:
        AuditError: when *old* is the newer one.
        IntegrityError: when the log does not add up or does not continue both checkpoints.
    """
    point, note = _checked(Path(path), note, archives)
    verify(path, old, archives=archives).require()
    if not 1 <= old.size <= point.size:
        raise AuditError(
            f"a log of {point.size} rows does not continue one of {old.size}: give the older "
            "checkpoint first"
        )
    hashes = [leaf_hash(each) for each in _leaves(Path(path), point.size, archives)]
    return Consistency(old.size, old.hash, tuple(consistency_path(hashes, old.size)), note)


def _checked(path: Path, note: str | None, archives: Sequence[Path]) -> tuple[Checkpoint, str]:
    """Verify the log; return the checkpoint that the proof is about, and its text."""
    point = Checkpoint.parse(note) if note is not None else None
    report = verify(path, point, archives=archives)
    report.require()
    point = point or report.head
    if point is None:
        raise AuditError("the log has no rows, so there is nothing to prove")
    return point, note or point.text()


def _leaves(path: Path, size: int, archives: Sequence[Path]) -> list[bytes]:
    """Return the leaves of the first *size* rows."""
    found: dict[int, bytes] = {}
    with held(path, archives) as segments:
        for segment in segments:
            with opened(segment) as connection:
                for table in TABLES:
                    rows = connection.execute(table.select, (1, size))
                    found.update((row[0], leaf(row)) for row in rows)
    if len(found) < size:
        raise AuditError(
            "a proof takes all rows, and files of the log are not here; give the folder where "
            "they were moved to"
        )
    return [found[seq] for seq in range(1, size + 1)]
