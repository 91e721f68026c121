"""Starts and restarts of workers, calls among plugins, and many that sleep at once."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import time
from pathlib import Path
from typing import Any

import nxkernel as nx
from benchmarks.measure import Row, interleave
from benchmarks.peers import imported_interpreter, new_interpreter

__all__ = ["fan_out", "nesting", "restart", "start"]

HERE = Path(__file__).parent
ECHO, SLEEPER, NESTER = (
    HERE / "plugins" / "echo",
    HERE / "others" / "sleeper",
    HERE / "others" / "nester",
)
#: Seconds that each sleeper sleeps, and how many of them there are.
NAP_S, SLEEPERS = 1.0, (1, 4, 16)
#: However often a worker dies, the next one starts at once.
UNDAUNTED = nx.Hosting(restart_intensity=10**6, backoff_s=0.0, backoff_max_s=0.0)
hookspec = nx.HookspecMarker("bench")


class Specs:
    """The hooks of these measurements."""

    @hookspec(firstresult=True)
    def echo(self, value):
        """Return *value*."""

    @hookspec
    def echo_all(self, value):
        """Return *value*, from every plugin."""

    @hookspec
    def nap(self, seconds):
        """Sleep."""

    @hookspec(firstresult=True)
    def descend(self, levels):
        """Call this hook once more for each level."""


def kernel_over(folder: str, *plugins: Path, stack: bool, **options: Any) -> nx.Kernel:
    """Build a kernel over *plugins*, with the standard stack or no middleware at all."""
    run = nx.Run.create(folder, seed=1)
    options["middleware"] = nx.standard_stack(run, rules=[nx.Rule("allow", "*", "*", id="all")])
    if not stack:
        options["middleware"] = []
    return nx.Kernel("bench", specs=[Specs], run=run, plugins=nx.discover(*plugins), **options)


def start(rounds: int) -> dict[str, Row]:
    """Time starts at each level, from the request until the plugin is loaded and accepted."""
    names = {level: f"worker at level {level}" for level in ("confined", "isolated", "process")}
    taken: dict[str, list[float]] = {}
    for number in range(rounds + 1):
        found = {name: _start_ms(level) for level, name in names.items()}
        began = time.perf_counter()
        new_interpreter()
        found["new interpreter, to its end"] = (time.perf_counter() - began) * 1e3
        found["new interpreter, to its imports"] = imported_interpreter() * 1e3
        for name, ms in found.items():
            if number and ms is not None:
                taken.setdefault(name, []).append(ms * 1e3)
    return {name: Row(name=name, rounds=tuple(each)) for name, each in taken.items()}


def _start_ms(level: str) -> float | None:
    """The start of a plugin's second worker: what the first one needed is learned by then."""
    with tempfile.TemporaryDirectory() as folder:
        sandbox = nx.Sandbox(require=level)  # type: ignore[arg-type]
        try:
            with kernel_over(
                folder, ECHO, stack=False, sandbox=sandbox, hosting=UNDAUNTED
            ) as kernel:
                _call_again(kernel)
                return kernel.plugins["bench.echo"].start_ms
        except nx.SandboxUnavailable:
            return None  # This machine does not have the level; the table has no row for it.


def _call_again(kernel: nx.Kernel) -> float:
    """Kill the worker of an idle plugin; return the seconds until the next call has its answer."""
    if kernel.call("echo", value={}).value != {}:
        raise RuntimeError("the plugin does not answer")
    began = time.perf_counter()
    victim = kernel.plugins["bench.echo"].pid or 0
    os.kill(victim, signal.SIGKILL)
    # A call on a worker that is dying fails, and the breaker would open after a few of them.
    while alive(victim):
        time.sleep(1e-4)
    while not kernel.call("echo", value={}).outcomes[0].ok:
        continue  # The call was there before the death.
    return time.perf_counter() - began


def alive(pid: int) -> bool:
    """Whether there is such a process, dead or not, that nobody has waited for."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def restart(rounds: int) -> dict[str, Row]:
    """Time from SIGKILL of a worker to the answer of the next call, through the whole stack."""
    with (
        tempfile.TemporaryDirectory() as folder,
        kernel_over(folder, ECHO, stack=True, hosting=UNDAUNTED) as kernel,
    ):
        _call_again(kernel)
        ours = tuple(_call_again(kernel) * 1e6 for _ in range(rounds))
        theirs = tuple(imported_interpreter() * 1e6 for _ in range(rounds))
    return {
        "kill, start, call, answer": Row(name="restart", rounds=ours),
        "new interpreter, to its imports": Row(name="new interpreter", rounds=theirs),
    }


def nesting(rounds: int) -> dict[str, Row]:
    """Time calls that go down some levels; a level is a call among plugins."""
    with (
        tempfile.TemporaryDirectory() as one,
        tempfile.TemporaryDirectory() as two,
        kernel_over(one, NESTER, stack=True) as full,
        kernel_over(two, NESTER, stack=False) as bare,
    ):
        stacks = {"standard stack": full, "no middleware": bare}
        rows = interleave(
            {
                f"{levels} levels down, {name}": _descent(kernel, levels)
                for name, kernel in stacks.items()
                for levels in (0, 1, 3)
            },
            rounds=rounds,
            calls=60,
        )
    for name in stacks:
        flat, deep = rows[f"0 levels down, {name}"], rows[f"3 levels down, {name}"]
        each = tuple((d - f) / 3 for f, d in zip(flat.rounds, deep.rounds, strict=True))
        rows[f"one level, {name}"] = Row(name="level", rounds=each)
    return rows


def _descent(kernel: nx.Kernel, levels: int) -> Any:
    return lambda: kernel.call("descend", levels=levels).unwrap()


def fan_out(rounds: int) -> dict[str, Row]:
    """Time calls of plugins that sleep: the longest nap counts, not the sum."""
    rows = {}
    for count in SLEEPERS:
        with tempfile.TemporaryDirectory() as folder:
            plugins = _copies(Path(folder) / "plugins", count)
            with kernel_over(folder, plugins, stack=True) as kernel:
                kernel.call("nap", seconds=0.0)
                taken = tuple(_nap(kernel, count) for _ in range(max(1, rounds // 2)))
        name = f"{count} plugins asleep for {NAP_S:g} s"
        rows[name] = Row(name=name, rounds=taken)
    return rows


def _copies(folder: Path, count: int) -> Path:
    for number in range(count):
        target = folder / f"s{number:02d}"
        shutil.copytree(SLEEPER, target, ignore=shutil.ignore_patterns("__pycache__"))
        manifest = target / "plugin.toml"
        manifest.write_text(manifest.read_text().replace("bench.sleeper", f"bench.s{number:02d}"))
    return folder


def _nap(kernel: nx.Kernel, count: int) -> float:
    began = time.perf_counter()
    if len(kernel.call("nap", seconds=NAP_S).value) != count:
        raise RuntimeError("a sleeper did not answer")
    return (time.perf_counter() - began) * 1e6
