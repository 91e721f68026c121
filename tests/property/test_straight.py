"""The usual case of a call is in line; whatever a worker says, it ends as the general way would."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import attrs
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nxkernel._canonical import encode
from nxkernel._wire import (
    VERSION,
    Broker,
    Confine,
    Denied,
    Drawn,
    Hello,
    Invoke,
    Ready,
    Reply,
    Result,
    Setup,
    pack,
)
from nxkernel.dispatch.drivers import run_blocking
from nxkernel.dispatch.effects import Effects, Gate, Io, Signal
from nxkernel.dispatch.tasks import Tasks
from nxkernel.host import transport
from nxkernel.host.replies import impl_facts
from nxkernel.host.slot import Slot
from nxkernel.types import Outcome
from tests.support.fake_workers import IMPL, the_call
from tests.support.frames import Mutator
from tests.support.fuzz import ANSWERS, broker, corpus
from tests.support.scripted import CLOSE, ScriptedHost

#: What a worker says in one call: accounts, and then an end of one kind or another. What follows
#: bytes that are broken may be swallowed by them, so that the worker has to close its pipe.
ACCOUNTS = ("denied", "drawn")
ENDS = (["answer"], ["other"], ["halves"], ["more"], ["broker"], ["broken", "close"], ["close"])


@attrs.define
class Teller:
    """A worker that says, in its n-th call, the n-th of *lines*; all from one seed."""

    lines: list[list[str]]
    dice: random.Random
    mutator: Mutator
    call: int = 0
    seq: int = 0

    def __call__(self, message: Any) -> Iterator[bytes | None]:
        if isinstance(message, Confine):
            yield pack(Hello(VERSION, {"fork": "EPERM"}))
        elif isinstance(message, Setup):
            yield pack(Ready([IMPL]))
        elif isinstance(message, Invoke):
            self.call, self.seq = self.call + 1, message.seq
            for word in self.lines[self.call - 1]:
                yield from self._said(word, message.seq)
        elif isinstance(message, Reply):
            yield pack(Result(self.seq, encode(["after a reply", message.payload]), 5, []))

    def _said(self, word: str, seq: int) -> Iterator[bytes | None]:
        answer = list(self.dice.choice(ANSWERS[:2]))
        answer[1] = seq
        whole = pack(Result(seq, answer[2], answer[3], []))
        at = self.dice.randrange(1, len(whole))
        if word == "halves":
            yield whole[:at]
            yield whole[at:]
            return
        other = Result(seq + self.dice.choice((-1, 1)), answer[2], answer[3], [])
        found = [("os.urandom()", "a.py:1", "call", False)]
        yield {
            "answer": whole,
            "more": whole + whole[: at + 1],
            "other": pack(other),
            "broken": self.mutator.break_(answer),
            "denied": pack(Denied(within=seq, raised=[], seen=[("read", "/nowhere")])),
            "drawn": pack(Drawn(within=seq, found=found)),
            "broker": pack(Broker(1, seq, "other", encode({}), 0, [])),
            "close": CLOSE,
        }[word]


def _detoured(effects: Effects[Outcome]) -> Effects[Outcome]:
    """*effects*, which are told at each wait that nothing came, and then wait once more."""
    signal: Any = None
    while True:
        try:
            effect = effects.send(signal)
            if isinstance(effect, Io):
                effect = effects.send(Signal.DEADLINE)
        except StopIteration as stop:
            outcome: Outcome = stop.value
            return outcome
        signal = yield effect


def _ends(lines: list[list[str]], seed: int, *, straight: bool) -> list[Any]:
    """What becomes of as many calls as there are lines, and of the worker under them."""
    teller = Teller(lines, random.Random(seed), Mutator(random.Random(seed + 1), corpus()))
    with ScriptedHost({"p": teller}, impl_facts([IMPL]), broker) as host:
        keeper, ends = host.keepers["p"], []  # type: ignore[index]
        for number in range(len(lines)):
            call = the_call(host.clock, plugin="p", call_id=str(number))
            effects = host.transport.exchange(call)
            root = effects if straight else _detoured(effects)
            outcome = run_blocking(root, host.clock, host.bell)
            facts = attrs.asdict(outcome, recurse=False)
            del facts["timing"]
            supervised = keeper.supervisor.supervision
            ends.append((facts, keeper.starts, supervised.state, supervised.total))
            ends.append((outcome.timing.instance, outcome.timing.plugin_us, outcome.timing.used))
    return ends


LINE = st.builds(
    lambda accounts, end: [*accounts, *end],
    st.lists(st.sampled_from(ACCOUNTS), max_size=3),
    st.sampled_from(ENDS),
)


@settings(max_examples=100)
@given(lines=st.lists(LINE, min_size=1, max_size=6), seed=st.integers(0, 2**32))
def test_the_usual_case_in_line_ends_as_the_general_way_would(
    lines: list[list[str]], seed: int
) -> None:
    """Same outcomes, same workers lost, same state: only what it costs is another."""
    straight = _ends(lines, seed, straight=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Slot, "take", lambda self, frame: False)
        patch.setattr(transport, "fit", lambda slot, frame: None)
        general = _ends(lines, seed, straight=False)
    assert msgspec.json.encode(straight, enc_hook=repr) == msgspec.json.encode(
        general, enc_hook=repr
    )


def test_the_usual_case_waits_once_and_for_the_answer_alone() -> None:
    """Who drives it by hand waits for one descriptor, and says that it can be read."""
    teller = Teller([["answer"], ["answer"]], random.Random(0), Mutator(random.Random(0), corpus()))
    with ScriptedHost({"p": teller}, impl_facts([IMPL]), broker) as host:
        assert host.call("p").ok
        effects = host.transport.exchange(the_call(host.clock, plugin="p"))
        wait = next(effects)
        keeper = host.keepers["p"]  # type: ignore[index]
        assert keeper.slot.worker is not None
        assert isinstance(wait, Io)
        assert (wait.read, wait.write) == (keeper.slot.worker.channel.result, None)
        with pytest.raises(StopIteration) as stop:
            effects.send(Signal.READY)
        assert stop.value.value.ok
        assert not keeper.slot.occupied


def test_a_call_whose_caller_went_away_before_it_is_not_sent() -> None:
    """Also one that would find its worker free: of the rest of a cancelled tree nothing is made."""
    teller = Teller([["answer"]] * 2, random.Random(0), Mutator(random.Random(0), corpus()))
    with ScriptedHost({"p": teller}, impl_facts([IMPL]), broker) as host:
        assert host.call("p").ok

        def tree() -> Effects[list[Outcome]]:
            yield Gate(lambda: False)
            return [(yield from host.transport.exchange(the_call(host.clock, plugin="p")))]

        tasks = Tasks(tree())
        tasks.step()
        tasks.cancel()
        tasks.step()
        (outcome,) = tasks.result
        assert (outcome.error.code, teller.call) == ("call.cancelled", 1)
        assert host.call("p").ok
        assert host.keepers["p"].starts == 1  # type: ignore[index]
