"""The registry: pluggy verifies and orders, over facts alone."""

from __future__ import annotations

import threading
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import nxkernel as nx
from nxkernel.errors import PluginDisabled
from nxkernel.hookspecs import HookSpec, collect_specs
from nxkernel.kernel.registry import Entry, Registry
from nxkernel.types import HookName, ImplFacts, PluginId

hookspec = nx.HookspecMarker("demo")


@hookspec
def read(frame, lang="en"):
    """Read."""


@hookspec(historic=True)
def started(at):
    """It started."""


@hookspec(firstresult=True, stream=True)
def pages(frame):
    """Yield pages."""


@nx.capability("store.records")
class Records:
    @hookspec(firstresult=True)
    def get(self, key):
        """Get."""


def specs() -> dict[str, HookSpec]:
    module = ModuleType("specs")
    vars(module).update(read=read, started=started, pages=pages, Records=Records)
    return collect_specs("demo", [module])


@pytest.fixture
def registry() -> Registry:
    """A registry over three hooks."""
    return Registry("demo", specs())


def impl(hook: str = "read", name: str = "", args: tuple[str, ...] = (), **more: Any) -> ImplFacts:
    return ImplFacts(impl=name or hook, hook=HookName(hook), args=args, **more)


def order(registry: Registry, hook: str = "read") -> list[str]:
    return [f"{p.plugin}.{p.facts.impl}" for p in registry.providers(hook)]


plugins = st.dictionaries(
    st.sampled_from(["a", "b", "c.d", "e_f", "z"]), st.integers(-2, 2), min_size=1
)


@given(plugins, st.randoms(use_true_random=False))
def test_equals_are_called_by_priority_and_id(priorities: dict[str, int], chooser: Any) -> None:
    """In ascending (priority, id), whatever the order in which they were found."""
    registry = Registry("demo", specs())
    for name in chooser.sample(sorted(priorities), len(priorities)):
        registry.register(PluginId(name), priorities[name], [impl(args=("frame",))])
    expected = sorted(priorities, key=lambda name: (priorities[name], name))
    assert order(registry) == [f"{name}.read" for name in expected]


def test_pluggys_order_comes_before_priority(registry: Registry) -> None:
    """Wrappers first, then tryfirst, the rest, trylast."""
    kinds: dict[str, dict[str, Any]] = {
        "a": {"trylast": True},
        "b": {},
        "c": {"tryfirst": True},
        "d": {"wrapper": True},
        "e": {"hookwrapper": True, "tryfirst": True},
    }
    for priority, (name, options) in enumerate(kinds.items()):
        registry.register(PluginId(name), priority, [impl(**options)])
    assert order(registry) == ["e.read", "d.read", "c.read", "b.read", "a.read"]


def test_a_plugin_may_implement_a_hook_twice(registry: Registry) -> None:
    """Each hookimpl is a provider of its own, with its own facts."""
    twice = [impl(args=("frame",)), impl(name="again", wrapper=True)]
    registry.register(PluginId("a"), 0, twice)
    assert order(registry) == ["a.again", "a.read"]
    assert [p.facts for p in registry.providers("read")] == [twice[1], twice[0]]
    assert registry.impls(PluginId("a")) == tuple(twice)


def test_a_capabilitys_hook_is_known_by_its_own_name(registry: Registry) -> None:
    """Its method is called ``get``, its hook ``store_records_get``."""
    registry.register(PluginId("a"), 0, [impl("store_records_get", args=("key",))])
    assert order(registry, "store_records_get") == ["a.store_records_get"]


def test_registering_again_replaces(registry: Registry) -> None:
    """The latest word of a plugin counts, also after the order was asked for."""
    registry.register(PluginId("a"), 0, [impl()])
    assert order(registry) == ["a.read"]
    registry.register(PluginId("a"), 0, [impl("started", args=("at",))])
    assert (order(registry), order(registry, "started")) == ([], ["a.started"])


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        (
            impl("raed"),
            "hook 'raed' does not exist; known: pages, read, started, store_records_get",
        ),
        (impl(args=("frame", "size")), "wants 'size', which hook 'read' does not give"),
        (impl(args=("z", "y", "x")), "wants 'x', which"),
        (impl("started", wrapper=True), "historic incompatible with yield/wrapper/hookwrapper"),
        (impl(wrapper=True, hookwrapper=True), "mutually exclusive"),
    ],
)
def test_what_pluggy_refuses_disables_that_plugin(
    registry: Registry, facts: ImplFacts, words: str
) -> None:
    """The error names the plugin and the reason; nothing of it is registered."""
    with pytest.raises(PluginDisabled) as caught:
        registry.register(PluginId("odd.one"), 0, [facts])
    assert words in caught.value.message
    assert (caught.value.code, caught.value.plugin) == ("plugin.handshake", "odd.one")
    assert caught.value.message.startswith("plugin 'odd.one': ")
    assert registry.impls(PluginId("odd.one")) == ()


def test_an_optional_hook_need_not_exist(registry: Registry) -> None:
    """A hookimpl for another application is passed over."""
    registry.register(PluginId("a"), 0, [impl("elsewhere", optionalhook=True), impl()])
    assert order(registry) == ["a.read"]


def test_an_argument_with_a_default_need_not_exist(registry: Registry) -> None:
    """pluggy's rule: only what the hookimpl must have is asked of the hookspec."""
    registry.register(PluginId("a"), 0, [impl(args=("lang",), kwargs=("own",))])
    assert order(registry) == ["a.read"]


def test_a_plugin_that_does_not_run_keeps_its_place(registry: Registry) -> None:
    """So that each of its hooks has an outcome that says why."""
    registry.register(PluginId("b"), 0, [impl()])
    registry.register_declared(PluginId("a"), 0, [impl(), impl("elsewhere")])
    assert order(registry) == ["a.read", "b.read"]


def test_a_hook_without_providers_has_none(registry: Registry) -> None:
    """Known or not, nobody provides it."""
    assert registry.providers("read") == registry.providers("unknown") == ()


class TestOrders:
    """A hook call goes by what was there when it began."""

    def test_a_call_keeps_its_order(self, registry: Registry) -> None:
        """A change shows to those who enter after it."""
        registry.register(PluginId("a"), 0, [impl()])
        before = registry.enter()
        registry.register(PluginId("b"), 0, [impl()])
        after = registry.enter()
        assert [p.plugin for p in before.of("read")] == ["a"]
        assert [p.plugin for p in after.of("read")] == ["a", "b"]

    def test_an_edition_is_in_its_providers(self, registry: Registry) -> None:
        """So that each call finds the worker that it was meant for."""
        registry.register(PluginId("a"), 0, [impl()], 3)
        assert [p.edition for p in registry.providers("read")] == [3]

    def test_quiet_once_the_older_calls_have_left(self) -> None:
        """The last of them rings; calls of the order in force count for nothing."""
        rings: list[bool] = []
        registry = Registry("demo", specs(), lambda: rings.append(registry.is_quiet()))
        registry.register(PluginId("a"), 0, [impl()])
        first, second = registry.enter(), registry.enter()
        registry.unregister(PluginId("a"))
        new = registry.enter()
        assert not registry.is_quiet()
        registry.leave(first)
        assert (registry.is_quiet(), rings) == (False, [])
        registry.leave(second)
        assert rings == [True]
        registry.leave(new)
        assert rings == [True]
        assert registry.providers("read") == ()

    def test_threads_that_come_while_it_changes(self) -> None:
        """Each goes by one order, and none is counted in one that it has left."""
        registry = Registry("demo", specs())
        registry.register(PluginId("a"), 0, [impl()])
        torn: list[object] = []

        def come_and_go() -> None:
            for _ in range(500):
                order = registry.enter()
                if len(order.of("read")) > 1 or not order.calls:
                    torn.append(order)
                registry.leave(order)

        threads = [threading.Thread(target=come_and_go) for _ in range(4)]
        for thread in threads:
            thread.start()
        for edition in range(2, 12):
            registry.register(PluginId("a"), 0, [impl()], edition)
        for thread in threads:
            thread.join()
        assert (torn, registry.is_quiet(), registry.enter().calls) == ([], True, 1)

    def test_changes_show_all_at_once(self, registry: Registry) -> None:
        """Nobody sees one plugin of two."""
        registry.register(PluginId("a"), 0, [impl()])
        registry.providers("read")
        registry.change({PluginId("a"): None, PluginId("b"): Entry(PluginId("b"), 0, (impl(),))})
        assert order(registry) == ["b.read"]


@pytest.mark.parametrize("style", ["wrapper", "hookwrapper"])
def test_wrappers_do_not_stand_around_streams(registry: Registry, style: str) -> None:
    """There is no result for them; the plugin is refused with the reason, and others are not."""
    with pytest.raises(PluginDisabled, match=r"'pages' is a wrapper, and hook 'pages' streams"):
        registry.verify(PluginId("a"), [impl("pages", **{style: True})])
    registry.verify(PluginId("a"), [impl("pages"), impl("read", **{style: True})])


def ranked(failing: dict[str, int], priorities: dict[str, int]) -> list[str]:
    registry = Registry("demo", specs(), failing=lambda plugin: failing.get(plugin, 0))
    for plugin, priority in priorities.items():
        registry.register(PluginId(plugin), priority, [impl()])
    return [each.plugin for each in registry.providers("read")]


def test_priority_goes_before_history_and_history_before_the_id() -> None:
    """What is configured is never overruled by what has happened."""
    priorities = {"a": 0, "b": 0, "c": 0, "d": -1, "e": 1}
    assert ranked({"a": 50, "d": 100}, priorities) == ["d", "b", "c", "a", "e"]
    assert ranked({}, priorities) == ["d", "a", "b", "c", "e"]


@given(
    plugins=st.dictionaries(
        st.sampled_from("abcdef"), st.tuples(st.integers(-2, 2), st.integers(0, 3)), min_size=1
    ),
    data=st.data(),
)
def test_the_order_follows_from_these_alone(
    plugins: dict[str, tuple[int, int]], data: st.DataObject
) -> None:
    """In whatever order plugins came: priority, then failures, then id."""
    came = data.draw(st.permutations(sorted(plugins)))
    failing = {name: failures for name, (_, failures) in plugins.items()}
    found = ranked(failing, {name: plugins[name][0] for name in came})
    assert found == sorted(plugins, key=lambda name: (*plugins[name], name))
