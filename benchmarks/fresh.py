"""What a process of its own costs a call: the same plugin with warm and with fresh state."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import nxkernel as nx
from benchmarks.lives import kernel_over
from benchmarks.measure import Row, interleave

__all__ = ["WARM", "fresh"]

ECHO = Path(__file__).parent / "plugins" / "echo"
VALUE = {"id": "doc-0017", "title": "Invoice of March", "page": 3, "box": [10, 20, 300, 40]}
WARM = "warm call, confined"


def fresh(rounds: int) -> dict[str, Row]:
    """Time a small call with the standard stack: warm, and fresh at each level that there is."""
    with ExitStack() as opened:
        kernels = {WARM: _kernel(opened, "confined", fresh=False)}
        for level in ("confined", "isolated", "process"):
            if nx.probe(level).ok:
                kernels[f"fresh call, {level}"] = _kernel(opened, level, fresh=True)
        return interleave(
            {name: _caller(kernel) for name, kernel in kernels.items()}, rounds=rounds, calls=20
        )


def _kernel(opened: ExitStack, level: Any, *, fresh: bool) -> nx.Kernel:
    folder = Path(opened.enter_context(tempfile.TemporaryDirectory()))
    plugin = folder / "plugin"
    shutil.copytree(ECHO, plugin)
    if fresh:
        manifest = plugin / "plugin.toml"
        manifest.write_text('state = "fresh"\n' + manifest.read_text())
    sandbox = nx.Sandbox(require=level)
    kernel = kernel_over(str(folder / "data"), plugin, stack=True, sandbox=sandbox)
    return opened.enter_context(kernel)


def _caller(kernel: nx.Kernel) -> Callable[[], object]:
    return lambda: kernel.hook.echo(value=VALUE)
