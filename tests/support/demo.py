"""One real run of the demo, for every test that looks at what it prints or leaves behind.

It reads ten screenshots, which takes longer than any other test.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import pytest
from click.testing import CliRunner

import nxkernel as nx
from examples.screenmem import app
from nxkernel_cli import demo as command
from nxkernel_cli.main import main

__all__ = ["Demo", "play"]


@attrs.frozen
class Demo:
    """What one whole run of the example left behind."""

    #: What ``nxkernel demo`` printed, line by line.
    lines: list[str]
    run: nx.Run
    answers: list[dict[str, Any]]
    missing: list[app.Missing]
    #: The plugins as the kernel showed them before it was closed.
    plugins: dict[str, Any]


class _Witness:
    """The example itself, and somebody who looks on."""

    run: nx.Run
    kernel: nx.Kernel
    memory: app.Memory
    answers: list[dict[str, Any]]
    plugins: dict[str, Any]

    def __getattr__(self, name: str) -> Any:
        return getattr(app, name)

    def build_kernel(self, run: nx.Run, media: Path) -> nx.Kernel:
        self.run, self.kernel = run, app.build_kernel(run, media)
        return self.kernel

    def Memory(self, kernel: nx.Kernel, run: nx.Run) -> app.Memory:
        self.memory = app.Memory(kernel, run)
        return self.memory

    def annotate(self, memory: app.Memory, answers: Any, target: Path) -> Path | None:
        self.answers, self.plugins = answers, dict(self.kernel.plugins)
        return app.annotate(memory, answers, target)


def play(folder: Path) -> Demo:
    """Run ``nxkernel demo`` in this process; *folder* gets what it leaves behind."""
    seen = _Witness()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(command, "load_screenmem", lambda: seen)
        shown = CliRunner().invoke(main, ["demo", "--out", str(folder)], prog_name="nxkernel")
    assert shown.exit_code == 0, shown.output
    return Demo(
        lines=shown.stdout.splitlines(),
        run=seen.run,
        answers=seen.answers,
        missing=seen.memory.missing,
        plugins=seen.plugins,
    )
