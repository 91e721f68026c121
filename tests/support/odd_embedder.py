"""Programs that embed a kernel in surroundings that a kernel does not choose.

Run as ``python -m tests.support.odd_embedder MODE DATA SAID``; what came of it stands in SAID as
JSON, because some of these programs have no standard output.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import json
import os
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nxkernel as nx
from tests.support.leftovers import become_reaper, descendants
from tests.support.zoo import Zoo, code_of, patient

CLONE_NEWUSER = 0x10000000


def tour(data: Path, **options: Any) -> dict[str, Any]:
    """Boot, have calls answered, lose a worker, time one out, close; say how each went."""
    hosting = nx.Hosting(stop_grace_s=0.1, restart_intensity=100, backoff_s=0.001)
    with patient(data, "prints", "dies", "sleeps", "clings", hosting=hosting, **options) as kernel:
        zoo = Zoo(kernel)
        dead = zoo.act("dies", "kill")
        assert dead.error is not None
        return {
            "answered": zoo.act("prints", 7).value,
            "clings": zoo.act("clings", 7).value,
            "dies": code_of(dead),
            "late": code_of(zoo.act("sleeps", 3600, timeout=0.2)),
            "next": zoo.answers("sleeps"),
            "signal": dead.error.details.get("signal"),
        }


def child_signals_ignored(data: Path) -> dict[str, Any]:
    """The system reaps this program's children by itself."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    return tour(data)


def child_signals_stolen(data: Path) -> dict[str, Any]:
    """Another part of the program waits for every child there is."""
    over = threading.Event()

    def steal() -> None:
        while not over.is_set():
            with contextlib.suppress(ChildProcessError):
                os.waitpid(-1, os.WNOHANG)
            time.sleep(0.001)

    thief = threading.Thread(target=steal)
    thief.start()
    try:
        return tour(data)
    finally:
        over.set()
        thief.join()


def signals_blocked(data: Path) -> dict[str, Any]:
    """SIGTERM, SIGCHLD and SIGINT are blocked, and what is started inherits that."""
    signal.pthread_sigmask(
        signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGCHLD, signal.SIGINT, signal.SIGXCPU}
    )
    return tour(data)


def streams_closed(data: Path) -> dict[str, Any]:
    """Standard input, output and error are closed: the lowest descriptors are anybody's."""
    for fd in (0, 1, 2):
        os.close(fd)
    return tour(data)


def few_files(data: Path) -> dict[str, Any]:
    """Nobody may have more than 64 files open."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
    return tour(data)


def many_files(data: Path) -> dict[str, Any]:
    """More than 1024 files are open: select() is of no use."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
    files = [os.open("/dev/null", os.O_RDONLY) for _ in range(1500)]
    assert max(files) > 1024
    return tour(data)


def subreaper(data: Path) -> dict[str, Any]:
    """Orphans become this program's children: a worker that outlived its zygote would show."""
    become_reaper()
    found = tour(data)
    return {**found, "left": [process.pid for process in descendants()]}


def without_user_namespaces(data: Path) -> dict[str, Any]:
    """As in a container that forbids them."""
    libc = ctypes.CDLL(None, use_errno=True)
    uid, gid = os.getuid(), os.getgid()
    if libc.unshare(CLONE_NEWUSER) == 0:
        for name, text in (
            ("setgroups", "deny"),
            ("uid_map", f"{uid} {uid} 1"),
            ("gid_map", f"{gid} {gid} 1"),
        ):
            Path(f"/proc/self/{name}").write_text(text)
        Path("/proc/sys/user/max_user_namespaces").write_text("0")
    assert libc.unshare(CLONE_NEWUSER) == -1  # where it was refused from the start, all the better
    return tour(data)


@contextlib.contextmanager
def watching(name: str) -> Iterator[None]:
    """Have asyncio wait for its children by the watcher of that name, where there is one."""
    with contextlib.suppress(AttributeError, DeprecationWarning, TypeError):
        asyncio.set_child_watcher(getattr(asyncio, name)())
    yield


def child_watchers(data: Path) -> dict[str, Any]:
    """asyncio starts children of its own, and waits for them in each of its ways."""
    found: dict[str, Any] = {}
    names = ("ThreadedChildWatcher", "PidfdChildWatcher", "SafeChildWatcher", "FastChildWatcher")
    for name in names:
        with watching(name), patient(data, "prints", "dies") as kernel:
            found[name] = asyncio.run(_beside_children(kernel))
    return found


async def _beside_children(kernel: nx.Kernel) -> list[Any]:
    loop = asyncio.get_running_loop()
    with contextlib.suppress(AttributeError, DeprecationWarning):
        asyncio.get_child_watcher().attach_loop(loop)
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", "raise SystemExit(3)")
    calls = [kernel.options(only={"prints"}).acall("act", value=n) for n in range(5)]
    answers = [(await call).unwrap() for call in calls]
    died = await kernel.options(only={"dies"}).acall("act", value="kill")
    return [await child.wait(), answers, [code_of(outcome) for outcome in died]]


def left_open(data: Path) -> dict[str, Any]:
    """The program ends with its kernel running and a daemon thread in the middle of calls."""
    kernel = patient(data, "prints", "sleeps", "clings")
    kernel.__enter__()
    zoo = Zoo(kernel)

    def call() -> None:
        with contextlib.suppress(nx.KernelNotRunning):
            while True:
                zoo.act("prints", 1)

    threading.Thread(target=call, daemon=True).start()
    threading.Thread(target=zoo.act, args=("sleeps", 3600), daemon=True).start()
    return {"answered": zoo.act("clings", 7).value}


def raises(data: Path) -> dict[str, Any]:
    """The body of the `with` raises."""
    with contextlib.suppress(ZeroDivisionError), patient(data, "prints") as kernel:
        assert Zoo(kernel).act("prints", 1).ok
        raise ZeroDivisionError
    return {"answered": 7}


def opens_and_closes(data: Path) -> dict[str, Any]:
    """Boot and close again and again, until an interrupt comes, wherever it strikes."""
    while True:
        with patient(data, "prints", "dies") as kernel:
            Zoo(kernel).act("prints", 1)


MODES: dict[str, Callable[[Path], dict[str, Any]]] = {
    "child-signals-ignored": child_signals_ignored,
    "child-signals-stolen": child_signals_stolen,
    "child-watchers": child_watchers,
    "few-files": few_files,
    "left-open": left_open,
    "many-files": many_files,
    "opens-and-closes": opens_and_closes,
    "raises": raises,
    "signals-blocked": signals_blocked,
    "streams-closed": streams_closed,
    "subreaper": subreaper,
    "without-user-namespaces": without_user_namespaces,
}

if __name__ == "__main__":
    Path(sys.argv[3]).write_text(json.dumps(MODES[sys.argv[1]](Path(sys.argv[2]))))
