"""However a call ends, it has its row: refused, broken, lost, made again, late, gone, or well."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

import nxkernel as nx
from nxkernel._clock import SystemClock
from nxkernel.audit.records import CallRecord
from nxkernel.storage import BlobStore, RecordStore
from tests.support.zoo import PATIENCE_S, SOON_S, Hooks, Zoo, allow, folder, recorded

SECRET = "geheim"
#: `act` takes anything but yes and no.
TYPES = ["object", "array", "string", "number", "null"]
CONTRACTS: dict[str, Any] = {"act": {"input": {"properties": {"value": {"type": TYPES}}}}}


class Keeper:
    """The application's own storage, as a hookimpl in its process."""

    hookimpl = nx.HookimplMarker("zoo")

    def __init__(self, place: Path) -> None:
        self._blobs = BlobStore(place / "blobs")
        self._records = RecordStore(place / "records.sqlite", self._blobs, SystemClock())

    @hookimpl
    def ordered(self, value: str) -> int:
        """Append two records and read them."""
        digest = self._blobs.put(value.encode())
        for kind in ("tokens", "tokens"):
            self._records.append(kind, digest, "", {})
        return len(self._records.of("tokens", digest))

    def close(self) -> None:
        self._records.close()


@pytest.fixture(scope="module")
def rows(
    confinement: None, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, list[CallRecord]]:
    """The rows of a run in which everything happened once, by what was called."""
    place = tmp_path_factory.mktemp("every")
    keeper = Keeper(place)
    animals = ("spends", "asks.a", "asks.b", "asks.c", "fades", "sleeps", "hangs", "dies", "lies")
    run = nx.Run.create(place / "data", seed=7)
    rules = [*allow("asks.a", "ask_b"), *allow("asks.b", "ask_c"), *allow("fades", "echo")]
    kernel = nx.Kernel(
        "zoo",
        specs=[Hooks],
        run=run,
        plugins=nx.discover(*map(folder, (*animals, "returns.odd", "prints"))),
        builtins={"keeper": keeper},
        hosting=nx.Hosting(timeout_s=PATIENCE_S, backoff_s=0.0),
        middleware=[
            nx.Audit(run.audit_log),
            nx.PolicyGate(rules),
            nx.Breaker(failures=1),
            nx.Contracts(CONTRACTS),
            nx.Determinism(),
        ],
    )
    with kernel:
        made = _everything(Zoo(kernel))
    keeper.close()
    found = recorded(run)
    assert SECRET not in repr(found)
    return {name: [row for row in found if row.call_id == call] for name, call in made.items()}


def _everything(zoo: Zoo) -> dict[str, str]:
    """Make a call of each kind; returns the ids of the calls that are looked at."""
    made = {
        "fine": zoo.act("spends", {"cpu": 2, "rows": [[3, 4]], "memory": 1}),
        "builtin": zoo.ask("keeper", "ordered", value=SECRET),
        "retried": zoo.ask("fades", "again", value=["lost", "exit", "answer"]),
        "arguments": zoo.act("prints", True),
        "result": zoo.act("returns.odd", "object"),
        "raised": zoo.act("spends", {"cpu": 2, "raises": SECRET}),
        "late": zoo.act("hangs", "spin", timeout=SOON_S),
        "crashed": zoo.act("dies", "exit"),
        "broken off": zoo.act("dies", "exit"),
        "violated": zoo.act("lies", "garbage"),
        "expired": zoo.act("prints", 1, timeout=1e-9),
    }
    nested = zoo.ask("asks.a", "ask_a", value=["ask_b", "ask_c"])
    denied = zoo.ask("asks.b", "ask_b", value=["try", "ask_a"])
    assert denied.value == ["b", "policy.denied"]
    ids = {name: outcome.call_id for name, outcome in made.items()}
    ids |= {"nested": f"{nested.call_id}.1.1", "denied": f"{denied.call_id}.1"}
    asyncio.run(_cancelled(zoo))
    (gone,) = [
        row for row in recorded(zoo.kernel.run) if (row.plugin, row.hook) == ("sleeps", "act")
    ]
    return {**ids, "cancelled": gone.call_id}


async def _cancelled(zoo: Zoo) -> None:
    """Begin a call and go away while the plugin is in the middle of it."""
    caller = zoo.kernel.options(timeout=3600, only={"sleeps"})
    call = asyncio.create_task(caller.acall("act", value=3600))
    while "going to sleep" not in zoo.log("sleeps"):
        await asyncio.sleep(0.002)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call


#: What was done -> code and fault of each of its rows, and whether a worker told what it used.
ENDS: dict[str, tuple[list[tuple[str | None, str | None]], bool]] = {
    "fine": ([(None, None)], True),
    "builtin": ([(None, None)], True),
    "nested": ([(None, None)], True),
    "retried": ([("plugin.crashed", "plugin"), (None, None)], True),
    "denied": ([("policy.denied", "caller")], False),
    "arguments": ([("contract.input", "caller")], False),
    "result": ([("contract.output", "plugin")], True),
    "raised": ([("plugin.raised", "plugin")], True),
    "late": ([("plugin.timeout", "plugin")], False),
    "crashed": ([("plugin.crashed", "plugin")], False),
    "broken off": ([("breaker.open", "plugin")], False),
    "violated": ([("protocol.violation", "plugin")], False),
    "expired": ([("call.expired", "host")], False),
    "cancelled": ([("call.cancelled", "caller")], False),
}


@pytest.mark.parametrize("what", ENDS)
def test_however_a_call_ends_it_has_its_row(rows: dict[str, list[CallRecord]], what: str) -> None:
    """Code and fault of each attempt are on record, and what it used where somebody could tell."""
    ends, told = ENDS[what]
    assert [(row.error_code, row.fault) for row in rows[what]] == ends
    assert (rows[what][-1].cpu_us is not None) == told
    assert all(row.duration_us is not None for row in rows[what])


@pytest.mark.parametrize("what", ENDS)
def test_every_row_says_what_the_middlewares_took(
    rows: dict[str, list[CallRecord]], what: str
) -> None:
    """There is a time for each that was entered: all, or those down to the one that refused."""
    refused_by = {"denied": 2, "broken off": 3, "arguments": 4}
    for row in rows[what]:
        assert row.stack_us is not None
        assert len(row.stack_us) == refused_by.get(what, 5)
        assert all(us >= 0 for us in row.stack_us)
        assert sum(row.stack_us[1:]) <= (row.duration_us or 0) + 10


def test_a_row_holds_what_the_worker_measured(rows: dict[str, list[CallRecord]]) -> None:
    """Processor time, memory and rows of the call; the parts of its duration do not exceed it."""
    (row,) = rows["fine"]
    assert (row.rows_read, row.rows_written) == (3, 4)
    assert (row.cpu_us or 0) >= 2_000
    assert (row.peak_kb or 0) > 5 << 10
    assert row.instance == 1
    parts = (row.queue_us or 0) + (row.transport_us or 0)
    assert (row.plugin_us or 0) <= (row.transport_us or 0) <= parts <= (row.duration_us or 0)
    assert row.output_bytes
    assert row.seed is not None


def test_rows_of_the_applications_own_storage(rows: dict[str, list[CallRecord]]) -> None:
    """A builtin's records are counted by the store itself; it is in no worker."""
    (row,) = rows["builtin"]
    assert (row.rows_read, row.rows_written) == (2, 2)
    assert (row.level, row.instance, row.peak_kb) == ("host", None, None)


def test_each_attempt_names_its_worker(rows: dict[str, list[CallRecord]]) -> None:
    """The call was lost with the first worker, and answered by the second."""
    first, second = rows["retried"]
    assert (first.attempt, second.attempt) == (1, 2)
    assert (first.instance, second.instance) == (1, 2)
    assert first.cpu_us is None


def test_a_nested_row_names_who_asked(rows: dict[str, list[CallRecord]]) -> None:
    """Parent, caller and depth stand in the row of a call that a plugin asked for."""
    (row,) = rows["nested"]
    assert (row.plugin, row.caller, row.depth) == ("asks.c", "asks.b", 2)
    assert row.parent == row.call_id.rpartition(".")[0]


def test_calls_that_reached_no_worker_name_none(rows: dict[str, list[CallRecord]]) -> None:
    """What was refused before it was sent has no instance, and no time in a plugin."""
    for what in ("denied", "arguments", "broken off", "expired"):
        (row,) = rows[what]
        assert (row.instance, row.plugin_us) == (None, 0)
