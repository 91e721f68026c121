"""What large binary data costs: as a blob, as raw bytes, and beside what a user would use."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import mmap
import multiprocessing
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import attrs

import nxkernel as nx
from benchmarks.measure import Row, interleave

__all__ = ["PAIRS", "blobs"]

VIEWER = Path(__file__).parent / "others" / "viewer"
SIZES = {"1 MiB": 1 << 20, "8 MiB": 8 << 20}
#: Bytes of blobs that come in turn: an arena keeps an eighth of that.
TURN = 128 << 20
hookspec = nx.HookspecMarker("bench")


class Specs:
    """The hooks of this benchmark."""

    @hookspec(firstresult=True)
    def pages(self, data):
        """Return how many pages *data* has; one byte of each is read."""

    @hookspec
    def pages_all(self, data):
        """The same, from every plugin."""

    @hookspec(firstresult=True)
    def produce(self, size, raw):
        """Return *size* bytes."""


def _count(connection: Connection) -> None:
    with contextlib.suppress(EOFError):
        while True:
            data = connection.recv()
            connection.send(len(memoryview(data)[::4096].tobytes()))


def _produce(connection: Connection) -> None:
    with contextlib.suppress(EOFError):
        while True:
            connection.send(bytes(connection.recv()))


@contextlib.contextmanager
def _peer(serve: Callable[[Connection], None]) -> Iterator[Callable[[Any], Any]]:
    """A bare ``multiprocessing.Pipe`` to a process that does the same work."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("fork").Process(target=serve, args=(theirs,))
    process.start()
    theirs.close()

    def call(value: Any) -> Any:
        ours.send(value)
        return ours.recv()

    try:
        yield call
    finally:
        ours.close()
        process.terminate()
        process.join()


def _copier(size: int, source: Callable[[], bytes]) -> Callable[[], None]:
    """One copy into memory that is there already."""
    target = memoryview(mmap.mmap(-1, size))

    def copy() -> None:
        target[:] = source()

    return copy


def _fresh(data: bytes) -> Callable[[], None]:
    """Another blob each time: as of a camera, hashed once and seen once."""
    changing, number = bytearray(data), itertools.count(1)

    def make() -> nx.Blob:
        changing[:8] = next(number).to_bytes(8, "little")
        return nx.Blob(changing)

    return make


def _several(data: bytes) -> Callable[[], nx.Blob]:
    """Blobs whose digests are known, more of them than lie in an arena from call to call."""
    made = [nx.Blob(bytes([number]) + data[1:]) for number in range(TURN // len(data))]
    return itertools.cycle(made).__next__


def _fresh_file(data: bytes) -> Callable[[], None]:
    """What one copy for all recipients would begin with: a new file in memory."""

    def make() -> None:
        fd = os.memfd_create("bench")
        os.ftruncate(fd, len(data))
        with mmap.mmap(fd, len(data)) as memory:
            memory[:] = data
        os.close(fd)

    return make


@attrs.frozen
class _Others:
    """What the blobs of one kernel are measured beside."""

    #: A kernel whose workers have no arena.
    framed: nx.Kernel
    #: One with eight plugins.
    wide: nx.Kernel
    count: Callable[[Any], Any]
    produce: Callable[[Any], Any]


def _contenders(size: str, kernel: nx.Kernel, others: _Others) -> dict[str, Callable[[], object]]:
    length = SIZES[size]
    data = bytes(range(256)) * (length // 256)
    known, fresh, several = nx.Blob(data), _fresh(data), _several(data)
    return {
        f"memcpy of {size}": _copier(length, lambda: data),
        f"memcpy of {size}, another each time": _copier(length, lambda: several().bytes()),
        f"SHA-256 of {size}": lambda: hashlib.sha256(data).digest(),
        f"{size} blob, digest known": lambda: kernel.hook.pages(data=known),
        f"{size} blob, digest known, another each time": lambda: kernel.hook.pages(data=several()),
        f"{size} blob, made anew": lambda: kernel.hook.pages(data=fresh()),
        f"{size} blob in a frame": lambda: others.framed.hook.pages(data=known),
        f"{size} blob to 8 plugins": lambda: others.wide.hook.pages_all(data=known),
        f"new memory file of {size}": _fresh_file(data),
        f"{size} as bytes": lambda: kernel.hook.pages(data=data),
        f"{size} by multiprocessing.Pipe": lambda: others.count(data),
        f"{size} blob as result": lambda: kernel.hook.produce(size=length, raw=False),
        f"{size} bytes as result": lambda: kernel.hook.produce(size=length, raw=True),
        f"{size} back by multiprocessing.Pipe": lambda: others.produce(length),
    }


def blobs(rounds: int) -> dict[str, Row]:
    """Time 1 and 8 MiB to a plugin that reads every page of it, and back."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with (
            _kernel(folder / "one", [VIEWER]) as kernel,
            _kernel(folder / "two", [VIEWER], launcher="spawn") as framed,
            _kernel(folder / "three", _copies(folder / "plugins", 8)) as wide,
            _peer(_count) as count,
            _peer(_produce) as produce,
        ):
            others = _Others(framed, wide, count, produce)
            contenders: dict[str, Callable[[], object]] = {}
            for size in SIZES:
                contenders |= _contenders(size, kernel, others)
            return interleave(contenders, rounds=rounds, calls=7)


def _kernel(folder: Path, plugins: list[Path], **hosting: Any) -> nx.Kernel:
    run = nx.Run.create(folder, seed=1)
    return nx.Kernel(
        "bench",
        specs=[Specs],
        run=run,
        plugins=nx.discover(*plugins),
        middleware=nx.standard_stack(run),
        hosting=nx.Hosting(**hosting),
    )


def _copies(folder: Path, number: int) -> list[Path]:
    made = []
    for each in range(number):
        made.append(shutil.copytree(VIEWER, folder / str(each)))
        manifest = made[-1] / "plugin.toml"
        manifest.write_text(manifest.read_text().replace("bench.viewer", f"bench.viewer{each}"))
    return made


PAIRS = [
    pair
    for size in SIZES
    for pair in (
        (f"{size} blob, digest known", f"memcpy of {size}"),
        (f"{size} blob, digest known", f"{size} by multiprocessing.Pipe"),
        (f"{size} blob, digest known, another each time", f"memcpy of {size}"),
        (
            f"{size} blob, digest known, another each time",
            f"memcpy of {size}, another each time",
        ),
        (f"{size} blob, digest known, another each time", f"{size} by multiprocessing.Pipe"),
        (f"{size} blob, made anew", f"{size} by multiprocessing.Pipe"),
        (f"{size} blob in a frame", f"{size} by multiprocessing.Pipe"),
        (f"{size} blob to 8 plugins", f"memcpy of {size}"),
        (f"new memory file of {size}", f"memcpy of {size}"),
        (f"{size} as bytes", f"{size} by multiprocessing.Pipe"),
        (f"{size} blob as result", f"{size} back by multiprocessing.Pipe"),
        (f"{size} blob as result", f"SHA-256 of {size}"),
        (f"{size} bytes as result", f"{size} back by multiprocessing.Pipe"),
    )
]
