"""nxkernel: the whole standard stack, at level ``confined``."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nxkernel as nx
from benchmarks.lives import alive
from nxkernel import Blob

NAME = "nxkernel, standard stack"
NOTE = (
    "confined by the kernel of the operating system; audit, policy, breaker, contracts and "
    "determinism around each call; restarts by itself"
)
CANNOT: dict[str, str] = {}
PLUGIN = Path(__file__).parents[1] / "plugin"
hookspec = nx.HookspecMarker("bench")


class Specs:
    """The hooks."""

    @hookspec(firstresult=True)
    def echo(self, value):
        """Return *value*."""

    @hookspec(firstresult=True)
    def pages(self, data):
        """Read every page of *data*."""

    @hookspec
    def everybody(self, value):
        """Return *value*, each."""

    @hookspec(firstresult=True)
    def nest(self, value):
        """Ask another plugin."""

    @hookspec(firstresult=True)
    def answer(self, value):
        """Be asked."""


#: What the first plugins are, and what they have beside `everybody`.
_KINDS = (("First", '"echo", "nest", "pages", '), ("Second", '"answer", '))


#: Where plugins lie: an application has them on its disk before it boots.
_shelf = tempfile.TemporaryDirectory(prefix="nxkernel-contest-")


def prepare(count: int) -> Path:
    """Copy the plugin *count* times, under ids and with hooks of their own."""
    folder = Path(_shelf.name) / str(count)
    for number in range(0 if folder.exists() else count):
        target = folder / f"p{number:02d}"
        shutil.copytree(PLUGIN, target, ignore=shutil.ignore_patterns("__pycache__"))
        manifest = target / "plugin.toml"
        kind, more = _KINDS[number] if number < len(_KINDS) else ("Member", "")
        text = manifest.read_text().replace("bench.member", f"bench.p{number:02d}")
        text = text.replace("member:Member", f"member:{kind}")
        manifest.write_text(text.replace("hooks = [", f"hooks = [{more}"))
    return folder


class Fleet:
    """Plugins of one kernel."""

    def __init__(self, kernel: nx.Kernel) -> None:
        self._kernel = kernel
        self._victim = 0
        self._echo, self._pages, self._everybody = (
            getattr(kernel.hook, name) for name in ("echo", "pages", "everybody")
        )

    def echo(self, value: Any) -> Any:
        return self._echo(value=value)

    def pages(self, data: Any) -> int:
        return int(self._pages(data=data))

    def binary(self, data: bytes) -> Any:
        return Blob(data)

    def everybody(self, value: Any) -> list[Any]:
        return list(self._everybody(value=value))

    def nest(self, value: Any) -> Any:
        return self._kernel.hook.nest(value=value)

    def victim(self) -> int:
        self._victim = int(self._kernel.plugins["bench.p00"].pid or 0)
        return self._victim

    def revive(self) -> None:
        """Wait until it is dead: a call on a dying worker fails, and the breaker would open."""
        while alive(self._victim):
            time.sleep(1e-4)


@contextlib.contextmanager
def fleet(count: int) -> Iterator[Fleet]:
    """Boot a kernel with *count* plugins."""
    with tempfile.TemporaryDirectory() as name:
        plugins = prepare(count)
        run = nx.Run.create(Path(name) / "data", seed=1)
        stack = nx.standard_stack(run, rules=[nx.Rule("allow", "*", "*", id="all")])
        hosting = nx.Hosting(restart_intensity=10**6, backoff_s=0.0, backoff_max_s=0.0)
        with nx.Kernel(
            "bench",
            specs=[Specs],
            run=run,
            plugins=nx.discover(plugins),
            middleware=stack,
            hosting=hosting,
        ) as kernel:
            yield Fleet(kernel)
