"""A stream whose consumer went away while it read a blob: nobody else's blobs are harmed by that.

Its worker is told to end it, and nobody waits for the end. Until it comes, the stream may read on.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import nxkernel as nx
from nxkernel.host.parcels import Parcels
from tests.process.conftest import Opens
from tests.support.zoo import Zoo, allow, eventually, patient

LARGE = 300_001
OPTIONS = {"rules": allow("flows", "ask_c")}


def blob(seed: int) -> nx.Blob:
    return nx.Blob(bytes([seed]) * LARGE)


def hex_of(given: nx.Blob) -> str:
    return given.digest.removeprefix("sha256:")


class Here:
    """Part of the application: answers with blobs, and does something before the first answer."""

    def __init__(self) -> None:
        self.before: Callable[[], Any] = list

    @nx.HookimplMarker("zoo")
    def ask_c(self, value: int) -> nx.Blob:
        before, self.before = self.before, list
        thread = threading.Thread(target=before)
        thread.start()
        thread.join()
        return blob(value)


@pytest.fixture
def here() -> Here:
    return Here()


@pytest.fixture
def zoo(open_zoo: Opens, here: Here) -> Zoo:
    opened = open_zoo(patient, "flows", builtins={"here": here}, **OPTIONS)
    assert opened.answers("flows")
    return opened


def leave(zoo: Zoo, given: nx.Blob) -> Path:
    """Read a stream that is given a blob, and go away while it waits for the file returned."""
    (folder,) = [each for each in zoo.kernel.run.dir.rglob("flows") if each.is_dir()]
    slot = zoo.kernel._parts.plant.keepers["flows"].slot

    async def main() -> None:
        stream = zoo.kernel.options(only={"flows"}).call("flow", value=["waits", 1, given]).value
        assert await anext(stream) == 0
        reading = asyncio.ensure_future(anext(stream))
        while slot._stack[-1].idle:
            await asyncio.sleep(0.002)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading

    asyncio.run(main())
    return folder / "go"


def arena_of(zoo: Zoo) -> Any:
    """Where the host puts what it sends to the animal."""
    return zoo.kernel._parts.plant.keepers["flows"].slot.worker.channel.parcels._arena


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_call_below_has_its_blobs(zoo: Zoo, here: Here, seed: int) -> None:
    """Those that it is given later, the stream's own among them, hold what they held."""
    left: list[Path] = []

    def go_away() -> None:
        left.append(leave(zoo, blob(seed)))
        left[0].touch()

    here.before = go_away
    outcome = zoo.ask("flows", "ask_b", value=[1, 2, 3, 2])
    assert outcome.value == [hex_of(blob(n)) for n in (1, 2, 3, 2)]
    assert left
    assert zoo.kernel.plugins["flows"].starts == 1


def test_the_stream_reads_on_until_its_end(zoo: Zoo, here: Here) -> None:
    """What it was given stays where it is, also when the call below is given something."""
    given, arena = blob(1), arena_of(zoo)

    def end(go: Path) -> None:
        eventually(lambda: arena.height == 1, "the call below has been sent its blob")
        go.touch()

    ending: list[threading.Thread] = []

    def go_away() -> None:
        ending.append(threading.Thread(target=end, args=(leave(zoo, given),)))
        ending[0].start()

    here.before = go_away
    assert zoo.ask("flows", "ask_b", value=[2]).value == [hex_of(blob(2))]
    ending[0].join()
    assert zoo.act("flows").value[1] == [hex_of(given)]
    assert zoo.kernel.plugins["flows"].starts == 1


def test_nothing_of_it_is_kept_afterwards(zoo: Zoo) -> None:
    """Neither memory nor the blob, once the worker has said that it is over."""
    go, parcels = leave(zoo, blob(1)), Parcels(1, arena_of(zoo))
    parcels.rest()
    assert os.fstat(arena_of(zoo).down.fd).st_blocks, "it may still be read"
    go.touch()
    assert zoo.answers("flows")
    assert parcels.height == 0
    parcels.rest()
    assert os.fstat(arena_of(zoo).down.fd).st_blocks == 0
