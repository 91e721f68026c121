"""Tests of template.id: as plain Python first, then as it runs for real."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

from template_module import Plugin

import nxkernel as nx

hookspec = nx.HookspecMarker("template_project")


class Specs:
    """What the application offers; use its own hookspecs if you can import them."""

    @hookspec
    def template_hook(self, text: str) -> dict[str, object]:
        """Say something about *text*."""


def test_plain() -> None:
    """The class works without a kernel: debug it here."""
    plugin = Plugin(SimpleNamespace(settings={"first": 2}))
    assert plugin.template_hook("one two three") == {"words": 3, "first": ["one", "two"]}


def test_confined(tmp_path: Path) -> None:
    """It does the same in a confined worker, behind the whole stack."""
    run = nx.Run.create(tmp_path, seed=7)
    kernel = nx.Kernel(
        "template_project",
        specs=[Specs],
        run=run,
        plugins=nx.discover(Path(__file__).parent),
        middleware=nx.standard_stack(run),
        sandbox=nx.Sandbox(require="confined"),
    )
    with kernel:
        result = kernel.call("template_hook", text="one two three four")
    assert [outcome.error for outcome in result] == [None]
    assert result.value == [{"words": 4, "first": ["one", "two", "three"]}]
