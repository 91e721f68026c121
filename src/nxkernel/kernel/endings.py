"""What a run leaves in its folder: the checkpoint of the audit, and a manifest that has it."""

from __future__ import annotations

import json

import nxkernel
from nxkernel.audit.checkpoint import Checkpoint
from nxkernel.run import Run

__all__ = ["CHECKPOINT", "MANIFEST", "close_run"]

#: A checkpoint (https://c2sp.org/tlog-checkpoint), signed if the run has a key.
CHECKPOINT = "audit.checkpoint"
#: JSON: what run this was, and the state of the audit at its end.
MANIFEST = "run.json"


def close_run(run: Run, checkpoint: Checkpoint) -> None:
    """Write *checkpoint* and the manifest to the run's folder, and to where the anchor says.

    The copies within the folder are written whatever becomes of the others.

    Raises:
        AuditError: when the checkpoint cannot be signed or not be appended elsewhere.
        OSError: when the run's folder cannot be written.
    """
    anchor, note = run.audit_log.anchor, checkpoint.text()
    try:
        note = anchor.note(checkpoint)
        anchor.keep(note)
    finally:
        (run.dir / CHECKPOINT).write_text(note, encoding="utf-8", newline="\n")
        text = json.dumps(_manifest(run, checkpoint, note), indent=1, sort_keys=True)
        (run.dir / MANIFEST).write_text(text + "\n", encoding="utf-8")


def _manifest(run: Run, checkpoint: Checkpoint, note: str) -> dict[str, object]:
    return {
        "schema_version": 1,
        "run_id": run.id,
        "kernel": nxkernel.__version__,
        "seed": run.seed,
        "started_ns": run.started_ns,
        "forked_from": run.forked_from,
        "audit": {
            "origin": checkpoint.origin,
            "size": checkpoint.size,
            "root": checkpoint.root,
            "checkpoint": note,
        },
    }
