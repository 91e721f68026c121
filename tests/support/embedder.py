"""A program that embeds a kernel over the zoo, for tests that end it, fork it or lose its threads.

Run as ``python -m tests.support.embedder MODE DATA [WAY]``. Says what it knows in one line of JSON.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

import nxkernel as nx
from tests.support.ways import go
from tests.support.zoo import Zoo, eventually, patient


def say(**facts: Any) -> None:
    """Print *facts* for the test that started this program."""
    print(json.dumps(facts), flush=True)


def processes() -> list[int]:
    """Every process that this one has started, the zygote first."""
    return [process.pid for process in psutil.Process().children(recursive=True)]


def sleep_in_a_call(data: Path) -> None:
    """Be in the middle of a call until somebody ends this process."""
    with patient(data, "sleeps", "hangs", "prints") as kernel:
        zoo = Zoo(kernel)
        for plugin, value in (("sleeps", 3600), ("hangs", "stopped")):
            threading.Thread(target=zoo.act, args=(plugin, value), daemon=True).start()
        eventually(lambda: "going to sleep" in zoo.log("sleeps"), "the plugin sleeps")
        eventually(lambda: any(map(is_stopped, processes())), "the other one has stopped")
        say(processes=processes())
        threading.Event().wait()


def is_stopped(pid: int) -> bool:
    return psutil.Process(pid).status() == psutil.STATUS_STOPPED


def be_busy(data: Path) -> None:
    """Boot, and then call from several threads until somebody ends this process."""
    with patient(data, "prints", "hangs", "asks.a", "sleeps") as kernel:
        say(booted=True)
        zoo = Zoo(kernel)

        def call(plugin: str, value: Any) -> None:
            while True:
                zoo.act(plugin, value)

        for plugin, value in (("prints", 1), ("sleeps", 0.01), ("hangs", "stopped")):
            threading.Thread(target=call, args=(plugin, value), daemon=True).start()
        threading.Event().wait()


def boot_in_a_thread(data: Path) -> None:
    """Call plugins after the thread that booted the kernel has ended."""
    kernel = patient(data, "inspects")
    before = []

    def boot() -> None:
        kernel.__enter__()
        before.append(Zoo(kernel).act("inspects").value["pid"])

    thread = threading.Thread(target=boot)
    thread.start()
    thread.join()
    after = Zoo(kernel).act("inspects")
    kernel.close()
    say(same=after.ok and after.value["pid"] == before[0])


def descriptors() -> dict[str, str]:
    """What each open descriptor of this process is."""
    found = {}
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):  # the descriptor of the listing itself
            found[name] = os.readlink(f"/proc/self/fd/{name}")
    return found


def fork(data: Path) -> None:
    """Fork while the kernel runs; use it in the child, end the child, use it in the parent."""
    before = descriptors()
    with patient(data, "inspects", "draws") as kernel:
        zoo = Zoo(kernel)
        pid = zoo.act("inspects").value["pid"]
        opened = {k: v for k, v in descriptors().items() if before.get(k) != v}
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            in_child(kernel, opened, write)
        os.close(write)
        heard = json.loads(os.read(read, 1 << 16))
        _, status = os.waitpid(child, 0)
        say(
            status=status,
            child=heard,
            same=zoo.act("inspects").value["pid"] == pid,
            pid=pid,
            run=kernel.run.id,
            drawn=zoo.act("draws").value,
        )


def in_child(kernel: nx.Kernel, opened: dict[str, str], write: int) -> None:
    """Use the parent's kernel; leave as a program does."""
    found = descriptors()
    kept = sorted(v for k, v in opened.items() if found.get(k) == v)
    states = {plugin: each.state for plugin, each in kernel.health().items()}
    zoo = Zoo(kernel)
    said = {
        "kept": kept,
        "states": states,
        "pid": zoo.act("inspects").value["pid"],
        "drawn": zoo.act("draws").value,
        "run": kernel.run.id,
    }
    os.write(write, json.dumps(said).encode())
    sys.exit(0)


def stop_at_a_breakpoint(data: Path) -> None:
    """Call a plugin in this process, with a deadline that is over before anybody could type."""
    hosting = nx.Hosting(inproc_allowlist={"resides": "for its breakpoint"})
    with patient(data, "resides", hosting=hosting) as kernel:
        say(value=Zoo(kernel).act("resides", ["break"], timeout=0.01).value)


def debug_here(data: Path) -> None:
    """Debug a plugin in its worker, on this program's own terminal."""
    hosting = nx.Hosting(debug="resides", debug_here=True, timeout_s=0.1)
    with patient(data, "resides", hosting=hosting) as kernel:
        say(value=Zoo(kernel).act("resides", ["break"], timeout=0.1).value)


MODES: dict[str, Callable[[Path], None]] = {
    "busy": be_busy,
    "sleep": sleep_in_a_call,
    "thread": boot_in_a_thread,
    "fork": fork,
    "breakpoint": stop_at_a_breakpoint,
    "debug_here": debug_here,
}

if __name__ == "__main__":
    mode, data, *ways = sys.argv[1:]
    with contextlib.ExitStack() as stack:
        for way in ways:
            stack.enter_context(go(way))
        MODES[mode](Path(data))
