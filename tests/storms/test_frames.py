"""A million frames that no honest worker sends, against the host's own parts."""

from __future__ import annotations

import json
import os
import random
import subprocess
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psutil

import nxkernel as nx
from nxkernel._canonical import NotCanonical, decode
from nxkernel._wire import Inbox, Result, unpack_from_worker
from nxkernel.errors import ProtocolViolation
from tests.process.conftest import Opens
from tests.support import interpreter
from tests.support.frames import Mutator, judge
from tests.support.fuzz import ANSWERS, GREETING, LOADED, Met, corpus, meet
from tests.support.storms import Storm, footprint, settles
from tests.support.zoo import eventually, patient

#: A full storm is met in so many processes, as many at once as there are processors. Each part has
#: its own dice, so that a case comes back on a machine with more or fewer of them.
PARTS = 8
#: Most that a process may grow while frames come, in MiB: some frames of the largest size.
MOST_MIB = 32


def test_the_host_makes_of_every_frame_what_the_protocol_says(storm: Storm) -> None:
    """No frame raises, hangs or costs anybody but its worker; harmless ones are answers."""
    wanted = storm.size(3_000, 1_000_000)
    parts = _in_parts(storm, wanted) if storm.full else [meet(str(storm.seed), wanted)]
    codes: Counter[str] = Counter()
    for met in parts:
        codes.update(met.codes)
        assert met.grew_mib < MOST_MIB
    assert codes.total() == wanted
    storm.tell("mutated frames through transport, channel and pipes", codes.total())
    for code, count in sorted(codes.items()):
        storm.tell(f"... {code}", count)
    storm.tell("workers that they cost", sum(met.workers for met in parts))
    storm.tell("MiB that a process grew by at most", round(max(met.grew_mib for met in parts), 1))


def _in_parts(storm: Storm, wanted: int) -> list[Met]:
    python = interpreter.own()

    def part(number: int) -> Met:
        arguments = [f"{storm.seed}/{number}", str(wanted // PARTS)]
        done = subprocess.run(
            [*python.command("tests.support.fuzz"), *arguments],
            stdout=subprocess.PIPE,
            env={**os.environ, **python.environment},
            check=True,
        )
        return Met(**json.loads(done.stdout))

    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        return list(pool.map(part, range(PARTS)))


def _pieces(dice: random.Random, stream: bytes) -> Iterator[bytes]:
    """*stream* as a pipe may deliver it: whole, or in two."""
    cut = dice.randrange(len(stream) + 1) if dice.random() < 0.2 else 0
    yield stream[:cut]
    yield stream[cut:]


def test_the_decoder_makes_a_value_of_a_frame_or_refuses_it(storm: Storm) -> None:
    """Many frames one after the other: a message, ProtocolViolation or NotCanonical, no more."""
    wanted, max_frame = storm.size(20_000, 3_000_000), 1 << 20
    dice, mutator = storm.dice("cases"), Mutator(storm.dice("mutations"), corpus())
    ends: Counter[str] = Counter()
    inbox, before = Inbox(max_frame), footprint()
    for _ in range(wanted):
        stream = mutator.break_(dice.choice((*ANSWERS, GREETING, LOADED)))
        try:
            for piece in _pieces(dice, stream):
                inbox.feed(piece)
                while (body := inbox.next()) is not None:
                    message = unpack_from_worker(body)
                    ends["messages"] += 1
                    if isinstance(message, Result):
                        decode(message.payload)
                        ends["... with a value"] += 1
            if not inbox.empty and dice.random() < 0.5:
                ends["streams that ended in the middle of a frame"] += 1
                inbox = Inbox(max_frame)
        except (ProtocolViolation, NotCanonical) as refusal:
            ends[f"streams that ended in {type(refusal).__name__}"] += 1
            inbox = Inbox(max_frame)  # as the host does with the worker
    settles(before, "nothing is kept of what was refused")
    assert len(ends) == 5, ends
    storm.tell("mutated frames through the decoder alone", wanted)
    for end, count in sorted(ends.items()):
        storm.tell(end, count)


def test_real_workers_cost_the_host_no_more(open_zoo: Opens, storm: Storm) -> None:
    """The same from processes that write on the wire themselves; each costs its worker alone."""
    zoo = open_zoo(patient, "lies", "prints")
    assert zoo.answers("lies")
    # Its words are the first for the disk, and start the thread that writes them there.
    assert zoo.act("prints", 1).ok
    eventually(lambda: "printed" in zoo.log("prints"), "the log is read")
    before, wanted = footprint(), storm.size(40, 3_000)
    dice, mutator = storm.dice("cases"), Mutator(storm.dice("mutations"), corpus())
    codes: Counter[str] = Counter()
    for number in range(wanted):
        message = list(dice.choice([each for each in ANSWERS if each[0] != "Broker"]))
        # An answer is followed by the end of the pipe, so that each call has a new worker but the
        # first, whose first call has been made.
        seq = message[1] = 1 if number else 2
        stream = mutator.break_(message)
        outcome = zoo.act("lies", stream)
        code = outcome.error.code if outcome.error else "ok"
        assert code == judge(stream, seq, nx.Hosting().max_frame), (code, stream[:200])
        codes[code] += 1
        # Where the answer was one, the worker is about to close its pipe, and to end.
        pid = zoo.kernel.plugins["lies"].pid
        eventually(lambda pid=pid: pid is None or not psutil.pid_exists(pid), "it has ended")
        if number % 10 == 0:
            assert zoo.answers("prints")
    assert zoo.kernel.plugins["prints"].starts == 1
    assert zoo.answers("lies")
    settles(before, "the host holds what it held before the storm")
    storm.tell("mutated frames of real workers", wanted)
    for code, count in sorted(codes.items()):
        storm.tell(f"... {code}", count)
