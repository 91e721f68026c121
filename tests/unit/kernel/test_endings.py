"""What a run leaves in its folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import nxkernel as nx
from nxkernel.audit.checkpoint import Checkpoint
from nxkernel.errors import AuditError
from nxkernel.kernel.endings import close_run
from tests.unit.audit.test_note import pem, signer

POINT = Checkpoint.of("nxkernel.audit.v2/0123456789abcdef", 12, bytes(32))


def test_the_manifest_says_what_run_this_was_and_where_the_audit_stood(tmp_path: Path) -> None:
    """Checkpoint and manifest hold the same, signed, and so does the file elsewhere."""
    key, kept = tmp_path / "audit.pem", tmp_path / "kept"
    key.write_bytes(pem(signer()._key))
    anchor = nx.Anchor(key_file=key, name="example.com/audit", append_to=kept)
    run = nx.Run.create(tmp_path / "data", seed="a", anchor=anchor)
    close_run(run, POINT)
    note = (run.dir / "audit.checkpoint").read_text(encoding="utf-8")
    manifest = json.loads((run.dir / "run.json").read_text())
    assert signer().verifier.check(note)
    assert kept.read_text(encoding="utf-8") == note + "\n"
    assert (manifest["run_id"], manifest["seed"]) == (run.id, "a")
    assert manifest["started_ns"] == run.started_ns
    assert manifest["audit"] == {
        "origin": POINT.origin,
        "size": 12,
        "root": POINT.root,
        "checkpoint": note,
    }


def test_the_runs_own_copy_is_written_whatever_becomes_of_the_other(tmp_path: Path) -> None:
    """An anchor that fails is an error, and no reason to have no checkpoint at all."""
    anchor = nx.Anchor(append_to=tmp_path / "none" / "kept")
    run = nx.Run.create(tmp_path / "data", anchor=anchor)
    with pytest.raises(AuditError, match="cannot append"):
        close_run(run, POINT)
    assert (run.dir / "audit.checkpoint").read_text() == POINT.text()
    assert json.loads((run.dir / "run.json").read_text())["audit"]["size"] == 12
