"""Recorded runs of the animal ``wavers``, which a file makes answer otherwise the second time."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

import nxkernel as nx
from tests.support import zoo

__all__ = ["Waverer"]


@attrs.frozen
class Waverer:
    """A place with an application in it whose one plugin is ``wavers``."""

    place: Path

    def says(self, whims: Mapping[int, str]) -> None:
        """Have the plugin do, for each of these numbers, what its whim is."""
        folder = self.place / "media"
        folder.mkdir(exist_ok=True)
        (folder / "whims.json").write_text(json.dumps(whims))

    @property
    def plugin(self) -> Path:
        """The plugin's folder: a copy, that a test may change."""
        folder = self.place / "wavers"
        if not folder.exists():
            shutil.copytree(zoo.folder("wavers"), folder)
        return folder

    def kernel(self, *, recorded: bool = False, **options: Any) -> nx.Kernel:
        """Return a kernel over it, in a run of its own."""
        media = self.place / "media"
        run = nx.Run.create(self.place / "data", seed=7)
        stack = nx.standard_stack(run, rules=zoo.allow("wavers", "echo"))
        stack[2] = nx.Breaker(failures=10**6)
        settings = {"place": str(media / "whims.json"), "word": "abracadabra"}
        given: dict[str, Any] = {
            "specs": [zoo.Hooks],
            "run": run,
            "plugins": nx.discover(self.plugin),
            "middleware": [*stack, nx.Recording(run)] if recorded else stack,
            "paths": {"media_dir": media},
            "settings": {"wavers": settings},
            "grants": {"wavers": nx.Grant(read=("{media_dir}",))},
            "hosting": nx.Hosting(timeout_s=zoo.PATIENCE_S),
        }
        return nx.Kernel("zoo", **{**given, **options})

    def record(self, calls: int) -> Path:
        """Make *calls* calls of hook ``act``, and return the run directory."""
        with self.kernel(recorded=True) as kernel:
            for number in range(calls):
                kernel.call("act", value=number)
            return kernel.run.dir
