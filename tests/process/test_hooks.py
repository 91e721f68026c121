"""pluggy's options hold across the process boundary, in every style of plugin."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest

import nxkernel as nx
from tests.process.conftest import Opens
from tests.support.zoo import Zoo, allow, build, code_of, copies, eventually, patient, recorded

ANIMALS = (
    *("wraps.new", "wraps.old", "plain.a", "plain.b", "tries.first", "tries.last", "twice"),
    *("awaits", "asks.c"),
)
OPTIONS = {"rules": allow("awaits", "ask_c")}


class TestWrappers:
    """A wrapper is in one process, what it wraps in others."""

    def test_both_styles_wrap(self, zoo: Zoo) -> None:
        """Both phases run in order, and the state between them is kept in the worker."""
        assert zoo.kernel.hook.wrapped(value="x") == [
            "new",
            ["entered with", "x"],
            ["old", [["b", "x"]]],
        ]

    def test_each_phase_is_its_own_row(self, zoo: Zoo) -> None:
        """Setup and teardown are separate calls on record."""
        result = zoo.kernel.call("wrapped", value="y")
        ids = {outcome.call_id for outcome in result}
        rows = [r for r in recorded(zoo.kernel.run) if r.call_id in ids]
        assert [(r.plugin, r.phase) for r in rows] == [
            ("wraps.new", "setup"),
            ("wraps.old", "setup"),
            ("plain.b", "call"),
            ("wraps.old", "teardown"),
            ("wraps.new", "teardown"),
        ]

    def test_wrapper_catches_an_exception_by_its_type(self, zoo: Zoo) -> None:
        """`except ValueError` means in another process what it means in the same."""
        value = zoo.kernel.hook.wrapped(value="raise")
        assert value[0] == "new mended"
        assert "inside" in value[1]

    def test_failed_setup_fails_the_hook(self, zoo: Zoo) -> None:
        """Nothing inside is called."""
        result = zoo.kernel.call("wrapped", value="setup raises")
        assert result.error is not None
        assert result.error.message == "LookupError: before"
        assert [outcome.plugin for outcome in result] == ["wraps.new"]

    def test_failed_teardown_fails_the_hook(self, zoo: Zoo) -> None:
        """What was inside is lost, as under pluggy."""
        result = zoo.kernel.call("wrapped", value="teardown raises")
        assert result.error is not None
        assert result.error.message == "LookupError: after"
        with pytest.raises(nx.HookFailed):
            result.unwrap()


class Assassin:
    """A builtin that ends every worker of its kernel: what a wrapper may meet at its yield."""

    def __init__(self) -> None:
        self.others = psutil.Process().children()

    @nx.HookimplMarker("zoo")
    def wrapped(self, value: object) -> object:
        for zygote in set(psutil.Process().children()) - set(self.others):
            for worker in zygote.children():
                worker.kill()
                worker.wait()
        return value


def test_wrapper_that_dies_at_its_yield_fails_the_hook(open_zoo: Opens) -> None:
    """Its second phase is gone with its worker; a new worker takes the next call."""
    zoo = open_zoo(patient, "wraps.new", builtins={"assassin": Assassin()})
    result = zoo.kernel.call("wrapped", value="x")
    assert [code_of(o) for o in result] == ["ok", "ok", "plugin.crashed"]
    assert result.error is not None
    assert result.error.code == "plugin.crashed"
    zoo.kernel.call("wrapped", value="x")
    assert zoo.kernel.plugins["wraps.new"].starts == 2


class TestOrder:
    """Who is called when, and under which name."""

    def test_order_of_all_styles(self, zoo: Zoo) -> None:
        """tryfirst, then ascending ids, then trylast; modules, instances and classes alike."""
        assert zoo.kernel.hook.ordered(value=1) == ["first", "a", "b", "other", "one", "last"]

    def test_specname_names_the_hook(self, zoo: Zoo) -> None:
        """A hookimpl under another name has its own name in its outcome."""
        outcomes = {(o.plugin, o.impl) for o in zoo.kernel.call("ordered", value=1)}
        assert ("tries.last", "some_other_name") in outcomes

    def test_plugin_implements_a_hook_twice(self, zoo: Zoo) -> None:
        """Both hookimpls are called, with a seed and a row each."""
        result = zoo.kernel.options(only={"twice"}).call("ordered", value=1)
        assert sorted(o.impl for o in result) == ["one", "other"]
        assert len({o.annotations["seed"] for o in result}) == 2

    def test_firstresult_stops_at_the_first_answer(self, zoo: Zoo) -> None:
        """Providers after it are not called; None is no answer."""
        assert [o.plugin for o in zoo.kernel.call("first", value="mine")] == ["plain.a"]
        assert zoo.kernel.hook.first(value="other") == ["b", "other"]
        assert zoo.kernel.hook.first(value="nobody") is None

    def test_failed_firstresult_does_not_fall_through(self, zoo: Zoo) -> None:
        """A guard that failed must not become a yes by the next provider."""
        result = zoo.kernel.call("first", value="fails")
        assert result.error is not None
        assert [code_of(o) for o in result] == ["plugin.raised"]


class TestCoroutines:
    """`async def` hookimpls run on a loop of the worker's own."""

    def test_awaited_result(self, zoo: Zoo) -> None:
        """The value is the coroutine's, with gather and sleep inside."""
        assert zoo.act("awaits", [1, 2, 3]).value == [2, 4, 6]

    def test_exception_of_a_coroutine(self, zoo: Zoo) -> None:
        """It is an outcome like any other, and the next call has a fresh loop."""
        assert code_of(zoo.act("awaits", "raise")) == "plugin.raised"
        assert zoo.answers("awaits")

    def test_brokered_call_from_a_coroutine(self, zoo: Zoo) -> None:
        """context.call works inside one."""
        assert zoo.act("awaits", "ask").value == [["c"]]


class TestHistoric:
    """Historic calls reach every worker that ever starts, before its first call."""

    def test_new_worker_is_told_again(self, open_zoo: Opens) -> None:
        """After a crash the replacement knows what the first one was told, in order."""
        zoo = open_zoo(patient, "remembers")
        for value in ("one", "two"):
            zoo.kernel.hook.told.call_historic(kwargs={"value": value})
        assert zoo.act("remembers").value == ["one", "two"]
        assert code_of(zoo.act("remembers", "end")) == "plugin.crashed"
        assert zoo.act("remembers").value == ["one", "two"]

    def test_replay_is_on_record(self, open_zoo: Opens) -> None:
        """The audit tells a replayed call from the first one."""
        zoo = open_zoo(patient, "remembers")
        zoo.kernel.hook.told.call_historic(kwargs={"value": "one"})
        zoo.act("remembers", "end")
        zoo.act("remembers")
        rows = recorded(zoo.kernel.run, hook="told")
        assert [r.historic for r in rows] == [False, True]

    def test_callback_gets_every_result(self, open_zoo: Opens) -> None:
        """Of the first call, and of each replay."""
        zoo = open_zoo(patient, "remembers")
        found: list[Any] = []
        zoo.kernel.hook.told.call_historic(found.append, {"value": "one"})
        zoo.act("remembers", "end")
        zoo.act("remembers")
        assert found == [["one"], ["one"]]

    def test_late_worker_is_told_at_its_start(self, open_zoo: Opens) -> None:
        """A plugin whose worker had not started yet is called like the others."""
        open_zoo(build, "remembers").kernel.close()  # learns what it implements
        zoo = open_zoo(build, "remembers")
        assert zoo.kernel.health()["remembers"].state == "stopped"
        zoo.kernel.hook.told.call_historic(kwargs={"value": "one"})
        assert zoo.act("remembers").value == ["one"]

    def test_worker_that_starts_between_its_answer_and_the_last_one_is_told(
        self, open_zoo: Opens, tmp_path: Path
    ) -> None:
        """The call is under way, and the plugin's own answer came from a worker that is gone."""
        zoo = open_zoo(patient, "remembers", folders=copies(tmp_path, "remembers", ["late"]))
        with ThreadPoolExecutor() as threads:
            kwargs = {"value": "late waits"}
            telling = threads.submit(zoo.kernel.hook.told.call_historic, kwargs=kwargs)
            go = until_it_waits(tmp_path)
            eventually(lambda: zoo.act("remembers").value == ["late waits"], "the one is told")
            assert code_of(zoo.act("remembers", "end")) == "plugin.crashed"
            assert zoo.act("remembers").value == ["late waits"]
            go.touch()
            telling.result()
        assert zoo.act("remembers").value == ["late waits"]
        assert zoo.act("late").value == ["late waits"]

    def test_worker_that_another_call_starts_first_is_told_once(
        self, open_zoo: Opens, tmp_path: Path
    ) -> None:
        """Its start tells it; the historic call, next in the queue, takes that answer over."""
        zoo, found = open_zoo(patient, "remembers"), []
        slot = zoo.kernel._parts.plant.keepers["remembers"].slot
        with ThreadPoolExecutor() as threads:
            ending = threads.submit(zoo.act, "remembers", "wait and end")
            go = until_it_waits(tmp_path)
            before = threads.submit(zoo.act, "remembers")
            eventually(lambda: len(slot._queue) == 1, "a call waits")
            told = zoo.kernel.hook.told.call_historic
            telling = threads.submit(told, found.append, {"value": "one"})
            eventually(lambda: len(slot._queue) == 2, "the historic call waits behind it")
            go.touch()
            assert code_of(ending.result()) == "plugin.crashed"
            assert before.result().value == ["one"]
            telling.result()
        assert zoo.act("remembers").value == ["one"]
        assert found == [["one"]]


def until_it_waits(place: Path) -> Path:
    """Wait until a plugin below *place* waits; returns the file that lets it go on."""
    found: list[Path] = []

    def waits() -> bool:
        found[:] = place.rglob("waits")
        return bool(found)

    eventually(waits, "the plugin waits")
    return found[0].with_name("go")
