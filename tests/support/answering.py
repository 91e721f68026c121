"""An application whose hooks return answers, over plugins that answer what they are told to.

Its evidence is one stored frame with two words. It is a factory for ``--app`` too.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import attrs

import nxkernel as nx
from nxkernel.pipeline import StoredLibrary
from nxkernel.storage import BlobStore, RecordStore
from tests.support.calls import FakeClock
from tests.support.zoo import folder

hookspec = nx.HookspecMarker("zoo")
hookimpl = nx.HookimplMarker("zoo")
ANSWER = "urn:nxkernel:sst:answer:1"
PNG = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + b"IHDR" + struct.pack(">II", 640, 480)
WORDS = [{"text": "22", "bbox": [10, 10, 30, 20]}, {"text": "failed", "bbox": [40, 10, 90, 20]}]

#: Claims that look like answers and are none.
UNCITED = {"text": "anything", "citations": []}


class Asking:
    """Hooks whose values are answers, and one that passes an answer on."""

    @hookspec(firstresult=True, returns=ANSWER)
    def reply(self, value):
        """Return the first answer."""

    @hookspec(returns=ANSWER)
    def replies(self, value):
        """Return all answers."""

    @hookspec(firstresult=True, returns=ANSWER, fallback={"claims": [UNCITED], "state": "ok"})
    def backed(self, value):
        """Return an answer, or a false one."""

    @hookspec(firstresult=True)
    def relayed(self, value):
        """Return what another hook answered."""


class Own:
    """An implementation of the application's own."""

    @hookimpl
    def reply(self, value):
        return value


@attrs.frozen
class Shop:
    """A kernel, the frame that there is evidence of, and the records of it."""

    kernel: nx.Kernel
    frame: str
    records: RecordStore

    def true(self, text: str = "22 failed") -> dict[str, Any]:
        """Return a claim that checks out."""
        return {"text": text, "citations": [self.cited()]}

    def cited(self, **changes: Any) -> dict[str, Any]:
        """Return a citation that checks out, but for *changes*."""
        good = {"start": 0, "end": 2, "bbox": [10, 10, 90, 20], "quote": "22 failed"}
        return {"frame": self.frame, **good, **changes}


def shop(data: Path, *animals: str, rules: Any = (), bare: bool = False, **options: Any) -> Shop:
    """Return a kernel over *animals*, not yet entered, with its evidence stored.

    *bare* lists no middleware at all.
    """
    run = nx.Run.create(data, seed=7)
    blobs = BlobStore(data / "blobs")
    records = RecordStore(data / "records.sqlite", blobs, FakeClock())
    frame = blobs.put(PNG)
    records.append("tokens", frame, "ocr", {"tokens": WORDS})
    kernel = nx.Kernel(
        "zoo",
        specs=[Asking],
        run=run,
        plugins=nx.discover(*map(folder, animals)),
        **{"middleware": [] if bare else nx.standard_stack(run, rules=rules), **options},
        evidence=StoredLibrary(blobs, records),
    )
    return Shop(kernel, frame, records)


def build_kernel() -> nx.Kernel:
    """Return the kernel for ``nxkernel call --app``."""
    return shop(Path("data"), "claims").kernel
