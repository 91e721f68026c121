"""Streams that end in every way at once: killed, cancelled, let go of, interrupted, lied about."""

from __future__ import annotations

import asyncio
import gc
import random
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import attrs
import psutil
import pytest

import nxkernel as nx
from nxkernel._canonical import Sequence, digest, encode
from tests.process.conftest import Opens
from tests.storms.test_interrupts import Shooter, taking_interrupts
from tests.storms.test_kills import Killer
from tests.support.storms import (
    ROOM_MIB,
    Storm,
    footprint,
    held_to_the_audit,
    in_threads,
    settles,
)
from tests.support.zoo import PATIENCE_S, allow, eventually, patient

READERS = 5
#: Room for what a first kernel loads, too.
LOADED_MIB = 2 * ROOM_MIB
#: Tasks of the event loop that read streams side by side.
TASKS = 4
#: What the animal ``flows`` streams: each item of these is its own number, or begins with it.
FLOWS: tuple[tuple[str, Any], ...] = (
    ("count", (40,)),
    ("count", (None,)),
    ("count", (60, 20_000)),
    ("asks", (20,)),
    ("raises", (17,)),
    ("odd", (18,)),
    ("dies", (19,)),
    ("list", tuple(range(20))),
    ("async", (33,)),
)
#: Turns in which ``lies`` says what no honest worker says.
LIES = (
    "beyond the window",
    "items without end",
    "another's item",
    "another's end",
    "another's pause",
    "an item that is no value",
    "an item in float32",
    "an item beyond the frame",
    "a value",
    "no value",
    "a pong",
    "a blob of nobody",
    "two brokers in a turn",
    "half an item",
    "closes in a turn",
    "an item after the end",
    "a pause after the pause",
    "the end of time",
)
#: What becomes of a stream, and of a call beside it.
CODES = {
    None,
    "call.cancelled",
    "contract.output",
    "plugin.crashed",
    "plugin.raised",
    "protocol.violation",
}
RULES = allow("flows", "echo")


@attrs.define(eq=False)
class Known:
    """What a consumer was given of one stream, and where its outcome will be."""

    tasks: Any
    #: The first of each item's numbers, and the digest of all of it: items may be large.
    got: list[tuple[Any, str]] = attrs.Factory(list)
    #: Whether an interrupt may have kept an item that was given from being noted.
    torn: bool = False

    def take(self, item: Any) -> None:
        self.got.append((item[0] if isinstance(item, list) else item, digest(encode(item))))

    def outcomes(self) -> list[nx.Outcome]:
        return list(self.tasks.result) if self.tasks.done else []


@attrs.define(eq=False)
class Reader:
    """Opens one stream after the other, and does something with each."""

    kernel: nx.Kernel
    dice: random.Random
    streams: int
    #: How many of its streams come from a worker that lies.
    lies: float = 0.2
    known: list[Known] = attrs.Factory(list)
    #: Outcomes of other calls.
    others: list[nx.Outcome] = attrs.Factory(list)
    answered: threading.Semaphore = attrs.Factory(lambda: threading.Semaphore(0))

    def __call__(self) -> None:
        while len(self.known) < self.streams:
            self.dice.choice(
                [self.read, self.read_some, self.let_go, self.lose_in_a_cycle, self.two, self.call]
            )()
            self.answered.release()

    def open(self) -> tuple[Any, Known]:
        if self.dice.random() < self.lies:
            plugin, value = "lies", [self.dice.choice(LIES), self.dice.randrange(20)]
        else:
            kind, rest = self.dice.choice(FLOWS)
            plugin, value = "flows", [kind, *rest]
        caller = self.kernel.options(only={plugin}, timeout=PATIENCE_S)
        stream = caller.call("flow", value=value).value
        known = Known(stream._tasks)
        self.known.append(known)
        return stream, known

    def take(self, stream: Any, known: Known, most: int) -> bool:
        """Read up to *most* items; returns whether there may be more."""
        try:
            for _ in range(most):
                known.take(next(stream))
        except (StopIteration, nx.HookFailed):
            return False
        return True

    def read(self) -> None:
        stream, known = self.open()
        if self.take(stream, known, 80):
            stream.close()

    def read_some(self) -> None:
        stream, known = self.open()
        with stream:
            self.take(stream, known, self.dice.randrange(1, 40))
            self.call()

    def let_go(self) -> None:
        stream, known = self.open()
        self.take(stream, known, self.dice.randrange(1, 40))

    def lose_in_a_cycle(self) -> None:
        """Only the collector ends it, in whichever thread it runs."""
        stream, known = self.open()
        self.take(stream, known, self.dice.randrange(1, 40))
        cycle: list[Any] = [stream]
        cycle.append(cycle)

    def two(self) -> None:
        (one, of_one), (two, of_two) = self.open(), self.open()
        more = True
        while more and len(of_one.got) < 80:
            more = self.take(one, of_one, self.dice.randrange(1, 20))
            more = self.take(two, of_two, self.dice.randrange(1, 20)) and more
        one.close()
        two.close()

    def call(self) -> None:
        for plugin in ("flows", "lies") if self.lies else ("flows",):
            caller = self.kernel.options(only={plugin}, timeout=PATIENCE_S)
            self.others += caller.call("echo", value=1)


class Loop(Reader):
    """The same in an event loop, where tasks are cancelled while they wait."""

    def __call__(self) -> None:
        asyncio.run(self.main())

    async def main(self) -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(TASKS):
                group.create_task(self.reading())

    async def reading(self) -> None:
        while len(self.known) < self.streams:
            stream, known = self.open()
            task = asyncio.ensure_future(self.eat(stream, known))
            # Once at least: a task that never ran has asked for nothing, and nothing ends.
            for _ in range(self.dice.randrange(1, 200)):
                await asyncio.sleep(0)
            if self.dice.random() < 0.7:
                task.cancel()
            await asyncio.wait([task])
            self.answered.release()
            if not task.cancelled():
                task.result()

    async def eat(self, stream: Any, known: Known) -> None:
        async with stream:
            try:
                async for item in stream:
                    known.take(item)
                    if len(known.got) == 80:
                        return
            except nx.HookFailed:
                return


def held(known: list[Known]) -> list[nx.Outcome]:
    """Hold each stream to what its consumer was given; return all outcomes."""
    found = []
    for each in known:
        numbers = [number for number, _ in each.got]
        assert numbers == _made(numbers), numbers
        outcomes = each.outcomes()
        found += outcomes
        if not outcomes or outcomes[-1].items is None:
            assert each.torn or not each.got
            continue
        assert outcomes[-1].items == len(each.got) or each.torn
        if not each.torn:
            sequence = Sequence()
            for _, found_digest in each.got:
                sequence.add(found_digest)
            assert outcomes[-1].output_digest == sequence.digest
    return found


def _made(numbers: list[Any]) -> list[Any]:
    """What the plugin made, as far as *numbers* go: items from 0, or what `asks` was answered."""
    return [n if isinstance(n, str) or n is None else k for k, n in enumerate(numbers)]


def ended(known: list[Known], tidy: Callable[[], object]) -> Callable[[], bool]:
    """Whether every stream that was begun has its result; those of the collector come later."""

    def look() -> bool:
        gc.collect()
        tidy()
        return all(each.tasks.over for each in known)

    return look


def test_streams_that_end_in_every_way_at_once(open_zoo: Opens, storm: Storm) -> None:
    """Each has one outcome and one row, which say what its consumer was given, and no more is kept.

    Workers are killed meanwhile, and lie.
    """
    closed, others = footprint(), set(psutil.Process().children())
    zoo = open_zoo(patient, "flows", "lies", rules=RULES, hosting=stormy())
    (zygote,) = set(psutil.Process().children()) - others
    first = Reader(zoo.kernel, storm.dice("first"), 3)
    first()
    first.call()
    before = footprint()
    # The thread that writes logs starts with the first words of a plugin.
    before = attrs.evolve(before, threads=before.threads + 1)
    over, answered = threading.Event(), threading.Semaphore(0)
    each = storm.size(25, 600)
    readers: list[Reader] = [
        Reader(zoo.kernel, storm.dice(n), each, answered=answered) for n in range(READERS)
    ]
    readers.append(Loop(zoo.kernel, storm.dice("loop"), each * 2, answered=answered))
    kills = storm.size(15, 600)
    killer = Killer(zoo.kernel, zygote, storm.dice("killer"), kills, over, answered)

    def read() -> None:
        try:
            in_threads(readers)
        finally:
            over.set()
            killer.kills = 0
            for _ in range(100):
                answered.release()

    in_threads([read, killer])
    known = [k for reader in (first, *readers) for k in reader.known]
    eventually(ended(known, first.call), "every stream is over")
    settles(before, "the host holds what it held before the storm", ROOM_MIB + len(known) // 100)
    begun = len(known)
    zoo.kernel.close()
    outcomes = held(known)
    codes = Counter(o.error.code if o.error else None for o in outcomes)
    assert codes.keys() <= CODES, codes
    rest = [o for reader in (first, *readers) for o in reader.others]
    rows = held_to_the_audit(zoo.kernel.run, [*outcomes, *rest])
    storm.tell("streams", begun)
    for code, count in sorted(codes.items(), key=str):
        storm.tell(f"... {code or 'ok'}", count)
    storm.tell("items that were given", sum(len(each.got) for each in known))
    storm.tell("SIGKILLs of workers", killer.done)
    storm.tell("audit rows", rows)
    known.clear()
    outcomes.clear()
    for reader in (first, *readers):
        reader.known.clear()
    settles(closed, "the host holds what it held before the kernel", LOADED_MIB + rows // 500)


def stormy() -> nx.Hosting:
    # Each attempt has its own row: without retries a call has one.
    return nx.Hosting(restart_intensity=10**6, timeout_s=PATIENCE_S, backoff_s=0.0, retries=0)


# One that strikes between open() and `with` has the interpreter close the file, which it warns of;
# that no descriptor stays open is counted below.
@pytest.mark.filterwarnings("ignore:unclosed file .*/proc/:ResourceWarning")
def test_interrupts_between_and_in_items(open_zoo: Opens, storm: Storm) -> None:
    """Ctrl-C in the middle of anything ends that stream; the next one has all of its items."""
    zoo = open_zoo(patient, "flows", rules=RULES, hosting=stormy())
    assert zoo.answers("flows")
    before = footprint()
    shooter = Shooter(storm, storm.size(100, 2_000))
    thread = threading.Thread(target=shooter)
    reader = Reader(zoo.kernel, storm.dice("reader"), 10**9, lies=0.0)
    with taking_interrupts() as trigger:
        thread.start()
        while not shooter.over.is_set():
            try:
                trigger.armed = True
                while not shooter.over.is_set():
                    reader.read()
            except KeyboardInterrupt:
                reader.known[-1].torn = True
            trigger.armed = False
        thread.join()
    eventually(ended(reader.known, reader.call), "every stream is over")
    whole = zoo.kernel.options(only={"flows"}).call("flow", value=["count", 100]).value
    assert list(whole) == list(range(100))
    settles(before, "nothing is left of them", ROOM_MIB + len(reader.known) // 100)
    held(reader.known)
    storm.tell("interrupts", shooter.shots)
    storm.tell("... that struck in a stream", trigger.raised)
    storm.tell("streams", len(reader.known))
