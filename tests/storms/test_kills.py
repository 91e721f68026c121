"""Workers are killed at random instants while eight threads call them."""

from __future__ import annotations

import os
import random
import signal
import threading
from contextlib import suppress

import attrs
import psutil

import nxkernel as nx
from tests.process.conftest import Opens
from tests.support.storms import (
    ROOM_MIB,
    Storm,
    children_of,
    footprint,
    held_to_the_audit,
    in_threads,
    settles,
)
from tests.support.zoo import allow, eventually, patient

THREADS = 8
ANIMALS = ("asks.a", "asks.b", "asks.c", "prints", "sleeps", "threads")
RULES = [
    rule for caller in ("asks.a", "asks.b") for rule in allow(caller, "ask_a", "ask_b", "ask_c")
]
#: Ways of the calls: to all plugins at once, and through one another.
WAYS = (
    ("echo", 1),
    ("ask_a", ["ask_b", "ask_c"]),
    ("ask_b", ["ask_a", "ask_b"]),
    ("ask_a", ["try", "ask_b"]),
    ("ask_c", []),
)
#: Calls that are answered between one kill and the next, at most.
MOST_CALLS = 30
#: A fence, in seconds, for that many answers.
FENCE_S = 60
#: What a call may end with while workers are killed: all of it is somebody's death.
CODES = {None, "plugin.crashed", "plugin.raised"}


@attrs.define
class Caller:
    """One thread's calls, until the killer has done its work."""

    kernel: nx.Kernel
    dice: random.Random
    over: threading.Event
    answered: threading.Semaphore
    outcomes: list[nx.Outcome] = attrs.Factory(list)
    calls: int = 0

    def __call__(self) -> None:
        while not self.over.is_set():
            hook, value = self.dice.choice(WAYS)
            self.outcomes += self.kernel.call(hook, value=value)
            self.calls += 1
            self.answered.release()


@attrs.define
class Killer:
    """Kills one worker of the kernel after another, each by its pidfd: never somebody else.

    Between two of them it has some calls answered, so that there is a load to kill them under.
    """

    kernel: nx.Kernel
    zygote: psutil.Process
    dice: random.Random
    kills: int
    over: threading.Event
    answered: threading.Semaphore
    done: int = 0

    def __call__(self) -> None:
        try:
            while self.done < self.kills:
                for _ in range(self.dice.randrange(MOST_CALLS)):
                    assert self.answered.acquire(timeout=FENCE_S), "no call is answered any more"
                self.over.wait(self.dice.uniform(0.0, 0.002))
                self.done += self.kill_one()
        finally:
            self.over.set()

    def kill_one(self) -> bool:
        workers = sorted(children_of(self.zygote.pid))
        if not workers:
            return False
        with suppress(ProcessLookupError):
            pidfd = os.pidfd_open(self.dice.choice(workers))
            try:
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)
                return True
            finally:
                os.close(pidfd)
        return False


@attrs.define
class Waker:
    """Has every worker up and idle."""

    kernel: nx.Kernel
    outcomes: list[nx.Outcome] = attrs.Factory(list)

    def __call__(self) -> bool:
        results = [self.kernel.call(hook, value=[]) for hook in ("echo", "ask_a", "ask_b", "ask_c")]
        found = [outcome for result in results for outcome in result]
        self.outcomes += found
        return all(outcome.ok for outcome in found)


def test_every_call_survives_its_worker(open_zoo: Opens, storm: Storm) -> None:
    """Whoever dies, each call has one outcome and one row, and the host keeps nothing of it."""
    closed = footprint()
    others = set(psutil.Process().children())
    zoo = open_zoo(patient, *ANIMALS, rules=RULES)
    (zygote,) = set(psutil.Process().children()) - others
    waker = Waker(zoo.kernel)
    assert waker()
    over, answered = threading.Event(), threading.Semaphore(0)
    callers = [Caller(zoo.kernel, storm.dice(n), over, answered) for n in range(THREADS)]
    kills = storm.size(60, 1000)
    killer = Killer(zoo.kernel, zygote, storm.dice("killer"), kills, over, answered)
    before = footprint()
    in_threads([*callers, killer])
    eventually(waker, "every plugin answers again")
    remembered = sum(len(caller.outcomes) for caller in callers) // 1000  # about 1 KiB each
    settles(before, "the host holds what it held before the storm", ROOM_MIB + remembered)
    zoo.kernel.close()
    outcomes = [outcome for each in (waker, *callers) for outcome in each.outcomes]
    assert {o.error.code if o.error else None for o in outcomes} <= CODES
    assert killer.done == killer.kills
    rows = held_to_the_audit(zoo.kernel.run, outcomes)
    storm.tell("SIGKILLs of workers", killer.done)
    storm.tell("calls of the application", sum(caller.calls for caller in callers))
    storm.tell("outcomes", len(outcomes))
    storm.tell("... of them lost with a worker", sum(not o.ok for o in outcomes))
    storm.tell("audit rows", rows)
    remembered = rows // 1000
    del outcomes, callers, waker
    # The allocator keeps what this test itself remembered: an outcome and a row for each call.
    settles(closed, "the host holds what it held before the kernel", ROOM_MIB + remembered)
