"""Many plugins misbehave at once, each in its own way, beside some that do their work."""

from __future__ import annotations

import random
import threading
from collections import Counter

import attrs

import nxkernel as nx
from tests.process.conftest import Opens
from tests.support.storms import Storm, footprint, held_to_the_audit, in_threads, settles
from tests.support.zoo import SOON_S, allow, eventually, patient

#: What each of the bad ones is asked for.
MISDEEDS: tuple[tuple[str, object], ...] = (
    ("dies", "segfault"),
    ("dies", "exit 0"),
    ("floods", 200),
    ("hangs", "spin"),
    ("hangs", "signals"),
    ("hangs", "stopped"),
    ("hoards", ["private", 400]),
    ("hoards", ["answer", 30]),
    ("hoards", ["open", 1000]),
    ("hoards", ["one file", 30]),
    ("lies", "garbage"),
    ("lies", "two brokers"),
    ("lies", "many values"),
    ("lies", "drip"),
    ("lies", "closes results"),
    ("raises", "error"),
    ("returns.odd", "deep"),
    ("returns.odd", "cycle"),
    ("swarms", "fork"),
    ("swarms", "spawn"),
    ("swarms", "threads"),
    ("swarms", "pipes"),
    ("trespasses", ["read", "/etc/shadow"]),
    ("trespasses", ["signal", "1"]),
)
BAD = tuple(sorted({plugin for plugin, _ in MISDEEDS}))
GOOD = ("asks.a", "asks.b", "prints")
RULES = [rule for caller in ("asks.a", "asks.b") for rule in allow(caller, "ask_a", "ask_b")]
THREADS, OFFENDERS = 8, 6
#: For large answers on their way, however many of them there are, and what a first kernel loads.
ROOM_MIB = 96


@attrs.define
class Offender:
    """Asks for one misdeed after the other."""

    kernel: nx.Kernel
    dice: random.Random
    left: threading.Semaphore
    outcomes: list[nx.Outcome] = attrs.Factory(list)

    def __call__(self) -> None:
        while self.left.acquire(blocking=False):
            plugin, value = self.dice.choice(MISDEEDS)
            asked = self.kernel.options(timeout=SOON_S, only={plugin})
            self.outcomes += asked.call("act", value=value)


@attrs.define
class Worker:
    """Goes on with the work, and accepts no failure."""

    kernel: nx.Kernel
    over: threading.Event
    outcomes: list[nx.Outcome] = attrs.Factory(list)

    def __call__(self) -> None:
        number = 0
        while not self.over.is_set():
            number += 1
            self.take(self.kernel.options(only={"prints"}).call("echo", value=number), [number])
            self.take(self.kernel.call("ask_a", value=["ask_b", "ask_a"]), [["a", "b", "a"]])

    def take(self, result: nx.HookResult, value: object) -> None:
        assert result.value == value, result
        self.outcomes += result


def test_the_work_goes_on_beside_every_misdeed(open_zoo: Opens, storm: Storm) -> None:
    """Every call of a good plugin succeeds; each bad one has one outcome and one row."""
    before = footprint()
    zoo = open_zoo(patient, *GOOD, *BAD, rules=RULES)
    misdeeds, over = storm.size(60, 2_000), threading.Event()
    left = threading.Semaphore(misdeeds)
    offenders = [Offender(zoo.kernel, storm.dice(n), left) for n in range(OFFENDERS)]
    workers = [Worker(zoo.kernel, over) for _ in range(THREADS - OFFENDERS)]

    def offend() -> None:
        try:
            in_threads(offenders)
        finally:
            over.set()

    in_threads([offend, *workers])
    for plugin in GOOD:
        assert zoo.kernel.plugins[plugin].starts == 1, "a good plugin lost its worker"
    for plugin in BAD:
        eventually(lambda plugin=plugin: _idle(zoo.kernel, plugin), "the bad ones are at rest")
    zoo.kernel.close()
    outcomes = [outcome for each in (*offenders, *workers) for outcome in each.outcomes]
    rows = held_to_the_audit(zoo.kernel.run, outcomes)
    settles(before, "nothing is left of any of them", ROOM_MIB)
    storm.tell("misdeeds", misdeeds)
    codes = Counter(o.error.code if o.error else "ok" for each in offenders for o in each.outcomes)
    for code, count in sorted(codes.items()):
        storm.tell(f"... {code}", count)
    storm.tell("calls of good plugins, all answered", sum(len(each.outcomes) for each in workers))
    storm.tell("audit rows", rows)


def _idle(kernel: nx.Kernel, plugin: str) -> bool:
    return kernel.plugins[plugin].state not in ("busy", "starting")
