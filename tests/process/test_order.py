"""Providers go by how often they failed, where the application wants that: from run to run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import attrs

import nxkernel as nx
from nxkernel._clock import SystemClock
from nxkernel.audit import rotation
from nxkernel.audit.reader import AuditReader
from tests.process.conftest import Opens
from tests.support.zoo import Zoo, copies, patient

WEEK = nx.Hosting(failure_window_s=7 * 86_400.0, timeout_s=60.0)


def order(zoo: Zoo) -> list[str]:
    """Who is asked, in that order; builtins and others of the zoo are not there."""
    return [view.plugin for view in zoo.kernel.explain("act").providers]


def test_a_plugin_that_failed_goes_last_until_it_is_mended(open_zoo: Opens, tmp_path: Path) -> None:
    """In the next run, not in the one that saw it; what is not its fault counts for nobody."""
    folders = copies(tmp_path / "guests", "forgets", ["one", "two"])

    def opened() -> Zoo:
        return open_zoo(patient, folders=folders, hosting=WEEK)

    first = opened()
    for plugin in ("one", "two"):
        assert first.act(plugin, ["count"]).ok
    assert not first.act("one", ["raise"]).ok
    assert first.ask("two", "act", value=["count"], timeout=1e-9).fault == "host"
    assert order(first) == ["one", "two"], "nothing that happens in a run changes its order"
    first.kernel.close()
    rotation.rotate(first.kernel.run.audit_log.path, SystemClock())  # what is sealed counts too

    second = opened()
    assert order(second) == ["two", "one"]
    reasons = {v.plugin: v.reason for v in second.kernel.explain("act").providers}
    assert (
        "priority 0, then failed 1 of 2 calls (50 %) with this code in the last 7 days"
        in (reasons["one"])
    )
    assert pinned(second.kernel)["one"] == (2, 1)
    assert pinned(second.kernel)["two"][1] == 0
    second.kernel.close()

    code = folders[0] / "plugin.py"
    code.write_text(code.read_text() + "\n# mended\n")
    third = opened()
    assert order(third) == ["one", "two"]
    reasons = {v.plugin: v.reason for v in third.kernel.explain("act").providers}
    assert "no call with this code" in reasons["one"]


def test_without_it_history_counts_nothing(open_zoo: Opens, tmp_path: Path) -> None:
    """The default is priority and id, and the head of the run has no snapshot."""
    folders = copies(tmp_path / "guests", "forgets", ["one", "two"])
    hosting = attrs.evolve(WEEK, failure_window_s=None)
    first = open_zoo(patient, folders=folders, hosting=hosting)
    assert not first.act("one", ["raise"]).ok
    first.kernel.close()
    second = open_zoo(patient, folders=folders, hosting=hosting)
    assert order(second) == ["one", "two"]
    (view, _) = second.kernel.explain("act").providers
    assert view.reason == "priority 0, then by id"
    assert "failures" not in header(second.kernel)


def header(kernel: nx.Kernel) -> dict[str, Any]:
    """What the run's head says of its surroundings."""
    with AuditReader(kernel.run.audit_log.path) as reader:
        (run,) = reader.runs(kernel.run.id)
    return json.loads(json.dumps(dict(run.environment), default=dict))


def pinned(kernel: nx.Kernel) -> dict[str, tuple[int, int]]:
    """The snapshot in the run's head: calls and failures by plugin."""
    records = header(kernel)["failures"]["records"]
    return {plugin: (calls, failures) for plugin, _, calls, failures in records}
