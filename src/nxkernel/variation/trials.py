"""Trials: the same calls, made under some conditions; and a memory of those that were made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import attrs

from nxkernel.replay.comparing import Difference
from nxkernel.types import PluginId
from nxkernel.variation.conditions import USUAL, Conditions

__all__ = ["Answer", "Answers", "Exhausted", "Memory", "Subject", "Trials"]


@attrs.frozen(kw_only=True)
class Subject:
    """A call that is tried."""

    #: Names it among the calls of a search; the same in each trial.
    id: str
    plugin: PluginId
    hook: str
    #: What a person knows it by: a file's name, the id of a recorded call.
    label: str


@attrs.frozen(kw_only=True)
class Answer:
    """What came of a call."""

    #: Equal for the same end, and for no other: a digest of the value's bytes, or the error.
    key: str
    #: The plain value; None where there is none.
    value: Any = attrs.field(default=None, eq=False)
    #: ``[code] message`` of a call that failed.
    error: str = ""
    #: For a call that was recorded: how it is not what it was then.
    difference: Difference | None = attrs.field(default=None, eq=False)


Answers = Mapping[str, Answer]


class Trials(Protocol):
    """Makes calls, each time in workers that have seen none yet."""

    def run(self, calls: Sequence[Subject], conditions: Conditions) -> Answers:
        """Make *calls*, which come in their usual order, under *conditions*; answers by id.

        The order of *conditions*, and a process for each call, are for the callee to see to.

        Raises:
            NxError: when they cannot be made at all.
        """

    def let_time_pass(self) -> None:
        """Return when a clock that counts seconds shows another one than at the last trial."""


class Exhausted(Exception):
    """As many trials were made as were to be made."""


class Memory:
    """Makes each trial once, and no more than *most*."""

    def __init__(self, trials: Trials, most: int) -> None:
        self._trials = trials
        self._most = most
        self._known: dict[tuple[tuple[str, ...], Conditions], Answers] = {}
        #: Trials that were made.
        self.made = 0

    def run(self, calls: Sequence[Subject], conditions: Conditions = USUAL) -> Answers:
        """Return the answers of *calls* under *conditions*, from memory if they are known.

        Raises:
            Exhausted: another trial would be one too many.
        """
        key = (tuple(call.id for call in calls), conditions)
        if key not in self._known:
            self._known[key] = self.again(calls, conditions)
        return self._known[key]

    def again(self, calls: Sequence[Subject], conditions: Conditions = USUAL) -> Answers:
        """Make a trial that was perhaps made before.

        Raises:
            Exhausted: it would be one too many.
        """
        if self.made >= self._most:
            raise Exhausted
        self.made += 1
        return self._trials.run(calls, conditions)

    def let_time_pass(self) -> None:
        """See `Trials.let_time_pass`."""
        self._trials.let_time_pass()
