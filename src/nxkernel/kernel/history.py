"""What is remembered of a historic call: who has still to be told of it, and by whom.

Every worker that starts after the call was made is told once. While the call is under way there
are two who may tell it: its own fan-out, and whatever starts the worker. The call is remembered
before its fan-out begins, so that no start can miss it; a start leaves it out only if it is made
for that very call, which comes next. Otherwise the start tells it, and the fan-out, when its turn
comes, takes the answer over. What has been sent to a worker is out of its hands: a worker that
starts after that is told again, and the fan-out does not repeat it.

Starts and deliveries of one plugin exclude each other by its slot; nothing here needs a lock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

import attrs

from nxkernel.kernel.hookcalls import HookCall
from nxkernel.types import Call, CallId, Outcome, PluginId

__all__ = ["Key", "Remembered", "key_of"]

#: A plugin, its edition, and a hookimpl: one delivery of a call.
Key: TypeAlias = tuple[PluginId, int, str]


def key_of(call: Call) -> Key:
    """Return which delivery *call* is."""
    return call.plugin, call.edition, call.impl


@attrs.define(eq=False)
class Remembered:
    """One historic call."""

    call: HookCall
    callback: Callable[[Any], None] | None
    #: What its own fan-out delivers, sooner or later.
    covers: frozenset[Key] = frozenset()
    #: Of these, what is not sent yet, with its call's id once it has one.
    unsent: dict[Key, CallId | None] = attrs.Factory(dict)
    #: What a start was answered while the fan-out had not come to it.
    answers: dict[Key, Outcome] = attrs.Factory(dict)

    def anew(self) -> Remembered:
        """Return it for a kernel that boots again, whose workers all start later."""
        return Remembered(self.call, self.callback)

    def begin(self, keys: Iterable[Key]) -> None:
        """Its fan-out is going to deliver *keys*."""
        self.covers = frozenset(keys)
        self.unsent = dict.fromkeys(self.covers)

    def number(self, call: Call) -> None:
        """*call* is one of its deliveries."""
        if key_of(call) in self.unsent:
            self.unsent[key_of(call)] = call.call_id

    def send(self, call: Call) -> Outcome | None:
        """*call* has its worker now; returns the answer if that was told at its start."""
        self.unsent.pop(key_of(call), None)
        told = self.answers.pop(key_of(call), None)
        return None if told is None else attrs.evolve(told, call_id=call.call_id)

    def leave_to(self, key: Key, starter: str) -> bool:
        """Whether a start that is made for the call *starter* leaves *key* to it."""
        self.answers.pop(key, None)  # It was the answer of an earlier worker.
        return bool(starter) and self.unsent.get(key) == starter

    def take_over(self, key: Key, outcome: Outcome) -> bool:
        """Keep what a start was answered, if the fan-out has still to come to it."""
        if key in self.unsent:
            self.answers[key] = outcome
        return key in self.unsent

    def drop(self, call: Call) -> None:
        """*call* has its outcome, whether or not it was sent."""
        self.unsent.pop(key_of(call), None)
        self.answers.pop(key_of(call), None)
