"""Which field of which kind names which other kind; and that ids name one thing each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from nxkernel.findings.flaws import Flaw, Path
from nxkernel.findings.plans import SCOPE, Group
from nxkernel.findings.sight import ID, Sight

__all__ = ["REFERENCES", "check_ids", "check_provider", "check_references"]

#: By kind: the fields that hold ids of another, and whose. ``[]`` stands for every element.
REFERENCES: Mapping[str, Mapping[str, str]] = {
    "action": {"from_state_id": "state", "to_state_id": "state"},
    "block": {"line_ids[]": "line"},
    "chart": {"state_id": "state", "evidence[]": "token"},
    "code_block": {"state_id": "state"},
    "delta": {"from_state_id": "state", "to_state_id": "state"},
    "element": {"text_refs[]": "token", "parent_id": "element", "children_ids[]": "element"},
    "line": {"token_ids[]": "token", "block_id": "block"},
    "spreadsheet": {"state_id": "state", "cells[].token_ids[]": "token"},
    "state": {
        "frame_id": "frame",
        "focus_element_id": "element",
        "element_graph.edges[].src": "element",
        "element_graph.edges[].dst": "element",
    },
    "table": {"state_id": "state", "cells[].token_ids[]": "token"},
    "token": {"line_id": "line", "block_id": "block"},
}


def check_ids(group: Group, _: Sight) -> Iterator[Flaw]:
    """Yield each artifact whose id one before it in the list has."""
    key = ID.get(group.kind)
    if key is None or len({value[key] for value in group.values}) == len(group.values):
        return
    seen: set[str] = set()
    for path, value in group.members():
        if value[key] in seen:
            yield Flaw((*path, key), "repeated_id", f"another {group.kind} of the list has this id")
        seen.add(value[key])


def check_provider(group: Group, sight: Sight) -> Iterator[Flaw]:
    """Yield each artifact that says that another plugin made it."""
    if "provider_id" not in group.keys or not sight.provider:
        return
    for path, value in group.members():
        if value.get("provider_id", sight.provider) != sight.provider:
            text = "is not the plugin whose result this is"
            yield Flaw((*path, "provider_id"), "mismatch", text)


def check_references(group: Group, sight: Sight) -> Iterator[Flaw]:
    """Yield each id that names nothing of those in sight.

    An artifact that was returned alone does not have its like beside it.
    """
    for field, kind in REFERENCES.get(group.kind, {}).items():
        steps = field.replace("[]", ".[]").split(".")
        alone = group.single and kind == group.kind
        if steps[0] in group.keys and not alone:
            for path, value in group.members():
                if steps[0] in value:
                    yield from _unknown(group, sight, kind, path, value, steps)


def _unknown(
    group: Group,
    sight: Sight,
    kind: str,
    path: Path,
    value: Mapping[str, Any],
    steps: list[str],
) -> Iterator[Flaw]:
    around = sight.around(group) if kind == SCOPE else None
    within = path if group.kind == SCOPE and kind != "frame" else group.scope
    known = sight.ids(kind, (group.given, within))
    for place, name in _named(value, steps, path):
        if around is not None:
            if name != around["state_id"]:
                yield Flaw(place, "mismatch", "is not the state around it")
        elif known is not None and name not in known:
            yield Flaw(place, "unknown_id", f"names no {kind} that is in sight")


def _named(value: Any, steps: list[str], path: Path) -> Iterator[tuple[Path, str]]:
    if not steps:
        yield path, value
    elif steps[0] == "[]":
        for index, each in enumerate(value):
            yield from _named(each, steps[1:], (*path, index))
    elif steps[0] in value:
        yield from _named(value[steps[0]], steps[1:], (*path, steps[0]))
