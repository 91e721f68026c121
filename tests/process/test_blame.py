"""Who goes away takes his worker along; the calls of others that had it are nobody's fault."""

from __future__ import annotations

import asyncio
import signal
import threading
from pathlib import Path
from typing import Any

import pytest

import nxkernel as nx
from nxkernel.host.sandbox.linux import probe
from tests.process.conftest import Opens
from tests.support.zoo import PATIENCE_S, Zoo, events, eventually, patient, recorded

CANCELLED = ("call.cancelled", "caller")
BLAMELESS = ("plugin.crashed", "host")
#: One failure of the plugin's own would open it.
EASILY = {"breaker": nx.Breaker(failures=1)}


def verdict(found: Any) -> tuple[str | None, str | None]:
    """Code and fault of a row."""
    return found.error_code, found.fault


def blames(zoo: Zoo, plugin: str) -> int:
    """How many rows blame the plugin: what the history of its failures counts."""
    rows = recorded(zoo.kernel.run, plugin=plugin)
    return len([row for row in rows if row.fault == "plugin"])


async def cancelled(zoo: Zoo, hook: str, value: Any, under_way: str) -> None:
    """Make a call, and cancel it once the log of ``flows`` shows it *under_way*."""
    call = asyncio.create_task(zoo.kernel.options(timeout=3600).acall(hook, value=value))
    while under_way not in zoo.log("flows"):
        await asyncio.sleep(0.002)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call


def test_a_stream_is_not_its_plugins_fault_when_another_caller_goes_away(open_zoo: Opens) -> None:
    """Row, breaker and history of failures: all of them say so, and the row names the call."""
    zoo = open_zoo(patient, "flows", **EASILY)
    stream = zoo.kernel.call("flow", value=["count", None]).value
    assert next(stream) == 0
    asyncio.run(cancelled(zoo, "once", "leaves", "under way"))
    with pytest.raises(nx.HookFailed) as caught:
        list(stream)
    (outcome,) = caught.value.result.outcomes
    streamed, once = recorded(zoo.kernel.run)
    assert (verdict(streamed), verdict(once)) == (BLAMELESS, CANCELLED)
    assert outcome.error is not None
    assert outcome.error.details["lost_by"] == once.call_id
    assert blames(zoo, "flows") == 0
    assert events(zoo.kernel.run, "breaker.open") == []
    assert zoo.answers("flows")


def test_closing_a_stream_whose_worker_another_caller_took_along(open_zoo: Opens) -> None:
    """Its consumer hears what became of it, as he would have at its next item."""
    zoo = open_zoo(patient, "flows", **EASILY)
    stream = zoo.kernel.call("flow", value=["count", None]).value
    assert next(stream) == 0
    asyncio.run(cancelled(zoo, "once", "leaves", "under way"))
    stream.close()
    assert blames(zoo, "flows") == 0
    assert zoo.answers("flows")


def test_fresh_calls_are_not_their_plugins_fault_when_their_template_goes(
    open_zoo: Opens, tmp_path: Path
) -> None:
    """Who goes away from a historic call takes the template along, and all calls forked of it."""
    found = probe.processes_available()
    if not found.ok:
        pytest.skip(f"{found.name} is not available here: {found.detail} ({found.errno})")
    zoo = open_zoo(patient, "forgets", **EASILY)
    folder, main = zoo.kernel.run.dir / "plugins" / "forgets", threading.main_thread().ident
    assert main is not None
    outcomes: list[nx.Outcome] = []
    sleeper = threading.Thread(
        target=lambda: outcomes.append(zoo.act("forgets", ["sleep", PATIENCE_S]))
    )

    def interrupt() -> None:
        eventually((folder / "told").exists, "the template is being told")
        signal.pthread_kill(main, signal.SIGINT)

    sleeper.start()
    eventually((folder / "asleep").exists, "the call is under way")
    interrupter = threading.Thread(target=interrupt)
    interrupter.start()
    with pytest.raises(KeyboardInterrupt):
        zoo.kernel.hook.told.call_historic(kwargs={"value": "stay"})
    for thread in (interrupter, sleeper):
        thread.join()
    slept, told = recorded(zoo.kernel.run)
    assert (verdict(slept), verdict(told)) == (BLAMELESS, CANCELLED)
    assert outcomes[0].error is not None
    assert outcomes[0].error.details["lost_by"] == told.call_id
    assert blames(zoo, "forgets") == 0
