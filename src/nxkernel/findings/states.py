"""States, and what tells two of them apart: deltas and actions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from typing import Any

from nxkernel.findings.flaws import Flaw, Path
from nxkernel.findings.plans import Group
from nxkernel.findings.sight import PARTS, Sight, State

__all__ = ["check_actions", "check_deltas", "check_states"]

_LATER, _EARLIER = "is no part of the later state", "is no part of the earlier state"


def check_states(group: Group, sight: Sight) -> Iterator[Flaw]:
    """Yield each state whose size is not that of its frame."""
    frames = sight.frames
    for path, state in group.members():
        frame = frames.get(state["frame_id"])
        for key in ("width", "height"):
            if frame is not None and state[key] != frame[key]:
                yield Flaw((*path, key), "mismatch", f"the frame's {key} is {frame[key]}")


def check_deltas(group: Group, sight: Sight) -> Iterator[Flaw]:
    """Yield deltas against the order of time, and changes of what is in neither state."""
    states = sight.states
    for path, delta in group.members():
        before, after = _both(delta, states)
        if after is not None and delta["ts_ms"] != after.value["ts_ms"]:
            yield Flaw((*path, "ts_ms"), "mismatch", "is not the time of the later state")
        if before and after and before.value["ts_ms"] > after.value["ts_ms"]:
            yield Flaw((*path, "to_state_id"), "disordered", "was before the earlier state")
        for index, change in enumerate(delta["changes"]):
            place = (*path, "changes", index, "target_id")
            old = before if change["kind"] != "added" else None
            new = after if change["kind"] != "removed" else None
            yield from _missing(place, change["target_id"], sight, old, new)


def check_actions(group: Group, sight: Sight) -> Iterator[Flaw]:
    """Yield actions out of their time, guesses out of order, and ids that name nothing."""
    states = sight.states
    for path, action in group.members():
        before, after = _both(action, states)
        early = before is not None and action["ts_ms"] < before.value["ts_ms"]
        if early or (after is not None and action["ts_ms"] > after.value["ts_ms"]):
            yield Flaw((*path, "ts_ms"), "disordered", "is not between the two states")
        yield from _guesses(path, action, sight, before)
        impact = action.get("impact", {})
        for key, old, new in (
            ("created", None, after),
            ("modified", before, after),
            ("deleted", before, None),
        ):
            for index, name in enumerate(impact.get(key, ())):
                yield from _missing((*path, "impact", key, index), name, sight, old, new)


def _both(
    value: Mapping[str, Any], states: Mapping[str, State]
) -> tuple[State | None, State | None]:
    return states.get(value["from_state_id"]), states.get(value["to_state_id"])


def _missing(
    place: Path, name: str, sight: Sight, old: State | None, new: State | None
) -> Iterator[Flaw]:
    """Yield whether *name* is missing from a state that should have it."""
    if old is not None and name not in sight.parts(old, PARTS):
        yield Flaw(place, "unknown_id", _EARLIER)
    elif new is not None and name not in sight.parts(new, PARTS):
        yield Flaw(place, "unknown_id", _LATER)


def _guesses(
    path: Path, action: Mapping[str, Any], sight: Sight, before: State | None
) -> Iterator[Flaw]:
    guesses = list(_places(path, action["primary"], action.get("alternatives", ())))
    for place, guess in guesses:
        name = guess.get("target_element_id")
        if name is None or before is None or name in sight.parts(before, ("element",)):
            continue
        text = "names no element of the earlier state"
        yield Flaw((*place, "target_element_id"), "unknown_id", text)
    for (_, better), (place, guess) in pairwise(guesses):
        if guess["confidence_bp"] > better["confidence_bp"]:
            text = "is more certain than the guess before it"
            yield Flaw((*place, "confidence_bp"), "disordered", text)


def _places(path: Path, primary: Any, others: Iterable[Any]) -> Iterator[tuple[Path, Any]]:
    yield (*path, "primary"), primary
    yield from (((*path, "alternatives", index), each) for index, each in enumerate(others))
