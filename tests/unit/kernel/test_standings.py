"""How often plugins have failed: what counts, for which code, and what is said of it."""

from __future__ import annotations

import pytest

from nxkernel.kernel.standings import Record, Standings
from nxkernel.types import PluginId

A, B = PluginId("a"), PluginId("b")


def standings(records: dict[tuple[str, str], Record], **codes: str) -> Standings:
    return Standings(
        lambda plugin: codes.get(plugin), window_s=86_400.0 * 7, until_ns=5, records=records
    )


@pytest.mark.parametrize(
    ("calls", "failures", "percent"),
    [(0, 0, 0), (1000, 9, 0), (100, 1, 1), (3, 1, 33), (2, 2, 100)],
)
def test_what_counts_is_whole_per_cents(calls: int, failures: int, percent: int) -> None:
    """A rare failure moves nobody: an order that changes with every run would explain nothing."""
    assert Record(calls, failures).percent == percent


def test_other_code_starts_clean() -> None:
    """A plugin that was mended is another one; who has no code has no history."""
    records = {("a", "old"): Record(10, 10)}
    assert standings(records, a="old").failing(A) == 100
    assert standings(records, a="new").failing(A) == 0
    assert standings(records).failing(A) == 0


def test_it_is_said_in_words() -> None:
    """What counted, of how many, and since when; nothing where nobody asked for an order."""
    found = standings({("a", "x"): Record(120, 3)}, a="x", b="y")
    assert found.words(A) == "failed 3 of 120 calls (2 %) with this code in the last 7 days"
    assert found.words(B) == "no call with this code in the last 7 days"
    assert Standings(lambda _: "x").words(A) == ""


def test_the_head_of_the_run_has_all_of_it() -> None:
    """From that alone the order can be computed again."""
    found = standings({("b", "y"): Record(2, 1), ("a", "x"): Record(1, 0)})
    assert found.told() == {
        "window_s": 604_800.0,
        "until_ns": 5,
        "records": [["a", "x", 1, 0], ["b", "y", 2, 1]],
    }
    assert Standings(lambda _: "x").told() == {}
