"""A desk over builtins alone, and a witness in its stack: how a hook call becomes calls."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import attrs

import nxkernel as nx
from nxkernel._blob import NONE
from nxkernel._canonical import encode
from nxkernel.dispatch.drivers import Bell, run_blocking
from nxkernel.dispatch.stack import Layer, PluginFacts
from nxkernel.hookspecs import collect_specs
from nxkernel.host.builtin import Builtins
from nxkernel.host.transport import Brokered
from nxkernel.kernel.asking import CallOptions
from nxkernel.kernel.desk import Desk
from nxkernel.kernel.registry import Registry
from nxkernel.kernel.terms import Terms
from nxkernel.settings import Hosting
from nxkernel.types import Call, Outcome, PluginId, RunId
from tests.support.calls import FakeClock, a_plugin

hookspec = nx.HookspecMarker("demo")
hookimpl = nx.HookimplMarker("demo")


@attrs.frozen
class Point:
    x: int
    y: int = 0


class Specs:
    @hookspec
    def every(self, x, y=2):
        """Everybody answers."""

    @hookspec(firstresult=True)
    def first(self, x):
        """The first one answers."""

    @hookspec(timeout=3.0)
    def timed(self, x):
        """It has its own time."""

    @hookspec(historic=True)
    def began(self, at: Point) -> Point:
        """It is remembered."""

    @hookspec
    def points(self, at: Point) -> Point:
        """It is annotated."""

    @hookspec(firstresult=True)
    def point(self, at: Point) -> Point | None:
        """It is annotated, too."""


class Everything:
    """Implements every hook, by the function that a test gives."""

    def __init__(self, act: Callable[..., Any]) -> None:
        self.act = act

    @hookimpl
    def every(self, x, y):
        return self.act(x, y)

    @hookimpl
    def first(self, x):
        return self.act(x)

    @hookimpl
    def timed(self, x):
        return self.act(x)

    @hookimpl
    def began(self, at):
        return self.act(at)

    @hookimpl
    def points(self, at: Point):
        return self.act(at)

    @hookimpl
    def point(self, at: Point):
        return self.act(at)


@attrs.define
class Witness:
    """A middleware that sees every call and outcome."""

    calls: list[Call] = attrs.Factory(list)
    outcomes: list[Outcome] = attrs.Factory(list)
    name: str = "witness"

    def around(self, call: Call) -> Layer:
        self.calls.append(call)
        outcome = yield call
        self.outcomes.append(outcome)
        return outcome


@attrs.define
class Bench:
    """A desk over builtins, and what its stack saw."""

    builtins: Mapping[str, Any]
    facts: Mapping[PluginId, PluginFacts] = attrs.Factory(dict)
    timeouts: Mapping[PluginId, float] = attrs.Factory(dict)
    depths: Mapping[PluginId, int] = attrs.Factory(dict)
    hosting: Hosting = attrs.Factory(Hosting)
    clock: FakeClock = attrs.Factory(FakeClock)
    witness: Witness = attrs.Factory(Witness)
    disabled: Callable[[PluginId, int], Any] = lambda plugin, edition: None
    desk: Desk = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        specs = collect_specs("demo", [Specs])
        registry = Registry("demo", specs)
        builtins = Builtins("demo", self.builtins)
        for name in self.builtins:
            registry.register(PluginId(name), 0, builtins.impls(PluginId(name)))
        self.desk = Desk(
            Terms(
                run_id=RunId("r1"),
                specs=specs,
                registry=registry,
                middleware=[self.witness],  # type: ignore[list-item]
                builtins=builtins,
                builtin_ids=frozenset(map(PluginId, self.builtins)),
                facts=self.facts,
                timeouts=self.timeouts,
                depths=self.depths,
                disabled=self.disabled,
                hosting=self.hosting,
                clock=self.clock,
                level="confined",
            )
        )

    def drive(self, generator: Any) -> Any:
        return run_blocking(generator, self.clock, Bell())

    def call(self, hook: str, options: CallOptions | None = None, /, **arguments: Any) -> Any:
        return self.drive(self.desk.hook_call(hook, arguments, options or CallOptions()))

    def nested(self, hook: str, /, parent: Call | None = None, **arguments: Any) -> Brokered:
        parent = parent or self.parent()
        generator = self.desk.brokered(parent, hook, encode(arguments), NONE, self.clock.now + 5.0)
        brokered: Brokered = self.drive(generator)
        return brokered

    def parent(self, **changes: Any) -> Call:
        """A call of plugin ``asks``, under way."""
        self.call("first", x=0)
        return attrs.evolve(self.witness.calls.pop(), plugin=PluginId("asks"), **changes)


def echoing(**more: Any) -> Bench:
    return Bench({"a": Everything(lambda *given: list(given))}, **more)


ASKS = {PluginId("asks"): a_plugin("asks", requires=("first", "every", "began", "point"))}
