"""Worlds: made-up plugins whose answers follow from what a test says, for the search."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import attrs

from nxkernel.variation.conditions import Conditions
from nxkernel.variation.trials import Answer, Answers, Subject

__all__ = ["Moment", "World", "subjects"]


@attrs.frozen(kw_only=True)
class Moment:
    """What a made-up plugin can look at when it is called."""

    #: Names of what is varied.
    varied: frozenset[str]
    #: Labels of the calls that its process has seen before.
    before: tuple[str, ...]
    #: Another one for every call of every trial.
    tick: int
    #: Which trial this is, from 0.
    trial: int


Behaviour = Callable[[Moment], object]


def subjects(*labels: str, plugin: str = "p") -> list[Subject]:
    """Return calls by their labels."""
    return [Subject(id=label, plugin=plugin, hook="act", label=label) for label in labels]


class World:
    """Trials of calls that behave as *behaviours* say, by label; the others are the same always."""

    def __init__(self, **behaviours: Behaviour) -> None:
        self._behaviours = behaviours
        self._ticks = itertools.count()
        self.trials: list[tuple[list[str], Conditions]] = []

    def let_time_pass(self) -> None:
        """No clock here counts seconds."""

    def run(self, calls: Sequence[Subject], conditions: Conditions) -> Answers:
        """Make the calls as the conditions say."""
        varied = frozenset(each.name for each in conditions.variations)
        made = conditions.arranged(list(calls), lambda call: call.id)
        before: dict[str, list[str]] = {}
        answers = {}
        for call in made:
            seen = before.setdefault(call.plugin, [])
            moment = Moment(
                varied=varied,
                before=() if conditions.fresh else tuple(seen),
                tick=next(self._ticks),
                trial=len(self.trials),
            )
            seen.append(call.label)
            value = self._behaviours.get(call.label, lambda _: "same")(moment)
            answers[call.id] = Answer(key=repr(value), value=value)
        self.trials.append(([call.label for call in calls], conditions))
        return answers
