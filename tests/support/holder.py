"""A program that is in the middle of something that needs a temporary folder, until it is ended.

Run as ``python -m tests.support.holder MODE DATA``. Says the folder's name in a line of its own.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nxkernel as nx
from nxkernel.kernel import inspection, probe, shared
from nxkernel.plugins.discovery import discover
from tests.support.zoo import folder as animal
from tests.support.zoo import patient


def halt(folder: object) -> Any:
    """Say so, and go no further."""
    print(Path(str(folder)).name, flush=True)
    threading.Event().wait()


def in_a_probe(data: Path) -> None:
    """Stop with the probe's targets up."""
    probe._witness = lambda level, folder: halt(folder)  # type: ignore[assignment]
    nx.probe("process")


def in_an_inspection(data: Path) -> None:
    """Stop with workers about to start."""
    inspection._Inspector.run = lambda self: halt(self._run.data_dir)  # type: ignore[method-assign]
    inspection.inspect(discover(animal("sleeps")), "zoo", sandbox=nx.Sandbox(require="process"))


def in_a_boot(data: Path) -> None:
    """Stop while the application's modules are copied for its plugins."""
    shared._stage = lambda module, folder: halt(folder)  # type: ignore[assignment]
    with patient(data, "sleeps", api=["tests.support.storms"]):
        pass


def forked(data: Path) -> None:
    """Fork in the middle of a probe, as an embedder may; the child ends and the parent goes on."""

    def fork(level: object, folder: Path) -> Any:
        child = os.fork()
        if child == 0:
            return os._exit(0)
        os.waitpid(child, 0)
        return halt(folder)

    probe._witness = fork
    nx.probe("process")


def debugged(data: Path) -> None:
    """Listen for whoever wants to debug a plugin."""
    with patient(data, "resides", hosting=nx.Hosting(debug="resides")) as kernel:
        halt(kernel.run.dir)


MODES: dict[str, Callable[[Path], None]] = {
    "api": in_a_boot,
    "debugged": debugged,
    "forked": forked,
    "inspect": in_an_inspection,
    "probe": in_a_probe,
}

if __name__ == "__main__":
    MODES[sys.argv[1]](Path(sys.argv[2]))
