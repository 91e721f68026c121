"""Deliveries: who is not asked, and what is counted."""

from __future__ import annotations

from typing import Any

import nxkernel as nx
from nxkernel.types import PluginId
from tests.support.desks import Bench, Everything


def test_a_disabled_plugin_has_an_outcome_that_says_why() -> None:
    """It is not called, and it is not missing."""
    reason = nx.PluginDisabled("settings: no", code="settings.invalid", plugin="a")
    bench = Bench(
        {"a": Everything(lambda x, y: x), "b": Everything(lambda x, y: x)},
        disabled=lambda plugin, edition: reason if plugin == "a" else None,
    )
    result = bench.call("every", x=1)
    assert (result.value, result.degraded) == ([1], True)
    assert (result[0].error.code, result[0].fault) == ("settings.invalid", "plugin")


def test_statistics_count_calls_and_errors() -> None:
    """Of each plugin, early refusals included."""

    def fail(x: Any, y: Any) -> Any:
        raise ValueError

    bench = Bench({"a": Everything(lambda x, y: x), "b": Everything(fail)})
    bench.call("every", x=1)
    bench.call("every", x=1)
    stats = bench.desk.stats
    assert [(stats[PluginId(n)].calls, stats[PluginId(n)].errors) for n in "ab"] == [(2, 0), (2, 2)]
