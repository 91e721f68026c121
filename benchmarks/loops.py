"""Calls from an event loop beside the same calls that block, and items of a stream beside calls."""

from __future__ import annotations

import asyncio
import itertools
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import nxkernel as nx
from benchmarks.measure import Row, interleave

__all__ = ["PAIRS", "loops"]

#: Calls, or items, in each time that is taken: entering a loop costs one of them nothing then.
BATCH = 32
#: Plugins that are asked at once.
WIDTH = 8
VALUE = {"id": "doc-0017", "title": "Invoice of March", "page": 3, "box": [10, 20, 300, 40]}
PAIRS = [
    (f"{BATCH} calls, awaited", f"{BATCH} calls, blocking"),
    (f"{BATCH} fan-outs to {WIDTH}, awaited", f"{BATCH} fan-outs to {WIDTH}, blocking"),
    (f"{BATCH} items of a stream", f"{BATCH} calls, blocking"),
]
MANIFEST = """\
schema_version = 1
id = "bench.w{number}"
version = "0.1.0"
entrypoint = "plugin"
hooks = ["echo_all"{more}]
"""
CODE = """\
import nxkernel as nx

hookimpl = nx.HookimplMarker("bench")


@hookimpl
def echo_all(value):
    return value
"""
STREAM = """

@hookimpl
def repeat(value):
    while True:
        yield value
"""
hookspec = nx.HookspecMarker("bench")


class Specs:
    """The hooks of these measurements."""

    @hookspec
    def echo_all(self, value):
        """Return *value*, from every plugin."""

    @hookspec(firstresult=True, stream=True, timeout=3600)
    def repeat(self, value):
        """Yield *value*, again and again."""


def loops(rounds: int) -> dict[str, Row]:
    """Time calls one by one and to many plugins at once, both ways, and a stream's items."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        kernel = stack.enter_context(_kernel(Path(folder)))
        one = kernel.options(only={"bench.w0"})
        stream = stack.enter_context(one.hook.repeat(value=VALUE))
        loop = asyncio.new_event_loop()
        stack.callback(loop.close)
        names = list(itertools.chain.from_iterable(PAIRS))
        return interleave(
            {
                names[0]: _awaited(loop, one),
                names[1]: _blocking(one),
                names[2]: _awaited(loop, kernel),
                names[3]: _blocking(kernel),
                names[4]: _read(stream),
            },
            rounds=rounds,
            calls=5,
        )


def _blocking(caller: Any) -> Callable[[], object]:
    def run() -> None:
        for _ in range(BATCH):
            caller.call("echo_all", value=VALUE)

    return run


def _awaited(loop: asyncio.AbstractEventLoop, caller: Any) -> Callable[[], object]:
    async def run() -> None:
        for _ in range(BATCH):
            await caller.acall("echo_all", value=VALUE)

    return lambda: loop.run_until_complete(run())


def _read(stream: Iterator[Any]) -> Callable[[], object]:
    def run() -> None:
        for _ in range(BATCH):
            next(stream)

    return run


def _kernel(folder: Path) -> nx.Kernel:
    for number in range(WIDTH):
        plugin = folder / "plugins" / f"w{number}"
        plugin.mkdir(parents=True)
        more = "" if number else ', "repeat"'
        (plugin / "plugin.toml").write_text(MANIFEST.format(number=number, more=more))
        (plugin / "plugin.py").write_text(CODE + ("" if number else STREAM))
    run = nx.Run.create(folder / "data", seed=1)
    return nx.Kernel(
        "bench",
        specs=[Specs],
        run=run,
        plugins=nx.discover(folder / "plugins"),
        middleware=nx.standard_stack(run),
    )
