"""Boxes have their corners in order and lie inside what they are part of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from nxkernel.findings.flaws import Flaw, Path
from nxkernel.findings.plans import Group
from nxkernel.findings.sight import Sight

__all__ = ["check_boxes", "flaw_of"]

_ENDLESS = 1 << 62


def check_boxes(group: Group, sight: Sight) -> Iterator[Flaw]:
    """Yield each box that is inverted or leaves the frame, where its size is in sight."""
    if "bbox" not in group.keys:
        return
    width, height = sight.size(group) or (_ENDLESS, _ENDLESS)
    for index, value in enumerate(group.values):
        x0, y0, x1, y1 = value["bbox"]
        if not (x0 <= x1 <= width and y0 <= y1 <= height):
            place = (*group.at(index), "bbox")
            yield flaw_of(place, value["bbox"], (0, 0, width, height), "the frame")


def flaw_of(place: Path, box: Sequence[int], around: Sequence[int], whose: str) -> Flaw:
    """Return what is wrong with a *box* that is not in order inside *around*."""
    if box[0] > box[2] or box[1] > box[3]:
        return Flaw(place, "inverted", "x1 lies before x0, or y1 before y0")
    size = f" of {around[2]} x {around[3]}" if whose == "the frame" else ""
    return Flaw(place, "outside", f"the box leaves {whose}{size}")
