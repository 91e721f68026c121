"""Wrappers whose call goes away between their two phases: each is ended, and its worker stays."""

from __future__ import annotations

import asyncio
import random
import threading
from pathlib import Path
from typing import Any

import psutil
import pytest

import nxkernel as nx
from tests.process.conftest import Opens
from tests.support.zoo import PATIENCE_S, SOON_S, Zoo, eventually, patient

ANIMALS = ("unwinds", "remembers", "prints")


async def cancelled(zoo: Zoo, value: str) -> None:
    """Cancel a call of the wrapped hook once the wrapper waits for what it wraps."""
    for stale in signs(zoo, "waits"):
        stale.unlink()
    call = asyncio.create_task(zoo.kernel.acall("wrapped", value=value))
    while not signs(zoo, "waits"):
        await asyncio.sleep(0.002)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call


def signs(zoo: Zoo, name: str) -> list[Path]:
    """The files of that name that plugins have put down."""
    return list(zoo.kernel.run.dir.rglob(name))


def left(zoo: Zoo) -> list[str]:
    """By which calls the wrapper was left, as its own process knows."""
    value: list[Any] = zoo.act("unwinds").value
    return list(value[0])


@pytest.fixture
def zoo(open_zoo: Opens) -> Zoo:
    return open_zoo(patient, *ANIMALS)


@pytest.mark.parametrize("value", ["x", "raises", "exits", "calls"])
def test_wrapper_of_a_cancelled_call_is_ended(zoo: Zoo, value: str) -> None:
    """Its `finally` runs, whatever that does; its worker stays and takes the next call."""
    asyncio.run(cancelled(zoo, value))
    assert left(zoo) == [value]
    asyncio.run(cancelled(zoo, value))
    assert left(zoo) == [value, value]
    assert zoo.kernel.plugins["unwinds"].starts == 1


def test_what_it_raises_is_in_the_log(zoo: Zoo) -> None:
    """There is no call any more that could tell of it."""
    asyncio.run(cancelled(zoo, "raises"))
    asyncio.run(cancelled(zoo, "calls"))
    eventually(lambda: "LookupError: on the way out" in zoo.log("unwinds"), "it was told")
    eventually(
        lambda: "context.call works while a hookimpl runs" in zoo.log("unwinds"), "it has no call"
    )


def test_it_does_not_disturb_the_random_numbers_of_others(zoo: Zoo) -> None:
    """What it does with the generator of its process is its own affair."""
    asyncio.run(cancelled(zoo, "x"))
    assert zoo.act("unwinds").value[1] != random.Random(0).random()


def test_calls_that_are_on_its_worker_are_finished_first(zoo: Zoo) -> None:
    """They keep their worker, and the wrapper is ended behind them without another call."""
    answers: list[Any] = []

    async def main() -> None:
        call = asyncio.create_task(zoo.kernel.acall("wrapped", value="x"))
        while not signs(zoo, "waits"):
            await asyncio.sleep(0.002)
        other = threading.Thread(target=lambda: answers.append(zoo.act("unwinds", "wait")))
        other.start()
        while not signs(zoo, "busy"):
            await asyncio.sleep(0.002)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        (zoo.kernel.run.dir / "plugins" / "unwinds" / "go").touch()
        await asyncio.to_thread(other.join)

    asyncio.run(main())
    assert answers[0].value[0] == []
    before = zoo.kernel.health()["unwinds"].pings
    eventually(lambda: zoo.kernel.health()["unwinds"].pings > before, "it has said that it ended")
    assert left(zoo) == ["x"]
    assert zoo.kernel.plugins["unwinds"].starts == 1


@pytest.mark.parametrize("value", ["hangs", "goes on"])
def test_wrapper_that_does_not_end_is_killed(open_zoo: Opens, value: str) -> None:
    """In the time that an idle worker has to answer; the next call has a worker all the same."""
    hosting = nx.Hosting(ping_timeout_s=SOON_S, timeout_s=PATIENCE_S, backoff_s=0.0)
    zoo = open_zoo(patient, *ANIMALS, hosting=hosting)
    assert left(zoo) == []
    pid = zoo.kernel.plugins["unwinds"].pid
    assert pid is not None
    asyncio.run(cancelled(zoo, value))
    eventually(lambda: not psutil.pid_exists(pid), "the wrapper's process has ended")
    assert left(zoo) == []
    assert zoo.kernel.plugins["unwinds"].starts == 2


def test_next_call_waits_for_one_that_does_not_end(open_zoo: Opens) -> None:
    """No longer than that, and it costs nothing of its own deadline."""
    hosting = nx.Hosting(ping_timeout_s=3 * SOON_S, timeout_s=PATIENCE_S, backoff_s=0.0)
    zoo = open_zoo(patient, *ANIMALS, hosting=hosting)
    asyncio.run(cancelled(zoo, "hangs"))
    assert left(zoo) == []
    assert zoo.kernel.plugins["unwinds"].starts == 2


class Refuses:
    """A middleware that lets no wrapper go on."""

    name = "refuses"

    def boot(self, facts: object) -> None:
        """Nothing to prepare."""

    def around(self, call: nx.Call) -> Any:
        """Refuse the second phase."""
        if call.phase == "teardown":
            return nx.Outcome.failed(call, "policy.denied", "no", "host")
        return (yield call)

    def close(self) -> None:
        """Nothing to finish."""


class Guest:
    """A builtin that wraps the hook, and remembers how it was left."""

    def __init__(self) -> None:
        self.left: list[str] = []

    @nx.HookimplMarker("zoo")(wrapper=True)
    def wrapped(self, value: str) -> Any:
        """Wrap it."""
        try:
            return (yield)
        finally:
            self.left.append(value)


def test_refused_wrappers_are_ended(open_zoo: Opens) -> None:
    """Where the stack refuses the second phase: in a worker, in the host, and in-process."""
    guest = Guest()
    zoo = open_zoo(
        patient,
        *("unwinds", "prints"),
        middleware=[Refuses()],
        builtins={"guest": guest},
        hosting=nx.Hosting(timeout_s=PATIENCE_S, inproc_allowlist={"unwinds": "as a thread"}),
    )
    assert zoo.kernel.call("wrapped", value="x").error is not None
    assert guest.left == ["x"]
    eventually(lambda: left(zoo) == ["x"], "the thread has ended its wrapper")
