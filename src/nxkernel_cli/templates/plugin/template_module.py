"""The plugin template.id."""

from __future__ import annotations

import nxkernel as nx

hookimpl = nx.HookimplMarker("template_project")


class Plugin:
    """Constructed once, in a worker of its own; calls come one at a time."""

    def __init__(self, context: nx.PluginContext) -> None:
        self.first = context.settings["first"]

    @hookimpl
    def template_hook(self, text: str) -> dict[str, object]:
        """Return how many words *text* has, and the first of them."""
        words = text.split()
        return {"words": len(words), "first": words[: self.first]}
