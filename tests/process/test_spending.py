"""What calls use, as their workers measured it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nxkernel as nx
from nxkernel._clock import SystemClock
from nxkernel.storage import BlobStore, RecordStore
from nxkernel.types import Usage
from tests.support.zoo import PATIENCE_S, Zoo, allow, code_of, patient

ANIMALS = ("spends",)
OPTIONS = {"rules": allow("spends", "act")}


def used(outcome: nx.Outcome) -> Usage:
    """Return what a call used, as it was told."""
    assert outcome.timing.used is not None
    return outcome.timing.used


def spend(zoo: Zoo, **what: Any) -> Usage:
    """Have the plugin use something, and return what was measured."""
    outcome = zoo.act("spends", what)
    assert outcome.ok, outcome.error
    return used(outcome)


def test_processor_time_is_measured(zoo: Zoo) -> None:
    """A call that computes for 30 ms has used as much, and one that does nothing much less."""
    assert (spend(zoo, cpu=30).cpu_us or 0) >= 30_000
    assert (spend(zoo).cpu_us or 0) < 15_000


def test_processor_time_of_threads_counts(zoo: Zoo) -> None:
    """What a plugin computes in threads of its own is its doing too."""
    assert (spend(zoo, thread=20).cpu_us or 0) >= 20_000


def test_a_call_does_not_pay_for_those_on_top_of_it(zoo: Zoo) -> None:
    """A plugin that calls itself has the time of either call in its own place."""
    with_nested = spend(zoo, cpu=1, nested={"cpu": 60})
    assert (with_nested.cpu_us or 0) < 50_000


def test_the_peak_of_memory_is_measured(open_zoo: Any) -> None:
    """A call that fills 64 MiB has had them; a short one is not asked about it."""
    zoo = open_zoo(patient, "spends", **OPTIONS)
    little = spend(zoo, cpu=5).peak_kb
    much = spend(zoo, cpu=1, memory=64).peak_kb
    assert little is not None
    assert much is not None
    assert much - little > 60 * 1024
    assert zoo.answers("spends")


def test_rows_are_those_that_were_counted(zoo: Zoo) -> None:
    """Several counts add up; without one nothing is claimed, not even zero."""
    counted = spend(zoo, rows=[[3, 0], [4, 5]])
    assert (counted.rows_read, counted.rows_written) == (7, 5)
    uncounted = spend(zoo)
    assert (uncounted.rows_read, uncounted.rows_written) == (None, None)


def test_nested_calls_count_their_own_rows(zoo: Zoo) -> None:
    """A row is on record once: with the call that read it."""
    counted = spend(zoo, rows=[[1, 1]], nested={"rows": [[10, 10]]})
    assert (counted.rows_read, counted.rows_written) == (1, 1)


def test_rows_are_not_counted_down(zoo: Zoo) -> None:
    """A negative number is the plugin's mistake, and told to it."""
    assert code_of(zoo.act("spends", {"rows": [[-1, 0]]})) == "plugin.raised"


def test_a_failed_call_has_used_something_too(zoo: Zoo) -> None:
    """An error comes with what was used up to it."""
    outcome = zoo.act("spends", {"cpu": 10, "rows": [[2, 0]], "raises": True})
    assert code_of(outcome) == "plugin.raised"
    assert (used(outcome).cpu_us or 0) >= 10_000
    assert used(outcome).rows_read == 2


def test_the_worker_that_answered_is_told_apart(zoo: Zoo) -> None:
    """Calls of one worker have one number, those of its successor the next."""
    first = zoo.act("spends", {}).timing.instance
    assert zoo.act("spends", {}).timing.instance == first
    assert first is not None


def test_storage_in_a_builtin_counts_by_itself(tmp_path: Path) -> None:
    """Records that the embedder's own hookimpl reads and writes are rows of that call."""
    hookimpl = nx.HookimplMarker("zoo")
    blobs = BlobStore(tmp_path / "blobs")
    records = RecordStore(tmp_path / "records.sqlite", blobs, SystemClock())

    class Keeper:
        @hookimpl
        def act(self, value: list[str]) -> int:
            digest = blobs.put(b"frame")
            for kind in value:
                records.append(kind, digest, "", {})
            return len(records.of("tokens", digest))

    with patient(tmp_path / "data", builtins={"keeper": Keeper()}) as kernel:
        (outcome,) = kernel.call("act", value=["tokens", "tokens", "layout"])
        records.close()
    assert outcome.value == 2
    assert (used(outcome).rows_written, used(outcome).rows_read) == (3, 2)
    assert used(outcome).cpu_us is not None
    assert outcome.timing.plugin_us > 0


def test_a_plugin_in_the_host_counts_as_in_a_worker(tmp_path: Path) -> None:
    """Also where a plugin runs in the host's process its rows are on record."""
    hosting = nx.Hosting(inproc_allowlist={"spends": "to see it count"}, timeout_s=PATIENCE_S)
    options: dict[str, Any] = {"hosting": hosting}
    with patient(tmp_path / "data", "spends", **{**OPTIONS, **options}) as kernel:
        outcome = Zoo(kernel).act("spends", {"rows": [[3, 4]], "nested": {"rows": [[1, 1]]}})
    assert outcome.ok, outcome.error
    assert (used(outcome).rows_read, used(outcome).rows_written) == (3, 4)
