"""A program that embeds a kernel over the zoo, for tests that end it, fork it or lose its threads.

Run as ``python -m tests.support.embedder MODE DATA``. Says what it knows in one line of JSON.
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
    with patient(data, "inspects") as kernel:
        zoo = Zoo(kernel)
        pid = zoo.act("inspects").value["pid"]
        opened = {k: v for k, v in descriptors().items() if before.get(k) != v}
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            in_child(kernel, data, opened, write)
        os.close(write)
        heard = json.loads(os.read(read, 1 << 16))
        _, status = os.waitpid(child, 0)
        say(status=status, child=heard, same=zoo.act("inspects").value["pid"] == pid)


def in_child(kernel: nx.Kernel, data: Path, opened: dict[str, str], write: int) -> None:
    """Try the parent's kernel, then build one of our own; leave as a program does."""
    found = descriptors()
    kept = sorted(v for k, v in opened.items() if found.get(k) == v)
    try:
        kernel.call("act", value=None)
        error = ""
    except nx.KernelNotRunning as refusal:
        error = str(refusal)
    kernel.close()
    with patient(data / "child", "prints") as own:
        value = Zoo(own).act("prints", "from the child").value
    os.write(write, json.dumps({"error": error, "kept": kept, "value": value}).encode())
    sys.exit(0)


MODES: dict[str, Callable[[Path], None]] = {
    "sleep": sleep_in_a_call,
    "thread": boot_in_a_thread,
    "fork": fork,
}

if __name__ == "__main__":
    MODES[sys.argv[1]](Path(sys.argv[2]))
