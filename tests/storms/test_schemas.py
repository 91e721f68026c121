"""A hundred thousand values under schemas of the profile, judged twice: not one difference."""

from __future__ import annotations

import json
import os
import subprocess
from typing import Any

import pytest

from tests.support import interpreter
from tests.support.schema_cases import judge, prove
from tests.support.storms import Storm


def test_the_two_judges_agree_on_every_case(storm: Storm) -> None:
    """What the quick judge calls valid the reference does, and the other way round."""
    tally = judge(str(storm.seed), storm.size(100, 14_500))
    judged = tally.kinds["judged by both"]
    assert judged >= storm.size(500, 100_000)
    assert min(tally.kinds["valid"], tally.kinds["invalid"]) > judged // 10
    storm.tell("values judged by both, without a difference", judged)
    for kind, count in sorted(tally.kinds.items()):
        storm.tell(f"... {kind}", count)


def elsewhere(storm: Storm, hash_seed: str, *options: str) -> Any:
    """Judge some in another interpreter."""
    python = interpreter.own()
    done = subprocess.run(
        [*python.command("tests.support.schema_cases"), str(storm.seed), *options],
        stdout=subprocess.PIPE,
        env={**os.environ, **python.environment, "PYTHONHASHSEED": hash_seed},
        check=True,
    )
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    "options", [[], ["--without-fast"]], ids=["another hash seed", "the reference alone"]
)
def test_issues_are_the_same_bytes(storm: Storm, options: list[str]) -> None:
    """Whatever the hash seed, the run, and whether jsonschema-rs is installed."""
    schemas = str(storm.size(30, 1_000))
    first = elsewhere(storm, "0", schemas)
    second = elsewhere(storm, "4242", schemas, *options)
    assert first["issues"] == second["issues"]
    assert first["invalid"] == second["invalid"] > 0
    assert (second["judged by both"] > 0) is (not options)


def test_no_value_is_against_a_proof(storm: Storm) -> None:
    """What is proved narrower accepts nothing that the wider schema refuses."""
    counts = prove(str(storm.seed), storm.size(60, 10_000))
    assert min(counts["proved"], counts["open"]) > storm.size(5, 1_000)
    for kind, count in sorted(counts.items()):
        storm.tell(kind, count)
