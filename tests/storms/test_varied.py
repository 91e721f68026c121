"""The zoo of what is never the same, and the flagship example, under everything that can vary."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import nxkernel as nx
from nxkernel.variation.kit import Check, check
from tests.support import same_demo
from tests.support.sources import NOTHING, REPLAY, SOURCES, Source
from tests.support.storms import Storm

_SCREENS = same_demo.ROOT / "examples" / "screenmem" / "screens"
#: Read by a short storm, and by a full one.
_FEW, _MORE = ("chat.png",), ("chat.png", "config.png", "huts.png")
#: Found in each short storm.
_SOME = ("address",)


def _written(place: Path, sources: list[Source]) -> list[Any]:
    """Write plugins with two examples each, and find them."""
    for source in sources:
        folder = source.write(place)
        (folder / "examples").mkdir()
        calls = [{"hook": "act", "arguments": {"value": number}} for number in (1, 2)]
        (folder / "examples" / "two.json").write_text(json.dumps(calls))
    return nx.discover(place)


def _traces(found: Check) -> set[str]:
    """The names of what a plugin's differences were traced to; empty: it differs by itself."""
    return {each.name for finding in found.findings for each in finding.variations}


@pytest.mark.timeout(3600)
def test_what_only_a_comparison_finds_is_found_and_traced(storm: Storm, tmp_path: Path) -> None:
    """Each source of the column `replay` is found, and traced to what the zoo says; no other is."""
    fates = (REPLAY, NOTHING) if storm.full else (REPLAY,)
    chosen = [s for s in SOURCES if s.fate in fates and (storm.full or s.name in _SOME)]
    found = {each.id: each for each in check(_written(tmp_path, chosen), "zoo")}
    for source in chosen:
        seen = found[source.id]
        assert seen.error is None, (source.name, seen.error)
        assert not seen.failed, (source.name, seen.failed)
        assert bool(seen.findings) is (source.fate == REPLAY), source.name
        if "*" not in source.traced:
            assert _traces(seen) <= source.traced, source.name
            assert bool(_traces(seen)) is bool(source.traced), source.name
        traced = ", ".join(sorted(_traces(seen))) or "by itself"
        storm.tell(source.name, traced if seen.findings else "nothing")


def _played(place: Path, screens: Path, given: dict[str, Any]) -> set[tuple[str, ...]]:
    """Run the example in a host of its own, as *given*."""
    place.mkdir(parents=True)
    data = place / "data"
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONHASHSEED"}
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.same_demo", data, screens, json.dumps(given)],
        cwd=place,
        env={**kept, **given["host"], "PYTHONPATH": str(same_demo.ROOT), "HOME": str(place)},
        preexec_fn=lambda: os.sched_setaffinity(0, given["processors"]),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return {tuple(row) for row in json.loads(done.stdout)}


@pytest.mark.timeout(7200)
def test_the_example_gives_one_set_of_digests(storm: Storm, tmp_path: Path) -> None:
    """Under other hash seeds, zones, locales, processors, folders, threads and orders of calls."""
    screens = tmp_path / "screens"
    screens.mkdir()
    for name in _MORE if storm.full else _FEW:
        (screens / name).write_bytes((_SCREENS / name).read_bytes())
    processors = sorted(os.sched_getaffinity(0))
    usual = _played(tmp_path / "0", screens, same_demo.conditions(0, processors))
    for number in range(1, storm.size(2, 20)):
        place = tmp_path / ("deeper" if number % 2 else "beside") / str(number)
        varied = _played(place, screens, same_demo.conditions(number, processors))
        assert varied == usual, (number, sorted(varied ^ usual)[:4])
    storm.tell("runs with one set of digests", storm.size(2, 20))
    storm.tell("digests in it", len(usual))
