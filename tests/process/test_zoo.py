"""The zoo itself: every animal is a valid plugin, says what it does, and is asked by some test."""

from __future__ import annotations

from pathlib import Path

import pytest

import nxkernel as nx
from nxkernel.plugins.discovery import Candidate
from tests.support.zoo import FOLDER, folder

CANDIDATES = nx.discover(FOLDER)
TESTS = "\n".join(
    path.read_text()
    for place in (
        Path(__file__).parent,
        FOLDER.parents[1] / "support",
        FOLDER.parents[1] / "storms",
    )
    for path in sorted(place.glob("*.py"))
)


@pytest.mark.parametrize("candidate", CANDIDATES, ids=lambda candidate: candidate.id)
def test_animal_is_a_plugin_with_one_purpose(candidate: Candidate) -> None:
    """Its manifest is valid, its folder has its id, and one sentence says what it does."""
    assert candidate.error is None
    assert candidate.folder == folder(candidate.id)
    assert candidate.manifest.description.endswith(".")


@pytest.mark.parametrize("candidate", CANDIDATES, ids=lambda candidate: candidate.id)
def test_animal_is_asked_by_a_test(candidate: Candidate) -> None:
    """No folder is left behind by a test that is gone."""
    assert f'"{candidate.id}"' in TESTS
