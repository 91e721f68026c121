"""An interrupt ends the call that it strikes, and never the call of somebody else."""

from __future__ import annotations

import itertools
import math
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import nullcontext, suppress
from typing import Any

import pytest

import nxkernel as nx
from nxkernel._locks import holding
from nxkernel.dispatch.errand import Errand
from nxkernel.host.frame import Frame
from nxkernel.host.messenger import Messenger
from tests.process.conftest import Opens
from tests.process.test_errands import in_general
from tests.support.interrupts import interrupted
from tests.support.zoo import PATIENCE_S, events, eventually, patient


class Neighbour:
    """A call from another thread, of the same worker."""

    def __init__(self, call: Callable[[], Any]) -> None:
        self._call = call
        self._thread = threading.Thread(target=self._run)
        #: How many came, and what each of them was given.
        self.came, self.answers = 0, list[Any]()

    def come(self, settled: Callable[[], bool]) -> None:
        """Make the call, and wait until it is over or *settled*."""
        self.came += 1
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        eventually(lambda: settled() or not self._thread.is_alive(), "the neighbour has come")

    def leave(self) -> None:
        """Wait until it has its answer, if it has come."""
        if self.came > len(self.answers):
            self._thread.join(PATIENCE_S)

    def _run(self) -> None:
        self.answers.append(self._call())


#: How calls are made, and where they are struck.
WAYS: list[tuple[Any, str]] = [
    *((nullcontext, file) for file in ("dispatch", "host", "kernel/leg", "kernel/route")),
    *((in_general, file) for file in ("host/slot", "host/transport", "host/conversation")),
]


@pytest.mark.parametrize(("way", "file"), WAYS)
def test_a_neighbour_on_the_same_worker_has_its_answer(
    open_zoo: Opens, way: Any, file: str
) -> None:
    """Whether it waits behind the call that is struck, or has its place already."""
    zoo = open_zoo(patient, "turns")
    call, slot = zoo.kernel.hook.first, zoo.kernel._parts.plant.keepers["turns"].slot
    assert call(value=["give", "x"]) == "x"
    place = zoo.kernel.run.dir / "plugins" / "turns"
    waits, go = place / "waits", place / "go"
    neighbour = Neighbour(lambda: call(value=["wait"]))

    def strike() -> None:
        if not holding():  # Else nobody can come.
            neighbour.come(lambda: bool(slot._queue) or waits.exists())
        raise KeyboardInterrupt

    with way():
        for where in interrupted(lambda: call(value=["give", "x"]), f"nxkernel/{file}", strike):
            go.touch()
            neighbour.leave()
            assert neighbour.answers == ["went"] * neighbour.came, where
            for each in (go, waits):
                each.unlink(missing_ok=True)
    assert neighbour.came >= 6


@pytest.mark.parametrize("file", ["host", "kernel/streams", "dispatch/drivers"])
def test_a_neighbour_on_the_worker_of_a_stream_has_its_answer(open_zoo: Opens, file: str) -> None:
    """Whether it waits for a turn of the stream that is struck, ends one, or has its place."""
    zoo = open_zoo(patient, "flows")
    slot = zoo.kernel._parts.plant.keepers["flows"].slot
    neighbour = Neighbour(lambda: zoo.kernel.hook.echo(value=5))

    def stream() -> None:
        assert list(zoo.kernel.hook.flow(value=["count", 3])) == [0, 1, 2]

    def strike() -> None:
        if not holding():
            neighbour.come(lambda: bool(slot._queue) or any(each.clears for each in slot._stack))
        raise KeyboardInterrupt

    stream()
    for where in interrupted(stream, f"nxkernel/{file}", strike):
        neighbour.leave()
        assert neighbour.answers == [[5]] * neighbour.came, where
        stream()
    assert neighbour.came > 20


def test_a_call_that_has_asked_nothing_yet_is_made_with_another_worker(open_zoo: Opens) -> None:
    """Wherever it is on its way to the worker that another call takes along, it has its answer."""
    zoo = open_zoo(patient, "turns")
    call, keeper = zoo.kernel.hook.first, zoo.kernel._parts.plant.keepers["turns"]
    assert call(value=["give", "x"]) == "x"
    lost = 0

    def strike() -> None:
        nonlocal lost
        worker, stack = keeper.slot.worker, keeper.slot._stack
        if not holding() and worker and not any(each.seq for each in stack):
            lost += 1
            keeper.lose(worker, Frame("another", math.inf), counted=False)

    def work() -> None:
        assert call(value=["give", "x"]) == "x"

    with in_general():
        for file in ("host/transport", "host/losing"):
            for where in interrupted(work, f"nxkernel/{file}", strike):
                assert zoo.answers("turns"), where
    assert lost >= 5


@pytest.mark.parametrize("way", [nullcontext, in_general])
def test_a_worker_that_is_lost_as_a_call_leaves_it_is_buried(open_zoo: Opens, way: Any) -> None:
    """Whoever is there when another call takes a worker along reports its exit, once."""
    zoo = open_zoo(patient, "turns", "flows")
    keepers = {name: zoo.kernel._parts.plant.keepers[name] for name in ("turns", "flows")}
    lost = list[tuple[str, int]]()

    def strike() -> None:
        for name, keeper in keepers.items():
            worker = keeper.slot.worker
            if keeper.slot.occupied and worker and not holding():
                lost.append((name, worker.generation))
                keeper.lose(worker, Frame("another", math.inf), counted=False)

    def work() -> None:
        zoo.ask("turns", "echo", value=1)
        with suppress(nx.NxError):
            list(zoo.kernel.hook.flow(value=["count", 2]))

    with way():
        for file in ("host", "kernel/leg"):
            for _ in itertools.islice(interrupted(work, f"nxkernel/{file}", strike), 250):
                work()
    zoo.kernel.close()
    ended = Counter(
        (each.plugin, each.data["worker"]) for each in events(zoo.kernel.run, "worker.exit")
    )
    assert set(lost) <= ended.keys()
    assert set(ended.values()) == {1}
    assert len(lost) > 50


@pytest.mark.parametrize("file", ["host", "dispatch"])
def test_a_stream_whose_turn_a_struck_call_was_to_end_comes_to_its_end(
    open_zoo: Opens, file: str
) -> None:
    """Its consumer has all of its items, or hears that the worker was lost; nobody waits on."""
    zoo = open_zoo(patient, "flows")
    call, ended = zoo.kernel.hook.echo, list[bool]()
    opened, struck = threading.Semaphore(0), threading.Semaphore(0)

    def consume() -> None:
        items = iter(zoo.kernel.hook.flow(value=["count", 40]))
        try:
            assert next(items) == 0
            opened.release()
            struck.acquire(timeout=PATIENCE_S)
            assert list(items) == list(range(1, 40))
            ended.append(True)
        except nx.HookFailed as problem:
            ended.append(problem.result.error.code == "plugin.crashed")

    def work() -> None:
        thread = threading.Thread(target=consume)
        thread.start()
        assert opened.acquire(timeout=PATIENCE_S)
        try:
            assert call(value=5) == [5]
        finally:
            struck.release()
            thread.join(PATIENCE_S)

    for where in itertools.islice(interrupted(work, f"nxkernel/{file}"), 400):
        assert all(ended), where
        assert call(value=6) == [6], where
    assert len(ended) > 100


def test_a_worker_that_is_lost_to_an_errand_before_it_was_sent_is_buried(
    open_zoo: Opens, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The errand goes on as a general call, with another worker, and the exit is on record."""
    zoo = open_zoo(patient, "turns")
    call, keeper = zoo.kernel.hook.first, zoo.kernel._parts.plant.keepers["turns"]
    assert call(value=["give", "x"]) == "x"
    seat = Messenger.seat

    def seated_in_vain(self: Messenger, errand: Errand) -> bool:
        monkeypatch.undo()
        assert seat(self, errand)
        keeper.lose(errand.frame.worker, Frame("another", math.inf), counted=False)
        return False

    monkeypatch.setattr(Messenger, "seat", seated_in_vain)
    assert call(value=["give", "y"]) == "y"
    assert [each.data["worker"] for each in events(zoo.kernel.run, "worker.exit")] == [1]
