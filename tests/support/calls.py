"""Calls, outcomes and boot facts for tests of the stack, with only what the test cares about."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from nxkernel._canonical import digest, encode
from nxkernel.dispatch.stack import BootFacts, Event, Layer, Middleware, PluginFacts, open_stack
from nxkernel.hookspecs import HookSpec, SpecOptions
from nxkernel.types import Call, Fault, Outcome


@attrs.define
class FakeClock:
    """A clock that moves when it is told to."""

    now: float = 1000.0

    def monotonic(self) -> float:
        return self.now

    def wall_ns(self) -> int:
        return round(self.now * 1e9)


def a_call(arguments: Mapping[str, Any] | None = None, **changes: Any) -> Call:
    """A call of ``read_tokens`` of ``ocr.rapid`` by the application, but for *changes*."""
    arguments = arguments or {}
    payload = encode(dict(arguments))
    defaults: dict[str, Any] = {
        "run_id": "r1",
        "call_id": "7",
        "plugin": "ocr.rapid",
        "impl": changes.get("hook", "read_tokens"),
        "hook": "read_tokens",
        "arguments": arguments,
        "payload": payload,
        "input_digest": digest(payload),
        "deadline": 1010.0,
        "key": ("doc-1",),
    }
    return Call(**{**defaults, **changes})


def answered(call: Call, value: Any = None, **changes: Any) -> Outcome:
    """The outcome of *call* with *value*."""
    return Outcome(
        plugin=call.plugin,
        impl=call.impl,
        hook=call.hook,
        call_id=call.call_id,
        value=value,
        **changes,
    )


def failed(
    call: Call, fault: Fault = "plugin", code: str = "plugin.raised", origin: Any = None
) -> Outcome:
    """The outcome of *call* that failed."""
    return Outcome.failed(call, code, "it failed", fault, origin=origin)


def a_spec(name: str, capability: str | None = None) -> HookSpec:
    """A hookspec without arguments."""
    return HookSpec(
        name=name,
        args=(),
        defaults={},
        firstresult=False,
        historic=False,
        options=SpecOptions(),
        doc="",
        function=lambda: None,
        capability=capability,
        method=name.rpartition("_")[2] if capability else None,
    )


def a_plugin(plugin_id: str, **changes: Any) -> PluginFacts:
    """The facts of one plugin."""
    return PluginFacts(id=plugin_id, version="1.0", code_digest="sha256:00", **changes)  # type: ignore[arg-type]


@attrs.define
class Boot:
    """What a middleware is booted with, and the events that it reports."""

    plugins: list[PluginFacts] = attrs.Factory(list)
    specs: list[HookSpec] = attrs.Factory(lambda: [a_spec("read_tokens")])
    seed: int | str = 7
    clock: FakeClock = attrs.Factory(FakeClock)
    events: list[Event] = attrs.Factory(list)

    def facts(self) -> BootFacts:
        return BootFacts(
            run_id="r1",  # type: ignore[arg-type]
            seed=self.seed,
            clock=self.clock,
            specs={spec.name: spec for spec in self.specs},
            plugins={plugin.id: plugin for plugin in self.plugins},
            header={},
            emit=self.events.append,
        )


def drive(middleware: Middleware, call: Call, outcome: Outcome | None = None) -> Outcome:
    """Send *call* through one middleware and answer with *outcome*, or with None as value."""
    opened = open_stack([middleware], call)
    if opened.early is not None:
        return opened.early
    return opened.close(outcome or answered(call))


def sent(middleware: Middleware, call: Call) -> Call:
    """The call as *middleware* sends it on."""
    opened = open_stack([middleware], call)
    assert opened.early is None
    return opened.call


def enter(middleware: Middleware, call: Call) -> Layer | Outcome:
    """Send *call* in; return the layer that waits for its outcome, or the early outcome."""
    layer = middleware.around(call)
    try:
        next(layer)
    except StopIteration as stop:
        return stop.value
    return layer


def leave(layer: Layer | Outcome, outcome: Outcome) -> Outcome:
    """Hand *outcome* to a layer that :func:`enter` gave."""
    assert not isinstance(layer, Outcome)
    try:
        layer.send(outcome)
    except StopIteration as stop:
        return stop.value
    raise AssertionError("yielded twice")
