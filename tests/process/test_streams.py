"""Streams: items of a plugin's iterator cross as they come, and it is closed when it should be."""

from __future__ import annotations

import asyncio
import copy
import gc
import os
import pickle
import shutil
import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from opentelemetry.sdk.trace import TracerProvider

import nxkernel as nx
from nxkernel._canonical import Sequence, digest, encode
from nxkernel._tally import count
from tests.process.conftest import Opens
from tests.support.zoo import (
    FOLDER,
    PATIENCE_S,
    SOON_S,
    Hooks,
    Zoo,
    allow,
    eventually,
    folder,
    patient,
    recorded,
)

ANIMALS = ("flows", "asks.a")
OPTIONS = {"rules": [*allow("flows", "echo", "flow", "ask_a", "ask_c"), *allow("asks.a", "flow")]}


def flow(zoo: Zoo, *value: Any, hook: str = "flow", **options: Any) -> Any:
    """A stream of the animal ``flows``."""
    return zoo.kernel.options(only={"flows"}, **options).call(hook, value=list(value)).value


def state(zoo: Zoo) -> tuple[int, list[Any]]:
    """How many items the animal has made, and at which item each of its streams ended."""
    made, ended = zoo.act("flows").value
    return made, ended


def row(zoo: Zoo) -> Any:
    """The audit's last row of a stream."""
    return [each for each in recorded(zoo.kernel.run) if each.hook.startswith("flow")][-1]


def failed(stream: Iterator[Any]) -> tuple[list[Any], nx.Outcome]:
    """The items that came, and the outcome of the failure behind them."""
    got: list[Any] = []
    with pytest.raises(nx.HookFailed) as caught:
        got.extend(_noted(stream, got))
    return got, caught.value.result.outcomes[-1]


def _noted(stream: Iterator[Any], got: list[Any]) -> list[Any]:
    for item in stream:
        got.append(item)
    return []


# -- items -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [0, 1, 15, 16, 17, 100])
def test_items_come_in_their_order(zoo: Zoo, count: int) -> None:
    """None is lost or comes twice, wherever the window ends."""
    assert list(flow(zoo, "count", count)) == list(range(count))


@pytest.mark.parametrize("what", ["list", "async"])
def test_anything_with_items_is_a_stream(zoo: Zoo, what: str) -> None:
    """A list and an asynchronous generator are as good as a generator."""
    value = ("list", 0, 1, 2) if what == "list" else ("async", 3)
    assert list(flow(zoo, *value)) == [0, 1, 2]


def test_no_answer_is_an_empty_stream(zoo: Zoo) -> None:
    """A hookimpl that returns None leaves the hook to the next one, and there is none."""
    stream = flow(zoo, "nothing")
    assert list(stream) == []
    assert [outcome.items for outcome in stream.result] == [None]


def test_a_text_is_no_stream(zoo: Zoo) -> None:
    """It is one value: what returns it has broken its contract."""
    got, outcome = failed(flow(zoo, "text"))
    assert (got, outcome.error.code, outcome.fault) == ([], "contract.output", "plugin")


def test_blobs_come_inside_of_items(zoo: Zoo) -> None:
    """Those in the frame, those in the arena, and both in turn."""
    sizes = [10, 40_000, 100_000, 1 << 20, 5, 40_000]
    items = list(flow(zoo, "blobs", sizes))
    assert [(item["size"], item["blob"].size) for item in items] == [(s, s) for s in sizes]
    assert all(
        item["blob"].bytes() == bytes([s % 251]) * s for item, s in zip(items, sizes, strict=True)
    )


def test_an_item_comes_before_the_next_one_is_made(zoo: Zoo) -> None:
    """Whatever is left of the window: a consumer of a slow stream waits for one item at a time."""
    stream = flow(zoo, "sleeps", 1, 3)
    assert [next(stream) for _ in range(3)] == [0, 1, 2]


def test_it_is_an_asynchronous_iterator_too(zoo: Zoo) -> None:
    """`async for` gives what `for` does, beside other calls of the same loop."""

    async def main() -> list[Any]:
        async def eat(last: int) -> list[Any]:
            result = await zoo.kernel.options(only={"flows"}).acall("flow", value=["count", last])
            return [item async for item in result.value]

        return await asyncio.gather(eat(40), eat(20))

    assert asyncio.run(main()) == [list(range(40)), list(range(20))]


def test_nothing_is_asked_before_the_first_item(zoo: Zoo) -> None:
    """A stream that nobody reads costs no call; wrong arguments are refused at once."""
    before = state(zoo)
    calls = len(recorded(zoo.kernel.run))
    flow(zoo, "count", 5).close()
    assert (state(zoo), len(recorded(zoo.kernel.run))) == (before, calls + 1)
    with pytest.raises(nx.CallRejected, match="unknown argument"):
        zoo.kernel.call("flow", number=1)


def test_a_stream_cannot_be_copied(zoo: Zoo) -> None:
    """A copy that is let go of would end the stream under its reader."""
    stream = flow(zoo, "count", 3)
    assert next(stream) == 0
    for way in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError, match="cannot be copied"):
            way(stream)
    assert list(stream) == [1, 2]


# -- back-pressure ---------------------------------------------------------------------------------


def test_a_stream_that_nobody_reads_stands_still(zoo: Zoo) -> None:
    """The worker makes one window of items and no more; the host keeps no more either."""
    stream = flow(zoo, "count", None)
    before, _ = state(zoo)
    assert next(stream) == 0
    assert state(zoo)[0] - before <= nx.Hosting().stream_items
    made = state(zoo)[0]
    assert state(zoo)[0] == made
    stream.close()


def test_the_window_has_bytes_as_well(zoo: Zoo) -> None:
    """Items that are large use it up by their size: there are fewer of them ahead."""
    before, _ = state(zoo)
    stream = flow(zoo, "count", None, 100_000)
    next(stream)
    assert state(zoo)[0] - before <= 3
    stream.close()


def test_a_long_stream_takes_no_memory(zoo: Zoo) -> None:
    """Neither the host nor the worker grows with the number of items, read or unread."""
    zoo.act("flows")
    host, worker = psutil.Process(), psutil.Process(zoo.kernel.plugins["flows"].pid)
    streams = [flow(zoo, "count", None, 10_000) for _ in range(4)]
    for stream in streams:
        next(stream)
    gc.collect()
    before = host.memory_info().rss, worker.memory_info().rss
    for _ in range(500):
        next(streams[0])
    gc.collect()
    for process, was in zip((host, worker), before, strict=True):
        assert process.memory_info().rss - was < 4 << 20  # of 20 MB that came by
    for stream in streams:
        stream.close()


# -- the worker is free while the consumer is away -------------------------------------------------


@pytest.mark.parametrize("value", [("count", 40), ("asks", 40)], ids=lambda value: value[0])
def test_a_consumer_may_call_the_same_plugin(zoo: Zoo, value: tuple[Any, ...]) -> None:
    """In the body of his loop, however far the worker has run ahead."""
    got = []
    for item in flow(zoo, *value):
        got.append(item)
        assert zoo.answers("flows")
    assert len(got) == 40


@pytest.mark.parametrize("kinds", [("count", "count"), ("asks", "asks"), ("count", "asks")])
def test_streams_of_one_plugin_go_side_by_side(zoo: Zoo, kinds: tuple[str, str]) -> None:
    """In any order of reading: none has to be at its end before another goes on."""
    one, two = (flow(zoo, kind, 40) for kind in kinds)
    assert len(list(zip(one, two, strict=True))) == 40
    three, four = (flow(zoo, kind, 40) for kind in kinds)
    next(three)
    assert len(list(four)) == 40
    assert len(list(three)) == 39


def test_another_thread_does_not_wait_for_the_consumer(zoo: Zoo) -> None:
    """Calls of others take the turn that is open to its end, and lose nothing of it."""
    stream = flow(zoo, "count", 100, 10_000)  # more than fits into a pipe
    assert next(stream)[0] == 0
    others = [threading.Thread(target=zoo.answers, args=("flows",)) for _ in range(4)]
    for each in others:
        each.start()
    for each in others:
        each.join(PATIENCE_S)
    assert not any(each.is_alive() for each in others)
    assert [item[0] for item in stream] == list(range(1, 100))


def test_threads_and_streams_in_all_directions(zoo: Zoo) -> None:
    """Eight threads, each reading streams and calling between the items: all come to their end."""
    got: list[int] = []

    def eat(number: int) -> None:
        kind = "asks" if number % 2 else "count"
        for _ in range(3):
            stream = flow(zoo, kind, 20)
            count = 0
            for count, _ in enumerate(stream, 1):
                if not count % 7:
                    assert zoo.answers("flows")
            got.append(count)

    threads = [threading.Thread(target=eat, args=(number,)) for number in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(PATIENCE_S)
    assert got == [20] * 24


# -- early ends ------------------------------------------------------------------------------------


def test_close_closes_the_iterator(zoo: Zoo) -> None:
    """Its `finally` has run when close() returns; the row says how much was given."""
    _, before = state(zoo)
    with flow(zoo, "count", None) as stream:
        assert [next(stream) for _ in range(3)] == [0, 1, 2]
    assert len(state(zoo)[1]) == len(before) + 1
    assert stream.result.error.code == "call.cancelled"
    assert list(stream) == []
    last = row(zoo)
    assert (last.error_code, last.fault, last.output_bytes) == ("call.cancelled", "caller", 3)


@pytest.mark.parametrize("how", ["break", "exception"])
def test_a_loop_that_is_left_closes_it_too(zoo: Zoo, how: str) -> None:
    """By `break` and by an exception, without a context and without another call."""
    before = len(state(zoo)[1])
    starts = zoo.kernel.plugins["flows"].starts

    def loop() -> None:
        for item in flow(zoo, "count", None):
            if item == 20 and how == "break":
                break
            if item == 20:
                raise KeyError

    if how == "break":
        loop()
    else:
        with pytest.raises(KeyError):
            loop()
    gc.collect()
    eventually(lambda: row(zoo).error_code == "call.cancelled", "the stream was ended")
    assert len(state(zoo)[1]) == before + 1
    assert zoo.kernel.plugins["flows"].starts == starts


@pytest.mark.parametrize("after", [0, 2])
def test_cancelling_the_task_closes_it(zoo: Zoo, after: int) -> None:
    """Also while the plugin makes an item: it is closed behind that one, and the worker stays."""
    before = state(zoo)[1]
    starts = zoo.kernel.plugins["flows"].starts
    (go,) = [each / "go" for each in zoo.kernel.run.dir.rglob("flows") if each.is_dir()]

    async def main() -> None:
        reading = asyncio.create_task(_eaten(flow(zoo, "waits", after)))
        while zoo.kernel.plugins["flows"].state != "busy":
            await asyncio.sleep(0.002)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading

    go.unlink(missing_ok=True)
    asyncio.run(main())
    assert (row(zoo).error_code, row(zoo).fault) == ("call.cancelled", "caller")
    go.touch()
    assert state(zoo)[1] == [*before, "waits"]
    assert zoo.kernel.plugins["flows"].starts == starts


async def _eaten(stream: AsyncIterator[Any]) -> list[Any]:
    return [item async for item in stream]


def test_closing_one_whose_turn_another_call_ends(zoo: Zoo) -> None:
    """The other call hears the turn to its end first; then both get what they want."""
    (go,) = [each / "go" for each in zoo.kernel.run.dir.rglob("flows") if each.is_dir()]
    go.unlink(missing_ok=True)
    before, slot = state(zoo)[1], zoo.kernel._parts.plant.keepers["flows"].slot
    stream = flow(zoo, "waits", 2)
    assert next(stream) == 0
    other = threading.Thread(target=zoo.answers, args=("flows",))
    other.start()
    eventually(lambda: not slot._stack[-1].idle, "the other one has the turn")
    closing = threading.Thread(target=stream.close)
    closing.start()
    eventually(lambda: stream._tasks.gated, "it waits for the turn")
    go.touch()
    for thread in (other, closing):
        thread.join(PATIENCE_S)
        assert not thread.is_alive()
    assert stream.result.error.code == "call.cancelled"
    assert state(zoo)[1] == [*before, "waits"]


def test_cancelling_one_whose_turn_another_call_ends(open_zoo: Opens) -> None:
    """While it is being closed as well: the iterator ends, the worker stays."""
    zoo = open_zoo(patient, *ANIMALS)
    assert zoo.answers("flows")
    (go,) = [each / "go" for each in zoo.kernel.run.dir.rglob("flows") if each.is_dir()]
    slot = zoo.kernel._parts.plant.keepers["flows"].slot

    async def main() -> None:
        stream = flow(zoo, "waits", 2)
        assert await anext(stream) == 0
        other = asyncio.ensure_future(asyncio.to_thread(zoo.answers, "flows"))
        while slot._stack[-1].idle:
            await asyncio.sleep(0.002)
        closing = asyncio.ensure_future(stream.aclose())
        await asyncio.sleep(0)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        go.touch()
        assert await other

    asyncio.run(main())
    assert (row(zoo).error_code, row(zoo).fault) == ("call.cancelled", "caller")
    assert state(zoo)[1] == ["waits"]
    assert zoo.kernel.plugins["flows"].starts == 1


def test_one_that_was_left_in_the_hands_of_another_calls_no_more(open_zoo: Opens) -> None:
    """Its call has its outcome; a nested call behind that would be a second one of its number."""

    class Here:
        @nx.HookimplMarker("zoo")
        def ask_c(self, value: Any) -> Any:
            return value

    zoo = open_zoo(patient, *ANIMALS, builtins={"here": Here()}, **OPTIONS)
    assert zoo.answers("flows")
    (go,) = [each / "go" for each in zoo.kernel.run.dir.rglob("flows") if each.is_dir()]
    slot = zoo.kernel._parts.plant.keepers["flows"].slot

    async def main() -> None:
        stream = flow(zoo, "asks_and_waits")
        assert await anext(stream) == 0
        other = asyncio.ensure_future(asyncio.to_thread(zoo.answers, "flows"))
        while slot._stack[-1].idle:
            await asyncio.sleep(0.002)
        waiting = asyncio.ensure_future(anext(stream))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        go.touch()
        assert await other

    asyncio.run(main())
    assert zoo.answers("flows")
    nested = [each for each in recorded(zoo.kernel.run) if each.depth == 1]
    assert len({each.call_id for each in nested}) == len(nested) == 1
    assert state(zoo)[1] == ["call.rejected"]
    assert zoo.kernel.plugins["flows"].starts == 1


def test_an_iterator_that_raises_while_it_is_closed(zoo: Zoo) -> None:
    """close() raises nothing; outcome and row tell of it."""
    stream = flow(zoo, "raises_at_its_end")
    next(stream)
    stream.close()
    assert stream.result.error.message == "LookupError: on the way out"
    assert row(zoo).error_code == "plugin.raised"


def test_an_iterator_that_does_not_end_is_killed(open_zoo: Opens) -> None:
    """It has as long as an idle worker has to answer; then its worker goes, and the next works."""
    hosting = nx.Hosting(ping_timeout_s=SOON_S)
    zoo = open_zoo(patient, *ANIMALS, hosting=hosting)
    stream = flow(zoo, "hangs_at_its_end")
    next(stream)
    stream.close()
    assert stream.result.error.code == "plugin.timeout"
    assert zoo.answers("flows")
    lost = flow(zoo, "hangs_at_its_end")
    next(lost)
    del lost
    gc.collect()
    assert zoo.answers("flows")
    assert zoo.kernel.plugins["flows"].starts == 3


def test_the_kernel_closes_over_open_streams(open_zoo: Opens) -> None:
    """Each has its row and its outcome; who reads on is told, once."""
    zoo = open_zoo(patient, *ANIMALS)
    streams = [flow(zoo, "count", None) for _ in range(3)]
    for stream in streams:
        next(stream)
    zoo.kernel.close()
    calls = [each for each in recorded(zoo.kernel.run) if each.hook == "flow"]
    assert [each.error_code for each in calls] == ["kernel.not_running"] * 3
    for stream in streams:
        with pytest.raises(nx.HookFailed, match="the kernel was closed"):
            next(stream)
        assert list(stream) == []


def test_the_kernel_closes_over_one_that_is_waited_for(open_zoo: Opens) -> None:
    """A consumer in another thread is told at once."""
    zoo = open_zoo(patient, *ANIMALS)
    stream = flow(zoo, "sleeps", 3600, 1)
    next(stream)
    told: list[str] = []

    def wait() -> None:
        try:
            next(stream)
        except nx.HookFailed as error:
            told.append(error.result.error.code)

    thread = threading.Thread(target=wait)
    thread.start()
    eventually(lambda: zoo.kernel.plugins["flows"].state == "busy", "it waits")
    zoo.kernel.close()
    thread.join(PATIENCE_S)
    assert told == ["kernel.not_running"]


# -- failures --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "code", "fault"),
    [
        (("raises", 20), "plugin.raised", "plugin"),
        (("odd", 20), "contract.output", "plugin"),
        (("dies", 20), "plugin.crashed", "plugin"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else None,
)
def test_a_failure_comes_behind_the_items_before_it(
    zoo: Zoo, value: tuple[Any, ...], code: str, fault: str
) -> None:
    """Whatever it is: they were good, and the row counts them."""
    got, outcome = failed(flow(zoo, *value))
    assert (got, outcome.error.code, outcome.fault) == (list(range(20)), code, fault)
    assert outcome.items == 20
    assert row(zoo).error_code == code
    assert zoo.answers("flows")


def test_a_failure_before_the_first_item_is_that_of_a_call(zoo: Zoo) -> None:
    """Nothing was a stream yet: the outcome has no items."""
    got, outcome = failed(flow(zoo, "raises_at_once"))
    assert (got, outcome.items, outcome.error.code) == ([], None, "plugin.raised")


def test_what_came_with_a_failure_is_given_first(zoo: Zoo) -> None:
    """A consumer that is slower than the plugin sees every item that it made."""
    stream = flow(zoo, "dies", 5)
    assert next(stream) == 0
    threading.Event().wait(SOON_S)
    got, outcome = failed(stream)
    assert got == [1, 2, 3, 4]
    assert outcome.error.code == "plugin.crashed"


def test_a_worker_that_dies_between_two_turns_ends_the_stream(zoo: Zoo) -> None:
    """What was kept is given; then the stream says that its worker is gone."""
    stream = flow(zoo, "count", None)
    next(stream)
    state(zoo)  # ends the turn that is open
    pid = zoo.kernel.plugins["flows"].pid
    os.kill(pid, 9)
    eventually(lambda: zoo.kernel.plugins["flows"].pid != pid, "it is gone")
    got, outcome = failed(stream)
    assert got == list(range(1, len(got) + 1))
    assert len(got) < nx.Hosting().stream_items
    assert outcome.error.code == "plugin.crashed"


def test_the_deadline_is_for_the_plugins_own_time(zoo: Zoo) -> None:
    """A consumer may take as long as he likes; the plugin may not."""
    stream = flow(zoo, "count", 40, timeout=PATIENCE_S)
    next(stream)
    quick = flow(zoo, "sleeps", 3600, 3, timeout=SOON_S)
    threading.Event().wait(SOON_S * 1.5)  # longer than the deadline
    got, outcome = failed(quick)
    assert (got, outcome.error.code) == ([0, 1, 2][: len(got)], "plugin.timeout")
    got, outcome = failed(stream)  # it was on the same worker
    assert outcome.error.code == "plugin.crashed"


def test_only_the_first_item_is_tried_again(open_zoo: Opens) -> None:
    """An idempotent hook is asked once more before any item, and never after one."""
    zoo = open_zoo(patient, *ANIMALS)
    got, outcome = failed(flow(zoo, "dies", 0, hook="flow_again"))
    assert (got, outcome.attempts) == ([], 2)
    got, outcome = failed(flow(zoo, "dies", 1, hook="flow_again"))
    assert (got, outcome.attempts) == ([0], 1)


# -- record and seeds ------------------------------------------------------------------------------


def test_the_row_has_count_size_and_digest_of_the_sequence(zoo: Zoo) -> None:
    """Of what its consumer was given, as anybody can compute it from the items."""
    items = list(flow(zoo, "count", 50))
    sequence = Sequence()
    for item in items:
        sequence.add(digest(encode(item)))
    last = row(zoo)
    assert (last.output_digest, last.output_bytes) == (
        sequence.digest,
        sum(map(len, map(encode, items))),
    )
    assert last.details == {"items": 50} or '"items":50' in str(last.details)


def test_the_row_has_what_all_its_turns_used(zoo: Zoo) -> None:
    """Processor time and rows of each turn, whichever call ended it, and no time of the consumer.

    The worker that made it stands there as well.
    """
    stream = flow(zoo, "spends", [[2, 3, 1]] * 40)
    for _ in stream:
        zoo.answers("flows")  # ends the turn
    last = row(zoo)
    assert last.cpu_us >= 40 * 2_000
    assert last.plugin_us >= last.cpu_us * 0.9
    assert (last.rows_read, last.rows_written) == (120, 40)
    assert last.instance == zoo.kernel.plugins["flows"].starts
    assert last.peak_kb is None or last.peak_kb > 1000


@pytest.mark.parametrize("end", ["closed", "failed"])
def test_a_stream_that_ends_early_has_used_something_too(zoo: Zoo, end: str) -> None:
    """What was told of the turns before its end, and of the last one where that was answered."""
    turns: list[Any] = [[3, 1, 0]] * 20
    if end == "failed":
        failed(flow(zoo, "spends", [*turns, ["odd", 0, 0]]))
    else:
        with flow(zoo, "spends", turns * 10) as stream:
            for _ in range(20):
                next(stream)
    assert row(zoo).cpu_us >= 20 * 3_000
    assert row(zoo).rows_read >= 20


def test_a_builtin_has_an_account_of_its_stream(open_zoo: Opens) -> None:
    """Like one of its calls: the time of this thread in its iterator, and the rows."""

    class Builtin:
        @nx.HookimplMarker("zoo")(specname="flow")
        def here(self, value: Any) -> Iterator[Any]:
            for each in range(3):
                until = time.thread_time() + 0.005
                while time.thread_time() < until:
                    pass
                count(rows_read=2)
                yield each

    zoo = open_zoo(patient, *ANIMALS, builtins={"here": Builtin()})
    stream = zoo.kernel.options(only={"here"}).call("flow", value=[]).value
    assert list(stream) == [0, 1, 2]
    last = row(zoo)
    assert (last.rows_read, last.cpu_us >= 15_000, last.plugin_us >= 15_000) == (6, True, True)


def test_every_turn_is_within_the_span_of_its_call(open_zoo: Opens) -> None:
    """A plugin finds the span around its stream at any item, and no other call's."""
    zoo = open_zoo(traced, *ANIMALS)
    one, two = flow(zoo, "traced", 40), flow(zoo, "traced", 40)
    spans = [set(each) for each in zip(*zip(one, two, strict=True), strict=True)]
    assert [len(each) for each in spans] == [1, 1]
    assert spans[0] != spans[1]
    assert all(each.startswith("00-") for each in spans[0] | spans[1])


def traced(data: Path, *animals: str) -> nx.Kernel:
    """A kernel whose stack begins with tracing."""
    run = nx.Run.create(data, seed=7)
    stack = [nx.Tracing(TracerProvider()), *nx.standard_stack(run)]
    plugins = nx.discover(*map(folder, animals))
    return nx.Kernel("zoo", specs=[Hooks], run=run, plugins=plugins, middleware=stack)


def test_a_stream_draws_the_same_whoever_reads_it(zoo: Zoo) -> None:
    """Its seed covers all of it: turns, and calls between them, change nothing; numbers differ."""
    whole = list(flow(zoo, "draws", 40))
    assert len({str(item) for item in whole}) == 40
    assert len({item[1] for item in whole}) == 40
    between = []
    other = flow(zoo, "draws", 39)
    for item in flow(zoo, "draws", 40):
        between.append(item)
        next(other, None)
        zoo.answers("flows")
    assert between == whole


# -- plugins among themselves ----------------------------------------------------------------------


def test_a_plugin_may_call_from_its_stream(zoo: Zoo) -> None:
    """Its own brokered calls are part of the same tree, and find its worker free."""
    assert list(flow(zoo, "asks", 20)) == [[number] for number in range(20)]


def test_a_plugin_cannot_read_a_stream(zoo: Zoo) -> None:
    """It is told so, before anybody is asked."""
    got, outcome = failed(flow(zoo, "asks_for_stream"))
    assert got == []
    assert "hook 'flow' streams; a plugin cannot call it" in outcome.error.message


# -- the application's own code --------------------------------------------------------------------


class Own:
    """A builtin that streams."""

    def __init__(self) -> None:
        self.ended: list[int] = []

    @nx.HookimplMarker("zoo")
    def flow(self, value: Any) -> Iterator[Any]:
        number = 0
        try:
            while value is None or number < value:
                yield number
                number += 1
                if number == 5:
                    raise LookupError("five")
        finally:
            self.ended.append(number)


def test_builtins_stream(open_zoo: Opens) -> None:
    """Item by item, closed when they should be, with the same rows and digests."""
    own = Own()
    zoo = open_zoo(patient, *ANIMALS, builtins={"own": own})
    asked = zoo.kernel.options(only={"own"})
    assert list(asked.hook.flow(value=3)) == [0, 1, 2]
    assert row(zoo).output_bytes == 3
    with asked.hook.flow(value=None) as stream:
        assert next(stream) == 0
        assert own.ended == [3]
    assert own.ended == [3, 0]
    assert row(zoo).error_code == "call.cancelled"
    got, outcome = failed(asked.hook.flow(value=None))
    assert (got, outcome.error.message) == ([0, 1, 2, 3, 4], "LookupError: five")


# -- contracts -------------------------------------------------------------------------------------


def test_each_item_is_held_to_the_contract(open_zoo: Opens, tmp_path: Path) -> None:
    """The one that breaks it is seen by nobody; it ends the stream, whose iterator is closed."""
    schema = {"flow": {"output": {"type": "integer", "maximum": 19}}}
    run = nx.Run.create(tmp_path / "strict", seed=7)
    stack = nx.standard_stack(run, contracts=schema)
    with nx.Kernel(
        "zoo",
        specs=[Hooks],
        run=run,
        plugins=nx.discover(Path(__file__).parents[1] / "assets" / "plugins" / "flows"),
        middleware=stack,
    ) as kernel:
        zoo = Zoo(kernel)
        got, outcome = failed(flow(zoo, "count", None))
        assert (got, outcome.error.code, outcome.fault) == (
            list(range(20)),
            "contract.output",
            "plugin",
        )
        assert (outcome.items, row(zoo).output_bytes) == (20, 20)
        assert len(state(zoo)[1]) == 1


# -- other hostings --------------------------------------------------------------------------------


def test_a_plugin_in_the_host_streams(open_zoo: Opens) -> None:
    """Item by item in a thread of its own, with one seed for all, closed when it should be."""
    hosting = nx.Hosting(inproc_allowlist={"flows": "to see it stream"})
    zoo = open_zoo(patient, *ANIMALS, hosting=hosting, **OPTIONS)
    assert list(flow(zoo, "count", 5)) == [0, 1, 2, 3, 4]
    assert list(flow(zoo, "asks", 3)) == [[0], [1], [2]]
    with flow(zoo, "count", None) as stream:
        assert next(stream) == 0
        assert zoo.answers("flows")
    assert state(zoo)[1] == [5, 0]
    drawn = [item[0] for item in flow(zoo, "draws", 3)]
    assert len(set(drawn)) == 3
    got, outcome = failed(flow(zoo, "raises", 2))
    assert (got, outcome.error.code) == ([0, 1], "plugin.raised")


def test_a_plugin_with_fresh_state_streams(open_zoo: Opens, tmp_path: Path) -> None:
    """The process of the call lives as long as its stream, and no other call sees what it left."""
    folder = tmp_path / "fresh"
    shutil.copytree(FOLDER / "flows", folder)
    manifest = folder / "plugin.toml"
    manifest.write_text(manifest.read_text() + '\nstate = "fresh"\n')
    zoo = open_zoo(patient, "asks.a", folders=[folder], **OPTIONS)
    assert state(zoo) == (0, [])
    ours = psutil.Process()
    before = len(ours.children(recursive=True))
    one, two = flow(zoo, "count", 40), flow(zoo, "count", 40)
    assert list(zip(one, two, strict=True)) == [(n, n) for n in range(40)]
    with flow(zoo, "count", None) as stream:
        assert next(stream) == 0
    lost = flow(zoo, "count", None)
    next(lost)
    del lost
    gc.collect()
    assert state(zoo) == (0, [])
    got, outcome = failed(flow(zoo, "dies", 2))
    assert (got, outcome.error.code) == ([0, 1], "plugin.crashed")
    eventually(lambda: len(ours.children(recursive=True)) <= before, "their processes are gone")


# -- the life of a kernel around them --------------------------------------------------------------


def test_each_item_has_its_own_time(zoo: Zoo) -> None:
    """A hook may say how long one item may take, whatever all of them may."""
    got, outcome = failed(flow(zoo, "sleeps", 3600, 2, hook="flow_soon", timeout=PATIENCE_S))
    assert (got, outcome.error.code) == ([0, 1][: len(got)], "plugin.timeout")


def test_the_next_provider_is_asked_before_the_first_item_only(open_zoo: Opens) -> None:
    """Nobody goes on with what another one has begun."""

    class Second:
        @nx.HookimplMarker("zoo")(specname="flow_again", trylast=True)
        def again(self, value: Any) -> Iterator[Any]:
            yield "second"

    zoo = open_zoo(patient, *ANIMALS, builtins={"second": Second()}, hosting=nx.Hosting(retries=0))
    assert list(zoo.kernel.hook.flow_again(value=["raises_at_once"])) == ["second"]
    assert list(zoo.kernel.hook.flow_again(value=["nothing"])) == ["second"]
    assert failed(zoo.kernel.hook.flow_again(value=["raises", 1]))[0] == [0]


def test_a_plugin_is_reloaded_over_an_open_stream(open_zoo: Opens) -> None:
    """It may end within `drain_s`; then it is ended, and says why. The new code streams on."""
    zoo = open_zoo(patient, *ANIMALS, hosting=nx.Hosting(drain_s=SOON_S))
    old = flow(zoo, "count", None)
    next(old)
    zoo.kernel.reload("flows")
    got, outcome = failed(old)
    assert outcome.error.code == "plugin.retired"
    assert got == list(range(1, len(got) + 1))
    assert list(flow(zoo, "count", 3)) == [0, 1, 2]


def test_elements_of_items_are_dropped_like_those_of_results(
    open_zoo: Opens, tmp_path: Path
) -> None:
    """A diagnostic says in which item it stood; the item comes without it."""
    schema = {"type": "array", "items": {"type": "integer"}, "x-nx-each": "number"}
    run = nx.Run.create(tmp_path / "sieve", seed=7)
    stack = nx.standard_stack(run, contracts={"flow": {"output": schema}})
    plugins = nx.discover(FOLDER / "flows")
    with nx.Kernel("zoo", specs=[Hooks], run=run, plugins=plugins, middleware=stack) as kernel:
        stream = kernel.hook.flow(value=["list", [1, 2], [3, "x", 4]])
        assert list(stream) == [[1, 2], [3, 4]]
        assert [each.path for each in stream.result.diagnostics] == ["/1/1"]
        assert stream.result.degraded
