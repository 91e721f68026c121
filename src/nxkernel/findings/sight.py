"""What an artifact may refer to: what stands beside it, and what its provider was given."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any

import attrs

from nxkernel.findings.plans import Group
from nxkernel.schemas.profile import Path

__all__ = ["ID", "Sight", "State"]

#: The key that holds the id of a kind's artifacts.
ID: Mapping[str, str] = {
    "action": "action_id",
    "block": "block_id",
    "chart": "chart_id",
    "code_block": "code_id",
    "delta": "delta_id",
    "element": "element_id",
    "frame": "frame_id",
    "line": "line_id",
    "spreadsheet": "table_id",
    "state": "state_id",
    "table": "table_id",
    "token": "token_id",
}
#: What a change may be about: everything with an id that is part of a state.
PARTS = ("block", "chart", "code_block", "element", "line", "spreadsheet", "table", "token")

#: A state's contents are told from those of another by where it stands.
Scope = tuple[bool, Path]
OUTSIDE: Path = ()


@attrs.frozen
class State:
    """One state that is in sight."""

    value: Mapping[str, Any]
    scope: Scope


class Sight:
    """The artifacts of a result and of the arguments that it was made from.

    What is in sight, an id must name; of a kind that is not in sight at all, nothing can be said.
    """

    def __init__(self, groups: Iterable[Group], provider: str = "") -> None:
        #: The plugin whose result it is, or an empty text.
        self.provider = provider
        self._by_scope: dict[Scope, list[Group]] = {}
        self._by_kind: dict[str, list[Group]] = {}
        for group in groups:
            self._by_scope.setdefault((group.given, group.scope), []).append(group)
            self._by_kind.setdefault(group.kind, []).append(group)
        self._known: dict[tuple[str, Scope], frozenset[str] | None] = {}
        self._parts: dict[tuple[Scope, tuple[str, ...]], frozenset[str]] = {}

    def ids(self, kind: str, scope: Scope) -> frozenset[str] | None:
        """Return the ids of *kind* for an artifact in *scope*; None when none is in sight.

        In sight is what stands beside it or outside of any state, and what was given.
        """
        key = (kind, scope)
        if key not in self._known:
            beside = {scope, (scope[0], OUTSIDE)}
            seen = [g for each in sorted(beside) for g in self._by_scope.get(each, ())]
            seen = [g for g in seen if g.kind == kind] + self._given(kind)
            self._known[key] = _ids(seen) if seen else None
        return self._known[key]

    def parts(self, state: State, kinds: tuple[str, ...] = PARTS) -> frozenset[str]:
        """Return the ids of what is part of one state."""
        key = (state.scope, kinds)
        if key not in self._parts:
            own = [g for g in self._by_scope.get(state.scope, ()) if g.kind in kinds]
            self._parts[key] = _ids(own)
        return self._parts[key]

    @cached_property
    def states(self) -> Mapping[str, State]:
        """The states in sight by their ids; the result's own go before given ones."""
        found: dict[str, State] = {}
        for group in sorted(self._by_kind.get("state", ()), key=lambda g: g.given):
            for path, value in group.members():
                found.setdefault(value["state_id"], State(value, (group.given, path)))
        return found

    @cached_property
    def frames(self) -> Mapping[str, Mapping[str, Any]]:
        """The frames in sight by their ids."""
        return {v["frame_id"]: v for g in self._by_kind.get("frame", ()) for v in g.values}

    def around(self, group: Group) -> Mapping[str, Any] | None:
        """Return the state that *group* is part of, or None."""
        return self._worlds.get((group.given, group.scope))

    def size(self, group: Group) -> tuple[int, int] | None:
        """Return width and height of the frame that *group* is part of.

        That of the state around it, or else of the one frame or state in sight; None where there
        is none, or more than one.
        """
        own = self.around(group)
        return self._only if own is None else (own["width"], own["height"])

    @cached_property
    def _worlds(self) -> Mapping[Scope, Mapping[str, Any]]:
        groups = self._by_kind.get("state", ())
        return {(g.given, path): value for g in groups for path, value in g.members()}

    @cached_property
    def _only(self) -> tuple[int, int] | None:
        seen = list(self.frames.values()) or [state.value for state in self.states.values()]
        sizes = {(each["width"], each["height"]) for each in seen}
        return sizes.pop() if len(sizes) == 1 else None

    def _given(self, kind: str) -> list[Group]:
        return [group for group in self._by_kind.get(kind, ()) if group.given]


def _ids(groups: Iterable[Group]) -> frozenset[str]:
    return frozenset(value[ID[group.kind]] for group in groups for value in group.values)
