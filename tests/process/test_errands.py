"""Usual calls go as errands, and what is none becomes a general call wherever that turns out."""

from __future__ import annotations

import asyncio
import itertools
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any
from unittest import mock

import attrs
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import nxkernel as nx
from nxkernel._canonical import encode
from nxkernel._clock import Clock, SystemClock
from nxkernel._system.pollers import glimpse
from nxkernel.dispatch.errand import Errand
from nxkernel.dispatch.spin import Spin
from nxkernel.dispatch.tasks import Tasks
from nxkernel.errors import AuditError, CallRejected
from nxkernel.host import messenger
from nxkernel.host.frame import Frame
from nxkernel.host.messenger import Messenger
from nxkernel.kernel import breath, fan
from nxkernel.kernel.fan import Round
from nxkernel.kernel.routes import Routes
from nxkernel.types import CallId
from tests.process.conftest import Opens
from tests.property.test_values import ANYTHING, PLAIN, WILD
from tests.support.interrupts import interrupted, is_waiting
from tests.support.zoo import (
    PATIENCE_S,
    SOON_S,
    Hooks,
    Zoo,
    code_of,
    copies,
    events,
    eventually,
    folder,
    recorded,
)

#: What two calls of the same have each of their own, whichever way they go.
OWN = {"seq", "call_id", "intent_seq", "started_ns", "cpu_us", "peak_kb", "instance"}
TIMES = {"duration_us", "queue_us", "transport_us", "plugin_us", "stack_us"}
KEYS = st.integers(-3, 3) | WILD | st.binary(max_size=3)
#: Of the zoo's hooks: what holds for some of them here.
CONTRACTS = {
    "first": {
        "input": {"properties": {"value": {"items": {"not": {"type": "boolean"}}}}},
        "output": {"not": {"type": "integer"}},
    }
}
#: What the plugin can be told to do that is none of the usual answers, and what comes of it.
UNUSUAL = {
    "raise": "plugin.raised",
    "odd": "contract.output",
    "draw": "ok",
    "try": "ok",
    "die": "plugin.crashed",
}


@pytest.fixture
def awake(zoo: Zoo) -> Zoo:
    """The kernel of all, with the worker that calls go to, whatever the last test has met."""
    assert zoo.answers("turns")
    assert zoo.kernel.options(only={"plain.a"}).hook.first(value="mine") == ["a", "mine"]
    return zoo


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[Errand]:
    """The errands of this test, as they ended."""
    found: list[Errand] = []
    go = Routes.go

    def kept(self: Routes, *arguments: Any, **options: Any) -> Errand | None:
        errand = go(self, *arguments, **options)
        found.extend([] if errand is None else [errand])
        return errand

    monkeypatch.setattr(Routes, "go", kept)
    return found


@pytest.fixture
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wait lasts as long as any machine takes: none has to become a general call for that."""
    for module in (messenger, fan):
        monkeypatch.setattr(module, "AGAIN_S", PATIENCE_S)


@contextmanager
def when_general(place: Path) -> Iterator[None]:
    """Let the plugin at *place*, which waits, go on once the call of this thread is general."""
    resumed = Tasks.resumed

    def made(source: Any) -> Tasks:
        (place / "go").touch()
        return resumed(source)

    with mock.patch.object(Tasks, "resumed", made):
        yield
    (place / "go").unlink()


def standard(run: nx.Run, **audit: Any) -> list[nx.Middleware]:
    """The standard stack, in which no breaker ever opens."""
    allowed = [nx.Rule("allow", "turns", "ordered", id="turns-ordered")]
    return [
        nx.Audit(run.audit_log, **audit),
        nx.PolicyGate(allowed),
        nx.Breaker(failures=10**6),
        nx.Contracts(CONTRACTS),
        nx.Determinism(),
    ]


def over(data: Path, *animals: str | Path, clock: Clock | None = None, **audit: Any) -> nx.Kernel:
    """A kernel over *animals* that gives up on none."""
    run = nx.Run.create(data, seed=7, clock=clock)
    hosting = nx.Hosting(restart_intensity=10**6, timeout_s=PATIENCE_S, backoff_s=0.0)
    plugins = nx.discover(*(folder(a) if isinstance(a, str) else a for a in animals))
    stack = standard(run, **audit)
    return nx.Kernel(
        "zoo", specs=[Hooks], run=run, plugins=plugins, middleware=stack, hosting=hosting
    )


#: Three of a kind, which are asked at once.
THREE = ("one", "two", "three")


def three(data: Path) -> nx.Kernel:
    """A kernel over three of a kind."""
    return over(data / "data", *copies(data / "copies", "turns", THREE))


@pytest.fixture(scope="module")
def zoo(confinement: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Zoo]:
    """One kernel for all that leaves it as it was."""
    with over(tmp_path_factory.mktemp("errands"), "turns", "plain.a") as kernel:
        yield Zoo(kernel)


@contextmanager
def in_general() -> Iterator[None]:
    """No call is made as an errand."""
    with mock.patch.object(Routes, "go", return_value=None):
        yield


def only(zoo: Zoo) -> Any:
    """What calls the one animal."""
    return zoo.kernel.options(only={"turns"})


def said(call: Callable[[], nx.HookResult]) -> Any:
    """What *call* gives, or why it gives nothing; but for ids and times."""
    try:
        result = call()
    except CallRejected as error:
        return error.code, error.message, error.details
    outcomes = [attrs.evolve(each, call_id=CallId("")) for each in result]
    return attrs.evolve(result, outcomes=tuple(outcomes)), [each.ok for each in outcomes]


def rows(zoo: Zoo, since: int) -> list[dict[str, Any]]:
    """The rows of the calls since then, but for what each has of its own."""
    found = [attrs.asdict(row) for row in recorded(zoo.kernel.run)[since:]]
    return [{key: each[key] for key in each if key not in OWN | TIMES} for each in found]


@pytest.mark.usefixtures("unhurried")
def test_a_usual_call_is_an_errand_from_the_first_on(
    open_zoo: Opens, tmp_path: Path, made: list[Errand]
) -> None:
    """It has all that the outcome of a call has, and its row all that a row has."""
    zoo = open_zoo(over, "turns")
    result = zoo.kernel.call("first", value=["give", {"a": [1.5]}])
    assert zoo.kernel.hook.first(value=["give", "x"]) == "x"
    assert [(each.stage, each.taken) for each in made] == [(Errand.ANSWERED, None)] * 2

    (outcome,) = result
    assert (result.value, result.error, result.degraded) == ({"a": [1.5]}, None, False)
    assert (outcome.plugin, outcome.hook, outcome.call_id) == ("turns", "first", "1")
    assert (outcome.timing.instance, outcome.output_bytes) == (1, len(encode(result.value)))
    row, second = recorded(zoo.kernel.run)
    assert (row.status, row.call_id, row.seed) == ("ok", "1", outcome.annotations["seed"])
    assert (row.output_digest, row.plugin_us) == (outcome.output_digest, outcome.timing.plugin_us)
    assert len(row.stack_us or ()) == len(standard(zoo.kernel.run))
    assert (second.status, second.call_id) == ("ok", "2")
    assert zoo.kernel.plugins["turns"].calls == 2


class Held:
    """The clock of a machine that keeps the thread for a second after one of its looks at it."""

    def __init__(self) -> None:
        self._machine, self._away_s, self._looks, self._at = SystemClock(), 0.0, 0, -1

    def hold(self, at: int) -> None:
        """Keep it once, after so many looks."""
        self._looks, self._at = 0, at

    def monotonic(self) -> float:
        """Seconds of the machine's clock, and those for which the thread was kept."""
        now = self._machine.monotonic() + self._away_s
        self._away_s += self._looks == self._at
        self._looks += 1
        return now

    def wall_ns(self) -> int:
        """Nanoseconds of the machine's clock."""
        return self._machine.wall_ns()


@pytest.mark.parametrize("way", ["give", *sorted(UNUSUAL)])
def test_parts_of_a_call_never_exceed_it(
    confinement: None, tmp_path: Path, made: list[Errand], way: str
) -> None:
    """Waiting, crossing and the plugin are within the call, wherever its thread was kept."""
    clock = Held()
    with over(tmp_path, "turns", clock=clock) as kernel:
        for at, how in itertools.product(range(20), (nullcontext, in_general)):
            clock.hold(at)
            with how():
                kernel.call("first", value=[way])
        found = recorded(kernel.run)
    assert made
    crossed = [row for row in found if row.transport_us is not None]
    for row in crossed:
        inside, crossing = row.plugin_us or 0, row.transport_us or 0
        assert inside <= crossing <= crossing + (row.queue_us or 0) <= (row.duration_us or 0), row
    assert len(crossed) >= 40
    assert max(row.transport_us or 0 for row in crossed) >= 10**6


class Slow(nx.Contracts):
    """Takes its time to admit a call, as a thread does that is kept from its processor in there."""

    def usual(self, whom: Any) -> Any:
        """Return the usual steps, with a pause in the first."""
        steps = super().usual(whom)
        assert steps is not None
        return attrs.evolve(steps, admit=lambda _: time.sleep(0.02) is None)


@pytest.mark.parametrize("hook", ["first", "act"])
def test_what_a_layer_takes_is_within_its_call(
    confinement: None, tmp_path: Path, made: list[Any], hook: str
) -> None:
    """Also before the call is on record: layers admit a usual one before any of them begins it."""
    run = nx.Run.create(tmp_path, seed=7)
    stack = [Slow({}) if isinstance(each, nx.Contracts) else each for each in standard(run)]
    plugins = nx.discover(folder("turns"))
    with nx.Kernel("zoo", specs=[Hooks], run=run, plugins=plugins, middleware=stack) as kernel:
        for _ in range(3):
            kernel.call(hook, value=["give", "x"])
    assert made
    for row in recorded(run):
        assert 20_000 <= sum((row.stack_us or ())[1:]) <= (row.duration_us or 0), row


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    hook=st.sampled_from(["first", "act", "again"]),
    value=PLAIN | ANYTHING,
    key=st.none() | KEYS | st.lists(KEYS, max_size=2).map(tuple),
)
@example(hook="first", value=1, key="\ud800")  # of which no seed can be made
def test_both_ways_say_the_same(zoo: Zoo, hook: str, value: Any, key: Any) -> None:
    """Outcome and row of an errand are those of a general call, whatever crosses, or does not."""

    def call() -> nx.HookResult:
        caller = zoo.kernel.options(key=key, only={"turns"})
        return caller.call(hook, value=["give", value])

    known = len(recorded(zoo.kernel.run))
    by_errand = said(call)
    between = len(recorded(zoo.kernel.run))
    with in_general():
        assert said(call) == by_errand
    first, second = rows(zoo, known)[: between - known], rows(zoo, between)
    assert first == second


@pytest.mark.parametrize("hook", ["first", "act", "again"])
@pytest.mark.parametrize("way", sorted(UNUSUAL))
def test_what_is_out_of_the_ordinary_goes_on_in_general(
    zoo: Zoo, made: list[Errand], hook: str, way: str
) -> None:
    """What the worker answers has the outcome, the rows and the events that it has in general."""

    def call() -> Any:
        return said(lambda: zoo.kernel.options(only={"turns"}).call(hook, value=[way]))

    kinds = ("determinism.drawn", "access.denied")
    only(zoo).call("first", value=["die"])  # A worker says once where it drew.
    assert zoo.answers("turns")
    known = len(recorded(zoo.kernel.run))
    seen = [len(events(zoo.kernel.run, kind)) for kind in kinds]
    result = call()
    more = [len(events(zoo.kernel.run, kind)) - n for kind, n in zip(kinds, seen, strict=True)]
    assert made[-1].taken is not None
    assert made[-1].taken.done
    by_errand = rows(zoo, known)
    assert {row["error_code"] or "ok" for row in by_errand} == {UNUSUAL[way]}

    only(zoo).call("first", value=["die"])
    assert zoo.answers("turns")
    between = len(recorded(zoo.kernel.run))
    with in_general():
        again = call()
    assert _without_logs(again) == _without_logs(result)
    assert [_without_details(row) for row in rows(zoo, between)] == [
        _without_details(row) for row in by_errand
    ]
    assert more == [int(way == "draw"), int(way == "try")]


def _without_logs(what: Any) -> str:
    """What is said, but for the ends of logs and places, which grow with each worker."""
    result, ok = what
    return f"{result.value} {result.error and result.error.code} {result.degraded} {ok}"


def _without_details(row: dict[str, Any]) -> dict[str, Any]:
    return {key: row[key] for key in row if key != "details"}


def test_no_answer_asks_the_next_one(awake: Zoo, made: list[Errand]) -> None:
    """None is no answer, of an errand as well: its outcome comes first, then the next one's."""
    zoo = awake
    known = len(recorded(zoo.kernel.run))
    result = zoo.kernel.call("first", value=["give", "mine"])
    assert result.value == "mine"
    assert [each.plugin for each in result] == ["plain.a", "turns"]
    assert [row["plugin"] for row in rows(zoo, known)] == ["plain.a", "turns"]
    assert made[0].taken is not None


def test_a_plugin_may_ask_in_the_middle_of_an_errand(awake: Zoo, made: list[Errand]) -> None:
    """Its brokered call is a part of the same call tree."""
    zoo = awake
    known = len(recorded(zoo.kernel.run))
    result = only(zoo).call("first", value=["ask", 5])
    assert result.value == [5, ["a"]]
    parent, child = rows(zoo, known)
    assert (parent["hook"], child["hook"], child["depth"]) == ("first", "ordered", 1)
    assert child["parent"] == result[0].call_id == made[0].call_id


def test_a_contract_holds_on_both_ways(awake: Zoo, made: list[Errand]) -> None:
    """Arguments are refused before anything is sent, a result before anybody has it."""
    zoo = awake
    assert code_of(only(zoo).call("first", value=["give", True])[0]) == "contract.input"
    assert made == []
    assert code_of(only(zoo).call("first", value=["give", 5])[0]) == "contract.output"
    assert made[0].taken is not None
    assert zoo.answers("turns")


def test_a_call_may_take_longer_than_a_look_or_a_wait(awake: Zoo, made: list[Errand]) -> None:
    """Who blocks looks again after a second; from then on it is a general call."""
    zoo = awake
    with when_general(zoo.kernel.run.dir / "plugins" / "turns"):
        assert only(zoo).hook.first(value=["wait"]) == "went"
    assert made[0].taken is not None


def test_the_deadline_of_an_errand_holds(awake: Zoo, made: list[Errand]) -> None:
    """The worker is ended, and the next call has another."""
    zoo = awake
    result = zoo.kernel.options(timeout=SOON_S, only={"turns"}).call("first", value=["sleep", 3600])
    assert code_of(result[0]) == "plugin.timeout"
    assert made[0].taken is not None
    assert zoo.answers("turns")


def test_a_lost_errand_may_be_made_again(open_zoo: Opens, made: list[Errand]) -> None:
    """An idempotent one: each attempt has its intent and its row, and the same seed."""
    zoo = open_zoo(over, "turns")
    result = zoo.kernel.options(only={"turns"}).call("again", value=["die_once"])
    assert (result.value, result[0].attempts) == (["once more"], 2)
    first, second = recorded(zoo.kernel.run)
    assert (first.attempt, first.error_code) == (1, "plugin.crashed")
    assert (second.attempt, second.status, second.seed) == (2, "ok", first.seed)
    assert made[0].taken is not None


class Broken:
    """Breaks the audit's writer when it is told to."""

    def __init__(self, log: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        self.what: set[str] = set()
        for name in ("intend", "finish"):
            monkeypatch.setattr(log._writer, name, self.around(name, getattr(log._writer, name)))

    def around(self, name: str, write: Any) -> Any:
        def tried(*arguments: Any) -> Any:
            if name in self.what:
                raise AuditError(f"no room to {name}")
            return write(*arguments)

        return tried


@pytest.mark.parametrize("on_error", ["fail", "warn", "halt"])
@pytest.mark.parametrize("what", ["intend", "finish"])
def test_what_cannot_be_put_on_record(
    confinement: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, on_error: str, what: str
) -> None:
    """An errand is not made, or its answer withheld, or all goes on: as ``on_error`` says."""
    halts = on_error == "halt"
    ends = pytest.raises(AuditError, match="no room") if halts else nullcontext()
    with ends, over(tmp_path, "turns", on_error=on_error) as kernel:
        assert kernel.hook.first(value=["give", "a"]) == "a"
        broken = Broken(kernel.run.audit_log, monkeypatch)
        broken.what = {what}
        (outcome,) = kernel.call("first", value=["give", "b"])
        broken.what = set()
        if on_error == "warn":
            assert outcome.value == "b"
        else:
            was = "was made and its result is withheld" if what == "finish" else "was not made"
            assert outcome.error is not None
            assert (outcome.error.code, outcome.fault) == ("audit.failed", "host")
            assert was in outcome.error.message
        (later,) = kernel.call("first", value=["give", "c"])
        assert code_of(later) == ("audit.failed" if halts else "ok")


def test_an_interrupt_ends_an_errand_wherever_it_strikes(open_zoo: Opens) -> None:
    """What is on record of it says that it is over, and nothing of it is in the next one's way."""
    zoo = open_zoo(over, "turns")
    call, parts = only(zoo).hook.first, zoo.kernel._lifetime.parts
    assert call(value=["give", "x"]) == "x"
    struck = []
    for where in interrupted(lambda: call(value=["give", "x"])):
        struck.append(str(where))
        assert parts.traffic.calls == 0, where
        order = parts.registry.enter()
        assert order.calls == 1, where
        parts.registry.leave(order)
    assert call(value=["give", "y"]) == "y"

    found = recorded(zoo.kernel.run)
    assert len(struck) / 2 < len(found) <= len(struck) + 2
    assert {row.status for row in found} == {"ok", "error"}
    failed = {(row.error_code, row.fault) for row in found if row.status == "error"}
    assert failed == {("call.cancelled", "caller")}
    for place in ("Leg.begun", "Route._made", "Messenger.", "Leg._answered", "Spool.finish"):
        assert any(place in each for each in struck), place


def test_a_handler_of_a_signal_takes_an_errand_further(open_zoo: Opens, made: list[Errand]) -> None:
    """Its own call waits for the same worker, and both end with their answers."""
    zoo = open_zoo(over, "turns")
    place = zoo.kernel.run.dir / "plugins" / "turns"
    main, answers = threading.main_thread().ident, list[Any]()
    assert main is not None
    assert zoo.answers("turns")

    def handler(*_: object) -> None:
        (place / "go").touch()
        answers.append(zoo.kernel.hook.first(value=["give", "inner"]))

    def strike() -> None:
        eventually((place / "waits").exists, "the errand is under way")
        eventually(lambda: is_waiting(main), "its thread waits")
        signal.pthread_kill(main, signal.SIGUSR1)

    before, other = signal.signal(signal.SIGUSR1, handler), threading.Thread(target=strike)
    other.start()
    try:
        assert zoo.kernel.hook.first(value=["wait"]) == "went"
    finally:
        other.join()
        signal.signal(signal.SIGUSR1, before)
    assert answers == ["inner"]


def test_a_plugin_is_removed_after_its_errand(open_zoo: Opens, made: list[Errand]) -> None:
    """An errand under way holds the order by which it was asked."""
    zoo = open_zoo(over, "turns")
    place, ends = zoo.kernel.run.dir / "plugins" / "turns", list[Any]()
    assert zoo.answers("turns")
    call = threading.Thread(
        target=lambda: ends.append(zoo.kernel.hook.first(value=["wait"])), daemon=True
    )
    call.start()
    eventually((place / "waits").exists, "the errand is under way")
    removal = threading.Thread(target=lambda: zoo.kernel.remove("turns"), daemon=True)
    removal.start()
    eventually(lambda: "turns" not in zoo.kernel.plugins or removal.is_alive(), "it is under way")
    (place / "go").touch()
    call.join(PATIENCE_S)
    removal.join(PATIENCE_S)
    assert ends == ["went"]
    assert "turns" not in zoo.kernel.plugins
    assert zoo.kernel.hook.first(value=["give", 1]) is None


def test_a_worker_that_another_session_loses_is_buried_by_the_errand_on_it(
    open_zoo: Opens, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its answer was taken just before: it counts, and nothing of the worker stays open."""
    zoo = open_zoo(over, "turns")
    assert zoo.answers("turns")
    lost, take = list[Any](), Messenger.take

    def taken(self: Messenger, errand: Errand, message: Any) -> bool:
        found = take(self, errand, message)
        if not lost:
            lost.append(errand.frame.worker)
            self._keeper.lose(lost[0], Frame("another", 0.0), counted=False)
        return found

    monkeypatch.setattr(Messenger, "take", taken)
    zoo.kernel.call("first", value=["give", "x"])
    assert lost[0].channel.result == -1, "its pipes are closed"
    assert zoo.kernel.hook.first(value=["give", "y"]) == "y"


@pytest.mark.parametrize("hook", ["first", "act"])
@pytest.mark.parametrize("step", ["admit", "begin", "accept", "end"])
def test_a_layer_that_breaks_is_an_outcome(
    open_zoo: Opens, monkeypatch: pytest.MonkeyPatch, hook: str, step: str
) -> None:
    """Never an exception of ours in the application; the next call finds all in order."""
    broken = set[str]()

    def breaking(self: Any, whom: Any) -> Any:
        steps = usual(self, whom)
        assert steps is not None
        inner = getattr(steps, step)

        def stepped(errand: Errand) -> Any:
            if broken:
                raise ZeroDivisionError("a layer of ours is broken")
            return inner(errand) if inner else True

        return attrs.evolve(steps, **{step: stepped})

    layer = nx.Audit if step in ("begin", "end") else nx.Contracts
    usual = layer.usual
    monkeypatch.setattr(layer, "usual", breaking)
    zoo = open_zoo(over if hook == "first" else three, *(["turns"] if hook == "first" else []))
    caller = zoo.kernel
    expected = "x" if hook == "first" else ["x"] * 3
    assert caller.call(hook, value=["give", "x"]).value == expected
    broken.add("now")
    result = caller.call(hook, value=["give", "x"])
    if step == "end":
        assert {code_of(each) for each in result} == {"middleware.failed"}
    else:  # The general way, which is not broken here, has the last word.
        assert result.value == expected
    broken.clear()
    assert caller.call(hook, value=["give", "x"]).value == expected


# -- to several at once ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trio(confinement: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Zoo]:
    """One kernel over three of a kind for all that leaves it as it was."""
    with three(tmp_path_factory.mktemp("rounds")) as kernel:
        kernel.hook.act(value=["give", 1])
        yield Zoo(kernel)


@pytest.mark.usefixtures("unhurried")
def test_a_fan_out_is_a_round_of_errands(trio: Zoo, made: list[Any]) -> None:
    """Each provider is asked by one; values come in their order, without those that are none."""
    trio.kernel.hook.act(value=["give", "all of them have a worker"])
    made.clear()
    assert trio.kernel.hook.act(value=["give", "x"]) == ["x"] * 3
    result = trio.kernel.call("act", value=["for", "three", ["give", None], ["give", [2.5]]])
    assert result.value == [[2.5]] * 2
    assert sorted(each.plugin for each in result if each.value is None) == ["three"]
    assert not result.degraded
    assert trio.kernel.hook.act(value=["give", None]) == []
    assert [(type(each), each.taken, each.unusual) for each in made] == [(Round, None, False)] * 3


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(value=PLAIN | ANYTHING, key=st.none() | KEYS)
def test_both_ways_to_several_say_the_same(trio: Zoo, value: Any, key: Any) -> None:
    """Outcomes and rows of a round are those of a general call, in the same order."""

    def call() -> nx.HookResult:
        return trio.kernel.options(key=key).call("act", value=["give", value])

    known = len(recorded(trio.kernel.run))
    by_errands = said(call)
    between = len(recorded(trio.kernel.run))
    with in_general():
        assert said(call) == by_errands
    first, second = rows(trio, known)[: between - known], rows(trio, between)
    assert sorted(first, key=str) == sorted(second, key=str)


@pytest.mark.parametrize("which", THREE)
@pytest.mark.parametrize("way", [*sorted(UNUSUAL), "wait"])
def test_one_of_several_may_be_out_of_the_ordinary(
    trio: Zoo, made: list[Any], way: str, which: str
) -> None:
    """It goes on in general, and the others' answers stay what they are."""
    place = trio.kernel.run.dir / "plugins" / which
    alone = trio.kernel.options(only={which})
    alone.call("first", value=["die"])  # A worker says once where it drew.
    trio.kernel.hook.act(value=["give", "all of them have one"])
    made.clear()
    known = len(recorded(trio.kernel.run))
    with when_general(place) if way == "wait" else nullcontext():
        result = trio.kernel.call("act", value=["for", which, [way], ["give", "x"]])
    assert made[0].taken is not None
    code = UNUSUAL.get(way, "ok")
    assert {each.plugin: code_of(each) for each in result} == dict.fromkeys(THREE, "ok") | {
        which: code
    }
    assert result.value.count("x") == 2
    assert result.degraded == (code != "ok")
    assert {row["plugin"]: row["error_code"] or "ok" for row in rows(trio, known)} == {
        each.plugin: code_of(each) for each in result
    }


def test_one_that_has_another_call_is_asked_when_it_is_free(
    open_zoo: Opens, made: list[Any]
) -> None:
    """The others are asked at once, by errands if they come before it."""
    zoo = open_zoo(three)
    zoo.kernel.hook.act(value=["give", 1])
    place, ends = zoo.kernel.run.dir / "plugins" / "two", list[Any]()
    busy = threading.Thread(
        target=lambda: ends.append(
            zoo.kernel.options(only={"two"}).hook.first(value=["wait"]),
        )
    )
    busy.start()
    eventually((place / "waits").exists, "its worker has a call")
    other = threading.Thread(target=lambda: ends.append(zoo.kernel.hook.act(value=["give", "x"])))
    other.start()
    (place / "go").touch()
    busy.join(PATIENCE_S)
    other.join(PATIENCE_S)
    assert sorted(ends, key=str) == sorted(["went", ["x"] * 3], key=str)


def test_an_interrupt_ends_a_round_wherever_it_strikes(open_zoo: Opens) -> None:
    """What is on record of its errands says that they are over; none is in the next one's way."""
    zoo = open_zoo(three)
    call, parts = zoo.kernel.hook.act, zoo.kernel._lifetime.parts
    assert call(value=["give", "x"]) == ["x"] * 3
    struck = []
    for where in itertools.islice(interrupted(lambda: call(value=["give", "x"])), 900):
        struck.append(str(where))
        assert parts.traffic.calls == 0, where
        order = parts.registry.enter()
        assert order.calls == 1, where
        parts.registry.leave(order)
    assert call(value=["give", "y"]) == ["y"] * 3
    found = recorded(zoo.kernel.run)
    assert {row.status for row in found} == {"ok", "error"}
    failed = {(row.error_code, row.fault) for row in found if row.status == "error"}
    assert failed == {("call.cancelled", "caller")}
    for place in ("Fan._sent", "Leg.begun", "Fan._waited", "Leg.hear"):
        assert any(place in each for each in struck), place


def test_a_handler_of_a_signal_takes_a_round_further(open_zoo: Opens, made: list[Any]) -> None:
    """Its own call waits for one of the same workers, and both end with their answers."""
    zoo = open_zoo(three)
    zoo.kernel.hook.act(value=["give", 1])
    place = zoo.kernel.run.dir / "plugins" / "two"
    main, answers = threading.main_thread().ident, list[Any]()
    assert main is not None

    def handler(*_: object) -> None:
        (place / "go").touch()
        answers.append(zoo.kernel.options(only={"two"}).hook.first(value=["give", "inner"]))

    def strike() -> None:
        eventually((place / "waits").exists, "the round is under way")
        eventually(lambda: is_waiting(main), "its thread waits")
        signal.pthread_kill(main, signal.SIGUSR1)

    before, other = signal.signal(signal.SIGUSR1, handler), threading.Thread(target=strike)
    other.start()
    try:
        value = zoo.kernel.hook.act(value=["for", "two", ["wait"], ["give", "x"]])
        assert sorted(value) == ["went", "x", "x"]
    finally:
        other.join()
        signal.signal(signal.SIGUSR1, before)
    assert answers == ["inner"]


@pytest.mark.parametrize("hook", ["first", "act"])
def test_a_call_of_a_handler_at_any_place_changes_nothing(
    open_zoo: Opens, tmp_path: Path, hook: str
) -> None:
    """Whatever it takes further, each provider is asked once, and has one row with its answer."""
    zoo = open_zoo(lambda data: over(data, *copies(tmp_path / "copies", "turns", [*THREE, "four"])))
    ours, theirs = zoo.kernel.options(only=set(THREE)), zoo.kernel.options(only={"four"})
    call, other = getattr(ours.hook, hook), theirs.hook.first
    expected = ["x"] * 3 if hook == "act" else "x"
    assert call(value=["give", "x"]) == expected
    assert other(value=["give", "y"]) == "y"
    made, handled, struck = 1, 1, list[str]()

    def work() -> None:
        nonlocal made
        made += 1
        assert call(value=["give", "x"]) == expected

    def strike() -> None:
        nonlocal handled
        handled += 1
        assert other(value=["give", "y"]) == "y"

    # Where no lock is held: a handler that calls while its thread has one waits for ever.
    for file in ("kernel/fan.py", "kernel/leg.py", "kernel/route.py", "host/messenger.py"):
        struck += map(str, interrupted(work, f"nxkernel/{file}", strike))
    found = recorded(zoo.kernel.run)
    assert {row.status for row in found} == {"ok"}
    asked = Counter(row.plugin for row in found)
    assert asked.pop("four") == handled
    assert asked == dict.fromkeys(THREE if hook == "act" else ["one"], made)
    assert any("Leg.hear" in each for each in struck)


@pytest.mark.parametrize("sees", [True, False])
def test_an_awaited_round_has_its_answers_by_both_ways(
    open_zoo: Opens, monkeypatch: pytest.MonkeyPatch, made: list[Any], sees: bool
) -> None:
    """Looks see them, or the event loop waits for them: in a general call."""
    monkeypatch.setattr(
        Spin, "glance_of", lambda *_: lambda fd, _: sees and glimpse(fd, PATIENCE_S)
    )
    zoo = open_zoo(three)
    zoo.kernel.hook.act(value=["give", 1])

    async def main() -> list[Any]:
        calls = (zoo.kernel.acall("act", value=["give", str(n)]) for n in range(5))
        return [result.value for result in await asyncio.gather(*calls)]

    assert asyncio.run(main()) == [[str(n)] * 3 for n in range(5)]


# -- in an event loop ------------------------------------------------------------------------------


@pytest.mark.usefixtures("unhurried")
@pytest.mark.parametrize("sees", [True, False])
def test_an_awaited_errand_has_its_answer_by_both_ways(
    open_zoo: Opens, monkeypatch: pytest.MonkeyPatch, made: list[Errand], sees: bool
) -> None:
    """A look sees it, or the event loop waits for it: in a general call."""

    def glance(fd: int, block: Callable[[], Any]) -> bool:
        return sees and bool(block())

    monkeypatch.setattr(Spin, "glance_of", lambda *_: glance)
    zoo = open_zoo(over, "turns")

    async def main() -> list[Any]:
        calls = (zoo.kernel.acall("first", value=["give", str(n)]) for n in range(5))
        return [result.value for result in await asyncio.gather(*calls)]

    assert zoo.answers("turns")
    assert asyncio.run(main()) == ["0", "1", "2", "3", "4"]
    assert [each.taken is None for each in made[1:]] == [True] * 5 if sees else [False]


def test_an_errand_in_an_event_loop_is_cancelled_with_its_task(
    open_zoo: Opens, made: list[Errand]
) -> None:
    """Its worker is told, its row says so, and the next call is answered."""
    zoo = open_zoo(over, "turns")
    place = zoo.kernel.run.dir / "plugins" / "turns"
    assert zoo.answers("turns")

    async def main() -> None:
        task = asyncio.ensure_future(zoo.kernel.acall("first", value=["wait"]))
        while not (place / "waits").exists():
            await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (await zoo.kernel.acall("first", value=["give", "next"])).value == "next"

    asyncio.run(main())
    assert made[1].taken is not None
    assert [row.error_code for row in recorded(zoo.kernel.run)][-2:] == ["call.cancelled", None]


def test_an_event_loop_has_its_turns_between_errands(
    open_zoo: Opens, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However soon each is answered: who awaits one after another does not keep the loop."""
    monkeypatch.setattr(Spin, "glance_of", lambda *_: lambda _, block: bool(block()))
    monkeypatch.setattr(breath, "LONGEST_S", 0.0)
    zoo = open_zoo(over, "turns")
    assert zoo.answers("turns")

    async def main() -> int:
        turns, calls = 0, asyncio.ensure_future(many())
        while not calls.done():
            turns += 1
            await asyncio.sleep(0)
        return turns

    async def many() -> None:
        for n in range(20):
            await zoo.kernel.acall("first", value=["give", str(n)])

    assert asyncio.run(main()) >= 20
