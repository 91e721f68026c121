"""Elements: who stands in whom is said alike from both sides, and nobody stands in himself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from nxkernel.findings.flaws import Flaw
from nxkernel.findings.plans import Group
from nxkernel.findings.sight import Sight

__all__ = ["check_elements"]


def check_elements(group: Group, _: Sight) -> Iterator[Flaw]:
    """Yield elements whose parent and children disagree, and those in a circle."""
    if not group.keys & {"parent_id", "children_ids"}:
        return
    by_id = {value["element_id"]: value for value in group.values}
    circles = _circles(by_id)
    for path, element in group.members():
        name = element["element_id"]
        if name in circles:
            yield Flaw((*path, "parent_id"), "cycle", "stands inside itself")
        for index, child in enumerate(element.get("children_ids", ())):
            if by_id.get(child, {}).get("parent_id", name) != name:
                place = (*path, "children_ids", index)
                yield Flaw(place, "mismatch", "has another parent than this one")
        above = by_id.get(element.get("parent_id", ""), {})
        if name not in above.get("children_ids", (name,)):
            yield Flaw((*path, "parent_id"), "mismatch", "does not count this one as its child")


def _circles(by_id: Mapping[str, Mapping[str, Any]]) -> set[str]:
    """The ids of the elements on a circle of parents."""
    done: set[str] = set()
    circles: set[str] = set()
    for start in by_id:
        trail: dict[str, int] = {}
        name = start
        while name in by_id and name not in done and name not in trail:
            trail[name] = len(trail)
            name = by_id[name].get("parent_id", "")
        if name in trail:
            circles |= {each for each in trail if trail[each] >= trail[name]}
        done.update(trail)  # `|=` with keys would copy all that is done
    return circles
