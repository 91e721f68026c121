"""Replays: what a later worker hears of historic calls."""

from __future__ import annotations

from typing import Any

from nxkernel.types import PluginId
from tests.support.desks import Bench, Everything, Point


def test_history_is_replayed_in_order_to_one_plugin() -> None:
    """Marked as such; the callback is given what the first call's was: the annotated type."""
    heard: list[Any] = []
    bench = Bench({n: Everything(lambda at: {"x": at["x"], "y": 9}) for n in "ab"})
    for x in (1, 2):
        bench.drive(bench.desk.historic_call("began", {"at": Point(x)}, heard.append))
    assert heard == [Point(1, 9)] * 2 + [Point(2, 9)] * 2
    del heard[:], bench.witness.calls[:]
    impls = bench.desk.registry.impls(PluginId("b"))
    assert bench.drive(bench.desk.replays.replay(PluginId("b"), 1, impls)) == 2
    assert [(c.plugin, c.arguments["at"]["x"], c.historic) for c in bench.witness.calls] == [
        ("b", 1, True),
        ("b", 2, True),
    ]
    assert heard == [Point(1, 9), Point(2, 9)]
