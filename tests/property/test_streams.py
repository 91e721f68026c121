"""Streams, whatever plugin and consumer do: two of one worker, read in any order, ended anyhow.

The worker is a real one. The clock is the test's own, so that deadlines depend on no speed: it
moves while the consumer is away, and in calls that the plugin makes between two items.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import nxkernel as nx
from nxkernel._canonical import Sequence, digest, encode
from nxkernel.testing import FakeClock
from tests.process.conftest import confinement
from tests.support.zoo import Zoo, allow, patient, recorded

__all__ = ["confinement"]

#: Seconds of the test's clock that a stream may take.
TIMEOUT_S = 10.0
#: Items and bytes of a turn: one, few, and more than most streams have.
WINDOWS = ((1, 1), (3, 2_000), (16, 1 << 18))
hookimpl = nx.HookimplMarker("zoo")


class Sundial:
    """A builtin that takes its time: of the test's clock."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock

    @hookimpl
    def ask_c(self, value: float) -> float:
        self.clock.advance(value)
        return value


@attrs.define
class World:
    """A kernel with one window, and what its streams have come to."""

    zoo: Zoo
    clock: FakeClock
    window: tuple[int, int]
    #: Items, bytes and digest of each stream, by its call.
    known: dict[str, tuple[int, int, str]] = attrs.Factory(dict)

    def state(self) -> tuple[int, int]:
        """How many items the plugin has made, and how many of its streams have ended."""
        made, ended = self.zoo.act("flows").value
        return made, len(ended)

    @property
    def starts(self) -> int:
        return self.zoo.kernel.plugins["flows"].starts


@pytest.fixture(scope="module")
def worlds(
    confinement: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[tuple[int, int], World]]:
    """A kernel for each window; at the end each row says what its consumer was given."""
    with ExitStack() as stack:
        made = {window: world(tmp_path_factory.mktemp("zoo"), window) for window in WINDOWS}
        for each in made.values():
            stack.enter_context(each.zoo.kernel)
        yield made
    for each in made.values():
        rows = {row.call_id: row for row in recorded(each.zoo.kernel.run, hook="flow")}
        assert each.known.keys() <= rows.keys()
        for call, known in each.known.items():
            row = rows[call]
            assert (row.output_bytes, row.output_digest) == known[1:], call
            assert f'"items":{known[0]}' in str(row.details).replace("'", '"').replace(" ", "")


def world(data: Path, window: tuple[int, int]) -> World:
    clock = FakeClock()
    # Nobody is pinged: while an answer is on its way the clock may move by days.
    hosting = nx.Hosting(
        restart_intensity=10**6,
        backoff_s=0.0,
        ping_interval_s=None,
        stream_items=window[0],
        stream_bytes=window[1],
    )
    kernel = patient(
        data,
        "flows",
        clock=clock,
        hosting=hosting,
        rules=allow("flows", "echo", "ask_c"),
        builtins={"sundial": Sundial(clock)},
    )
    return World(Zoo(kernel), clock, window)


# -- what plugin and consumer do ---------------------------------------------------------------

Step = tuple[str, Any]
sizes = st.one_of(st.integers(0, 40), st.sampled_from([100, 1_900, 2_100, 40_000, 300_000]))
steps = st.lists(
    st.one_of(
        st.tuples(st.just("item"), sizes),
        st.tuples(st.just("item"), sizes),
        st.tuples(st.just("item"), sizes),
        st.tuples(st.just("blob"), sizes),
        st.tuples(st.just("echo"), st.integers(0, 9)),
        st.tuples(st.just("ask"), st.floats(0.0, 12.0)),
        st.tuples(st.sampled_from(["raise", "odd"]), st.just(0)),
    ),
    max_size=24,
)
acts = st.tuples(
    st.integers(0, 1),
    st.one_of(
        st.tuples(st.just("next"), st.integers(1, 6)),
        st.tuples(st.just("next"), st.integers(1, 6)),
        st.tuples(st.just("pause"), st.floats(0.0, 1e6)),
        st.tuples(st.just("call"), st.just(0)),
        st.tuples(st.just("cancel"), st.integers(0, 12)),
        st.tuples(st.sampled_from(["close", "drop"]), st.just(0)),
    ),
)


def produced(way: list[Step]) -> tuple[list[tuple[int, int]], str]:
    """The items that a plugin makes which nobody stops, as number and size; and how it ends."""
    items = []
    for number, (what, much) in enumerate(way):
        if what in ("item", "blob"):
            items.append((number, much))
        elif what in ("raise", "odd"):
            return items, "plugin.raised" if what == "raise" else "contract.output"
    return items, "ok"


@attrs.define(eq=False)
class Reader:
    """One stream and its consumer."""

    world: World
    way: list[Step]
    stream: Any = None
    tasks: Any = None
    got: list[Any] = attrs.Factory(list)
    #: The code of its failure, or ``ok`` at its end; None while it may go on.
    end: str | None = None
    #: How the consumer ended it, if he did.
    left: str | None = None

    def open(self) -> None:
        caller = self.world.zoo.kernel.options(only={"flows"}, timeout=TIMEOUT_S)
        self.stream = caller.call("flow", value=["follows", self.way]).value
        self.tasks = self.stream._tasks

    def act(self, what: str, much: Any) -> None:
        if self.stream is not None and self.end is None and self.left is None:
            getattr(self, f"do_{what}")(much)

    def do_next(self, count: int) -> None:
        try:
            for _ in range(count):
                self.got.append(next(self.stream))
        except StopIteration:
            self.end = "ok"
        except nx.HookFailed as failed:
            self.end = failed.result.outcomes[-1].error.code

    def do_pause(self, seconds: float) -> None:
        self.world.clock.advance(seconds)

    def do_call(self, _: Any) -> None:
        assert self.world.zoo.answers("flows")

    def do_close(self, _: Any) -> None:
        self.stream.close()
        self.left = "closed"

    def do_drop(self, _: Any) -> None:
        self.stream = None
        gc.collect()
        self.left = "dropped"

    def do_cancel(self, turns: int) -> None:
        asyncio.run(self.cancelled(turns))

    async def cancelled(self, turns: int) -> None:
        """Wait for an item in a task that is cancelled a few turns of the loop later."""
        task = asyncio.ensure_future(anext(self.stream))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        try:
            self.got.append(await task)
        except asyncio.CancelledError:
            # One that was cancelled before it began has asked for nothing.
            self.left = "cancelled" if turns else None
        except StopAsyncIteration:
            self.end = "ok"
        except nx.HookFailed as failed:
            self.end = failed.result.outcomes[-1].error.code

    # -- what has to hold ----------------------------------------------------------------------

    @property
    def asked(self) -> float:
        """Seconds that its plugin's calls take, all together."""
        return sum(much for what, much in self.way if what == "ask")

    def hold(self, *, lost: bool) -> None:
        """Hold it to its promises; *lost*: whether another call may have cost it its worker."""
        items, ending = produced(self.way)
        got = [
            (number, len(data) if isinstance(data, bytes) else data.size)
            for number, data in self.got
        ]
        assert got == items[: len(got)]
        if self.end == "ok":
            assert (got, ending) == (items, "ok")
        elif self.end is not None:
            late = {"plugin.timeout", "plugin.raised"} if self.asked >= TIMEOUT_S else set()
            gone = {"plugin.crashed"} if lost else set()
            assert self.end in {ending, *late, *gone}
            assert self.end != ending or self.end in late or got == items
        if self.tasks.done:
            self.note(self.tasks.result.outcomes)

    def note(self, outcomes: Any) -> None:
        """Its outcome sums up what it was given, and so does the row, which is looked at later."""
        if not outcomes:
            return
        outcome, sequence = outcomes[-1], Sequence()
        payloads = [encode(item) for item in self.got]
        for payload in payloads:
            sequence.add(digest(payload))
        if outcome.items is None:  # it failed, or was left, before its plugin said anything
            assert payloads == []
            return
        known = (len(payloads), sum(map(len, payloads)), sequence.digest)
        assert (outcome.items, outcome.output_bytes, outcome.output_digest) == known
        self.world.known[outcome.call_id] = known


def _size(data: bytes | nx.Blob) -> int:
    return len(data) if isinstance(data, bytes) else data.size


def played(world: World, ways: list[list[Step]], plan: list[tuple[int, Step]], last: str) -> None:
    """Do what *plan* says with a stream of each of *ways*, and with the rest what *last* says."""
    made, ended = world.state()
    starts = world.starts
    readers = [Reader(world, way) for way in ways]
    for reader in readers:
        reader.open()
    for who, (what, much) in plan:
        readers[who].act(what, much)
        if world.starts == starts and what == "call":
            ahead = world.state()[0] - made - sum(len(reader.got) for reader in readers)
            assert ahead <= len(readers) * world.window[0]
    for reader in readers:
        reader.act(last, 100)
    assert world.zoo.answers("flows")
    lost = world.starts > starts
    for reader in readers:
        reader.hold(lost=lost)
    if lost:
        # A plugin that overran, or that waited for its own call when its consumer went away.
        assert any(r.asked >= TIMEOUT_S or r.left == "cancelled" for r in readers)
    else:
        begun = sum(bool(reader.got) or reader.end is not None for reader in readers)
        assert begun <= world.state()[1] - ended <= len(readers)


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(
    window=st.sampled_from(WINDOWS),
    ways=st.tuples(steps, steps),
    plan=st.lists(acts, max_size=14),
    last=st.sampled_from(["next", "close", "drop"]),
)
def test_streams_of_one_worker_keep_their_promises(
    worlds: dict[tuple[int, int], World], window: Any, ways: Any, plan: Any, last: str
) -> None:
    """What comes is the beginning of what was made; count, bytes and digest are of just that.

    The plugin is never further ahead than its window, each of its iterators is closed, and its
    worker is free for the next call. The consumer's time costs the plugin nothing.
    """
    played(worlds[window], list(ways), plan, last)
