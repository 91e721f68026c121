"""The desk: who is asked, and what a plugin hears of the calls that it asks for."""

from __future__ import annotations

import contextvars
from typing import Any

import attrs

from nxkernel.kernel.asking import CallOptions
from nxkernel.kernel.deliveries import in_builtin
from nxkernel.types import PluginId
from tests.support.calls import a_plugin
from tests.support.desks import ASKS, Bench, Everything, echoing, hookimpl
from tests.support.interrupts import interrupted


def test_only_the_named_plugins_are_asked() -> None:
    """The others are not called at all."""
    bench = Bench({name: Everything(lambda x, y: x) for name in "abc"})
    result = bench.call("every", CallOptions(only=frozenset("ac")), x=1)
    assert [outcome.plugin for outcome in result] == ["a", "c"]


def test_a_hook_that_was_not_requested_has_no_answer_even_if_nobody_provides_it() -> None:
    """Whether a hook has providers is not the business of who may not call it."""
    bench = Bench({"a": Everything(lambda x: x)}, facts={PluginId("asks"): a_plugin("asks")})
    bench.desk.registry.register(PluginId("a"), 0, [])
    parent = attrs.evolve(
        echoing().parent(),
        plugin=PluginId("asks"),
        call_id="1",  # type: ignore[arg-type]
    )
    brokered = bench.nested("every", parent, x=1)
    assert brokered.error is not None
    assert brokered.error.code == "policy.denied"


def test_a_nested_failure_names_the_plugin_that_failed_the_hook() -> None:
    """Not one that failed too and was left out."""

    def fail(x: Any, y: Any) -> Any:
        raise ValueError

    class Breaks:
        @hookimpl(wrapper=True)
        def every(self, x, y):
            yield
            raise KeyError("broken")

    builtins = {"a": Everything(fail), "b": Everything(lambda x, y: x), "w": Breaks()}
    brokered = Bench(builtins, facts=ASKS).nested("every", x=1)
    assert brokered.error is not None
    assert (brokered.error.message, brokered.origin) == ("KeyError: 'broken'", "w")


def test_an_interrupt_anywhere_leaves_no_call_in_the_order() -> None:
    """Wherever the interpreter takes one: who changes the order waits for no call that is over."""
    bench = Bench({"a": Everything(lambda x: x)})
    registry, struck = bench.desk.registry, []
    bench.call("first", x=1)
    for where in interrupted(lambda: bench.call("first", x=1)):
        order = registry.enter()
        registry.leave(order)
        assert order.calls == 0, where
        struck.append(str(where))
    assert any("Registry.enter" in each for each in struck)
    assert any("Registry.left" in each for each in struck)


def test_an_interrupt_anywhere_leaves_no_thread_in_a_builtin() -> None:
    """Its later calls are the application's own, and in an event loop they are refused as such."""
    bench = Bench({"a": Everything(lambda x: in_builtin())})
    assert bench.call("first", x=1).value is True
    struck = []
    for where in interrupted(lambda: bench.call("first", x=1)):
        assert not in_builtin(), where
        struck.append(str(where))
    assert any("_within" in each for each in struck)


def test_what_a_builtin_has_begun_is_not_in_there_when_it_has_returned() -> None:
    """A task or a thread that goes on with a copy of its context makes calls of its own then."""
    copies: list[contextvars.Context] = []

    def act(x: Any) -> bool:
        copies.append(contextvars.copy_context())
        return copies[0].run(in_builtin)

    assert Bench({"a": Everything(act)}).call("first", x=1).value is True
    assert copies[0].run(in_builtin) is False
