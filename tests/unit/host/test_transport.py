"""The way of one call through a worker: what good workers get, and what bad ones cost.

The workers are scripts (``tests/support/fake_workers.py``), so that they can say anything at all.
"""

from __future__ import annotations

import os
import select
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import attrs
import msgspec
import pytest

from nxkernel._canonical import digest, encode
from nxkernel._wire import (
    VERSION,
    Broker,
    Confine,
    Hello,
    Invoke,
    Pong,
    Ready,
    Refused,
    Result,
    Used,
)
from nxkernel.dispatch.drivers import run_blocking
from nxkernel.dispatch.effects import Effects, Gate, Signal
from nxkernel.dispatch.tasks import Tasks
from nxkernel.errors import AuditError, PluginDisabled, SandboxUnavailable
from nxkernel.host.launch import kill
from nxkernel.host.transport import Brokered
from nxkernel.host.workers import Worker
from nxkernel.types import CallError, Outcome, Usage
from tests.support.calls import FakeClock
from tests.support.descriptors import open_files
from tests.support.fake_workers import (
    Ended,
    Host,
    Peer,
    Script,
    answering,
    broker,
    echo,
    failure,
    greeting,
    the_call,
)

GOOD = answering(echo)


def code(outcome: Outcome) -> str | None:
    return outcome.error.code if outcome.error else None


# -- good workers ----------------------------------------------------------------------------------


def test_an_answer_becomes_an_outcome() -> None:
    """Value, digest and size are of the bytes that came; the times are told apart."""
    with Host([GOOD]) as host:
        outcome = host.call()
        assert (outcome.value, outcome.error, outcome.fault) == ({"x": 1}, None, None)
        payload = encode({"x": 1})
        assert (outcome.output_digest, outcome.output_bytes) == (digest(payload), len(payload))
        assert outcome.timing.plugin_us == 7
        assert host.accepted == 1


def test_a_worker_is_started_once_and_told_what_it_needs() -> None:
    """The second call finds the worker of the first."""
    with Host([GOOD]) as host:
        assert [host.call().value for _ in range(3)] == [{"x": 1}] * 3
        assert host.starts == 1


def test_a_call_says_everything_that_the_worker_must_know() -> None:
    """Implementation, phase, payload, seed, token and the inner error cross."""
    heard: list[Invoke] = []

    def note(peer: Peer, call: Invoke) -> None:
        heard.append(call)
        peer.send(Result(call.seq, encode(None), 0, []))

    error = CallError(code="plugin.raised", message="KeyError: 'x'")
    with Host([answering(note)]) as host:
        setup = host.call(phase="setup", seed=b"s" * 32)
        token = setup.annotations["token"]
        host.call(phase="teardown", token=token, inner_error=error)
    first, second = heard
    assert (first.impl, first.phase, first.payload) == ("hook", "setup", encode({"x": 1}))
    assert (first.seed, first.error) == (b"s" * 32, None)
    assert (second.token, second.error) == (first.seq, ("plugin.raised", "KeyError: 'x'", ""))


def test_a_failure_is_the_plugins() -> None:
    """Code, message and details come through; the plugin answers for them."""

    def fail(peer: Peer, call: Invoke) -> None:
        peer.send(failure(call, details=encode({"frames": []})))

    with Host([answering(fail)]) as host:
        outcome = host.call()
        assert outcome.error == CallError(
            code="plugin.raised", message="ValueError: no", details={"frames": []}
        )
        assert (outcome.fault, outcome.origin) == ("plugin", None)
        assert host.call().error == outcome.error
        assert host.starts == 1


def test_arguments_that_do_not_fit_one_provider_are_nobodys_fault_of_the_plugin() -> None:
    """``provider.not_applicable`` is the host's to answer for, so no breaker opens."""

    def fail(peer: Peer, call: Invoke) -> None:
        peer.send(failure(call, "provider.not_applicable"))

    with Host([answering(fail)]) as host:
        assert host.call().fault == "host"


# -- what a worker says is only its word ----------------------------------------------------------


@pytest.mark.parametrize(
    "claim", ["policy.denied", "lock.mismatch", "call.cancelled", "", "made.up", "plugin.timeout"]
)
def test_a_worker_cannot_claim_what_is_the_hosts_to_say(claim: str) -> None:
    """Any other code than its own few is a plain failure of the plugin."""

    def fail(peer: Peer, call: Invoke) -> None:
        peer.send(failure(call, claim))

    with Host([answering(fail)]) as host:
        outcome = host.call()
        assert (code(outcome), outcome.fault) == ("plugin.raised", "plugin")


def test_a_worker_cannot_blame_a_plugin_that_did_not_fail() -> None:
    """An origin counts only if a nested call of this very call failed there."""

    def fail(peer: Peer, call: Invoke) -> None:
        peer.send(failure(call, origin="innocent"))

    with Host([answering(fail)]) as host:
        assert host.call().origin is None


def test_a_wrapper_may_let_the_inner_error_through() -> None:
    """Then it is still the error of the plugin where it began, details and all."""

    def let_through(peer: Peer, call: Invoke) -> None:
        if call.error is None:
            peer.send(Result(call.seq, encode(None), 0, []))
        else:
            peer.send(failure(call, call.error[0], message=call.error[1]))

    inner = CallError(code="plugin.crashed", message="gone", details={"signal": 9})
    with Host([answering(let_through)]) as host:
        token = host.call(phase="setup").annotations["token"]
        outcome = host.call(
            phase="teardown",
            token=token,
            inner_error=inner,
            inner_fault="host",
            inner_origin="deep",
        )
        assert (outcome.error, outcome.fault, outcome.origin) == (inner, "host", "deep")


@pytest.mark.parametrize("message", ["other words", "gone"])
def test_a_wrapper_cannot_take_only_the_code_of_the_inner_error(message: str) -> None:
    """A code that is the host's to say needs the very error that was sent in."""

    def claim(peer: Peer, call: Invoke) -> None:
        peer.send(failure(call, "plugin.crashed", message=message))

    with Host([answering(claim)]) as host:
        outcome = host.call()
        assert (code(outcome), outcome.fault) == ("plugin.raised", "plugin")


def test_what_a_worker_says_is_bounded() -> None:
    """A message has a longest length, a duration is neither negative nor absurd."""

    def fail(peer: Peer, call: Invoke) -> None:
        peer.send(failure(call, message="x" * 100_000, details=b"\xc1"))

    def lie(time: int) -> Script:
        return answering(lambda peer, call: peer.send(Result(call.seq, encode(1), time, [])))

    with Host([answering(fail)]) as host:
        error = host.call().error
        assert error is not None
        assert len(error.message) < 5000
        assert error.details == {}
    for time in (-1, 2**63):
        with Host([lie(time)]) as host:
            assert 0 <= host.call().timing.plugin_us < 2**42


ABSURD = [
    Used(-1, 5, (1, 2)),
    Used(2**63, 5, (1, 2)),
    Used(7, -5, (1, 2)),
    Used(7, 2**60, (1, 2)),
    Used(7, 5, (-1, 2)),
    Used(7, 5, (1, 2**63)),
]


@pytest.mark.parametrize("lie", ABSURD, ids=lambda lie: repr(msgspec.structs.astuple(lie)))
def test_a_number_that_cannot_be_is_none(lie: Used) -> None:
    """Of what a worker says that a call used, the impossible is left out and the rest counts."""
    told = answering(lambda peer, call: peer.send(Result(call.seq, encode(1), 0, [], lie)))
    with Host([told]) as host:
        used = host.call().timing.used
    assert used is not None
    found = attrs.astuple(used)
    truth = (7, 5, 1, 2)
    assert [a == b for a, b in zip(found, truth, strict=True)].count(False) == 1
    assert [value for value, true in zip(found, truth, strict=True) if value != true] == [None]


def test_what_a_call_used_is_told_with_its_outcome() -> None:
    """Numbers that can be are taken as they are; a worker that says nothing has said nothing."""
    told = answering(
        lambda peer, call: peer.send(Result(call.seq, encode(1), 0, [], Used(3, None, None)))
    )
    with Host([told]) as host:
        assert host.call().timing.used == Usage(cpu_us=3)
    with Host([GOOD]) as host:
        assert host.call().timing.used is None


def then(*messages: Any) -> Script:
    """A worker that answers its first call with these messages."""

    def answer(peer: Peer, call: Invoke) -> None:
        for message in messages:
            message = message(call) if callable(message) else message
            peer.write(message) if isinstance(message, bytes) else peer.send(message)

    return answering(answer)


VIOLATIONS = {
    "another call's answer": then(lambda call: Result(call.seq + 1, encode(1), 0, [])),
    "an old call's answer": then(lambda call: Result(call.seq - 1, encode(1), 0, [])),
    "another call's failure": then(Result(-5, encode(1), 0, [])),
    "a greeting": then(Hello(VERSION, {})),
    "a second handshake": then(Ready([])),
    "a refusal": then(Refused("code", "message", b"")),
    "an answer to no question": then(Pong(1)),
    "a request for another call": then(
        lambda call: Broker(1, call.seq + 1, "other", b"\x80", 0, [])
    ),
    "bytes that are not canonical": then(lambda call: Result(call.seq, b"\xcd\x00\x01", 0, [])),
    "bytes that are no value": then(lambda call: Result(call.seq, b"", 0, [])),
    "no message": then(struct.pack("<I", 3) + b"abc"),
    "too long a frame": then(struct.pack("<I", 1 << 30)),
    "an empty frame": then(struct.pack("<I", 0)),
}


@pytest.mark.parametrize("script", VIOLATIONS.values(), ids=VIOLATIONS.keys())
def test_a_violation_ends_that_worker_and_not_the_host(script: Script) -> None:
    """The call says ``protocol.violation``, the worker is killed, the next call has a new one."""
    with Host([script, GOOD]) as host:
        outcome = host.call()
        assert (code(outcome), outcome.fault) == ("protocol.violation", "plugin")
        assert outcome.error is not None
        assert outcome.error.details["signal"] == 9
        assert host.reports == [
            ("worker.exit", {"exit_status": None, "signal": 9, "cause": "host", "worker": 1})
        ]
        assert host.call().value == {"x": 1}
        assert host.starts == 2


def test_a_worker_that_asks_and_never_reads_is_a_violation() -> None:
    """Else its replies would pile up in the host."""
    big = Brokered(payload=encode(bytes(400_000)))

    def brokered(*_: Any) -> Effects[Brokered]:
        return big
        yield

    def ask(peer: Peer, call: Invoke) -> None:
        peer.send(*(Broker(n, call.seq, "other", encode({}), 0, []) for n in range(5)))
        peer.wait()

    with Host([answering(ask)], broker=brokered) as host:
        assert code(host.call()) == "protocol.violation"


# -- workers that end ------------------------------------------------------------------------------


def test_a_worker_that_ends_in_a_call_costs_that_call() -> None:
    """Its exit and its last lines are in the details; the next call works."""

    def die(peer: Peer, _: Invoke) -> None:
        os.write(peer.log, b"first\nlast words\n")
        raise Ended

    with Host([answering(die), GOOD]) as host:
        outcome = host.call()
        assert (code(outcome), outcome.fault) == ("plugin.crashed", "plugin")
        assert outcome.error is not None
        assert outcome.error.message == "plugin 'p' ended during the call"
        assert outcome.error.details["log"] == ["first", "last words"]
        assert host.call().ok


def test_a_worker_that_closes_its_pipe_and_lives_on_is_ended() -> None:
    """All that the host knows is that no answer will come."""

    def hide(peer: Peer, _: Invoke) -> None:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, peer.result)
        os.close(null)
        peer.wait()

    with Host([answering(hide), GOOD]) as host:
        outcome = host.call()
        assert code(outcome) == "plugin.crashed"
        assert outcome.error is not None
        assert outcome.error.details["signal"] == 9
        assert host.call().ok


def test_a_worker_that_died_unseen_costs_no_call() -> None:
    """The next call did nothing wrong: it gets a new worker, and the exit is on record."""

    def once(peer: Peer) -> None:
        greeting(peer)
        echo(peer, peer.receive())
        peer.wait()

    with Host([once, GOOD]) as host:
        assert host.call().ok
        host.zygote.kill(0)
        worker = host.keeper.slot.worker
        assert worker is not None
        while not worker.channel.closed:
            worker.channel.pump()
        assert host.call().ok
        assert host.reports == [("worker.exit", {"exit_status": None, "signal": 9, "worker": 1})]
        assert worker.process.pidfd == -1


def test_a_worker_that_talks_out_of_turn_is_replaced_before_the_next_call() -> None:
    """Its babble must not be taken for an answer."""
    babbled = threading.Event()

    def babble(peer: Peer) -> None:
        greeting(peer)
        echo(peer, peer.receive())
        peer.send(Result(2, encode("forged"), 0, []))
        babbled.set()
        peer.wait()

    with Host([babble, GOOD]) as host:
        assert host.call().ok
        babbled.wait()
        assert host.call().value == {"x": 1}
        assert host.starts == 2


def test_a_deadline_ends_the_worker() -> None:
    """``plugin.timeout``; the next call has a new worker."""

    def overrun(peer: Peer, _: Invoke) -> None:
        host.clock.now += 1.0
        peer.wait()

    with Host([answering(overrun), GOOD], clock=FakeClock()) as host:
        outcome = host.call(timeout=0.05)
        assert (code(outcome), outcome.fault) == ("plugin.timeout", "plugin")
        assert host.call().ok


def test_a_worker_that_drips_bytes_does_not_outlast_its_deadline() -> None:
    """Always ready to be read, never finished: the deadline counts all the same."""

    pause = threading.Event()

    def drip(peer: Peer, _: Invoke) -> None:
        peer.write(struct.pack("<I", 1 << 19))
        while True:
            peer.write(b"x" * 8)
            host.clock.now += 0.001
            pause.wait(0.001)

    with Host([answering(drip)], clock=FakeClock()) as host:
        assert code(host.call(timeout=0.05)) == "plugin.timeout"


def test_a_call_that_comes_too_late_is_not_made() -> None:
    """No worker is started for it, and none is blamed."""
    with Host([]) as host:
        outcome = host.call(deadline=host.clock.monotonic() - 1)
        assert (code(outcome), outcome.fault) == ("call.expired", "host")


def test_a_plugin_that_dies_too_often_is_quarantined() -> None:
    """No more workers are started than the intensity allows."""

    def die(peer: Peer) -> None:
        greeting(peer)
        peer.receive()
        raise Ended

    with Host([die] * 3, intensity=2) as host:
        assert [code(host.call()) for _ in range(5)] == [
            *["plugin.crashed"] * 3,
            *["plugin.quarantined"] * 2,
        ]
        assert host.starts == 3
        assert host.keeper.supervisor.supervision.state == "quarantined"


def test_the_second_phase_of_a_wrapper_needs_the_worker_of_the_first() -> None:
    """With another worker, or none, the wrapper's first phase is gone."""
    with Host([GOOD, GOOD]) as host:
        token = host.call(phase="setup").annotations["token"]
        host.zygote.kill(0)
        worker = host.keeper.slot.worker
        assert worker is not None
        while not worker.channel.closed:
            worker.channel.pump()
        gone = [host.call(phase="teardown", token=token)]
        assert host.call().ok
        gone.append(host.call(phase="teardown", token=token))
        assert [code(outcome) for outcome in gone] == ["plugin.crashed"] * 2
        assert host.starts == 2


# -- starting ------------------------------------------------------------------------------------


def other_version(peer: Peer) -> None:
    assert isinstance(peer.receive(), Confine)
    peer.send(Hello(VERSION + 1, {}))
    peer.wait()


def speaks_first(peer: Peer) -> None:
    peer.send(Ready([]))
    peer.wait()


def cannot_confine(peer: Peer) -> None:
    os.write(peer.log, b"worker: OSError: landlock\n")
    raise Ended(70)


def dies_at_once(peer: Peer) -> None:
    raise Ended


def no_handshake(peer: Peer) -> None:
    peer.receive()
    peer.send(Hello(VERSION, {"fork": "EPERM"}), Pong(1))
    peer.wait()


def cannot_load(peer: Peer) -> None:
    peer.receive()
    peer.send(Hello(VERSION, {"fork": "EPERM"}))
    peer.receive()
    peer.send(Refused("plugin.start", "ImportError: no such thing", encode({"frames": []})))


def dies_loading(peer: Peer) -> None:
    peer.receive()
    peer.send(Hello(VERSION, {"fork": "EPERM"}))
    peer.receive()
    raise Ended


@pytest.mark.parametrize(
    ("script", "expected", "fault"),
    [
        (other_version, "protocol.violation", "plugin"),
        (speaks_first, "protocol.violation", "plugin"),
        (no_handshake, "protocol.violation", "plugin"),
        (cannot_confine, "sandbox.unavailable", "host"),
        (dies_at_once, "plugin.crashed", "plugin"),
        (dies_loading, "plugin.crashed", "plugin"),
    ],
)
def test_a_start_that_fails_is_told_by_its_cause(script: Script, expected: str, fault: str) -> None:
    """The call that needed the worker has the outcome; the next call tries again."""
    with Host([script, GOOD]) as host:
        outcome = host.call()
        assert (code(outcome), outcome.fault) == (expected, fault)
        assert host.call().ok


def test_a_worker_that_cannot_confine_itself_says_why() -> None:
    """Its last line is the reason, for whoever has to mend the machine."""
    with Host([cannot_confine]) as host:
        error = host.call().error
        assert error is not None
        assert "worker: OSError: landlock" in error.message


@pytest.mark.parametrize(
    ("dies", "expected"), [(True, "plugin.crashed"), (False, "sandbox.unavailable")]
)
def test_a_worker_that_died_while_it_was_looked_at_is_a_death(
    monkeypatch: pytest.MonkeyPatch, dies: bool, expected: str
) -> None:
    """Whoever finds nobody to look at has not found a wall missing; whoever finds one has."""
    with Host([GOOD, GOOD]) as host:

        def look(worker: Worker, witnessed: object) -> None:
            if dies:
                kill(worker)
                select.select([worker.process.pidfd], [], [], 20)
            monkeypatch.undo()
            raise SandboxUnavailable("the status is not what it must be")

        monkeypatch.setattr(host.keeper, "check", look)
        assert code(host.call()) == expected
        assert host.call().ok


def test_a_plugin_that_cannot_be_loaded_is_disabled() -> None:
    """It would fail again: no second worker is started."""
    with Host([cannot_load]) as host:
        outcomes = [host.call() for _ in range(2)]
        assert [code(outcome) for outcome in outcomes] == ["plugin.start"] * 2
        assert outcomes[0].error is not None
        assert "ImportError: no such thing" in outcomes[0].error.message
        assert host.starts == 1


def test_a_plugin_that_offers_something_else_is_disabled() -> None:
    """What the kernel does not accept does not run."""
    refusal = PluginDisabled("other hooks", code="plugin.handshake", plugin="p")
    with Host([GOOD], refuse=refusal) as host:
        assert [code(host.call()) for _ in range(2)] == ["plugin.handshake"] * 2
        assert host.starts == 1


def test_a_confined_worker_must_have_witnessed_something() -> None:
    """A worker at level confined that tried nothing is not believed."""

    def silent(peer: Peer) -> None:
        peer.receive()
        peer.send(Hello(VERSION, {}))
        peer.wait()

    with Host([silent], level="confined") as host:
        assert code(host.call()) == "sandbox.unavailable"


def test_starting_ahead_of_the_first_call_starts_once() -> None:
    """``ensure`` starts a worker if there is none, and says why there is none."""
    with Host([GOOD]) as host:
        assert host.drive(host.transport.ensure(host.keeper.plugin)) is None
        assert host.drive(host.transport.ensure(host.keeper.plugin)) is None
        assert host.call().ok
        assert host.starts == 1
    with Host([cannot_load]) as host:
        problem = host.drive(host.transport.ensure(host.keeper.plugin))
        assert problem.code == "plugin.start"


def test_a_probe_is_ended_before_it_loads_anything() -> None:
    """Its witness is kept; it never hears of a plugin."""
    heard = []

    def probe(peer: Peer) -> None:
        heard.append(peer.receive())
        peer.send(Hello(VERSION, {"fork": "EPERM"}))
        heard.append(peer.receive())

    with Host([probe]) as host:
        assert host.drive(host.transport.witness(host.keeper)) is None
        assert host.keeper.witnessed == {"fork": "EPERM"}
        assert host.keeper.slot.worker is None
    assert [type(message) for message in heard] == [Confine]


# -- history -------------------------------------------------------------------------------------


def test_history_comes_before_the_first_call_of_every_worker() -> None:
    """Also of the one that follows a dead one; ordinary calls wait for it."""
    heard: list[str] = []

    def note(peer: Peer, call: Invoke) -> None:
        heard.append(call.impl)
        if call.impl == "die":
            raise Ended
        echo(peer, call)

    def replay() -> Effects[None]:
        for impl in ("one", "two"):
            call = the_call(host.clock, impl=impl, historic=True)
            outcome = yield from host.transport.exchange(call)
            assert outcome.ok

    with Host([answering(note)] * 2, replay=replay) as host:
        for impl in ("hook", "die", "hook"):
            host.call(impl=impl)
    assert heard == ["one", "two", "hook", "die", "one", "two", "hook"]


def test_a_worker_that_dies_of_its_history_is_the_plugins_fault() -> None:
    """The call that needed it is neither lost without a word nor the caller's fault."""

    def replay() -> Effects[None]:
        yield from host.transport.exchange(the_call(host.clock, historic=True))

    def die(peer: Peer) -> None:
        greeting(peer)
        peer.receive()
        raise Ended

    with Host([die, GOOD], replay=replay) as host:
        outcome = host.call()
        assert (code(outcome), outcome.fault) == ("plugin.crashed", "plugin")
        assert outcome.error is not None
        assert "historic" in outcome.error.message
        assert host.call().ok


# -- nested calls ----------------------------------------------------------------------------------


def asking(peer: Peer, call: Invoke) -> None:
    """Ask for a nested call unless this is one; answer with what came."""
    if call.impl == "inner":
        echo(peer, call)
        return
    reply = peer_broker(peer, call)
    if reply.error is None:
        peer.send(Result(call.seq, reply.payload, 0, []))
    else:
        peer.send(failure(call, message=reply.error[1], origin=reply.error[2]))


def peer_broker(peer: Peer, call: Invoke) -> Any:
    """Broker, and serve what comes before the reply, as a worker does."""
    peer.send(Broker(1, call.seq, "other", encode({}), 0, []))
    while isinstance(message := peer.receive(), Invoke):
        asking(peer, message)
    return message


def test_a_plugin_may_be_called_while_it_waits() -> None:
    """A nested call comes back to the same worker and runs on top."""

    def nested(parent: Any, hook: str, payload: bytes) -> Effects[Brokered]:
        inner = the_call(host.clock, impl="inner", call_id="7.1")
        outcome = yield from host.transport.exchange(inner)
        return Brokered(payload=encode([hook, outcome.value]))

    with Host([answering(asking)], broker=nested) as host:
        assert host.call().value == ["other", {"x": 1}]
        assert host.starts == 1


def test_a_nested_failure_is_told_with_its_origin() -> None:
    """The failure that comes out names the plugin where it began."""

    def nested(*_: Any) -> Effects[Brokered]:
        return Brokered(error=CallError(code="plugin.raised", message="no"), origin="deep")
        yield

    with Host([answering(asking)], broker=nested) as host:
        outcome = host.call()
        assert (code(outcome), outcome.origin) == ("plugin.raised", "deep")


def test_a_worker_lost_by_the_call_on_top_takes_the_ones_below_with_it() -> None:
    """The call below is lost by another one's fault, which its details name."""

    def nested(parent: Any, hook: str, payload: bytes) -> Effects[Brokered]:
        inner = the_call(host.clock, impl="inner", call_id="7.1")
        outcomes.append((yield from host.transport.exchange(inner)))
        return Brokered(payload=encode(None))

    def die_inside(peer: Peer, call: Invoke) -> None:
        if call.impl == "inner":
            raise Ended
        peer_broker_dying(peer, call)

    def peer_broker_dying(peer: Peer, call: Invoke) -> None:
        peer.send(Broker(1, call.seq, "other", encode({}), 0, []))
        die_inside(peer, peer.receive())

    outcomes: list[Outcome] = []
    with Host([answering(die_inside), GOOD], broker=nested) as host:
        outer = host.call()
        assert (code(outcomes[0]), outcomes[0].fault) == ("plugin.crashed", "plugin")
        assert (code(outer), outer.fault) == ("plugin.crashed", "host")
        assert outer.error is not None
        assert outer.error.details == {"lost_by": "7.1"}
        assert len(host.reports) == 1
        assert host.call().ok


def test_a_caller_may_deal_with_a_nested_call_that_used_up_the_time() -> None:
    """It gets a little time beyond their common deadline, once."""

    def slow(*_: Any) -> Effects[Brokered]:
        host.clock.now += 0.1
        yield Gate(lambda: True)
        return Brokered(error=CallError(code="plugin.timeout", message="late"))

    def recover(peer: Peer, call: Invoke) -> None:
        assert broker(peer, call).error is not None
        peer.send(Result(call.seq, encode("recovered"), 0, []))

    with Host([answering(recover)], broker=slow, clock=FakeClock()) as host:
        outcome = host.call(timeout=0.05)
        assert outcome.value == "recovered"


# -- callers that go away --------------------------------------------------------------------------


class Cancellable:
    """A call that the test steps by hand and can cancel at any wait."""

    def __init__(self, host: Host, generator: Effects[Any]) -> None:
        self.host, self.tasks = host, Tasks(generator)
        self.tasks.step()

    def until(self, reached: threading.Event) -> None:
        """Go on, as a driver would, until the script has come to its mark."""
        while not reached.is_set():
            self.tasks.ready({wait.read for wait in self.tasks.waits})
            self.tasks.retry()
            self.tasks.step()

    def finish(self) -> Any:
        """Go on to the end."""
        while not self.tasks.done:
            self.tasks.ready({wait.read for wait in self.tasks.waits})
            self.tasks.retry()
            self.tasks.step()
        return self.tasks.result

    def cancel(self) -> Any:
        self.tasks.cancel()
        self.tasks.step()
        assert self.tasks.done
        return self.tasks.result


def test_a_caller_that_goes_away_ends_its_worker() -> None:
    """Nobody would take the answer; the outcome says that it was the caller."""
    reached = threading.Event()

    def wait(peer: Peer, _: Invoke) -> None:
        reached.set()
        peer.wait()

    with Host([answering(wait), GOOD]) as host:
        call = Cancellable(host, host.transport.exchange(the_call(host.clock)))
        call.until(reached)
        outcome = call.cancel()
        assert (code(outcome), outcome.fault) == ("call.cancelled", "caller")
        assert host.call().ok
        assert host.keeper.supervisor.supervision.deaths == ()


def test_a_caller_that_goes_away_from_the_queue_ends_nothing() -> None:
    """Its frame leaves the queue; those behind it get their turn."""
    reached, go_on = threading.Event(), threading.Event()

    def wait(peer: Peer, call: Invoke) -> None:
        reached.set()
        go_on.wait(20)
        echo(peer, call)

    with Host([answering(wait)]) as host:
        results: list[Outcome] = []
        busy = threading.Thread(target=lambda: results.append(host.call()))
        busy.start()
        reached.wait(20)
        queued = Cancellable(host, host.transport.exchange(the_call(host.clock)))
        behind = threading.Thread(target=lambda: results.append(host.call()))
        behind.start()
        assert code(queued.cancel()) == "call.cancelled"
        go_on.set()
        busy.join()
        behind.join()
        assert [outcome.ok for outcome in results] == [True, True]
        assert host.starts == 1


def test_a_call_closed_in_the_queue_leaves_it() -> None:
    """A generator that is closed while it waits for its turn blocks nobody behind it."""
    reached, go_on = threading.Event(), threading.Event()

    def wait(peer: Peer, call: Invoke) -> None:
        reached.set()
        go_on.wait(20)
        echo(peer, call)

    with Host([answering(wait)]) as host:
        busy = threading.Thread(target=host.call)
        busy.start()
        reached.wait(20)
        queued = Cancellable(host, host.transport.exchange(the_call(host.clock)))
        queued.tasks.close()
        go_on.set()
        busy.join()
        assert host.call().ok


def test_a_caller_that_goes_away_from_below_takes_the_call_on_top_along() -> None:
    """The call on top belongs to another thread: it is told so, and no pipe of it is pulled away.

    The call below waits for a nested call that never returns, so another call runs on top of it
    when its caller goes away.
    """
    asked, on_top = threading.Event(), threading.Event()

    def never(*_: Any) -> Effects[Brokered]:
        asked.set()
        signal = yield Gate(lambda: False)
        assert signal is Signal.CANCELLED
        return Brokered(payload=encode(None))

    def script(peer: Peer, call: Invoke) -> None:
        if call.impl == "below":
            peer.send(Broker(1, call.seq, "other", encode({}), 0, []))
        else:
            on_top.set()
            peer.wait()

    with Host([answering(script), GOOD], broker=never) as host:
        below = the_call(host.clock, impl="below", call_id="1")
        lower = Cancellable(host, host.transport.exchange(below))
        lower.until(asked)
        results: list[Outcome] = []
        other = threading.Thread(target=lambda: results.append(host.call(call_id="2")))
        other.start()
        assert on_top.wait(20)
        outcome = lower.cancel()
        other.join()
        assert (code(outcome), outcome.fault) == ("call.cancelled", "caller")
        assert (code(results[0]), results[0].fault) == ("plugin.crashed", "host")
        assert results[0].error is not None
        assert results[0].error.details == {"lost_by": "1"}
        assert len(host.reports) == 1
        assert host.call().ok
        assert host.keeper.supervisor.supervision.deaths == ()


def test_a_lost_worker_is_buried_also_by_a_session_that_had_gone_on_to_wait() -> None:
    """The call on top asks for a nested call in the very moment in which the worker is lost."""
    asked, on_top, told = threading.Event(), threading.Event(), threading.Event()

    def wait(parent: Any, *_: Any) -> Effects[Brokered]:
        asked.set()
        if parent.call_id == "1":
            yield Gate(lambda: False)
        return Brokered(payload=encode(None))

    def script(peer: Peer, call: Invoke) -> None:
        if call.impl == "on top":
            on_top.set()
            told.wait(20)
        peer.send(Broker(1, call.seq, "other", encode({}), 0, []))

    def exchange(impl: str, call_id: str) -> Cancellable:
        call = the_call(host.clock, impl=impl, call_id=call_id)
        return Cancellable(host, host.transport.exchange(call))

    with Host([answering(script)], broker=wait) as host:
        lower = exchange("below", "1")
        lower.until(asked)
        upper = exchange("on top", "2")
        assert on_top.wait(20)
        worker = host.keeper.slot.worker
        assert worker is not None
        told.set()
        assert select.select([worker.channel.result], [], [], 20)[0]
        assert code(lower.cancel()) == "call.cancelled"
        assert worker.process.pidfd >= 0
        outcome = upper.finish()
        assert (code(outcome), outcome.fault) == ("plugin.crashed", "host")
        assert worker.process.pidfd == -1
        assert len(host.reports) == 1


def test_an_interrupt_in_the_host_does_not_leave_a_half_used_worker() -> None:
    """KeyboardInterrupt may strike anywhere: the worker is ended, the next call has a new one."""

    def interrupted(*_: Any) -> Effects[Brokered]:
        yield Gate(lambda: True)
        raise KeyboardInterrupt

    def ask(peer: Peer, call: Invoke) -> None:
        broker(peer, call)

    with Host([answering(ask), GOOD], broker=interrupted) as host:
        with pytest.raises(KeyboardInterrupt):
            host.call()
        assert host.call().value == {"x": 1}
        assert host.starts == 2


@pytest.mark.parametrize("moment", ["watch", "report"])
def test_an_interrupt_while_a_worker_comes_or_goes_leaves_no_half_of_one(
    moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not one that was never greeted, nor one that is closed twice."""

    def interrupt(*_: Any) -> None:
        monkeypatch.undo()
        raise KeyboardInterrupt

    def die(peer: Peer) -> None:
        greeting(peer)
        peer.receive()
        raise Ended

    with Host([die, GOOD]) as host:
        target = host._housekeeper if moment == "watch" else host.keeper
        monkeypatch.setattr(target, moment, interrupt)
        with pytest.raises(KeyboardInterrupt):
            host.call()
        assert host.call().value == {"x": 1}
        assert host.starts == 2


# -- nothing is left -------------------------------------------------------------------------------


def test_no_descriptor_is_left_of_any_worker() -> None:
    """Answered, crashed, cancelled, never started: afterwards the same files are open."""

    def cancelled(host: Host) -> None:
        Cancellable(host, host.transport.exchange(the_call(host.clock))).cancel()

    def play() -> None:
        scripts = [GOOD, *VIOLATIONS.values(), cannot_load]
        with Host(scripts, intensity=100) as host:
            assert host.call().ok
            cancelled(host)
            for _ in range(len(scripts)):
                host.call()

    play()
    before = open_files()
    play()
    assert open_files() == before


def test_calls_of_many_threads_all_end_whatever_the_worker_does() -> None:
    """Eight threads call a worker that dies every third time: every call has an outcome."""
    count = iter(range(10**6))

    def moody(peer: Peer, call: Invoke) -> None:
        if next(count) % 3 == 2:
            raise Ended
        echo(peer, call)

    outcomes: list[Outcome] = []
    with Host([answering(moody)] * 100, intensity=1000) as host:

        def work() -> None:
            for _ in range(6):
                generator = host.transport.exchange(the_call(host.clock))
                outcomes.append(run_blocking(generator, host.clock, host.bell))

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(outcomes) == 48
    assert {code(outcome) for outcome in outcomes} == {None, "plugin.crashed"}
    assert len(host.reports) <= len(host.zygote.processes)


# -- while a plugin rests --------------------------------------------------------------------------


def die(peer: Peer) -> None:
    """Come up and end at the first call."""
    greeting(peer)
    peer.receive()
    raise Ended


@contextmanager
def resting(*scripts: Script) -> Iterator[tuple[Host, Cancellable]]:
    """A plugin that rests for long after two deaths, and a call that waits for the end of it."""
    with Host([die, die, *scripts], backoff_s=15.0) as host:
        assert [code(host.call()) for _ in range(2)] == ["plugin.crashed"] * 2
        assert host.moves[-1] == ("busy", "backoff")
        waiting = Cancellable(host, host.transport.exchange(the_call(host.clock, timeout=60.0)))
        assert waiting.tasks.gated
        yield host, waiting


def test_a_call_that_waits_goes_on_when_the_plugin_is_released() -> None:
    """It need not wait for the rest of the pause, and it has not failed."""
    with resting(GOOD) as (host, waiting):
        host.keeper.release("the application")
        assert waiting.finish().ok
        assert host.starts == 3


def test_a_call_that_waits_can_be_cancelled() -> None:
    """No worker is started for a caller that went away."""
    with resting() as (host, waiting):
        outcome = waiting.cancel()
        assert (code(outcome), outcome.fault) == ("call.cancelled", "caller")
        assert host.starts == 2


def test_a_call_that_waits_ends_with_the_kernel() -> None:
    """Closing does not wait for the pause."""
    with resting() as (host, waiting):
        host.keeper.retire()
        outcome = waiting.finish()
        assert (code(outcome), outcome.fault) == ("kernel.not_running", "host")
        assert host.starts == 2


def test_a_call_with_too_little_time_is_refused_at_once() -> None:
    """No worker is started for it, and its slot is free for the next one."""
    with Host([die, die], backoff_s=1000.0) as host:
        assert [code(host.call()) for _ in range(4)] == [
            *["plugin.crashed"] * 2,
            *["plugin.backoff"] * 2,
        ]
        assert host.starts == 2


# -- calls that are made again ---------------------------------------------------------------------


def test_a_repeated_call_is_told_before_it_is_made() -> None:
    """Whoever keeps the record hears of the attempt that was lost, and of the one that comes."""
    with Host([die, GOOD]) as host:
        assert host.call(retries=1).ok
        ((lost, outcome, again),) = host.retried
        assert code(outcome) == "plugin.crashed"
        assert (lost.attempt, again.attempt, again.retries) == (1, 2, 0)
        assert (again.key, again.seed, again.payload) == (lost.key, lost.seed, lost.payload)


def test_a_repeated_call_that_cannot_be_recorded_is_not_made() -> None:
    """As for any other call: no record, no call."""
    with Host([die, GOOD], unrecorded=AuditError("disk full")) as host:
        outcome = host.call(retries=1)
        assert (code(outcome), outcome.fault) == ("audit.failed", "host")
        assert host.starts == 1


def test_a_worker_that_dies_at_its_start_loses_the_call_too() -> None:
    """It was not even sent."""

    def die_young(peer: Peer) -> None:
        peer.receive()
        raise Ended

    with Host([die_young, GOOD]) as host:
        outcome = host.call(retries=1)
        assert (outcome.ok, outcome.attempts) == (True, 2)


# -- an audit that cannot be written ---------------------------------------------------------------


@pytest.mark.parametrize("moment", ["start", "end"])
def test_a_workers_fate_that_cannot_be_recorded_is_an_outcome(moment: str) -> None:
    """No exception reaches the caller, nothing is left behind, and the next call works."""
    with Host([die, GOOD, GOOD]) as host:
        if moment == "end":
            assert code(host.call()) == "plugin.crashed"
            assert host.call().ok
            host.zygote.kill(1)

        def refuse(*_: object) -> None:
            raise AuditError("disk full")

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(host.keeper, "report", refuse)
            patch.setattr(host.keeper.supervisor, "_report", refuse)
            outcome = host.call()
        assert (code(outcome), outcome.fault) == ("audit.failed", "host")
        assert outcome.error is not None
        assert outcome.error.message == "disk full; what became of the call is withheld"
        assert not host.keeper.slot.occupied
        assert host.call().ok
