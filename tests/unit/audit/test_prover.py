"""Proofs that are made from a log hold for its checkpoints, and there are none about a bad one."""

from __future__ import annotations

from pathlib import Path

import pytest

from nxkernel.audit.checkpoint import Checkpoint
from nxkernel.audit.prover import prove_consistency, prove_inclusion
from nxkernel.errors import AuditError, IntegrityError
from tests.unit.audit.logs import (
    STANDALONE,
    every_row,
    sample_rows,
    tampering,
    write_batches,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit.db"


@pytest.fixture
def points(path: Path) -> list[Checkpoint]:
    return write_batches(path, sample_rows(path), 5)


def test_every_row_is_in_the_log(path: Path, points: list[Checkpoint]) -> None:
    """A proof of each row holds for the newest checkpoint, in both verifiers."""
    for seq, _ in every_row(path)[::5]:
        proof = prove_inclusion(path, seq)
        assert proof.ok
        assert (proof.index, proof.checkpoint) == (seq - 1, points[-1])
        assert f"row {seq} is in" in STANDALONE.check_proof(proof.text())


def test_a_proof_is_about_the_checkpoint_that_was_given(
    path: Path, points: list[Checkpoint]
) -> None:
    """Who has an older checkpoint can be shown a row that it saw, and none that it did not."""
    proof = prove_inclusion(path, 4, points[0].text())
    assert (proof.ok, proof.checkpoint) == (True, points[0])
    with pytest.raises(AuditError, match=f"no row {points[0].size + 1} in the log of"):
        prove_inclusion(path, points[0].size + 1, points[0].text())
    with pytest.raises(AuditError, match="no row 0 "):
        prove_inclusion(path, 0)


def test_the_log_continues_each_older_state(path: Path, points: list[Checkpoint]) -> None:
    """Also with itself; an older one does not continue a newer."""
    for old in points:
        proof = prove_consistency(path, old)
        assert (proof.ok, proof.checkpoint) == (True, points[-1])
        assert "continues its state" in STANDALONE.check_proof(proof.text())
    assert prove_consistency(path, points[0], points[1].text()).checkpoint == points[1]
    with pytest.raises(AuditError, match="give the older checkpoint first"):
        prove_consistency(path, points[1], points[0].text())


def test_there_is_no_proof_about_a_log_that_does_not_add_up(
    path: Path, points: list[Checkpoint]
) -> None:
    """Nothing is proved with rows that were edited."""
    with tampering(path) as connection:
        connection.execute("UPDATE runs SET python = '2.7'")
    with pytest.raises(IntegrityError, match="was edited"):
        prove_inclusion(path, 4)
    with pytest.raises(IntegrityError, match="was edited"):
        prove_consistency(path, points[0])


def test_there_is_no_proof_for_a_checkpoint_of_another_log(
    path: Path, points: list[Checkpoint]
) -> None:
    """A log that does not continue the checkpoint says so."""
    other = Checkpoint.of(points[0].origin, points[0].size, bytes(32))
    with pytest.raises(IntegrityError, match="not what the checkpoint saw"):
        prove_inclusion(path, 4, other.text())
    with pytest.raises(IntegrityError, match="not what the checkpoint saw"):
        prove_consistency(path, other)


def test_an_empty_log_proves_nothing(path: Path) -> None:
    """And says so."""
    write_batches(path, [], 1)
    with pytest.raises(AuditError, match="nothing to prove"):
        prove_inclusion(path, 1)
