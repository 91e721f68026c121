"""Callers in an event loop that go away, in each way that asyncio has for it."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.process.conftest import Opens
from tests.support.descriptors import open_files
from tests.support.zoo import PATIENCE_S, SOON_S, Zoo, allow, eventually, meeting, patient, recorded

RULES = [
    *allow("asks.a", "ask_b", "act"),
    *allow("asks.b", "ask_a", "ask_c", "act"),
]


def asleep(zoo: Zoo) -> bool:
    """Whether the animal ``sleeps`` is in a call."""
    return zoo.kernel.health()["sleeps"].state == "busy" and "going to sleep" in zoo.log("sleeps")


async def until(condition: Callable[[], bool]) -> None:
    """Wait in the loop."""
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await asyncio.sleep(0.002)


def sleep(zoo: Zoo) -> Awaitable[Any]:
    """A call that would take an hour."""
    return zoo.kernel.options(timeout=3600, only={"sleeps"}).acall("act", value=3600)


def meet(zoo: Zoo) -> Awaitable[Any]:
    """A call that takes until somebody else is in the hall."""
    return zoo.kernel.acall("act", value=2)


def waits(place: Path) -> bool:
    """Whether the plugin ``one`` of the :func:`meeting` at *place* is in such a call."""
    return (place / "hall" / "one").exists()


def codes(zoo: Zoo, **where: Any) -> list[tuple[str | None, str | None]]:
    """Code and fault of each row."""
    return [(row.error_code, row.fault) for row in recorded(zoo.kernel.run, **where)]


CANCELLED = ("call.cancelled", "caller")


def test_a_task_group_that_fails_cancels_its_calls(open_zoo: Opens) -> None:
    """One task raises; the calls of the others are ended, on record, and the loop goes on."""
    zoo = open_zoo(patient, "sleeps", "prints")

    async def main() -> None:
        async def fail() -> None:
            await until(lambda: asleep(zoo))
            raise LookupError("of the application")

        async def together() -> None:
            async with asyncio.TaskGroup() as group:
                group.create_task(sleep(zoo))  # type: ignore[arg-type]
                group.create_task(fail())

        with pytest.raises(ExceptionGroup) as caught:
            await together()
        assert caught.group_contains(LookupError)
        result = await zoo.kernel.options(only={"prints"}).acall("act", value=1)
        assert result.value == [1]

    asyncio.run(main())
    assert codes(zoo, plugin="sleeps") == [CANCELLED]
    assert zoo.answers("sleeps")


def test_wait_for_ends_the_call(open_zoo: Opens) -> None:
    """The application's own limit, shorter than the call's: TimeoutError, and a row that tells."""
    zoo = open_zoo(patient, "sleeps")

    async def main() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(sleep(zoo), SOON_S)

    asyncio.run(main())
    assert codes(zoo) == [CANCELLED]
    assert zoo.answers("sleeps")


def test_cancelling_twice_is_cancelling_once(open_zoo: Opens) -> None:
    """The second one finds nothing to do: one row, one worker lost."""
    zoo = open_zoo(patient, "sleeps")

    async def main() -> None:
        task = asyncio.ensure_future(sleep(zoo))
        await until(lambda: asleep(zoo))
        task.cancel()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not task.cancel()

    asyncio.run(main())
    assert codes(zoo) == [CANCELLED]
    assert zoo.answers("sleeps")
    assert zoo.kernel.plugins["sleeps"].starts == 2


def test_a_task_that_is_cancelled_before_it_ran_makes_no_call(open_zoo: Opens) -> None:
    """Nothing was sent, and no worker is lost for it."""
    zoo = open_zoo(patient, "sleeps")
    assert zoo.answers("sleeps")

    async def main() -> None:
        task = asyncio.ensure_future(sleep(zoo))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert zoo.answers("sleeps")
    assert zoo.kernel.plugins["sleeps"].starts == 1


def test_a_caller_that_leaves_during_the_start(open_zoo: Opens) -> None:
    """At whichever step of it: the process goes, and nothing stays open."""
    children, files = psutil.Process().children(recursive=True), open_files()
    zoo = open_zoo(patient, "sleeps", "prints")
    assert zoo.answers("prints")

    async def main() -> None:
        for turns in range(12):
            task = asyncio.ensure_future(sleep(zoo))
            for _ in range(turns):
                await asyncio.sleep(0.001)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(main())
    assert zoo.answers("prints")
    zoo.kernel.close()
    eventually(lambda: psutil.Process().children(recursive=True) == children, "none is left")
    eventually(lambda: open_files() == files, "nothing is left open")


@pytest.mark.parametrize("nested", [True, False], ids=["twice-on-one-worker", "somewhere"])
def test_a_caller_of_a_nested_call_leaves(open_zoo: Opens, nested: bool) -> None:
    """Each of the chain has its row and is the caller's doing; each plugin answers again."""
    zoo = open_zoo(patient, "asks.a", "asks.b", rules=RULES)

    async def main() -> None:
        caller = zoo.kernel.options(timeout=3600)
        task = asyncio.ensure_future(caller.acall("ask_a", value=["ask_b", "ask_a", "sleep"]))
        await until(lambda: zoo.kernel.health()["asks.b"].state == "busy")
        await until(lambda: not nested or "going to sleep" in zoo.log("asks.a"))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    found = codes(zoo)
    assert set(found) == {CANCELLED}
    assert len(found) == 3 if nested else found
    assert asyncio.run(zoo.kernel.acall("ask_a", value=["ask_b"])).value == [["a", "b"]]


def test_one_that_waits_for_another_leaves(open_zoo: Opens, tmp_path: Path) -> None:
    """A call that has not reached the worker costs it nothing: the one before it is answered."""
    zoo = open_zoo(patient, **meeting(tmp_path, ["one"]))

    async def main() -> Any:
        first = asyncio.ensure_future(meet(zoo))
        await until(lambda: waits(tmp_path))
        second = asyncio.ensure_future(meet(zoo))
        await asyncio.sleep(0)
        second.cancel()
        with pytest.raises(asyncio.CancelledError):
            await second
        (tmp_path / "hall" / "another").touch()
        return (await first).value

    assert asyncio.run(main()) == ["one"]
    assert zoo.kernel.plugins["one"].starts == 1


def test_a_loop_that_is_closed_in_the_middle_of_a_call(open_zoo: Opens) -> None:
    """Its coroutine is never resumed: what it held is given back when it is collected."""
    zoo = open_zoo(patient, "sleeps", "prints")
    assert zoo.answers("prints")
    loop = asyncio.new_event_loop()
    task = loop.create_task(sleep(zoo))  # type: ignore[arg-type]
    loop.run_until_complete(until(lambda: asleep(zoo)))
    task._log_destroy_pending = False  # type: ignore[attr-defined]
    loop.close()
    del task
    gc.collect()
    assert zoo.answers("prints")
    assert zoo.answers("sleeps")
    eventually(lambda: codes(zoo, hook="act") == [CANCELLED], "its row is written")


def test_a_loop_that_is_closed_over_a_stream(open_zoo: Opens) -> None:
    """The same for one that waits for an item."""
    zoo = open_zoo(patient, "flows")
    loop = asyncio.new_event_loop()

    async def eat() -> None:
        result = await zoo.kernel.options(only={"flows"}).acall("flow", value=["sleeps", 3600, 2])
        async for _ in result.value:
            pass

    task = loop.create_task(eat())
    loop.run_until_complete(until(lambda: zoo.kernel.health()["flows"].state == "busy"))
    task._log_destroy_pending = False  # type: ignore[attr-defined]
    loop.close()
    del task
    gc.collect()
    assert zoo.answers("flows")
    eventually(lambda: codes(zoo, hook="flow") == [CANCELLED], "its row is written")


def test_a_call_that_is_shielded_goes_on(open_zoo: Opens, tmp_path: Path) -> None:
    """Who awaits it is cancelled, the call is not."""
    zoo = open_zoo(patient, **meeting(tmp_path, ["one"]))

    async def main() -> Any:
        inner = asyncio.ensure_future(meet(zoo))
        outer = asyncio.ensure_future(asyncio.wait_for(asyncio.shield(inner), PATIENCE_S))
        await until(lambda: waits(tmp_path))
        outer.cancel()
        with pytest.raises(asyncio.CancelledError):
            await outer
        (tmp_path / "hall" / "another").touch()
        return (await inner).value

    assert asyncio.run(main()) == ["one"]
    assert codes(zoo, hook="act") == [(None, None)]
