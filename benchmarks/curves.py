"""Whether a call costs the same later on: more rows on record, more plugins, more threads.

Each point has the echo of a bare ``multiprocessing.Pipe`` beside it, which took turns with it: on a
machine that is busy at one moment and idle at the next, a ratio is flat where a time is not.

The points of threads have another peer as well: as many threads as call plugins, each on a pipe
and a process of its own. All of them share one interpreter lock, and hand it on at each system
call: that is the price of threads in Python, whoever is called.
"""

from __future__ import annotations

import contextlib
import shutil
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import nxkernel as nx
from benchmarks.peers import pipe_echo

__all__ = ["BAR", "curves", "flatness"]

#: A curve is flat when its last point is at most so many times its first one.
BAR = 1.2
ECHO = Path(__file__).parent / "plugins" / "echo"
VALUE = {"id": "doc-0017", "title": "Invoice of March", "page": 3, "box": [10, 20, 300, 40]}
PLUGINS = (1, 10, 50, 200)
THREADS = (1, 2, 4, 8, 16)
#: Calls that one point is the median of, and in how many turns they are made.
CALLS, TURNS = 600, 6
#: Calls of one thread in one turn, at least: fewer would measure how threads begin.
CALLS_A_THREAD = 50
hookspec = nx.HookspecMarker("bench")
Point = dict[str, float]


class Specs:
    """The hooks of the plugins that are called."""

    @hookspec(firstresult=True)
    def echo(self, value):
        """Return *value*."""

    @hookspec
    def echo_all(self, value):
        """Return *value*, from every plugin."""


def curves(rows: int, say: Callable[[str], None]) -> dict[str, list[Point]]:
    """Return the points of each curve; that of rows ends at *rows* of them.

    *say* is told what goes on.
    """
    say("curves: plugins")
    plugins = of_plugins()
    say("curves: threads")
    threads = of_threads()
    say(f"curves: {rows} rows")
    return {"rows": of_rows(rows), "plugins": plugins, "threads": threads}


def flatness(points: list[Point], key: str = "pace") -> float:
    """Return the last point's *key* as a multiple of the first one's.

    ``pace`` is the time beside that of a fixed loop of Python. Beside a pipe a curve bends with the
    scheduler: whether it has the two ends of the pipe on one processor makes twice as much.
    """
    return points[-1][key] / points[0][key]


def of_rows(most: int) -> list[Point]:
    """Points at more and more rows on record, one for each call, and our memory at each."""
    points: list[Point] = []
    with _kernel(1) as kernel, pipe_echo(VALUE) as pipe:
        calls = 0
        for wanted in _steps(most):
            while calls < wanted - CALLS:
                kernel.hook.echo(value=VALUE)
                calls += 1
            point = _point(lambda: kernel.hook.echo(value=VALUE), pipe)
            calls += CALLS
            points.append({"rows": float(calls), **point, "mib": _own_mib()})
    return points


def of_plugins() -> list[Point]:
    """Points at more and more plugins, all of them started; one of them is called."""
    with contextlib.ExitStack() as stack:
        pipe = stack.enter_context(pipe_echo(VALUE))
        kernels = {count: stack.enter_context(_kernel(count)) for count in PLUGINS}
        return [
            {"plugins": float(count), **_point(lambda k=kernel: k.hook.echo(value=VALUE), pipe)}
            for count, kernel in kernels.items()
        ]


def of_threads() -> list[Point]:
    """Points at more and more threads, each of which calls a plugin of its own.

    The time is that of all calls together, by their number: what a thread waits for others counts.
    """
    most = max(THREADS)
    with contextlib.ExitStack() as stack:
        pipes = [stack.enter_context(pipe_echo(VALUE)) for _ in range(most)]
        kernel = stack.enter_context(_kernel(most))
        plugins = [_echo_of(kernel, f"bench.p{each:03d}") for each in range(most)]
        return [_at_threads(count, plugins, pipes) for count in THREADS]


def _echo_of(kernel: nx.Kernel, plugin: str) -> Callable[[], object]:
    caller = kernel.options(only={plugin})
    return lambda: caller.call("echo_all", value=VALUE).unwrap()


def _at_threads(
    count: int, plugins: Sequence[Callable[[], object]], pipes: Sequence[Callable[[], object]]
) -> Point:
    turns = [
        (_together(plugins[:count]), _together(pipes[:count]), _median(pipes[0]), _median(_loop))
        for _ in range(TURNS)
    ]
    return {
        "threads": float(count),
        **_beside([(ours, alone, loop) for ours, _, alone, loop in turns]),
        "pipes_us": statistics.median(theirs for _, theirs, _, _ in turns),
    }


def _together(calls: Sequence[Callable[[], object]]) -> float:
    """Microseconds of one call, while each of *calls* is made again and again in its own thread."""
    each = max(CALLS // TURNS // len(calls), CALLS_A_THREAD)
    meeting = threading.Barrier(len(calls))
    times: list[float] = []

    def work(call: Callable[[], object]) -> None:
        call()  # the first of a thread makes what belongs to it
        meeting.wait()
        # Looked at here: a thread that only waits may be let in when half of it is over.
        times.append(time.perf_counter())
        for _ in range(each):
            call()
        times.append(time.perf_counter())

    threads = [threading.Thread(target=work, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return (max(times) - min(times)) * 1e6 / (each * len(calls))


def _point(call: Callable[[], object], pipe: Callable[[], object]) -> Point:
    return _beside([(_median(call), _median(pipe), _median(_loop)) for _ in range(TURNS)])


def _beside(turns: list[tuple[float, float, float]]) -> Point:
    return {
        "us": statistics.median(ours for ours, _, _ in turns),
        "pipe_us": statistics.median(theirs for _, theirs, _ in turns),
        "ratio": statistics.median(ours / theirs for ours, theirs, _ in turns),
        "loop_us": statistics.median(loop for _, _, loop in turns),
        "pace": statistics.median(ours / loop for ours, _, loop in turns),
    }


def _loop() -> int:
    """Do what takes as long as a machine's pace says, wherever it runs."""
    total = 0
    for number in range(1000):
        total += number
    return total


def _median(call: Callable[[], object]) -> float:
    taken = []
    for _ in range(CALLS // TURNS):
        began = time.perf_counter_ns()
        call()
        taken.append(time.perf_counter_ns() - began)
    return statistics.median(taken) / 1000


def _steps(most: int) -> list[int]:
    """A few numbers of calls, each twice to five times the one before, up to *most*."""
    steps = [2 * CALLS]
    for each in (factor * 10**power for power in range(3, 8) for factor in (1, 2, 5)):
        if steps[-1] + CALLS < each < most - CALLS:
            steps.append(each)
    return [*steps, most]


def _own_mib() -> float:
    """What this process has for itself, in MiB."""
    text = Path("/proc/self/smaps_rollup").read_text()
    kinds = ("Private_Clean:", "Private_Dirty:")
    return sum(int(line.split()[1]) for line in text.splitlines() if line.startswith(kinds)) / 1024


@contextlib.contextmanager
def _kernel(count: int) -> Iterator[nx.Kernel]:
    """A kernel with the standard stack over *count* plugins, which all have been called."""
    with tempfile.TemporaryDirectory() as name:
        for number in range(count):
            target = Path(name) / "plugins" / f"p{number:03d}"
            shutil.copytree(ECHO, target, ignore=shutil.ignore_patterns("__pycache__"))
            manifest = target / "plugin.toml"
            text = manifest.read_text().replace("bench.echo", f"bench.p{number:03d}")
            manifest.write_text(text)
        run = nx.Run.create(Path(name) / "data", seed=1)
        with nx.Kernel(
            "bench",
            specs=[Specs],
            run=run,
            plugins=nx.discover(Path(name) / "plugins"),
            middleware=nx.standard_stack(run),
        ) as kernel:
            if len(kernel.hook.echo_all(value=VALUE)) != count:
                raise RuntimeError("a plugin did not answer")
            yield kernel
