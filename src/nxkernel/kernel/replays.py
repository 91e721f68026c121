"""Replays: historic calls, told to their providers now and to every worker that starts later."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import attrs

from nxkernel._values import lift
from nxkernel.dispatch.effects import Effects
from nxkernel.dispatch.executor import Provider
from nxkernel.kernel.annotations import Annotations
from nxkernel.kernel.deliveries import Deliveries
from nxkernel.kernel.drafts import Drafts
from nxkernel.kernel.history import Key, Remembered
from nxkernel.kernel.hookcalls import Nest
from nxkernel.types import Call, CallId, ImplFacts, Outcome, PluginId

__all__ = ["Replays"]


@attrs.define(eq=False, kw_only=True)
class Replays:
    """The historic calls of one kernel."""

    drafts: Drafts
    deliveries: Deliveries
    annotations: Annotations
    #: Where what is told again is numbered: beside the application's calls.
    nest: Nest
    #: Historic calls so far, for every worker that starts later.
    history: list[Remembered] = attrs.Factory(list)
    #: Their deliveries that are under way.
    _telling: dict[CallId, Remembered] = attrs.Factory(dict)

    def begin(self, memory: Remembered, providers: Iterable[Provider]) -> None:
        """Remember a call whose fan-out is going to reach *providers*; nothing is sent yet.

        A worker that starts meanwhile must not miss it, and whoever waits for this order to be
        left finds it in the history.
        """
        memory.begin((p.plugin, p.edition, p.facts.impl) for p in providers)
        self.history.append(memory)

    def tell(self, memory: Remembered, call: Call) -> Effects[Outcome]:
        """Make one delivery of a historic call."""
        memory.number(call)
        self._telling[call.call_id] = memory
        try:
            return (yield from self.deliveries.invoke(call))
        finally:
            del self._telling[call.call_id]
            memory.drop(call)

    def told(self, call: Call) -> Outcome | None:
        """*call* has its worker; returns its outcome if that was told so when it started."""
        memory = self._telling.get(call.call_id)
        return None if memory is None else memory.send(call)

    def replay(
        self, plugin: PluginId, edition: int, impls: Sequence[ImplFacts], starter: str = ""
    ) -> Effects[int]:
        """Make the historic calls again in a new worker of *plugin*, started for call *starter*.

        Returns how many there were.
        """
        memories = list(self.history)
        for memory in memories:
            for provider in _concerned(memory, plugin, edition, impls):
                if not memory.leave_to(_key(provider), starter):
                    yield from self._again(memory, provider)
        return len(memories)

    def catch_up(
        self, plugin: PluginId, edition: int, impls: Sequence[ImplFacts], since: int
    ) -> Effects[None]:
        """Make those from number *since* on that a worker has missed: no fan-out had it."""
        for memory in self.history[since:]:
            for provider in _concerned(memory, plugin, edition, impls):
                if _key(provider) not in memory.covers:
                    yield from self._again(memory, provider)

    def _again(self, memory: Remembered, provider: Provider) -> Effects[None]:
        again = attrs.evolve(memory.call, historic=True, nest=self.nest, memory=None)
        outcome = yield from self.deliveries.invoke(self.drafts.draft(again, provider))
        if memory.take_over(_key(provider), outcome) or memory.callback is None:
            return
        if outcome.error is None and outcome.value is not None:
            memory.callback(lift(outcome.value, self.annotations.of_value(memory.call.spec)))


def _concerned(
    memory: Remembered, plugin: PluginId, edition: int, impls: Sequence[ImplFacts]
) -> list[Provider]:
    hook = memory.call.spec.name
    return [Provider(plugin, facts, edition) for facts in impls if facts.hook == hook]


def _key(provider: Provider) -> Key:
    return provider.plugin, provider.edition, provider.facts.impl
