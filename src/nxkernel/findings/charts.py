"""Charts: a value for each label, and marks along the axes."""

from __future__ import annotations

from collections.abc import Iterator

from nxkernel.findings.flaws import Flaw
from nxkernel.findings.plans import Group
from nxkernel.findings.sight import Sight

__all__ = ["check_charts"]


def check_charts(group: Group, _: Sight) -> Iterator[Flaw]:
    """Yield series of another length than the labels, and marks beside the chart."""
    for path, chart in group.members():
        labels = chart.get("labels")
        for index, series in enumerate(chart["series"]):
            if labels is not None and len(series["values"]) != len(labels):
                place = (*path, "series", index, "values")
                yield Flaw(place, "mismatch", f"expected one for each of {len(labels)} labels")
        for key, first in (("ticks_x", 0), ("ticks_y", 1)):
            low, high = chart["bbox"][first], chart["bbox"][first + 2]
            for index, tick in enumerate(chart.get(key, ())):
                if not low <= tick["at"] <= high:
                    yield Flaw((*path, key, index, "at"), "outside", "stands beside the chart")
