"""Streams against workers that say anything at all: the host believes what the window allows."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from nxkernel._canonical import Sequence, digest, encode
from nxkernel._wire import (
    Broker,
    Ended,
    Failure,
    Halt,
    Invoke,
    Item,
    More,
    Paused,
    Ping,
    Pong,
    Result,
    pack,
)
from nxkernel.dispatch.drivers import drive_async, drive_blocking
from nxkernel.dispatch.effects import Gate, Signal
from nxkernel.dispatch.tasks import Tasks
from nxkernel.host.transport import Brokered
from nxkernel.types import Outcome
from tests.support.fake_workers import Host, Peer, Script, answering, echo, failure, the_call

ITEMS = 16


def stream(host: Host, **changes: Any) -> Tasks:
    """A stream of the hook, of which nothing has run."""
    return Tasks(host.transport.exchange(the_call(host.clock, stream=True, **changes)))


def taken(host: Host, tasks: Tasks, most: int = 10**6) -> list[Any]:
    """Read up to *most* items."""
    got: list[Any] = []
    while len(got) < most:
        tasks.answer(Signal.READY)
        drive_blocking(tasks, host.clock, host.bell)
        if tasks.offer is None:
            break
        got.append(tasks.offer.item.value)
    return got


def closed(host: Host, tasks: Tasks) -> Outcome:
    """Close the stream, and return its outcome."""
    tasks.answer(Signal.CLOSED)
    drive_blocking(tasks, host.clock, host.bell)
    outcome: Outcome = tasks.result
    return outcome


def item(seq: int, value: Any = 0) -> Item:
    return Item(seq, encode(value), [])


def saying(*messages: Callable[[int], Any]) -> Script:
    """A worker that answers a stream with these, made of its seq, and then serves as it should."""
    told: list[bool] = []

    def answer(peer: Peer, message: Any) -> None:
        if isinstance(message, Ping):
            peer.send(Pong(message.seq))
        elif isinstance(message, Invoke) and message.window is None:
            echo(peer, message)
        elif isinstance(message, Invoke | More) and not told:
            told.append(True)
            # In one go: what the host reads first, it reads whole.
            peer.write(b"".join(pack(each(message.seq)) for each in messages))

    return answering(answer)


def counting(peer: Peer, message: Any) -> None:
    """A good worker's endless stream; it answers a Halt at once."""
    if isinstance(message, Invoke | More):
        assert message.window is not None
        peer.send(
            *(item(message.seq, n) for n in range(message.window.items)), Paused(message.seq, 1)
        )
    elif isinstance(message, Halt):
        peer.send(Ended(message.seq, 1))


def test_turns_follow_one_another_with_the_same_token() -> None:
    """The first is the call, the others go on with it, each with a seq of its own."""
    heard: list[Any] = []

    def answer(peer: Peer, message: Any) -> None:
        heard.append(message)
        counting(peer, message)

    with Host([answering(answer)]) as host:
        tasks = stream(host)
        assert taken(host, tasks, ITEMS + 1) == [*range(ITEMS), 0]
        outcome = closed(host, tasks)
    first, more, halt = heard
    assert (first.window.items, more.token, halt.token) == (ITEMS, first.seq, first.seq)
    assert len({first.seq, more.seq, halt.seq}) == 3
    assert (outcome.error.code if outcome.error else None) == "call.cancelled"


def test_the_outcome_sums_up_what_was_given() -> None:
    """Count, bytes and digest are of the items that the consumer had, and of no other."""
    with Host([answering(counting)]) as host:
        tasks = stream(host)
        taken(host, tasks, 3)
        outcome = closed(host, tasks)
    sequence = Sequence()
    for number in range(3):
        sequence.add(digest(encode(number)))
    assert (outcome.items, outcome.output_bytes) == (3, 3)
    assert outcome.output_digest == sequence.digest


@pytest.mark.parametrize(
    ("messages", "given"),
    [
        ([*[item] * (ITEMS + 1)], ITEMS),
        ([lambda seq: Paused(seq, 0)], 0),
        ([item, lambda seq: item(seq + 1)], 1),
        ([item, lambda seq: Ended(seq + 1, 0)], 1),
        ([item, lambda seq: Result(seq, encode(5), 0, [])], 1),
        ([lambda seq: Result(seq, encode(5), 0, [])], 0),
        ([item, lambda seq: Item(seq, b"\xc1", [])], 1),
        ([item, lambda seq: Pong(seq)], 1),
        ([lambda seq: Broker(1, seq, "other", encode({}), 0, []), item], 0),
    ],
    ids=[
        "more items than it was asked for",
        "a pause without an item",
        "an item of another call",
        "the end of another call",
        "a value after an item",
        "a value and no stream",
        "an item that is no value",
        "a pong in the middle",
        "an item while it waits for a reply",
    ],
)
def test_what_the_protocol_forbids_ends_that_worker(messages: list[Any], given: int) -> None:
    """Whatever was right before it is given; the next call has another worker."""
    with Host([saying(*messages), answering(echo)]) as host:
        tasks = stream(host)
        assert len(taken(host, tasks)) == given
        outcome: Outcome = tasks.result
        assert outcome.error is not None
        assert outcome.error.code == "protocol.violation"
        assert host.call().ok


@pytest.mark.parametrize("last", ["ended", "failed", "paused"])
def test_what_comes_after_the_end_costs_the_worker_and_no_call(last: str) -> None:
    """Items after the end of a stream, or of a turn, are babble: the next call finds another."""
    ends: dict[str, Callable[[int], Any]] = {
        "ended": lambda seq: Ended(seq, 0),
        "failed": lambda seq: Failure(seq, "plugin.raised", "E: x", encode({}), "", 0),
        "paused": lambda seq: Paused(seq, 0),
    }
    with Host([saying(item, ends[last], item), answering(echo)]) as host:
        tasks = stream(host)
        assert taken(host, tasks, 2)[:1] == [0]
        assert host.call().ok
        assert host.starts == 2


def test_an_unread_stream_is_bounded_in_bytes() -> None:
    """A worker that ignores its window is ended once it is over it, however large its items."""
    large = bytes(100_000)
    with Host([saying(*[lambda seq: item(seq, large)] * 5), answering(echo)]) as host:
        tasks = stream(host)
        assert len(taken(host, tasks)) == 3  # the third uses up 256 KiB
        assert tasks.result.error.code == "protocol.violation"


def test_a_failure_of_the_function_is_that_of_a_call() -> None:
    """Before any item the outcome has none, and the failure is what it always was."""
    with Host([answering(lambda peer, call: peer.send(failure(call)))]) as host:
        tasks = stream(host)
        assert taken(host, tasks) == []
        assert (tasks.result.error.code, tasks.result.items) == ("plugin.raised", None)


def test_a_cancelled_turn_is_passed_over() -> None:
    """What still comes of it is heard by whoever comes next, up to its end, and is for nobody."""

    def answer(peer: Peer, message: Any) -> None:
        if isinstance(message, Invoke) and message.window is not None:
            peer.send(item(message.seq, "given"))
            halt = peer.receive()
            assert isinstance(halt, Halt)
            peer.send(item(message.seq, "late"), Ended(message.seq, 0))
        elif isinstance(message, Ping):
            peer.send(Pong(message.seq))
        elif isinstance(message, Invoke):
            echo(peer, message)

    with Host([answering(answer)]) as host:
        tasks = stream(host)
        assert taken(host, tasks, 1) == ["given"]
        tasks.cancel()
        tasks.step()
        assert tasks.result.error.code == "call.cancelled"
        assert host.call().value == {"x": 1}
        assert host.starts == 1


def test_a_cancelled_turn_that_goes_on_is_ended() -> None:
    """Items of it without an end are bounded: a worker that ignores the Halt is replaced."""

    def babble(peer: Peer, message: Any) -> None:
        if isinstance(message, Invoke) and message.window is not None:
            peer.send(item(message.seq))
            assert isinstance(peer.receive(), Halt)
            peer.send(*[item(message.seq)] * 100)

    with Host([answering(babble), answering(echo)]) as host:
        tasks = stream(host)
        taken(host, tasks, 1)
        tasks.cancel()
        tasks.step()
        assert host.call().ok
        assert host.starts == 2


def test_what_came_for_one_who_went_away_is_not_counted() -> None:
    """An item that lies behind a nested call when he is cancelled: he never had it."""
    interrupted: list[bool] = []

    def broker(_parent: Any, _hook: str, _payload: bytes) -> Any:
        interrupted.append(True)
        raise KeyboardInterrupt
        yield

    asks = [item, lambda seq: Broker(1, seq, "other", encode({}), 0, [])]
    with Host([saying(*asks), answering(echo)], broker=broker) as host:
        tasks = stream(host)
        with pytest.raises(KeyboardInterrupt):
            taken(host, tasks, 1)
        assert interrupted
        assert tasks.offer is None


def test_a_cancelled_wait_counts_no_item_that_was_not_given() -> None:
    """The same where the nested call waits: count and bytes are of what was given, here of none."""
    waiting = threading.Event()

    def broker(_parent: Any, _hook: str, _payload: bytes) -> Any:
        waiting.set()
        yield Gate(lambda: False)
        return Brokered()

    asks = [item, lambda seq: Broker(1, seq, "other", encode({}), 0, [])]
    with Host([saying(*asks), answering(echo)], broker=broker) as host:
        tasks = stream(host)

        async def main() -> None:
            task = asyncio.ensure_future(drive_async(tasks, host.clock, host.bell))
            while not waiting.is_set():
                await asyncio.sleep(0.001)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        asyncio.run(main())
        assert (tasks.result.items, tasks.result.output_bytes) == (0, 0)
        assert tasks.result.error.code == "call.cancelled"
