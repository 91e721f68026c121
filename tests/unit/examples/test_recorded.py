"""The recorded tokens belong to the screenshots that are shipped."""

from __future__ import annotations

from nxkernel.storage import blob_digest
from tests.unit.examples.documents import recorded
from tests.unit.examples.loading import SCREENMEM


def test_recorded_from_the_shipped_screens() -> None:
    """Who changes a screenshot records it again: `python -m tests.unit.examples.record`."""
    shipped = {p.name: blob_digest(p.read_bytes()) for p in (SCREENMEM / "screens").glob("*.png")}
    assert shipped == {name: frame["digest"] for name, frame in recorded().items()}
