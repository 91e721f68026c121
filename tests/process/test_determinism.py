"""Randomness, hash order and time inside a worker follow from the run's seed and nothing else."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

import nxkernel as nx
from tests.process.conftest import Opens
from tests.support.calls import FakeClock
from tests.support.zoo import build, patient


def drawn(place: Path, *, seed: int | str = 7, value: Any = "x", key: Any = None) -> dict[str, Any]:
    """What a plugin draws in a run of its own."""
    with build(place, "draws", seed=seed, clock=FakeClock()) as kernel:
        (found,) = kernel.options(key=key).call("act", value=value).unwrap()
    return found


def test_two_runs_draw_the_same(tmp_path: Path) -> None:
    """Import-time randomness, context.rng, hashes, set order, zone and now, all of it."""
    assert drawn(tmp_path / "one") == drawn(tmp_path / "other")


def test_worker_has_a_fixed_hash_seed_and_zone(tmp_path: Path) -> None:
    """The zone is UTC, and now() is the run's start."""
    found = drawn(tmp_path)
    assert found["zone"] == ["UTC", "UTC"]
    assert found["now"] == "1970-01-01T00:16:40+00:00"


def test_seed_of_the_run_changes_what_is_drawn(tmp_path: Path) -> None:
    """At import and in the call; hashes stay, because the hash seed belongs to the host."""
    one, other = drawn(tmp_path / "one", seed=7), drawn(tmp_path / "other", seed=8)
    assert one["import"] != other["import"]
    assert one["rng"] != other["rng"]
    assert one["hash"] == other["hash"]


def test_key_of_the_call_changes_what_is_drawn(tmp_path: Path) -> None:
    """The key is the arguments' digest, or what the caller says; the import is not concerned."""
    plain = drawn(tmp_path / "plain")
    keyed = drawn(tmp_path / "keyed", key="doc-17")
    other = drawn(tmp_path / "other", value="y")
    assert len({tuple(found["rng"]) for found in (plain, keyed, other)}) == 3
    assert plain["import"] == keyed["import"] == other["import"]


def test_key_stands_in_for_the_arguments(tmp_path: Path) -> None:
    """With the same key, other arguments draw the same numbers."""
    one = drawn(tmp_path / "one", value="x", key=("doc", 17))
    other = drawn(tmp_path / "other", value="y", key=("doc", 17))
    assert one["rng"] == other["rng"]


def test_equal_calls_draw_the_same_in_one_worker(open_zoo: Opens) -> None:
    """What a call draws does not depend on the calls before it, nor on its worker's age."""
    zoo = open_zoo(patient, "draws")
    first = zoo.act("draws", "x").value["rng"]
    zoo.act("draws", "something else")
    assert zoo.act("draws", "x").value["rng"] == first


def test_an_interpreter_that_ignores_the_hash_seed_is_refused(tmp_path: Path) -> None:
    """Sets would have another order in each worker, and nobody would say so."""
    wrapper = tmp_path / "python"
    wrapper.write_text(f'#!/bin/sh\nexec "{sys.executable}" -E "$@"\n')
    wrapper.chmod(0o755)
    with (
        pytest.raises(nx.KernelConfigError, match="ignores PYTHONHASHSEED"),
        build(tmp_path / "data", "plain.a", hosting=nx.Hosting(python=wrapper)),
    ):
        pytest.fail("it booted")
