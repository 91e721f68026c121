"""Cases of a worker that lies, the host's own parts that meet them, and what is counted of that.

Run as ``python -m tests.support.fuzz SEED COUNT``: meets COUNT cases that SEED decides, and says in
one line of JSON how they ended.
"""

from __future__ import annotations

import json
import random
import resource
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import attrs
import msgspec

from nxkernel._blob import Blob, name_of
from nxkernel._canonical import NotCanonical, decode, encode
from nxkernel._wire import (
    VERSION,
    Broker,
    Confine,
    Hello,
    Invoke,
    Ready,
    Reply,
    Result,
    Setup,
    Stop,
    pack,
)
from nxkernel.dispatch.effects import Effects
from nxkernel.host.replies import impl_facts
from nxkernel.host.transport import Brokered
from nxkernel.types import Call
from tests.support.fake_workers import IMPL
from tests.support.frames import LENGTH, ODD, Mutator, frame, judge
from tests.support.scripted import CLOSE, ScriptedHost
from tests.support.storms import footprint, settles

__all__ = ["ANSWERS", "Met", "corpus", "meet"]


def _values() -> Iterator[bytes]:
    """Canonical bytes of whatever is a value among the odd ones, alone and inside others."""
    for each in ODD:
        for value in (each, [each, [each]], {"a": each, "b": {"": each}}):
            with suppress(NotCanonical):
                decode(data := encode(value))
                yield data


#: Ends of a call that a worker's word alone can bring about.
OWN = {"plugin.raised", "contract.output", "provider.not_applicable"}
#: How often a case begins at the handshake, after a nested call, or comes byte by byte; and how
#: often it is odd and yet an answer, so that the next one comes on the same pipes.
HANDSHAKE, AFTER_BROKER, DRIPPED, HARMLESS = 0.06, 0.15, 0.02, 0.4
#: A longer stream comes at once.
_MOST_DRIPS = 500
#: A blob, and how it travels in a frame.
PICTURE = Blob(b"\x89PNG", "image/png")
CARRIED = ["Inline", name_of(PICTURE), PICTURE.bytes()]
#: Frames that are mutated, by what the host waits for.
ANSWERS: tuple[list[Any], ...] = (
    ["Result", 0, encode({"a": [1, 2.5, "x", None]}), 12, []],
    ["Result", 0, encode([{"id": n, "text": "x" * n} for n in range(8)]), 12, []],
    ["Result", 0, encode([PICTURE, {"again": PICTURE}]), 12, [CARRIED]],
    ["Failure", 0, "plugin.raised", "ValueError: no", encode({"frames": ["f:1"]}), "", 3],
    ["Failure", 0, "contract.output", "result: no", encode({}), "q", 3],
    ["Broker", 1, 0, "other", encode({"x": 1}), 0, []],
    ["Broker", 1, 0, "other", encode({"x": PICTURE}), 0, [CARRIED]],
)
#: What an answer may hold where it holds an integer, text, or the bytes of a value.
FILLINGS: dict[type, tuple[Any, ...]] = {
    int: tuple(each for each in ODD if type(each) is int),
    str: tuple(each for each in ODD if type(each) is str),
    bytes: tuple(_values()),
    list: ([],),
}
GREETING = ["Hello", VERSION, {"fork": "EPERM", "open": "EACCES"}]
LOADED = ["Ready", [msgspec.to_builtins(IMPL)]]


@attrs.define
class Case:
    """What one worker does in one call."""

    #: Where the mutated bytes stand: for ``Hello``, for ``Ready``, or for an answer.
    place: str
    stream: bytes
    nested: bool = False
    dripped: bool = False
    #: The number of the call that the host makes; known when it makes it.
    seq: int = 0


@attrs.define
class Liar:
    """The worker of plugin ``p``: honest but for the bytes of the case."""

    case: Case | None = None

    def __call__(self, message: Any) -> Iterator[bytes | None]:
        case = self.case
        assert case is not None
        if isinstance(message, Confine):
            yield from self._say(case, "Hello", pack(Hello(VERSION, {"fork": "EPERM"})))
        elif isinstance(message, Setup):
            yield from self._say(case, "Ready", pack(Ready([IMPL])))
        elif isinstance(message, Invoke) and case.nested:
            yield pack(Broker(1, message.seq, "other", encode({}), 0, []))
        elif isinstance(message, Invoke | Reply):
            yield from self._say(case, "answer", pack(Result(case.seq or 1, encode(None), 0, [])))

    def _say(self, case: Case, place: str, honest: bytes) -> Iterator[bytes | None]:
        if case.place != place:
            yield honest
            return
        step = 1 if case.dripped and len(case.stream) < _MOST_DRIPS else len(case.stream) or 1
        for at in range(0, len(case.stream), step):
            if case is not self.case:  # The host made an answer of it, and has gone on.
                return
            yield case.stream[at : at + step]
        if case is self.case:
            yield CLOSE


def honest(message: Any) -> Iterator[bytes | None]:
    """The worker of plugin ``q``."""
    if isinstance(message, Confine):
        yield pack(Hello(VERSION, {}))
    elif isinstance(message, Setup):
        yield pack(Ready([IMPL]))
    elif isinstance(message, Invoke):
        yield pack(Result(message.seq, message.payload, 0, []))


def broker(parent: Call, hook: str, payload: bytes, deadline: float) -> Effects[Brokered]:
    """Answer a nested call with its arguments, or say that they were none."""
    try:
        return Brokered(payload=encode(decode(payload)))
    except ValueError:
        return Brokered(payload=encode("not canonical"))
    yield


@attrs.define
class Fuzz:
    """Makes cases, has the host meet them, and holds what it made of them against the judge."""

    host: ScriptedHost
    liar: Liar
    dice: random.Random
    mutator: Mutator
    codes: Counter[str] = attrs.Factory(Counter)
    frames: int = 0

    def case(self) -> Case:
        """The next case, for the worker that is there or for a new one."""
        dice, keeper = self.dice, self.host.keepers["p"]  # type: ignore[index]
        worker = keeper.slot.worker
        if worker is None and dice.random() < HANDSHAKE * 4:
            message = dice.choice((GREETING, LOADED))
            place = "Hello" if message is GREETING else "Ready"
            return Case(place, self.mutator.break_(message), dripped=dice.random() < DRIPPED)
        # One that has gone on talking is replaced before the call.
        silent = worker is not None and worker.channel.silent  # type: ignore[attr-defined]
        seq = worker._seq + 1 if worker is not None and silent else 1
        return Case(
            "answer",
            self.answer(seq),
            nested=dice.random() < AFTER_BROKER,
            dripped=dice.random() < DRIPPED,
            seq=seq,
        )

    def answer(self, seq: int) -> bytes:
        """What the worker says in place of its answer to call *seq*."""
        message = list(self.dice.choice(ANSWERS))
        place = 2 if message[0] == "Broker" else 1
        # Mostly for this call; else for one that was, one to come, or one that never will.
        if message[0] != "Broker" and self.dice.random() < HARMLESS:
            return self.harmless(message, seq)
        message[place] = seq if self.dice.random() < 0.95 else seq + self.dice.randrange(-3, 9)
        broken = self.mutator.break_(message)
        if self.dice.random() < 0.05:  # and it goes on talking
            broken += self.mutator.break_(message)
        return broken

    def harmless(self, message: list[Any], seq: int) -> bytes:
        """*message* as an answer to call *seq*, with something in it that nobody would expect."""
        message[1] = seq
        place = self.dice.randrange(2, len(message))
        message[place] = self.dice.choice(FILLINGS[type(message[place])])
        return frame(msgspec.msgpack.encode(message))

    def meet(self) -> None:
        """Make one call of the liar, and judge it."""
        case = self.liar.case = self.case()
        keeper = self.host.keepers["p"]  # type: ignore[index]
        before = keeper.starts
        outcome = self.host.call("p", payload=encode({"x": 1}))
        code = outcome.error.code if outcome.error else "ok"
        self.codes[code] += 1
        self.frames += 1
        keeper.disabled = None
        assert code in self.allowed(case), (code, self.allowed(case), case)
        lost = code not in OWN | {"ok"}
        assert (keeper.slot.worker is None) == lost, (code, case)
        assert keeper.starts <= before + 2

    def calm(self) -> None:
        """Have a worker that is up and has told the truth."""
        keeper = self.host.keepers["p"]  # type: ignore[index]
        worker = keeper.slot.worker
        silent = worker is not None and worker.channel.silent  # type: ignore[attr-defined]
        seq = worker._seq + 1 if worker is not None and silent else 1
        self.liar.case = Case("answer", pack(Result(seq, encode("true"), 0, [])), seq=seq)
        assert self.host.call("p").value == "true"

    def allowed(self, case: Case) -> set[str]:
        """What may become of the call."""
        if case.place != "answer":
            broken = {"protocol.violation", "plugin.crashed", "plugin.start", "plugin.handshake"}
            return broken | {"ok", "sandbox.unavailable"}
        code = judge(case.stream, case.seq, self.host.max_frame)
        if code == "brokered" or case.dripped:
            # It was answered, and then the worker was silent, or spoke when it should not.
            return {"plugin.crashed", "protocol.violation", *OWN, "ok"}
        return {code}


def corpus() -> list[bytes]:
    """Bodies of honest messages of every kind."""
    found = [msgspec.msgpack.encode(message) for message in (*ANSWERS, GREETING, LOADED)]
    return found + [pack(message)[LENGTH.size :] for message in (Reply(1, b"\xc0"), Stop())]


@attrs.frozen
class Met:
    """What became of some cases."""

    #: How the calls ended: code -> how many.
    codes: dict[str, int]
    #: Workers that they cost.
    workers: int
    #: The most memory that the process held while they came, beyond what it held at their tenth.
    grew_mib: float


def meet(seed: str, wanted: int) -> Met:
    """Have a host of its own meet *wanted* cases.

    Raises:
        AssertionError: when one ends otherwise than the protocol says, or costs anybody else.
    """
    before = footprint()
    liar, dice = Liar(), random.Random(f"{seed}/cases")
    mutator = Mutator(random.Random(f"{seed}/mutations"), corpus())
    with ScriptedHost({"p": liar, "q": honest}, impl_facts([IMPL]), broker) as host:
        fuzz = Fuzz(host, liar, dice, mutator)
        for number in range(wanted):
            fuzz.meet()
            if number % 50 == 0:
                assert host.call("q", payload=encode(number)).value == number
            if number == wanted // 10:
                fuzz.calm()
                settled, peak = footprint(), _peak_mib()
        fuzz.calm()
        grew = _peak_mib() - peak
        settles(settled, "memory and descriptors are what they were after a tenth of it")
        assert host.keepers["q"].starts == 1  # type: ignore[index]
        workers = host.keepers["p"].starts  # type: ignore[index]
    settles(before, "nothing is left of the host's parts")
    return Met(codes=dict(fuzz.codes), workers=workers, grew_mib=grew)


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    print(json.dumps(attrs.asdict(meet(sys.argv[1], int(sys.argv[2])))))
