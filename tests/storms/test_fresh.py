"""Templates and the processes of calls are killed at random instants while threads call."""

from __future__ import annotations

import os
import random
import signal
import threading
from contextlib import suppress

import attrs
import psutil
import pytest

import nxkernel as nx
from nxkernel.host.sandbox.linux import probe
from tests.process.conftest import Opens
from tests.support.storms import ROOM_MIB, Storm, footprint, held_to_the_audit, in_threads, settles
from tests.support.zoo import Zoo, allow, eventually, patient

THREADS = 4
#: What a call may end with while its process is killed: it, or the template under it.
CODES = {None, "plugin.crashed", "plugin.raised"}


@attrs.define
class Caller:
    """One thread's calls, until the killer has done its work."""

    kernel: nx.Kernel
    dice: random.Random
    over: threading.Event
    outcomes: list[nx.Outcome] = attrs.Factory(list)

    def __call__(self) -> None:
        while not self.over.is_set():
            hook, value = self.dice.choice([("echo", 1), ("ask_a", 2), ("wrapped", "x")])
            result = self.kernel.options(only={"forgets"}).call(hook, value=value)
            self.outcomes += result
            for outcome in result:
                if outcome.ok and hook == "echo":
                    assert outcome.value == [1, 1], "it has seen another call"


@attrs.define
class Killer:
    """Kills the template, or a process of a call, each by its pidfd."""

    kernel: nx.Kernel
    dice: random.Random
    kills: int
    over: threading.Event
    done: int = 0
    templates: int = 0

    def __call__(self) -> None:
        try:
            while self.done < self.kills:
                self.over.wait(self.dice.uniform(0.0, 0.05))
                self.done += self.kill_one()
        finally:
            self.over.set()

    def kill_one(self) -> bool:
        pid = self.kernel.plugins["forgets"].pid
        if pid is None:
            return False
        with suppress(ProcessLookupError, psutil.NoSuchProcess):
            template = psutil.Process(pid)
            calls = [each.pid for each in template.children()]
            if not calls:
                return False  # Between two calls, or while the next template starts.
            chosen = pid if self.dice.random() < 0.1 else self.dice.choice(calls)
            pidfd = os.pidfd_open(chosen)
            try:
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)
                self.templates += chosen == pid
                return True
            finally:
                os.close(pidfd)
        return False


def test_every_call_survives_its_process(open_zoo: Opens, storm: Storm) -> None:
    """Whoever dies, each call has one outcome and one row, sees no other, and nothing is left."""
    found = probe.processes_available()
    if not found.ok:
        pytest.skip(f"{found.name} is not available here: {found.detail} ({found.errno})")
    zoo = open_zoo(patient, "forgets", rules=allow("forgets", "ask_a", "echo"))
    warm_up = [zoo.act("forgets", ["count"])]
    over = threading.Event()
    callers = [Caller(zoo.kernel, storm.dice(n), over) for n in range(THREADS)]
    killer = Killer(zoo.kernel, storm.dice("killer"), storm.size(20, 500), over)
    before = footprint()
    in_threads([*callers, killer])
    eventually(lambda: answers(zoo, warm_up), "it answers again")
    template = psutil.Process(zoo.kernel.plugins["forgets"].pid)
    eventually(lambda: template.children() == [], "no call is left")
    remembered = sum(len(caller.outcomes) for caller in callers) // 1000
    settles(before, "the host holds what it held before the storm", ROOM_MIB + remembered)
    zoo.kernel.close()
    outcomes = warm_up + [outcome for caller in callers for outcome in caller.outcomes]
    assert {o.error.code if o.error else None for o in outcomes} <= CODES
    rows = held_to_the_audit(zoo.kernel.run, outcomes)
    storm.tell("SIGKILLs", killer.done)
    storm.tell("... of them of templates", killer.templates)
    storm.tell("outcomes", len(outcomes))
    storm.tell("... of them lost", sum(not o.ok for o in outcomes))
    storm.tell("audit rows", rows)


def answers(zoo: Zoo, outcomes: list[nx.Outcome]) -> bool:
    """Whether a call is answered; it is an outcome like the others."""
    outcomes.append(zoo.act("forgets", ["count"]))
    return outcomes[-1].ok
