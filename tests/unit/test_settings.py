"""What the embedder decides in code."""

from __future__ import annotations

from itertools import product

import pytest

import nxkernel as nx
from nxkernel.settings import LEVELS


def test_workers_run_at_the_preferred_level() -> None:
    """Without a preference it is the level that is required."""
    assert nx.Sandbox().level == "confined"
    assert nx.Sandbox(require="process").level == "process"
    assert nx.Sandbox(require="process", prefer="confined").level == "confined"


@pytest.mark.parametrize(
    ("require", "prefer"),
    [(r, p) for r, p in product(LEVELS, LEVELS) if LEVELS.index(p) > LEVELS.index(r)],
)
def test_a_preference_cannot_lower_what_is_required(require: str, prefer: str) -> None:
    """A weaker level has to be said where it is required, or nothing holds."""
    with pytest.raises(nx.KernelConfigError, match=f"'{prefer}'.* weaker than .*'{require}'"):
        nx.Sandbox(require=require, prefer=prefer)  # type: ignore[arg-type]


@pytest.mark.parametrize("field", ["require", "prefer"])
def test_an_unknown_level_is_refused(field: str) -> None:
    """With the levels that there are."""
    with pytest.raises(nx.KernelConfigError, match=f"{field}='jail'.*isolated, confined"):
        nx.Sandbox(**{field: "jail"})  # type: ignore[arg-type]
