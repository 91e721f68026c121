"""``nox -s bench``: what a call and a start cost, beside what they are compared with.

Prints a table, or with ``--json`` one object; ``--rounds`` trades time for calm. ``--save`` keeps
the object in a file, and ``python -m benchmarks.page`` makes a page of it.
"""

from __future__ import annotations

import argparse
import compileall
import json
import platform
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

import nxkernel as nx
from benchmarks import audit
from benchmarks.blobs import PAIRS, blobs
from benchmarks.byhand import by_hand
from benchmarks.checks import validation
from benchmarks.contest.referee import contest
from benchmarks.curves import curves, flatness
from benchmarks.fleet import fleet, memory_mb
from benchmarks.floor import PAIRS as FLOOR_PAIRS
from benchmarks.floor import floor, pages
from benchmarks.fresh import WARM, fresh
from benchmarks.guard import guard
from benchmarks.lives import fan_out, nesting, restart, start
from benchmarks.locks import lock_check
from benchmarks.loops import PAIRS as LOOP_PAIRS
from benchmarks.loops import loops
from benchmarks.measure import Row, interleave, ratios
from benchmarks.page import median, ratio
from benchmarks.peers import pipe_echo, raw_echo

PLUGINS = Path(__file__).parent / "plugins"
VALUE = {"id": "doc-0017", "title": "Invoice of March", "page": 3, "box": [10, 20, 300, 40]}
hookspec = nx.HookspecMarker("bench")


class Specs:
    """The one hook of the benchmark."""

    @hookspec(firstresult=True)
    def echo(self, value):
        """Return *value*."""

    @hookspec
    def echo_all(self, value):
        """Return *value*, from every plugin."""


def kernel_with(stack: Any, folder: str, plugins: Path = PLUGINS) -> nx.Kernel:
    """Build a kernel over *plugins*, with the standard stack or no middleware at all."""
    run = nx.Run.create(folder, seed=1)
    middleware = nx.standard_stack(run) if stack else []
    return nx.Kernel(
        "bench", specs=[Specs], run=run, plugins=nx.discover(plugins), middleware=middleware
    )


def full_kernel(folder: str, plugins: Path) -> nx.Kernel:
    """Build a kernel with the standard stack."""
    return kernel_with(True, folder, plugins)


def boot(rounds: int) -> dict[str, Row]:
    """Time fifty plugins, beside fifty interpreters."""
    return fleet(full_kernel, PLUGINS / "echo", max(1, rounds // 4))


def small_call(rounds: int) -> dict[str, Row]:
    """Time a call of about 100 bytes through everything, through nothing, and its peers."""
    raw = msgspec.msgpack.encode(VALUE)
    with (
        tempfile.TemporaryDirectory() as one,
        tempfile.TemporaryDirectory() as two,
        kernel_with(True, one) as full,
        kernel_with(False, two) as bare,
        pipe_echo(VALUE) as pipe,
        raw_echo(raw) as pipes,
        by_hand(VALUE) as hand,
    ):
        return interleave(
            {
                "nxkernel, standard stack": lambda: full.hook.echo(value=VALUE),
                "nxkernel, no middleware": lambda: bare.hook.echo(value=VALUE),
                "multiprocessing.Pipe echo": pipe,
                "raw bytes over two pipes": pipes,
                "the work of a call, by hand": hand,
            },
            rounds=rounds,
            calls=300,
        )


def imports(rounds: int) -> dict[str, Row]:
    """Time ``import nxkernel`` and the command line's help, each less an empty interpreter."""
    commands = {
        "python -c pass": ["-c", "pass"],
        "import nxkernel": ["-c", "import nxkernel"],
        "nxkernel --help": ["-m", "nxkernel_cli", "--help"],
    }

    def runner(arguments: list[str]) -> Any:
        return lambda: subprocess.run(
            [sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL
        )

    return interleave({k: runner(v) for k, v in commands.items()}, rounds=rounds, calls=1)


#: section -> (measurement, whose ratio to whom)
SECTIONS: dict[str, tuple[Any, list[tuple[str, str]]]] = {
    "small call": (
        small_call,
        [
            ("nxkernel, standard stack", "multiprocessing.Pipe echo"),
            ("nxkernel, standard stack", "raw bytes over two pipes"),
            ("nxkernel, no middleware", "multiprocessing.Pipe echo"),
            ("the work of a call, by hand", "multiprocessing.Pipe echo"),
            ("nxkernel, standard stack", "the work of a call, by hand"),
        ],
    ),
    "audit": (audit.audit, audit.PAIRS),
    "validation": (
        validation,
        [
            ("the check alone, of a decoded value", "1,000 tokens, checked"),
            ("1,000 tokens, checked", "1,000 tokens, not checked"),
        ],
    ),
    "guard": (
        guard,
        [
            ("seed of a call, alone", "small call, guard warn"),
            ("guard of a call, alone", "small call, guard warn"),
            ("guard put up in a fork, warn", "new interpreter, to its imports"),
            ("guard put up in a fork, strict", "new interpreter, to its imports"),
        ],
    ),
    "start": (
        start,
        [
            ("worker at level confined", "new interpreter, to its end"),
            ("worker at level confined", "new interpreter, to its imports"),
            ("worker at level isolated", "new interpreter, to its end"),
        ],
    ),
    "floor": (floor, FLOOR_PAIRS),
    "fresh state": (
        fresh,
        [(f"fresh call, {level}", WARM) for level in ("confined", "isolated", "process")],
    ),
    "restart": (restart, [("kill, start, call, answer", "new interpreter, to its imports")]),
    "nested calls": (
        nesting,
        [
            ("one level, standard stack", "0 levels down, standard stack"),
            ("one level, no middleware", "0 levels down, no middleware"),
        ],
    ),
    "fan-out": (
        fan_out,
        [
            ("4 plugins asleep for 1 s", "1 plugins asleep for 1 s"),
            ("16 plugins asleep for 1 s", "1 plugins asleep for 1 s"),
        ],
    ),
    "event loops and streams": (loops, LOOP_PAIRS),
    "fifty plugins": (
        boot,
        [
            ("50 plugins, first boot, all called", "50 new interpreters"),
            ("50 plugins, later boot, all called", "50 new interpreters"),
        ],
    ),
    "lock check": (
        lock_check,
        [
            ("lock check, warm: nothing has changed", "lock check, cold: every byte is read twice"),
            ("lock check, warm: nothing has changed", "SHA-256 of every file"),
            ("lock check, warm: nothing has changed", "git status of the same files"),
        ],
    ),
    "blobs": (blobs, PAIRS),
    "import": (imports, [("import nxkernel", "python -c pass")]),
}


#: Sections that are no rows of microseconds.
OTHERS = ("memory", "pages", "contest", "curves", "layers")
#: Rows on record at the end of their curve; by default a night's work is not done.
ROWS, FULL = 40_000, 10_000_000


def main() -> None:
    """Measure and print."""
    # As an installation has it: a checkout whose Python keeps no byte code compiles at each boot.
    compileall.compile_dir(Path(nx.__file__).parent, quiet=2)
    options = _options()
    wanted = options.only or [*SECTIONS, *OTHERS]
    console = Console(stderr=options.json)
    report: dict[str, Any] = {
        "schema_version": 2,
        "machine": f"{platform.platform()}, Python {platform.python_version()}",
        "when": datetime.now(UTC).date().isoformat(),
        "rounds": options.rounds,
        "sections": {},
    }
    for name in (name for name in SECTIONS if name in wanted):
        report["sections"][name] = _section(name, options.rounds, console)
    report |= _sizes(wanted, console)
    if "contest" in wanted:
        report["contest"] = contest(options.rounds, options.peers, say=console.print)
        console.print(_contest(report["contest"]))
    if "curves" in wanted:
        report["curves"] = curves(FULL if options.full else options.rows, console.print)
        console.print(_curves(report["curves"]))
    if "layers" in wanted:
        report["layers"] = layers(console)
    if options.save:
        options.save.write_text(json.dumps(report, indent=2), encoding="utf-8")
    if options.json:
        print(json.dumps(report, indent=2))


def _sizes(wanted: list[str], console: Console) -> dict[str, Any]:
    """Measure memory, as far as it is wanted."""
    found: dict[str, Any] = {}
    if "memory" in wanted:
        found["memory_mb"] = memory_mb(full_kernel, PLUGINS / "echo")
        console.print(_memory(found["memory_mb"]))
    if "pages" in wanted:
        found["pages"] = pages()
        console.print(_pages(found["pages"]))
    return found


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--save", type=Path, help="write that object to this file")
    parser.add_argument(
        "--only", action="append", choices=[*SECTIONS, *OTHERS], help="measure this section only"
    )
    parser.add_argument("--rows", type=int, default=ROWS, help=f"rows of the curve ({ROWS})")
    parser.add_argument("--full", action="store_true", help=f"that curve up to {FULL:,} rows")
    parser.add_argument("--rounds", type=int, default=7, help="counted rounds (default 7)")
    parser.add_argument(
        "--peers",
        default=sys.executable,
        help="interpreter of the environment with the contest's peers (default: this one)",
    )
    return parser.parse_args()


def _section(name: str, rounds: int, console: Console) -> dict[str, Any]:
    """Measure one section and print it; a failure is printed and leaves the others alone."""
    measurement, pairs = SECTIONS[name]
    try:
        rows = measurement(rounds)
    except Exception as error:
        console.print_exception()
        return {"failed": f"{type(error).__name__}: {error}"}
    # A level or a program that this machine lacks has no row.
    pairs = [(ours, theirs) for ours, theirs in pairs if ours in rows and theirs in rows]
    console.print(_table(name, rows, pairs))
    return _plain(rows, pairs)


def layers(console: Console) -> Any:
    """Show what each layer of a small call takes, as ``kernel.explain`` tells it."""
    with tempfile.TemporaryDirectory() as folder, kernel_with(True, folder) as kernel:
        for _ in range(2000):
            kernel.hook.echo(value=VALUE)
        explanation = kernel.explain("echo", cost=True)
    console.print(str(explanation), markup=False, highlight=False, soft_wrap=True)
    return explanation.to_json()["cost"]


def _curves(found: dict[str, Any]) -> Table:
    table = Table("curve", "at", "µs", "times a pipe", "of the first", title="curves")
    for name, points in found.items():
        for each in points:
            first = flatness([points[0], each])
            cells = (f"{each[name]:,.0f}", f"{each['us']:.0f}", f"{each['ratio']:.1f} ×")
            table.add_row(name, *cells, f"{first:.2f} ×")
            if "pipes_us" in each:
                pipes, as_many = f"{each['pipes_us']:.0f}", flatness([points[0], each], "pipes_us")
                table.add_row("… on pipes", cells[0], pipes, "", f"{as_many:.2f} ×")
        table.add_section()
    return table


def _contest(found: dict[str, Any]) -> Table:
    table = Table("task", "contender", "median", "times nxkernel's", title="contest")
    for task, bouts in found["tasks"].items():
        ours = bouts.get(found["ours"], {})
        for name, bout in bouts.items():
            middle, times = median(task, bout), ratio(task, ours, bout)
            text = bout.get("cannot", "") if middle is None else f"{middle:.0f}"
            table.add_row(task, name, text, "" if times is None else f"{times:.2f} ×")
        table.add_section()
    return table


def _memory(found: dict[str, float]) -> Table:
    table = Table("what", "PSS in MiB", title="memory")
    for name, size in found.items():
        table.add_row(name, f"{size:.0f}")
    return table


def _pages(found: dict[str, dict[str, int]]) -> Table:
    table = Table("what", *next(iter(found.values())), title="page faults, and KiB of memory")
    for name, sizes in found.items():
        table.add_row(name, *map(str, sizes.values()))
    return table


def _plain(rows: dict[str, Row], pairs: list[tuple[str, str]]) -> dict[str, Any]:
    return {
        "rows": {k: {"median_us": r.median, "rounds_us": list(r.rounds)} for k, r in rows.items()},
        "ratios": {f"{a} / {b}": ratios(rows[a], rows[b]) for a, b in pairs},
    }


def _table(name: str, rows: dict[str, Row], pairs: list[tuple[str, str]]) -> Table:
    table = Table("what", "median µs", "min to max µs", title=name)
    for key, row in rows.items():
        low, high = row.spread
        table.add_row(key, f"{row.median:.1f}", f"{low:.1f} to {high:.1f}")
    table.add_section()
    for ours, theirs in pairs:
        low, middle, high = ratios(rows[ours], rows[theirs])
        table.add_row(f"{ours} / {theirs}", f"{middle:.2f} ×", f"{low:.2f} to {high:.2f} ×")
    return table


if __name__ == "__main__":
    main()
