"""Rounds: idle workers are asked whether they are there, and the dead are buried.

The workers are scripts, the clock moves when it is told to, and the rounds are made by hand.
"""

from __future__ import annotations

import threading

import pytest

from nxkernel._canonical import encode
from nxkernel._wire import Forsake, Invoke, Ping, Pong, Result
from nxkernel.dispatch.tasks import Tasks
from nxkernel.errors import AuditError
from nxkernel.host.rounds import Rounds
from tests.support.calls import FakeClock
from tests.support.fake_workers import (
    Ended,
    Host,
    Peer,
    Script,
    answering,
    echo,
    greeting,
    the_call,
)
from tests.support.zoo import eventually


def pinged(answer: bool = True, *, asked: threading.Event | None = None) -> Script:
    """A good worker, or one that hangs at the first ping."""

    def serve(peer: Peer, message: Invoke | Ping) -> None:
        if isinstance(message, Invoke):
            echo(peer, message)
            return
        if asked is not None:
            asked.set()
        if not answer:
            peer.wait()
        peer.send(Pong(message.seq))

    return answering(serve)


def rounds(host: Host, interval: float | None = 30.0) -> Rounds:
    return Rounds(lambda: [host.keeper], host.clock, interval_s=interval, timeout_s=10.0)


def pass_idle_time(host: Host, made: Rounds) -> None:
    """Let the worker be seen idle, and the interval go by."""
    made.make()
    host.clock.now += 30.0
    made.make()


def answered(host: Host, made: Rounds, pings: int = 1) -> None:
    def heard() -> bool:
        made.make()
        return host.keeper.pings == pings

    eventually(heard, "the worker answered its ping")


def test_an_idle_worker_is_asked_and_goes_on() -> None:
    """Once in each interval; nobody notices."""
    with Host([pinged()], clock=FakeClock()) as host:
        assert host.call().ok
        made = rounds(host)
        for number in (1, 2):
            pass_idle_time(host, made)
            answered(host, made, number)
        assert host.call().ok
        assert (host.starts, host.keeper.pings, host.keeper.pings_missed) == (1, 2, 0)


def test_a_worker_that_is_called_is_not_asked() -> None:
    """Its answers show that it is there."""
    with Host([pinged()], clock=FakeClock()) as host:
        made = rounds(host)
        host.broker = None
        assert host.call().ok
        made.make()
        host.clock.now += 29.0
        made.make()
        worker = host.keeper.slot.worker
        assert worker is not None
        assert worker.asked is None


def test_no_interval_asks_nobody() -> None:
    """Pings can be switched off; the dead are buried all the same."""
    with Host([pinged()], clock=FakeClock()) as host:
        assert host.call().ok
        made = rounds(host, None)
        pass_idle_time(host, made)
        worker = host.keeper.slot.worker
        assert worker is not None
        assert worker.asked is None


def test_a_plugin_that_is_being_debugged_is_not_asked() -> None:
    """Whoever types at its prompt has no ten seconds to answer in."""
    with Host([pinged()], clock=FakeClock()) as host:
        host.keeper.patient = True
        assert host.call().ok
        pass_idle_time(host, rounds(host))
        worker = host.keeper.slot.worker
        assert worker is not None
        assert worker.asked is None


def test_a_worker_that_does_not_answer_is_replaced() -> None:
    """It is ended, reported and counted; the next call has another one."""
    asked = threading.Event()
    with Host([pinged(False, asked=asked), pinged()], clock=FakeClock()) as host:
        assert host.call().ok
        made = rounds(host)
        pass_idle_time(host, made)
        assert asked.wait(20)
        host.clock.now += 9.0
        made.make()
        assert host.keeper.slot.worker is not None
        host.clock.now += 1.0
        made.make()
        assert host.keeper.slot.worker is None
        assert (host.keeper.pings_missed, len(host.keeper.supervisor.supervision.deaths)) == (1, 1)
        outcome = host.call()
        assert (outcome.ok, outcome.attempts, host.starts) == (True, 1, 2)

        def buried() -> bool:
            made.make()
            return len(host.reports) == 2

        eventually(buried, "its end was heard")
        assert [kind for kind, _ in host.reports] == ["worker.unresponsive", "worker.exit"]


def test_a_call_takes_the_answer_over() -> None:
    """A ping that is on its way is no reason for the call to fail, nor to be answered wrongly."""
    with Host([pinged()], clock=FakeClock()) as host:
        assert host.call().ok
        pass_idle_time(host, rounds(host))
        assert host.call().value == {"x": 1}
        assert (host.keeper.pings, host.starts) == (1, 1)


def test_a_call_waits_for_the_answer_no_longer_than_the_ping() -> None:
    """Then it has a new worker, and all of its time; it has not failed."""
    asked = threading.Event()
    with Host([pinged(False, asked=asked), pinged()], clock=FakeClock()) as host:
        assert host.call().ok
        pass_idle_time(host, rounds(host))
        assert asked.wait(20)
        host.clock.now += 10.0
        outcome = host.call()
        assert (outcome.ok, outcome.attempts) == (True, 1)
        assert (host.starts, host.keeper.pings_missed) == (2, 1)


@pytest.mark.parametrize("word", [Pong(4711), Result(1, encode(None), 0, [])])
def test_a_wrong_answer_is_none(word: Pong | Result) -> None:
    """A worker that says anything else is replaced at once."""

    def serve(peer: Peer, message: Invoke | Ping) -> None:
        if isinstance(message, Ping):
            peer.send(word)
            peer.wait()
        echo(peer, message)

    with Host([answering(serve), pinged()], clock=FakeClock()) as host:
        assert host.call().ok
        made = rounds(host)
        pass_idle_time(host, made)

        def replaced() -> bool:
            made.make()
            return host.keeper.slot.worker is None

        eventually(replaced, "the worker was replaced")
        assert host.call().ok
        assert host.starts == 2


def test_a_worker_that_ends_between_its_calls_is_buried_at_once() -> None:
    """Not only when the next call needs another one: it is on record, and counts."""

    def leave(peer: Peer) -> None:
        greeting(peer)
        echo(peer, peer.receive())
        raise Ended(status=3)

    with Host([leave, pinged()], clock=FakeClock()) as host:
        assert host.call().ok
        made = rounds(host)

        def buried() -> bool:
            made.make()
            return bool(host.reports)

        eventually(buried, "the end was seen")
        assert host.reports == [("worker.exit", {"exit_status": 3, "signal": None, "worker": 1})]
        assert host.moves[-1] == ("ready", "stopped")
        assert len(host.keeper.supervisor.supervision.deaths) == 1
        assert host.call().ok


def test_an_audit_that_cannot_be_written_ends_no_rounds(caplog: pytest.LogCaptureFixture) -> None:
    """There is no call to refuse; the log of the host has what is missing."""

    def leave(peer: Peer) -> None:
        greeting(peer)
        echo(peer, peer.receive())
        raise Ended(status=3)

    def refuse(*_: object) -> None:
        raise AuditError("disk full")

    with Host([leave, pinged()], clock=FakeClock()) as host:
        assert host.call().ok
        made = rounds(host)

        def gone() -> bool:
            made.make()
            return host.keeper.slot.worker is None

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(host.keeper, "report", refuse)
            eventually(gone, "the end was seen")
        assert "not on record: [audit.failed] disk full" in caplog.text
        assert host.call().ok


def test_a_look_that_fails_costs_that_look_alone(caplog: pytest.LogCaptureFixture) -> None:
    """The others are looked after in the same round, and it in the next; it is told once."""

    def burst(*_: object) -> None:
        raise OSError("no such thing")

    with (
        Host([pinged()], clock=FakeClock()) as host,
        Host([pinged()], clock=host.clock) as other,
    ):
        assert host.call().ok
        assert other.call().ok
        made = Rounds(
            lambda: [host.keeper, other.keeper], host.clock, interval_s=30.0, timeout_s=10.0
        )
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(host.keeper, "bury_dead", burst)
            pass_idle_time(host, made)
            answered(other, made)
        assert caplog.text.count("failed and is tried again: OSError: no such thing") == 1
        pass_idle_time(host, made)
        answered(host, made)


def wrapping(*, goes: threading.Event, heard: list[object]) -> Script:
    """A good worker that answers a ping when it may, and notes what it was told."""

    def serve(peer: Peer, message: Invoke | Ping | Forsake) -> None:
        heard.append(message)
        if isinstance(message, Invoke):
            echo(peer, message)
        elif isinstance(message, Ping):
            assert goes.wait(20)
            peer.send(Pong(message.seq))

    return answering(serve)


def setup(host: Host) -> tuple[int, int]:
    """Make the first phase of a wrapper; returns what its second one would name."""
    token: tuple[int, int] = host.call(phase="setup").annotations["token"]
    return token


def told(heard: list[object]) -> list[str]:
    return [type(message).__name__ for message in heard]


def test_a_wrapper_that_nothing_resumes_is_ended_at_once() -> None:
    """An idle worker is told, and has to say that it has done so."""
    heard: list[object] = []
    goes = threading.Event()
    goes.set()
    with Host([wrapping(goes=goes, heard=heard)], clock=FakeClock()) as host:
        token = setup(host)
        host.transport.forsake(the_call(host.clock, phase="teardown", token=token))
        answered(host, rounds(host))
        assert told(heard) == ["Invoke", "Forsake", "Ping"]
        assert heard[1] == Forsake(token[1])
        assert host.call().ok
        assert host.starts == 1


def test_a_call_comes_behind_the_wrapper_that_ends() -> None:
    """Also when a ping was on its way already: it waits for both, and costs the worker nothing."""
    heard: list[object] = []
    goes = threading.Event()
    goes.set()
    with Host([wrapping(goes=goes, heard=heard)], clock=FakeClock()) as host:
        token = setup(host)
        pass_idle_time(host, rounds(host))
        host.transport.forsake(the_call(host.clock, phase="teardown", token=token))
        assert host.call().ok
        assert told(heard) == ["Invoke", "Ping", "Forsake", "Ping", "Invoke"]
        assert (host.keeper.pings, host.starts) == (2, 1)


def test_a_caller_that_goes_away_meanwhile_costs_the_worker_nothing() -> None:
    """Whoever comes next hears that the wrapper has ended."""
    heard: list[object] = []
    goes = threading.Event()
    with Host([wrapping(goes=goes, heard=heard)], clock=FakeClock()) as host:
        token = setup(host)
        host.transport.forsake(the_call(host.clock, phase="teardown", token=token))
        call = Tasks(host.transport.exchange(the_call(host.clock)))
        call.step()
        assert not call.done
        call.cancel()
        call.step()
        assert call.result.error.code == "call.cancelled"
        goes.set()
        assert host.call().ok
        assert told(heard) == ["Invoke", "Forsake", "Ping", "Invoke"]
        assert (host.keeper.pings, host.starts) == (1, 1)


def test_a_wrapper_that_does_not_end_costs_its_worker() -> None:
    """In the time that a ping has, and as a death: that is the plugin's own doing."""
    heard: list[object] = []
    goes = threading.Event()
    with Host([wrapping(goes=goes, heard=heard), pinged()], clock=FakeClock()) as host:
        host.transport.forsake(the_call(host.clock, phase="teardown", token=setup(host)))
        host.clock.now += 10.0
        rounds(host).make()
        assert host.keeper.slot.worker is None
        assert len(host.keeper.supervisor.supervision.deaths) == 1
        assert host.call().ok
        assert host.starts == 2
        goes.set()


def test_a_wrapper_of_an_older_worker_is_gone_with_it() -> None:
    """Nobody else is told."""
    with Host([pinged()], clock=FakeClock()) as host:
        assert host.call().ok
        host.transport.forsake(the_call(host.clock, phase="teardown", token=(7, 1)))
        worker = host.keeper.slot.worker
        assert worker is not None
        assert (worker.forsaken, worker.asked) == ([], None)
