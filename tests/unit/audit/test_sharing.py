"""Several processes find a sound log sound, and leave a bad one to the one that knows better."""

from __future__ import annotations

from pathlib import Path

import pytest

from nxkernel.audit import sharing
from nxkernel.audit.verification import verify
from tests.unit.audit.logs import sample_rows, tampering, write_batches


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sharing, "LEAST", 10)


def test_several_processes_see_what_one_sees(tmp_path: Path) -> None:
    """Rows, runs, head, and the state of a checkpoint in the middle."""
    path = tmp_path / "audit.db"
    points = write_batches(path, sample_rows(path, 20), 3)
    for point in (None, points[0], points[len(points) // 2], points[-1]):
        alone, shared = verify(path, point), verify(path, point, processes=2)
        assert shared == alone
        assert shared.ok


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE calls SET duration_us = 1 WHERE seq = (SELECT max(seq) FROM calls)",
        "UPDATE batches SET frontier = zeroblob(length(frontier)) WHERE seq IN "
        "(SELECT seq FROM batches ORDER BY seq LIMIT -1 OFFSET 10)",
        "INSERT INTO names VALUES (100000, 'x')",
        "DELETE FROM names WHERE seq = (SELECT min(seq) FROM names)",
        "UPDATE calls SET call_id = CAST(X'ff' AS TEXT)",
    ],
)
def test_what_they_find_is_told_as_one_tells_it(tmp_path: Path, change: str) -> None:
    """The report of a bad log is the same, however many looked."""
    path = tmp_path / "audit.db"
    write_batches(path, sample_rows(path, 20), 3)
    with tampering(path) as connection:
        connection.execute(change)
    alone = verify(path)
    assert not alone.ok
    assert verify(path, processes=2) == alone
