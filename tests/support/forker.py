"""A program that embeds a kernel over the zoo and forks, in every way that embedders do.

Run as ``python -m tests.support.forker MODE DATA``. Says what came of it in one line of JSON.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nxkernel as nx
from nxkernel.audit.reader import AuditReader
from tests.support.embedder import say
from tests.support.zoo import PATIENCE_S, Zoo, build, eventually, patient

#: Children that are forked under load, and calls that each of them makes.
CHILDREN, CALLS = 6, 20


def in_child(act: Callable[[], Any]) -> int:
    """Fork; in the child run *act* and leave with status 0 if it returned True."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            status = 0 if act() is True else 2
        finally:
            os._exit(status)
    return pid


def wait(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def works(kernel: nx.Kernel) -> bool:
    """Whether the next calls of *kernel* have the right answers, from two threads at once."""
    zoo, right = Zoo(kernel), []

    def call() -> None:
        right.extend(zoo.act("prints", n).value == n for n in range(CALLS))

    threads = [threading.Thread(target=call) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(right) == 2 * CALLS and all(right)


def under_load(data: Path) -> None:
    """Fork again and again while other threads call; everybody gets every answer."""
    with patient(data, "prints") as kernel:
        zoo, wrong, stop = Zoo(kernel), [], threading.Event()

        def call(number: int) -> None:
            while not stop.is_set():
                if zoo.act("prints", number).value != number:
                    wrong.append(number)

        threads = [threading.Thread(target=call, args=(n,)) for n in range(3)]
        for thread in threads:
            thread.start()
        statuses = [wait(in_child(lambda: works(kernel))) for _ in range(CHILDREN)]
        stop.set()
        for thread in threads:
            thread.join()
        say(statuses=statuses, wrong=wrong, works=works(kernel))


def in_a_thread(data: Path) -> None:
    """Fork in a thread that is not the one that booted."""
    statuses: list[int] = []
    with patient(data, "prints") as kernel:
        works(kernel)
        thread = threading.Thread(
            target=lambda: statuses.append(wait(in_child(lambda: works(kernel))))
        )
        thread.start()
        thread.join()
        say(statuses=statuses, works=works(kernel))


def twice(data: Path) -> None:
    """Fork in a forked child, before and after the child has used the kernel."""

    def child(kernel: nx.Kernel) -> bool:
        first = wait(in_child(lambda: works(kernel)))
        own = works(kernel)
        second = wait(in_child(lambda: works(kernel)))
        kernel.close()
        return (first, own, second) == (0, True, 0)

    with patient(data, "prints") as kernel:
        works(kernel)
        say(statuses=[wait(in_child(lambda: child(kernel)))], works=works(kernel))


def daemon(data: Path) -> None:
    """Daemonise with a running kernel: the process that booted it ends, its grandchild goes on."""
    kernel = patient(data, "prints")
    kernel.__enter__()
    works(kernel)
    read, write = os.pipe()
    if os.fork():
        os.close(write)
        told = os.read(read, 100)  # Only for the test: a real one leaves at once.
        say(statuses=[int(told)], works=True)
        os._exit(0)
    os.setsid()
    if os.fork():
        os._exit(0)
    fine = works(kernel)
    kernel.close()
    os.write(write, b"0" if fine else b"1")


def during_boot(data: Path) -> None:
    """Fork at several moments of a boot that another thread makes."""
    kernel = patient(data, "prints")
    booting = threading.Thread(target=kernel.__enter__)
    children = [in_child(lambda: _refused_or_works(kernel))]
    booting.start()
    while booting.is_alive() and len(children) < CHILDREN:
        children.append(in_child(lambda: _refused_or_works(kernel)))
        booting.join(0.03)
    booting.join()
    statuses = [wait(child) for child in children]
    say(statuses=statuses, works=works(kernel))
    kernel.close()


def _refused_or_works(kernel: nx.Kernel) -> bool:
    """A kernel that nobody has entered is not entered by a call; any other one works."""
    try:
        kernel.call("act", value=0)
    except nx.KernelNotRunning:
        with kernel:
            return works(kernel)
    return works(kernel)


def not_entered(data: Path) -> None:
    """Build a kernel, fork, and enter it in parent and child: two runs."""
    kernel = patient(data, "prints")

    def child() -> bool:
        with kernel:
            return works(kernel) and kernel.run.id != "r000001"

    pid = in_child(child)
    with kernel:
        fine = works(kernel)
    say(statuses=[wait(pid)], works=fine and kernel.run.id == "r000001")


def square(number: int) -> Any:
    return Zoo(KERNELS[0]).act("prints", number).value


KERNELS: list[nx.Kernel] = []


def pool(data: Path) -> None:
    """Call from the processes of a pool that multiprocessing forks."""
    with patient(data, "prints") as kernel:
        KERNELS.append(kernel)
        works(kernel)
        with multiprocessing.get_context("fork").Pool(2) as processes:
            found = processes.map(square, range(CALLS))
            processes.close()
            processes.join()
        say(statuses=[0 if found == list(range(CALLS)) else 1], works=works(kernel))


class Forks:
    """A builtin that forks in the middle of a call."""

    child = -1

    @nx.HookimplMarker("zoo")
    def act(self, value):
        if value == "fork":
            self.child = os.fork()
        return value


def in_a_call(data: Path) -> None:
    """Fork in a builtin: the child's copy of the call ends in outcomes, the parent's is whole."""
    forks = Forks()
    with patient(data, "prints", "sleeps", builtins={"a.forks": forks}) as kernel:
        result = kernel.options(timeout=PATIENCE_S, only={"prints", "a.forks"}).call(
            "act", value="fork"
        )
        codes = [outcome.error.code if outcome.error else "ok" for outcome in result]
        if forks.child == 0:
            os._exit(0 if _ends_well(codes) and works(kernel) else 3)
        say(statuses=[wait(forks.child)], codes=codes, works=works(kernel))


def _ends_well(codes: list[str]) -> bool:
    return set(codes) <= {"audit.failed", "kernel.not_running"}


def told(data: Path) -> None:
    """Make a historic call, fork: the child's worker has been told too."""
    with patient(data, "remembers") as kernel:
        kernel.hook.told.call_historic(kwargs={"value": "before"})

        def child() -> bool:
            value = Zoo(kernel).act("remembers", None).value
            os.write(1, json.dumps(value).encode() + b"\n")
            return True

        say(statuses=[wait(in_child(child))], works=True)


def unused(data: Path) -> None:
    """Children that never use the kernel, and leave in every way, cost the parent nothing."""
    with patient(data, "prints") as kernel:
        works(kernel)
        pids = [in_child(lambda: True)]
        pid = os.fork()
        if pid == 0:
            kernel.close()
            sys.exit(0)
        pids.append(pid)
        say(statuses=[wait(pid) for pid in pids], works=works(kernel))


def while_reading(data: Path) -> None:
    """Fork with a reader of the audit open: the child is refused, fail closed, and told why."""
    with build(data, "prints") as kernel, AuditReader(kernel.run.audit_log.path) as reader:

        def child() -> bool:
            try:
                kernel.call("act", value=1)
            except nx.AuditError as error:
                return "was forked" in error.message and "close it before the fork" in error.message
            return False

        status = wait(in_child(child))
        say(statuses=[status], works=works(kernel) and bool(reader.runs()))


MODES: dict[str, Callable[[Path], None]] = {
    "daemon": daemon,
    "during-boot": during_boot,
    "in-a-call": in_a_call,
    "in-a-thread": in_a_thread,
    "not-entered": not_entered,
    "pool": pool,
    "told": told,
    "twice": twice,
    "under-load": under_load,
    "unused": unused,
    "while-reading": while_reading,
}

if __name__ == "__main__":
    eventually(lambda: True, "the clock works")
    MODES[sys.argv[1]](Path(sys.argv[2]))
