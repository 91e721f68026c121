"""Builtins: the embedder's own hookimpls see what a plugin would see, in the host process."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from typing import Any

import attrs
import pluggy
import pytest

from nxkernel._canonical import digest, encode
from nxkernel.errors import CallRejected, KernelConfigError
from nxkernel.host.builtin import Builtins
from nxkernel.types import CallError, Outcome, PluginId
from tests.support.calls import a_call

hookimpl = pluggy.HookimplMarker("demo")


@attrs.frozen
class Point:
    x: int
    y: int


class Good:
    @hookimpl
    def echo(self, value):
        return value

    @hookimpl
    def shifted(self, point: Point, by: int = 1) -> Point:
        return Point(point.x + by, point.y)

    @hookimpl
    async def later(self, value):
        await asyncio.sleep(0)
        return value

    @hookimpl
    def changes(self, value):
        value.append("changed")
        return value

    @hookimpl
    def silent(self):
        raise LookupError

    @hookimpl
    def broken(self):
        raise KeyError("x")

    @hookimpl
    def objects(self):
        return [object()]

    @hookimpl
    def huge(self):
        return 2**70

    @hookimpl
    def rejected(self):
        raise CallRejected("its own mistake")

    @hookimpl(wrapper=True)
    def wrapped(self, value) -> Generator[None, list[int], list[int]]:
        result = yield
        return [value, *result]

    @hookimpl(hookwrapper=True)
    def old(self) -> Generator[None, pluggy.Result[Any], None]:
        yield

    @hookimpl(specname="echo", tryfirst=True)
    def second_echo(self, value):
        return None


def call(impl: str, arguments: dict[str, Any] | None = None, **changes: Any) -> Outcome:
    builtins = changes.pop("builtins", None) or Builtins("demo", {"own": Good()})
    return builtins.call(a_call(arguments, plugin="own", impl=impl, hook=impl, **changes))


def code(outcome: Outcome) -> str | None:
    return outcome.error.code if outcome.error else None


def test_facts_are_what_pluggy_says() -> None:
    """Names, arguments and options of every hookimpl, under the name of its attribute."""
    facts = {f.impl: f for f in Builtins("demo", {"own": Good()}).impls(PluginId("own"))}
    assert facts["shifted"].args == ("point",)
    assert facts["shifted"].kwargs == ("by",)
    assert (facts["second_echo"].hook, facts["second_echo"].tryfirst) == ("echo", True)
    assert (facts["wrapped"].wrapper, facts["old"].hookwrapper) == (True, True)
    assert sorted(facts) == sorted(n for n in vars(Good) if not n.startswith("_"))


def test_hookimpls_from_one_factory_are_told_apart() -> None:
    """Functions that share a name are known by the attributes that hold them."""

    def make(answer: int) -> Any:
        @hookimpl
        def same() -> int:
            return answer

        return staticmethod(same)

    plugin = type("Made", (), {"one": make(1), "two": make(2)})()
    builtins = Builtins("demo", {"own": plugin})
    assert [call(n, builtins=builtins).value for n in ("one", "two")] == [1, 2]


def test_looking_for_hookimpls_runs_nothing() -> None:
    """A property of the object is not asked for its value."""

    class Lazy:
        @property
        def expensive(self) -> int:
            raise AssertionError("asked")

        @hookimpl
        def echo(self, value):
            return value

    assert len(Builtins("demo", {"own": Lazy()}).impls(PluginId("own"))) == 1


def test_an_object_without_hookimpls_is_a_mistake() -> None:
    """Also one whose hookimpls belong to another project."""
    for project in ("demo", "other"):
        plugin = object() if project == "demo" else Good()
        with pytest.raises(KernelConfigError, match="has no hookimpl"):
            Builtins(project, {"own": plugin})


def test_a_wrapper_without_yield_is_a_mistake() -> None:
    """pluggy refuses it when it is registered; so does the kernel."""

    class Bad:
        @hookimpl(wrapper=True)
        def echo(self, value):
            return value

    with pytest.raises(KernelConfigError, match="no yield"):
        Builtins("demo", {"own": Bad()})


def test_a_value_takes_the_way_of_a_plugins() -> None:
    """Encoded, with digest and size; a mutable argument is the builtin's own copy."""
    given = [1]
    outcome = call("changes", {"value": given})
    assert (outcome.value, given) == ([1, "changed"], [1])
    payload = encode([1, "changed"])
    assert (outcome.output_digest, outcome.output_bytes) == (digest(payload), len(payload))


def test_annotations_are_honoured() -> None:
    """Arguments are lifted, results lowered; a default stands in for what was not given."""
    assert call("shifted", {"point": {"x": 1, "y": 2}}).value == {"x": 2, "y": 2}
    assert call("shifted", {"point": {"x": 1, "y": 2}, "by": 5}).value == {"x": 6, "y": 2}


def test_arguments_that_do_not_fit_are_not_applicable() -> None:
    """As in a worker: another provider may answer, and no breaker opens."""
    outcome = call("shifted", {"point": {"x": "no"}})
    assert (code(outcome), outcome.fault) == ("provider.not_applicable", "host")


def test_a_coroutine_is_run_to_its_end() -> None:
    """In a thread without a loop, and inside of one that is running."""
    assert call("later", {"value": 3}).value == 3

    async def main() -> Any:
        inside = call("later", {"value": 4}).value
        await asyncio.sleep(0)
        return inside

    assert asyncio.run(main()) == 4


@pytest.mark.parametrize(
    ("impl", "expected", "words"),
    [
        ("silent", "plugin.raised", "LookupError"),
        ("broken", "plugin.raised", "KeyError: 'x'"),
        ("objects", "contract.output", "result[0]: object cannot cross"),
        ("huge", "contract.output", "64 bits"),
        ("rejected", "plugin.raised", "its own mistake"),
    ],
)
def test_a_failure_is_the_builtins(impl: str, expected: str, words: str) -> None:
    """It is told as a worker's would be."""
    outcome = call(impl)
    assert outcome.error is not None
    assert (outcome.error.code, outcome.fault) == (expected, "plugin")
    assert words in outcome.error.message


def test_an_exception_says_where() -> None:
    """The frames of the builtin are in the details."""
    error = call("broken").error
    assert error is not None
    assert len(error.details["frames"]) == 1
    assert error.details["frames"][0].startswith("broken:")


def test_an_interrupt_is_not_the_builtins_failure() -> None:
    """KeyboardInterrupt in the host's own code is for the host."""

    class Stops:
        @hookimpl
        def stop(self):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        call("stop", builtins=Builtins("demo", {"own": Stops()}))


@pytest.mark.parametrize("impl", ["wrapped", "old"])
def test_a_wrapper_waits_between_its_phases(impl: str) -> None:
    """Its annotation is that of a generator and not that of the hook's value."""
    builtins = Builtins("demo", {"own": Good()})
    setup = call(impl, {"value": 7}, phase="setup", builtins=builtins)
    assert setup.value is None
    end = builtins.call(
        a_call(
            plugin="own",
            impl=impl,
            phase="teardown",
            token=setup.annotations["token"],
            payload=encode([1]),
        )
    )
    assert end.value == ([7, 1] if impl == "wrapped" else [1])
    assert builtins._suspended == {}


def test_a_wrapper_does_not_answer_for_what_it_lets_through() -> None:
    """The inner error stays that of the plugin where it began."""
    builtins = Builtins("demo", {"own": Good()})
    setup = call("wrapped", {"value": 7}, phase="setup", builtins=builtins)
    inner = CallError(code="plugin.crashed", message="gone", details={"signal": 9})
    end = builtins.call(
        a_call(
            plugin="own",
            impl="wrapped",
            phase="teardown",
            token=setup.annotations["token"],
            inner_error=inner,
            inner_fault="host",
            inner_origin=PluginId("deep"),
        )
    )
    assert (end.error, end.fault, end.origin) == (inner, "host", "deep")
