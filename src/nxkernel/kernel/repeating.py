"""A kernel that makes calls as they are given, one at a time, instead of hook calls.

It is composed like another kernel, but for its run, its stack, which is empty, and who answers what
plugins ask. Workers, sandbox, grants, settings and guard are what that kernel's are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, Self

import attrs

from nxkernel._clock import Clock
from nxkernel.dispatch.effects import Effects, Offer, Signal
from nxkernel.dispatch.stack import BootFacts, Layer, PluginFacts
from nxkernel.errors import KernelNotRunning, NxError
from nxkernel.kernel.composition import Answering, Composition
from nxkernel.kernel.core import Kernel
from nxkernel.kernel.lifetime import Lifetime
from nxkernel.plugins.discovery import Candidate
from nxkernel.run import Run
from nxkernel.settings import Guard, Hosting
from nxkernel.surroundings import Surroundings
from nxkernel.types import Call, ImplFacts, Level, Outcome, PluginId

__all__ = ["Made", "Repeating"]

#: Deaths of a worker belong to what is repeated; nobody is kept waiting or out because of them.
_NEVER = 10**9


class _Seat:
    """The one member of the stack: it changes nothing, knows the guard, and hears the facts."""

    name = "replay"

    def __init__(self, given: Composition, answering: Answering) -> None:
        self._given = given
        self._answering = answering
        self.facts: BootFacts | None = None

    def boot(self, facts: BootFacts) -> None:
        self.facts = facts

    def guard_of(self, plugin: PluginId) -> Guard:
        return self._given.guard_of(plugin)

    def around(self, call: Call) -> Layer:
        return (yield call)

    def retrying(self, lost: Call, _outcome: Outcome, _again: Call) -> None:
        """Let the next attempt ask from the beginning."""
        self._answering.begin_again(lost)

    def close(self) -> None:
        """Nothing to end."""


@attrs.frozen
class Made:
    """What became of a call."""

    outcome: Outcome
    #: The items of its stream.
    items: tuple[Any, ...]


class Repeating(AbstractContextManager["Repeating"]):
    """Runs *kernel*'s plugins in workers of its own, for calls that are given whole.

    *kernel* itself is not touched, and need not run. Builtins are there, but are not called.

    Args:
        run: where plugins keep their files, and the seed and start that they are told.
        answering: who answers what plugins ask.
        surroundings: those of the workers, in the place of *kernel*'s.
        fresh: give each call a process of its own, whatever manifests say.

    Raises:
        NxError: when it is entered, as :class:`Kernel` does.
    """

    def __init__(
        self,
        kernel: Kernel,
        run: Run,
        answering: Answering,
        surroundings: Surroundings | None = None,
        *,
        fresh: bool = False,
    ) -> None:
        given = kernel._lifetime.given
        self._seat = _Seat(given, answering)
        self._lifetime = Lifetime(
            attrs.evolve(
                given,
                run=run,
                middleware=(self._seat,),
                hosting=_undaunted(given.hosting, surroundings),
                candidates=_freshened(given.candidates) if fresh else given.candidates,
                required=frozenset(),
                answering=answering,
            )
        )

    def __enter__(self) -> Self:
        """Boot: admit the plugins, and learn what they implement."""
        self._lifetime.begin()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End every worker."""
        self._lifetime.end()

    def make(self, call: Call, most: int = 0) -> Made:
        """Make *call* as it is, in its plugin's worker and with its seed, and wait for its end.

        Of a stream at most *most* items are taken; then it is closed.
        """
        parts, items = self._lifetime.present(), list[Any]()
        traffic = parts.traffic
        own = traffic.enter()
        try:
            self._lifetime.check()
            outcome = parts.drive(_taken(parts.desk.deliver(call), items, most))
            return Made(outcome, tuple(items))
        finally:
            traffic.threads[own] -= 1
            traffic.left(own)

    @property
    def clock(self) -> Clock:
        """The clock of deadlines."""
        return self._lifetime.given.run.clock

    @property
    def hosting(self) -> Hosting:
        """Process matters."""
        return self._lifetime.given.hosting

    @property
    def level(self) -> Level:
        """The level that its workers run at."""
        return self._lifetime.given.sandbox.level

    @property
    def header(self) -> Mapping[str, Any]:
        """What the audit would put at the head of its run."""
        return self._facts.header

    @property
    def plugins(self) -> Mapping[PluginId, PluginFacts]:
        """What is known of the plugins that run."""
        return self._facts.plugins

    def why_not(self, plugin: PluginId) -> NxError | None:
        """Return why *plugin* does not run, or None."""
        return self._lifetime.parts.disabled(plugin)

    def impls(self, plugin: PluginId) -> tuple[ImplFacts, ...]:
        """Return what *plugin* implements; nothing when there is no such plugin."""
        return tuple(self._lifetime.parts.registry.impls(plugin))

    @property
    def _facts(self) -> BootFacts:
        if self._seat.facts is None:
            raise KernelNotRunning("it has not booted")
        return self._seat.facts


def _taken(source: Effects[Outcome], items: list[Any], most: int) -> Effects[Outcome]:
    """Run *source* and take the items that it offers; from the last one on it is closed."""
    signal: Any = None
    try:
        while True:
            try:
                effect = source.send(signal)
            except StopIteration as stop:
                outcome: Outcome = stop.value
                return outcome
            if isinstance(effect, Offer):
                items.append(effect.item.value)
                signal = Signal.READY if len(items) < most else Signal.CLOSED
            else:
                signal = yield effect
    finally:
        source.close()


def _undaunted(hosting: Hosting, surroundings: Surroundings | None) -> Hosting:
    return attrs.evolve(
        hosting,
        restart_intensity=_NEVER,
        backoff_s=0.0,
        eager=False,
        debug=None,
        surroundings=hosting.surroundings if surroundings is None else surroundings,
    )


def _freshened(candidates: Iterable[Candidate]) -> tuple[Candidate, ...]:
    """Return *candidates* as if each manifest said ``state = "fresh"``."""
    return tuple(
        attrs.evolve(each, manifest=attrs.evolve(each.manifest, state="fresh"))
        if each.manifest is not None
        else each
        for each in candidates
    )
