"""A plain fan-out is under way in all providers at once.

Shown without a clock: each provider waits until all have come to the same place. Called one after
the other, the first would wait for ever.
"""

from __future__ import annotations

from pathlib import Path

import psutil

from tests.process.conftest import Opens
from tests.support.zoo import build, code_of, meeting, patient, recorded

IDS = ("a", "b", "c", "d", "e", "f")


def test_providers_run_at_the_same_time(open_zoo: Opens, tmp_path: Path) -> None:
    """Six providers meet; their results come in the order of the providers."""
    zoo = open_zoo(patient, **meeting(tmp_path, IDS))
    assert zoo.kernel.hook.act(value=len(IDS)) == list(IDS)


def test_fifty_plugins_run_at_the_same_time(open_zoo: Opens, tmp_path: Path) -> None:
    """All fifty are under way at once, each in a process of its own, under one zygote."""
    ids = [f"guest-{number:02}" for number in range(50)]
    before = psutil.Process().children()
    zoo = open_zoo(patient, **meeting(tmp_path, ids))
    assert zoo.kernel.hook.act(value=len(ids)) == ids
    (zygote,) = set(psutil.Process().children()) - set(before)
    assert len(zygote.children()) == len(ids)


def test_every_call_begins_before_the_first_end(open_zoo: Opens, tmp_path: Path) -> None:
    """On record too: by the times of the rows, all were under way at once."""
    zoo = open_zoo(patient, **meeting(tmp_path, IDS))
    zoo.kernel.hook.act(value=len(IDS))
    rows = recorded(zoo.kernel.run, hook="act")
    assert len(rows) == len(IDS)
    ended = [row.started_ns + 1000 * (row.duration_us or 0) for row in rows]
    assert max(row.started_ns for row in rows) < min(ended)


def test_one_that_fails_holds_up_no_other(open_zoo: Opens) -> None:
    """Crash and exception of some providers leave the results of the others."""
    zoo = open_zoo(build, "dies", "prints", "raises")
    result = zoo.kernel.call("act", value="exit")
    assert result.value == ["exit"]
    assert result.degraded
    assert {o.plugin: code_of(o) for o in result} == {
        "dies": "plugin.crashed",
        "prints": "ok",
        "raises": "plugin.raised",
    }


def test_time_of_one_is_not_taken_from_another(open_zoo: Opens) -> None:
    """A provider that overran its deadline takes no result with it."""
    zoo = open_zoo(build, "sleeps", "prints")
    result = zoo.kernel.options(timeout=1.0).call("act", value=3600)
    assert {o.plugin: code_of(o) for o in result} == {
        "prints": "ok",
        "sleeps": "plugin.timeout",
    }
