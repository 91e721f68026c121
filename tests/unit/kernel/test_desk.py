"""The desk: how a hook call becomes the calls that the stack sees, over builtins alone."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

import attrs
import pytest

import nxkernel as nx
from nxkernel._canonical import digest, encode
from nxkernel.dispatch.drivers import Bell, run_blocking
from nxkernel.dispatch.stack import Layer, PluginFacts
from nxkernel.errors import CallRejected, KernelConfigError
from nxkernel.hookspecs import collect_specs
from nxkernel.host.builtin import Builtins
from nxkernel.host.transport import Brokered
from nxkernel.kernel.desk import CallOptions, Desk
from nxkernel.kernel.fallbacks import with_plain_fallback
from nxkernel.kernel.registry import Registry
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
    hosting: Hosting = attrs.Factory(Hosting)
    clock: FakeClock = attrs.Factory(FakeClock)
    witness: Witness = attrs.Factory(Witness)
    disabled: Callable[[PluginId], Any] = lambda plugin: None
    desk: Desk = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        specs = collect_specs("demo", [Specs])
        registry = Registry("demo", specs)
        builtins = Builtins("demo", self.builtins)
        for name in self.builtins:
            registry.register(PluginId(name), 0, builtins.impls(PluginId(name)))
        self.desk = Desk(
            run_id=RunId("r1"),
            specs=specs,
            registry=registry,
            middleware=[self.witness],  # type: ignore[list-item]
            builtins=builtins,
            builtin_ids=frozenset(map(PluginId, self.builtins)),
            facts=self.facts,
            timeouts=self.timeouts,
            disabled=self.disabled,
            hosting=self.hosting,
            clock=self.clock,
            level="confined",
        )

    def drive(self, generator: Any) -> Any:
        return run_blocking(generator, self.clock, Bell())

    def call(self, hook: str, options: CallOptions | None = None, /, **arguments: Any) -> Any:
        return self.drive(self.desk.hook_call(hook, arguments, options or CallOptions()))

    def nested(self, hook: str, /, parent: Call | None = None, **arguments: Any) -> Brokered:
        parent = parent or self.parent()
        generator = self.desk.brokered(parent, hook, encode(arguments), self.clock.now + 5.0)
        brokered: Brokered = self.drive(generator)
        return brokered

    def parent(self, **changes: Any) -> Call:
        """A call of plugin ``asks``, under way."""
        self.call("first", x=0)
        return attrs.evolve(self.witness.calls.pop(), plugin=PluginId("asks"), **changes)


def echoing(**more: Any) -> Bench:
    return Bench({"a": Everything(lambda *given: list(given))}, **more)


ASKS = {PluginId("asks"): a_plugin("asks", requires=("first", "every", "began", "point"))}

# -- what the stack sees -------------------------------------------------------------------------


def test_a_call_is_what_crosses() -> None:
    """Arguments with the hookspec's defaults, their canonical bytes and the digest of those."""
    bench = echoing()
    assert bench.call("every", x=1).value == [[1, 2]]
    (call,) = bench.witness.calls
    assert call.arguments == {"x": 1, "y": 2}
    assert call.payload == encode({"x": 1, "y": 2})
    assert call.input_digest == digest(call.payload)
    assert (call.plugin, call.impl, call.hook, call.phase) == ("a", "every", "every", "call")
    assert (call.run_id, call.level, call.depth, call.parent) == ("r1", "host", 0, None)


def test_ids_count_up_within_a_run() -> None:
    """One for each provider, and for each phase of a wrapper."""

    class Wraps:
        @hookimpl(wrapper=True)
        def first(self, x):
            return (yield)

    bench = Bench({"a": Everything(lambda x: None), "b": Everything(lambda x: x), "w": Wraps()})
    bench.call("first", x=1)
    bench.call("first", x=1)
    calls = bench.witness.calls
    assert [call.call_id for call in calls] == [str(n) for n in range(1, 9)]
    assert [call.phase for call in calls[:4]] == ["setup", "call", "call", "teardown"]


def test_threads_share_no_id() -> None:
    """Eight threads at once: every call has its own."""
    bench = echoing()
    threads = [
        threading.Thread(target=lambda: [bench.call("every", x=n) for n in range(50)])
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({call.call_id for call in bench.witness.calls}) == 400
    assert bench.desk.stats[PluginId("a")].calls == 400


def test_a_second_phase_carries_the_inner_result() -> None:
    """The outcome of the inner calls, its bytes, and the token of the first phase."""

    class Wraps:
        @hookimpl(wrapper=True)
        def first(self, x):
            return (yield)

    def fail(x: Any) -> Any:
        raise KeyError("x")

    for act in (lambda x: [x], fail):
        bench = Bench({"p": Everything(act), "w": Wraps()})
        bench.call("first", x=1)
        setup, _, teardown = bench.witness.calls
        assert teardown.token == bench.witness.outcomes[0].annotations["token"]
        assert teardown.key == (*setup.key, "teardown")
        if act is fail:
            assert teardown.inner_error is not None
            assert teardown.inner_error.message == "KeyError: 'x'"
            assert (teardown.inner_fault, teardown.inner_origin) == ("plugin", "p")
            assert teardown.payload == encode(None)
        else:
            assert (teardown.arguments, teardown.payload) == ({"result": [1]}, encode([1]))
            assert (teardown.inner_error, teardown.inner_fault) == (None, None)


# -- time ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hook", "option", "manifest", "seconds"),
    [
        ("first", None, None, 10.0),
        ("first", None, 7.0, 7.0),
        ("timed", None, 7.0, 3.0),
        ("timed", 1.0, 7.0, 1.0),
        ("timed", 100.0, 7.0, 100.0),
    ],
)
def test_the_nearest_word_about_time_counts(
    hook: str, option: float | None, manifest: float | None, seconds: float
) -> None:
    """The caller's, then the hookspec's, then the manifest's, then the host's."""
    timeouts = {PluginId("a"): manifest} if manifest else {}
    bench = echoing(timeouts=timeouts)
    bench.call(hook, CallOptions(timeout=option), x=1)
    assert bench.witness.calls[0].deadline == bench.clock.now + seconds


def test_a_nested_call_has_no_more_time_than_its_parent() -> None:
    """Deadlines are absolute and reach nested calls; they may only become nearer."""
    bench = echoing(facts=ASKS)
    bench.nested("first", x=1)
    assert bench.witness.calls[-1].deadline == bench.clock.now + 5.0
    generator = bench.desk.brokered(
        bench.parent(), "first", encode({"x": 1}), bench.clock.now + 1000.0
    )
    bench.drive(generator)
    assert bench.witness.calls[-1].deadline == bench.clock.now + 10.0


def test_a_wrapper_that_was_entered_has_time_to_leave() -> None:
    """Also when the common deadline has passed meanwhile: what it holds must be given back."""

    class Wraps:
        @hookimpl(wrapper=True)
        def first(self, x):
            return (yield)

    def slow(x: Any) -> Any:
        bench.clock.now += 60.0
        return x

    bench = Bench({"a": Everything(slow), "w": Wraps()}, facts=ASKS)
    assert bench.nested("first", attrs.evolve(echoing().parent(), plugin=PluginId("asks")), x=1)
    setup, call, teardown = bench.witness.calls
    assert setup.deadline == call.deadline < bench.clock.now < teardown.deadline


# -- keys ----------------------------------------------------------------------------------------


def test_the_key_of_a_call_is_what_it_is_asked() -> None:
    """Equal arguments, equal key: in any order, from any thread. Others have others."""
    bench = echoing()
    for x in (1, 2, 1):
        bench.call("every", x=x)
    first, second, third = (call.key for call in bench.witness.calls)
    assert first == third != second
    assert first == (bytes.fromhex(bench.witness.calls[0].input_digest[7:]), 0)


def test_the_caller_may_name_the_call() -> None:
    """The key is then the caller's word alone."""
    bench = echoing()
    bench.call("every", CallOptions(key="doc-17"), x=1)
    bench.call("every", CallOptions(key=("doc", 17)), x=1)
    assert [call.key for call in bench.witness.calls] == [("doc-17",), ("doc", 17)]


def test_equal_nested_calls_of_one_parent_are_told_apart() -> None:
    """By the order in which their parent makes them; another parent begins anew."""
    bench = echoing(facts=ASKS)
    parent = bench.parent()
    for x in (1, 1, 2, 1):
        bench.nested("first", parent, x=x)
    ordinals = [call.key[1] for call in bench.witness.calls]
    assert ordinals == [0, 1, 0, 2]
    bench.witness.calls.clear()
    bench.nested("first", bench.parent(), x=1)
    assert [call.key[1] for call in bench.witness.calls] == [0]


# -- arguments and results -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, "hook 'every': missing argument 'x'; its arguments are: x, y"),
        ({"x": 1, "z": 1, "a": 2}, "hook 'every': unknown argument 'a'; its arguments are: x, y"),
        ({"x": object()}, "x: object cannot cross"),
        ({"x": 1, "y": [{"k": {1}}]}, "y[0].k: set cannot cross"),
    ],
)
def test_what_cannot_be_sent_is_refused_at_once(arguments: dict[str, Any], words: str) -> None:
    """Before any provider is asked, naming the place and what to do."""
    bench = echoing()
    with pytest.raises(CallRejected) as caught:
        bench.call("every", **arguments)
    assert words in caught.value.message
    assert caught.value.hook == "every"
    assert bench.witness.calls == []


def test_a_hook_that_does_not_exist_is_refused() -> None:
    """The message lists those that do."""
    with pytest.raises(CallRejected, match=r"no hook 'nope'; .*: began, every, first") as caught:
        echoing().call("nope")
    assert caught.value.code == "call.unknown_hook"


def test_values_are_annotated_types_on_both_sides() -> None:
    """Builtins are given objects, the caller gets objects, plain data crosses."""
    bench = Bench({"a": Everything(lambda at: Point(at.x, at.y + 1))})
    assert bench.call("points", at=Point(1)).value == [Point(1, 1)]
    assert bench.call("point", at=Point(1)).value == Point(1, 1)
    assert bench.witness.outcomes[0].value == {"x": 1, "y": 1}


@pytest.mark.parametrize("bad", [[1], {"x": "text"}, {"z": 1}])
def test_a_value_that_the_hookspec_forbids_is_its_providers_fault(bad: Any) -> None:
    """In a fan-out the others still count; the stack sees the reason."""
    bench = Bench({"a": Everything(lambda at: bad), "b": Everything(lambda at: Point(1))})
    result = bench.call("points", at=Point(1))
    assert (result.value, result.degraded) == ([Point(1)], True)
    assert result[0].error.code == "contract.output"
    assert bench.witness.outcomes[0].error == result[0].error


def test_a_wrapper_may_make_anything_of_a_fan_out() -> None:
    """As under pluggy; only a list is held against the annotation, element by element."""

    class Wraps:
        def __init__(self, made: Any) -> None:
            self.made = made

        @hookimpl(wrapper=True)
        def points(self, at):
            yield
            return self.made

    for made, expected in ((7, 7), (None, None), ([{"x": 1}], [Point(1)])):
        bench = Bench({"a": Everything(lambda at: None), "w": Wraps(made)})
        assert bench.call("points", at=Point(1)).value == expected
    result = Bench({"a": Everything(lambda at: None), "w": Wraps(["no"])}).call(
        "points", at=Point(1)
    )
    assert result.error is not None
    assert result.error.code == "contract.output"


def test_only_the_named_plugins_are_asked() -> None:
    """The others are not called at all."""
    bench = Bench({name: Everything(lambda x, y: x) for name in "abc"})
    result = bench.call("every", CallOptions(only=frozenset("ac")), x=1)
    assert [outcome.plugin for outcome in result] == ["a", "c"]


def test_a_disabled_plugin_has_an_outcome_that_says_why() -> None:
    """It is not called, and it is not missing."""
    reason = nx.PluginDisabled("settings: no", code="settings.invalid", plugin="a")
    bench = Bench(
        {"a": Everything(lambda x, y: x), "b": Everything(lambda x, y: x)},
        disabled=lambda plugin: reason if plugin == "a" else None,
    )
    result = bench.call("every", x=1)
    assert (result.value, result.degraded) == ([1], True)
    assert (result[0].error.code, result[0].fault) == ("settings.invalid", "plugin")


def test_statistics_count_calls_and_errors() -> None:
    """Of each plugin, early refusals included."""

    def fail(x: Any, y: Any) -> Any:
        raise ValueError

    bench = Bench({"a": Everything(lambda x, y: x), "b": Everything(fail)})
    bench.call("every", x=1)
    bench.call("every", x=1)
    stats = bench.desk.stats
    assert [(stats[PluginId(n)].calls, stats[PluginId(n)].errors) for n in "ab"] == [(2, 0), (2, 2)]


# -- nested calls --------------------------------------------------------------------------------


def test_a_nested_call_knows_where_it_comes_from() -> None:
    """Parent, caller and depth; its id is below its parent's."""
    bench = echoing(facts=ASKS)
    assert bench.nested("first", x=1).payload == encode([1])
    (call,) = bench.witness.calls
    assert (call.call_id, call.parent, call.caller, call.depth) == ("1.1", "1", "asks", 1)


@pytest.mark.parametrize(
    ("hook", "arguments", "code", "words"),
    [
        ("nope", {}, "call.unknown_hook", "no hook 'nope'"),
        ("first", {}, "call.rejected", "missing argument 'x'"),
        ("first", {"x": 1, "z": 1}, "call.rejected", "unknown argument 'z'"),
        ("began", {"at": {"x": 1}}, "call.rejected", "is historic"),
        ("timed", {"x": 1}, "policy.denied", "does not request"),
    ],
)
def test_a_nested_call_that_may_not_be_made_is_the_askers_error(
    hook: str, arguments: dict[str, Any], code: str, words: str
) -> None:
    """It is answered, and began in the plugin that asked."""
    brokered = echoing(facts=ASKS).nested(hook, **arguments)
    assert brokered.error is not None
    assert (brokered.error.code, brokered.origin) == (code, "asks")
    assert words in brokered.error.message


@pytest.mark.parametrize("payload", [b"", b"\xc1", encode([1]), encode(None), b"\xcd\x00\x01"])
def test_arguments_of_a_nested_call_are_only_a_workers_word(payload: bytes) -> None:
    """What is no canonical map of names is refused, and raises nothing."""
    bench = echoing(facts=ASKS)
    brokered = bench.drive(bench.desk.brokered(bench.parent(), "first", payload, 2000.0))
    assert brokered.error.code == "call.rejected"


def test_nesting_ends_at_the_limit() -> None:
    """A circle of plugins is an error and no end of the stack."""
    bench = echoing(facts=ASKS, hosting=Hosting(max_depth=3))
    assert bench.nested("first", bench.parent(depth=2), x=1).error is None
    brokered = bench.nested("first", bench.parent(depth=3), x=1)
    assert brokered.error is not None
    assert (brokered.error.code, brokered.error.message) == (
        "call.depth",
        "calls nest deeper than 3",
    )


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


# -- history -------------------------------------------------------------------------------------


def test_a_historic_hook_is_called_through_history_alone() -> None:
    """And the others not through it."""
    bench = echoing()
    with pytest.raises(CallRejected, match="call_historic"):
        bench.call("began", at=Point(1))
    with pytest.raises(CallRejected, match="not historic"):
        bench.desk.historic_call("every", {"x": 1}, None)


def test_history_is_replayed_in_order_to_one_plugin() -> None:
    """Marked as such; the callback is given what the first call's was: the annotated type."""
    heard: list[Any] = []
    bench = Bench({n: Everything(lambda at: {"x": at["x"], "y": 9}) for n in "ab"})
    for x in (1, 2):
        bench.drive(bench.desk.historic_call("began", {"at": Point(x)}, heard.append))
    assert heard == [Point(1, 9)] * 2 + [Point(2, 9)] * 2
    del heard[:], bench.witness.calls[:]
    bench.drive(bench.desk.replay(PluginId("b")))
    assert [(c.plugin, c.arguments["at"]["x"], c.historic) for c in bench.witness.calls] == [
        ("b", 1, True),
        ("b", 2, True),
    ]
    assert heard == [Point(1, 9), Point(2, 9)]


# -- fallbacks -----------------------------------------------------------------------------------


def with_fallback(hint: Any, fallback: Any, *, firstresult: bool = False) -> Any:
    def hook(x):
        """A hook with a fallback."""

    if hint is not None:
        hook.__annotations__["return"] = hint
    module = ModuleType("specs")
    module.hook = hookspec(firstresult=firstresult, fallback=fallback)(hook)  # type: ignore[attr-defined]
    spec = collect_specs("demo", [module])["hook"]
    return with_plain_fallback(spec).options.fallback


@pytest.mark.parametrize(
    ("hint", "fallback", "firstresult", "expected"),
    [
        (None, "spare", False, "spare"),
        (None, (1, 2), True, [1, 2]),
        (None, None, True, None),
        (Point, None, True, None),
        (Point, Point(1), True, {"x": 1, "y": 0}),
        (Point, [Point(1)], False, [{"x": 1, "y": 0}]),
        (Point, [], False, []),
        (Point, "spare", False, "spare"),
        (None, Point(1), True, {"x": 1, "y": 0}),
    ],
)
def test_a_fallback_is_what_an_answer_would_be(
    hint: Any, fallback: Any, firstresult: bool, expected: Any
) -> None:
    """Plain data, by the hookspec's annotation: of a fan-out element by element."""
    assert with_fallback(hint, fallback, firstresult=firstresult) == expected


def test_a_fallback_that_cannot_cross_is_a_mistake_of_the_application() -> None:
    """It is told when the kernel is built, and not when something fails."""
    with pytest.raises(KernelConfigError, match=r"hook 'hook': fallback\[0\]: object cannot cross"):
        with_fallback(None, [object()])
