"""The same calls from an event loop, and callers that go away."""

from __future__ import annotations

import asyncio
import signal
import threading
from pathlib import Path
from typing import Any

import pytest

import nxkernel as nx
from nxkernel.testing import FakeClock
from tests.process.conftest import Opens
from tests.support.zoo import (
    PATIENCE_S,
    SOON_S,
    Zoo,
    allow,
    events,
    eventually,
    meeting,
    patient,
    recorded,
)

ANIMALS = ("prints", "sleeps", "inspects", "asks.a", "asks.b")
OPTIONS = {"rules": [*allow("asks.a", "ask_b"), *allow("asks.b", "ask_a")]}


def busy(zoo: Zoo, plugin: str) -> bool:
    """Whether the plugin's worker is in a call that has printed its first line."""
    return zoo.kernel.health()[plugin].state == "busy" and "going to sleep" in zoo.log(plugin)


async def cancelled_sleep(zoo: Zoo) -> None:
    """Start a call that would sleep for an hour, and cancel it when the plugin sleeps."""
    call = asyncio.create_task(
        zoo.kernel.options(timeout=3600, only={"sleeps"}).acall("act", value=3600)
    )
    while not busy(zoo, "sleeps"):
        await asyncio.sleep(0.002)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call


class TestCalls:
    """`acall` gives what `call` gives."""

    def test_same_result(self, zoo: Zoo) -> None:
        """Value and outcomes are those of the blocking call."""
        blocking = zoo.kernel.options(only={"prints"}).call("act", value=[1])
        awaited = asyncio.run(zoo.kernel.options(only={"prints"}).acall("act", value=[1]))
        assert awaited.value == blocking.value == [[1]]
        assert awaited[0].output_digest == blocking[0].output_digest

    def test_gather(self, zoo: Zoo) -> None:
        """Many calls at once, each with its own result."""

        async def main() -> list[Any]:
            caller = zoo.kernel.options(only={"prints"})
            calls = [caller.acall("act", value=number) for number in range(20)]
            return [result.value for result in await asyncio.gather(*calls)]

        assert asyncio.run(main()) == [[number] for number in range(20)]

    def test_nested_calls_cross_on_one_loop(self, zoo: Zoo) -> None:
        """A calls B while B calls A, on a single thread: waiting at the gate blocks nobody."""

        async def main() -> list[Any]:
            calls = [
                zoo.kernel.acall(first, value=[second, first])
                for _ in range(20)
                for first, second in (("ask_a", "ask_b"), ("ask_b", "ask_a"))
            ]
            return [result.value[0] for result in await asyncio.gather(*calls)]

        assert asyncio.run(main()) == [["a", "b", "a"], ["b", "a", "b"]] * 20

    def test_calls_under_way_do_not_hold_the_loop(self, open_zoo: Opens, tmp_path: Path) -> None:
        """Three plugins that wait for one another all answer: none of them blocks the thread."""
        zoo = open_zoo(patient, **meeting(tmp_path, ids := ("one", "two", "three")))

        async def main() -> list[Any]:
            calls = [zoo.kernel.options(only={name}).acall("act", value=3) for name in ids]
            return [result.value for result in await asyncio.gather(*calls)]

        assert asyncio.run(main()) == [["one"], ["two"], ["three"]]


class TestGoingAway:
    """A caller that goes away costs its own call, and the worker that was in it."""

    def test_cancelled_call_replaces_the_worker(self, open_zoo: Opens) -> None:
        """The sleeping process is ended at once; the next call has a new one."""
        zoo = open_zoo(patient, "sleeps")
        asyncio.run(cancelled_sleep(zoo))
        assert zoo.answers("sleeps")
        assert zoo.kernel.plugins["sleeps"].starts == 2

    def test_cancelled_call_is_on_record(self, open_zoo: Opens) -> None:
        """Its row says `call.cancelled`, and that the caller did it."""
        zoo = open_zoo(patient, "sleeps")
        asyncio.run(cancelled_sleep(zoo))
        (row,) = recorded(zoo.kernel.run, hook="act")
        assert (row.error_code, row.fault) == ("call.cancelled", "caller")

    def test_cancelled_call_is_no_death(self, open_zoo: Opens) -> None:
        """Cancelling again and again does not quarantine the plugin."""
        zoo = open_zoo(patient, "sleeps", hosting=nx.Hosting(restart_intensity=1))
        for _ in range(4):
            asyncio.run(cancelled_sleep(zoo))
            assert zoo.answers("sleeps")

    @pytest.mark.parametrize("how", ["leaves", "insists"])
    def test_cancelled_call_is_interrupted_in_its_worker(self, open_zoo: Opens, how: str) -> None:
        """Its `finally` runs; one that goes on is killed. No later call is made there."""
        answer_s = SOON_S if how == "insists" else PATIENCE_S
        hosting = nx.Hosting(timeout_s=PATIENCE_S, ping_timeout_s=answer_s)
        zoo = open_zoo(patient, "flows", hosting=hosting)

        async def main() -> None:
            call = asyncio.create_task(zoo.kernel.options(timeout=3600).acall("once", value=how))
            while "under way" not in zoo.log("flows"):
                await asyncio.sleep(0.002)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call

        asyncio.run(main())
        (row,) = recorded(zoo.kernel.run, hook="once")
        assert (row.error_code, row.fault) == ("call.cancelled", "caller")
        if how == "leaves":
            eventually(lambda: "interrupted\nleft" in zoo.log("flows"), "its finally ran")
        assert zoo.answers("flows")
        assert zoo.kernel.plugins["flows"].starts == 2
        eventually(lambda: len(events(zoo.kernel.run, "worker.exit")) == 1, "it has ended")
        (ended,) = events(zoo.kernel.run, "worker.exit")
        assert ended.data["signal"] == (signal.SIGKILL if how == "insists" else None)

    def test_interrupt_in_a_blocking_call(self, open_zoo: Opens) -> None:
        """Ctrl-C ends the wait at once, the worker with it, and leaves the kernel usable."""
        zoo = open_zoo(patient, "sleeps")
        main = threading.main_thread().ident
        assert main is not None

        def interrupt() -> None:
            eventually(lambda: busy(zoo, "sleeps"), "the plugin sleeps")
            signal.pthread_kill(main, signal.SIGINT)

        thread = threading.Thread(target=interrupt)
        thread.start()
        with pytest.raises(KeyboardInterrupt):
            zoo.act("sleeps", 3600)
        thread.join()
        (row,) = recorded(zoo.kernel.run, hook="act")
        assert (row.error_code, row.fault) == ("call.cancelled", "caller")
        assert zoo.answers("sleeps")
        assert zoo.kernel.plugins["sleeps"].starts == 2


class Interrupts:
    """A builtin in which Ctrl-C strikes: not in a wait, but in the host's own code."""

    @nx.HookimplMarker("zoo")
    def echo(self, value: object) -> object:
        raise KeyboardInterrupt


def test_interrupt_in_the_middle_of_the_host(open_zoo: Opens) -> None:
    """A worker whose answer nobody will read is not left to confuse the next call."""
    zoo = open_zoo(patient, "tells", builtins={"clerk": Interrupts()}, rules=allow("tells", "echo"))
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            zoo.act("tells", 1)
    assert zoo.kernel.plugins["tells"].starts == 2
    assert zoo.kernel.health()["tells"].state == "stopped"


def test_interrupt_in_the_middle_of_the_host_is_on_record(open_zoo: Opens) -> None:
    """Wherever it strikes: the call that it broke off, and the one that this was made for."""
    zoo = open_zoo(patient, "tells", builtins={"clerk": Interrupts()}, rules=allow("tells", "echo"))
    with pytest.raises(KeyboardInterrupt):
        zoo.act("tells", 1)
    rows = recorded(zoo.kernel.run)
    assert [row.hook for row in rows] == ["act", "echo"]
    assert {(row.error_code, row.fault) for row in rows} == {("call.cancelled", "caller")}


class TestOneThread:
    """A loop's own calls cannot go on while something else holds its thread."""

    def test_blocking_call_in_the_way_is_refused(self, zoo: Zoo) -> None:
        """It could wait for ever for the worker that the loop's call has; the error says so."""

        async def main() -> Any:
            call = asyncio.create_task(
                zoo.kernel.options(timeout=3600, only={"sleeps"}).acall("act", value=3600)
            )
            while not busy(zoo, "sleeps"):
                await asyncio.sleep(0.002)
            with pytest.raises(nx.CallRejected, match="await kernel"):
                zoo.kernel.options(only={"prints"}).call("act", value="blocking")
            other = asyncio.to_thread(zoo.act, "prints", "in a thread")
            assert (await other).value == "in a thread"
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call

        asyncio.run(main())

    def test_closing_does_not_wait_for_its_own_calls(self, open_zoo: Opens) -> None:
        """They end with the kernel; on a clock that stands still a wait would never be over."""
        zoo = open_zoo(patient, "sleeps", clock=FakeClock())

        async def main() -> list[nx.Outcome]:
            call = asyncio.create_task(zoo.kernel.options(only={"sleeps"}).acall("act", value=3600))
            while not busy(zoo, "sleeps"):
                await asyncio.sleep(0.002)
            zoo.kernel.close()
            return list(await call)

        (outcome,) = asyncio.run(main())
        assert outcome.error is not None
        assert outcome.error.code in ("kernel.not_running", "audit.failed")
