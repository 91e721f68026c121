"""Who is blamed for a worker that is gone: whoever took it down, and nobody who lost by that."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from nxkernel._canonical import encode
from nxkernel._wire import Broker, Halt, Invoke, Item, More, Pause, Paused
from nxkernel.dispatch.drivers import drive_blocking
from nxkernel.dispatch.effects import Effects, Gate, Signal
from nxkernel.dispatch.tasks import Tasks
from nxkernel.host import slot
from nxkernel.host.slot import RETIRED
from nxkernel.host.transport import Brokered
from nxkernel.types import Outcome
from tests.support.calls import FakeClock
from tests.support.fake_workers import Ended, Host, Peer, answering, echo, the_call

BLAMELESS = ("plugin.crashed", "host")


def verdict(outcome: Outcome) -> tuple[str, str | None]:
    """Code and fault."""
    assert outcome.error is not None
    return outcome.error.code, outcome.fault


def lost_by(outcome: Outcome) -> Any:
    assert outcome.error is not None
    return outcome.error.details.get("lost_by")


class Worker:
    """A script: it streams in turns, echoes, and at other calls does what they are named for."""

    def __init__(self) -> None:
        self.reached = threading.Event()

    def __call__(self, peer: Peer, message: Any) -> None:
        if isinstance(message, More) or (isinstance(message, Invoke) and message.window):
            peer.send(Item(message.seq, encode("an item"), []), Paused(message.seq, 1))
        elif isinstance(message, Invoke) and message.impl == "waits":
            self.reached.set()
            peer.wait()
        elif isinstance(message, Invoke) and message.impl == "dies":
            raise Ended
        elif isinstance(message, Invoke):
            echo(peer, message)
        elif isinstance(message, Halt):
            raise AssertionError("between two turns nobody says that")
        # A Pause may have crossed the Paused that it asks for.


def first_of(host: Host) -> Tasks:
    """A stream that has given its first item, and whose turn is over."""
    tasks = Tasks(host.transport.exchange(the_call(host.clock, stream=True, call_id="1")))
    drive_blocking(tasks, host.clock, host.bell)
    assert tasks.offer is not None
    host.call(call_id="2")  # ends the turn that is open
    return tasks


def last_of(host: Host, tasks: Tasks) -> Outcome:
    """What becomes of it."""
    while not tasks.done:
        tasks.answer(Signal.READY)
        drive_blocking(tasks, host.clock, host.bell)
    outcome: Outcome = tasks.result
    return outcome


def cancelled(host: Host, worker: Worker, call_id: str) -> Outcome:
    """A call of somebody who goes away while the worker is at it."""
    call = the_call(host.clock, impl="waits", call_id=call_id)
    tasks = Tasks(host.transport.exchange(call))
    tasks.step()
    while not worker.reached.is_set():
        tasks.ready({wait.read for wait in tasks.waits})
        tasks.retry()
        tasks.step()
    tasks.cancel()
    tasks.step()
    assert tasks.done
    outcome: Outcome = tasks.result
    return outcome


def overrun(host: Host, worker: Worker, call_id: str) -> Outcome:
    """A call whose time is over once the worker is at it."""

    def pass_time() -> None:
        worker.reached.wait()
        host.clock.now += 1.0

    passing = threading.Thread(target=pass_time)
    passing.start()
    outcome = host.call(impl="waits", call_id=call_id, timeout=0.05)
    passing.join()
    return outcome


def taken_down(host: Host, worker: Worker, how: str, call_id: str = "3") -> Outcome:
    """A call that ends the worker, and what became of it."""
    if how == "cancelled":
        return cancelled(host, worker, call_id)
    if how == "overran":
        return overrun(host, worker, call_id)
    return host.call(impl="dies", call_id=call_id)


WAYS = {
    "cancelled": ("call.cancelled", "caller"),
    "overran": ("plugin.timeout", "plugin"),
    "dies": ("plugin.crashed", "plugin"),
}


@pytest.mark.parametrize("how", WAYS)
def test_a_stream_between_two_turns_is_lost_by_whoever_took_its_worker_down(how: str) -> None:
    """The plugin is blamed for what it did, once, and the stream names the call."""
    worker = Worker()
    with Host([answering(worker), answering(Worker())], clock=FakeClock()) as host:
        tasks = first_of(host)
        assert verdict(taken_down(host, worker, how)) == WAYS[how]
        outcome = last_of(host, tasks)
        assert (verdict(outcome), lost_by(outcome)) == (BLAMELESS, "3")
        assert outcome.items == 1
        assert host.call().ok


@pytest.mark.parametrize("how", WAYS)
def test_a_wrapper_is_lost_by_whoever_took_its_worker_down(how: str) -> None:
    """Its second phase comes back to a worker that is gone, or to the next one."""
    worker = Worker()
    with Host([answering(worker), answering(Worker())], clock=FakeClock()) as host:
        token = host.call(phase="setup").annotations["token"]
        taken_down(host, worker, how)
        gone = [host.call(phase="teardown", token=token)]
        assert host.call().ok
        gone.append(host.call(phase="teardown", token=token))
        assert [(verdict(each), lost_by(each)) for each in gone] == [(BLAMELESS, "3")] * 2


def test_the_loss_is_known_however_many_workers_came_after() -> None:
    """Each worker's end has its own account, whoever ended the next one."""
    workers = [Worker() for _ in range(3)]
    with Host([answering(each) for each in workers]) as host:
        tokens = []
        for number, worker in enumerate(workers):
            tokens.append(host.call(phase="setup").annotations["token"])
            taken_down(host, worker, "cancelled", f"by {number}")
        gone = [host.call(phase="teardown", token=token) for token in tokens]
        assert [lost_by(each) for each in gone] == ["by 0", "by 1", "by 2"]


def test_what_is_kept_of_losses_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest go first; the others stay."""
    monkeypatch.setattr(slot, "_LOSSES", 2)
    place = slot.Slot(threading.Lock(), lambda *_: None)
    for generation in range(4):
        place.note_loss(generation, f"by {generation}")
    assert [place.loser(each) for each in range(4)] == [None, None, "by 2", "by 3"]


def test_a_worker_that_ends_while_nobody_calls_is_the_plugins_doing() -> None:
    """Nobody took it down: the wrapper that it held has failed by itself."""
    with Host([answering(echo)] * 2) as host:
        token = host.call(phase="setup").annotations["token"]
        host.zygote.kill(0)
        worker = host.keeper.slot.worker
        assert worker is not None
        while not worker.channel.closed:
            worker.channel.pump()
        assert verdict(host.call(phase="teardown", token=token)) == ("plugin.crashed", "plugin")


def test_who_ends_a_turn_of_a_stream_and_goes_away_is_not_its_consumer() -> None:
    """The turn calls back when he goes, so the worker goes too: the stream is lost by his call."""
    asked = threading.Event()

    def never(*_: Any) -> Effects[Brokered]:
        asked.set()
        yield Gate(lambda: False)
        return Brokered(payload=encode(None))

    def script(peer: Peer, message: Any) -> None:
        if isinstance(message, Invoke) and message.window is not None:
            peer.send(Item(message.seq, encode("an item"), []))
            assert isinstance(peer.receive(), Pause)
            peer.send(Broker(1, message.seq, "other", encode({}), 0, []))
        elif isinstance(message, Invoke):
            echo(peer, message)

    with Host([answering(script), answering(echo)], broker=never) as host:
        tasks = Tasks(host.transport.exchange(the_call(host.clock, stream=True, call_id="1")))
        drive_blocking(tasks, host.clock, host.bell)
        stranger = Tasks(host.transport.exchange(the_call(host.clock, call_id="2")))
        stranger.step()
        while not asked.is_set():
            stranger.ready({wait.read for wait in stranger.waits})
            stranger.step()
        stranger.cancel()
        stranger.step()
        assert verdict(stranger.result) == ("call.cancelled", "caller")
        outcome = last_of(host, tasks)
        assert (verdict(outcome), lost_by(outcome)) == (BLAMELESS, "2")
        assert host.keeper.supervisor.supervision.deaths == ()
        assert host.call().ok


# -- a worker that is lost before its first call ---------------------------------------------------


def replaying(host: Host, call_id: str) -> Effects[None]:
    yield from host.transport.exchange(
        the_call(host.clock, impl="waits", historic=True, call_id=call_id)
    )


def test_a_caller_that_goes_away_while_history_is_told_has_cancelled_his_call() -> None:
    """What was being told goes with him, and the worker with that: it is his doing."""
    worker = Worker()

    def replay() -> Effects[None]:
        return replaying(host, "told") if not worker.reached.is_set() else nothing()

    with Host([answering(worker), answering(echo)], replay=replay) as host:
        outcome = cancelled(host, worker, "1")
        assert verdict(outcome) == ("call.cancelled", "caller")
        assert host.keeper.supervisor.supervision.deaths == ()
        assert host.call().ok


def nothing() -> Effects[None]:
    yield from ()


def test_a_start_that_is_lost_by_another_callers_historic_call_costs_nobody_his() -> None:
    """That one came on top of the start, and its caller went away: there is another worker."""
    worker, told = Worker(), threading.Event()

    def replay() -> Effects[None]:
        yield Gate(told.is_set)

    with Host([answering(worker), answering(echo)], replay=replay) as host:
        starting = Tasks(host.transport.exchange(the_call(host.clock, call_id="1")))
        starting.step()
        while host.keeper.slot.worker is None or not host.keeper.slot._stack[0].starting:
            starting.ready({wait.read for wait in starting.waits})
            starting.retry()
            starting.step()
        call = the_call(host.clock, impl="waits", historic=True, call_id="2")
        other = Tasks(host.transport.exchange(call))
        other.step()
        while not worker.reached.is_set():
            other.ready({wait.read for wait in other.waits})
            other.retry()
            other.step()
        other.cancel()
        other.step()
        assert verdict(other.result) == ("call.cancelled", "caller")
        told.set()
        while not starting.done:
            starting.ready({wait.read for wait in starting.waits})
            starting.retry()
            starting.step()
        assert starting.result.ok
        assert host.keeper.supervisor.supervision.deaths == ()
        assert host.call().ok


def test_a_start_over_which_the_plugin_is_removed_says_so() -> None:
    """Neither the plugin's fault, nor the end of the kernel."""
    worker = Worker()

    def replay() -> Effects[None]:
        return replaying(host, "told")

    with Host([answering(worker)], replay=replay) as host:
        outcomes: list[Outcome] = []
        thread = threading.Thread(target=lambda: outcomes.append(host.call()))
        thread.start()
        assert worker.reached.wait(20)
        host.keeper.retire(RETIRED)
        thread.join()
        assert [verdict(each) for each in outcomes] == [("plugin.retired", "host")]
