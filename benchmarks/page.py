"""The contest and the curves as tables and as plots, for ``docs/explanation/cost.md``.

``python -m benchmarks.page report.json``, with what ``python -m benchmarks.run --save``
wrote, puts both between the marks of the page.
"""

from __future__ import annotations

import html
import json
import math
import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.contest.work import TASKS
from benchmarks.curves import BAR, flatness

__all__ = ["MARKS", "bars", "line", "table", "write"]

DOCS = Path(__file__).parents[1] / "docs" / "explanation"
MARKS = {
    part: (f"<!-- {part}: begin -->", f"<!-- {part}: end -->") for part in ("contest", "curves")
}
#: Height of a bar, and places of the labels, in pixels.
ROW, LEFT, WIDTH, RIGHT = 22, 190, 620, 90


def median(task: str, found: Mapping[str, Any], place: int = 0) -> float | None:
    """Return the median of what was measured in µs or MiB, or None; *place* 1 is private memory."""
    rounds = found.get("rounds")
    if not rounds:
        return None
    return statistics.median([each[place] for each in rounds] if task == "memory" else rounds)


def ratio(task: str, ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> float | None:
    """Return the median of theirs/ours, round by round, or None."""
    pairs = zip(theirs.get("rounds", []), ours.get("rounds", []), strict=False)
    each = [b[0] / a[0] if task == "memory" else b / a for b, a in pairs if a != [0.0, 0.0]]
    return statistics.median(each) if each else None


def table(contest: Mapping[str, Any]) -> str:
    """Return a Markdown table: a row for each task, a column for each contender."""
    names = list(contest["notes"])
    lines = ["| | " + " | ".join(names) + " |", "| --- |" + " --- |" * len(names)]
    for task, bouts in contest["tasks"].items():
        ours = bouts.get(contest["ours"], {})
        cells = [_cell(task, bouts[name], ours, name == contest["ours"]) for name in names]
        lines.append(f"| {task} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(task: str, found: Mapping[str, Any], ours: Mapping[str, Any], own: bool) -> str:
    middle = median(task, found)
    if middle is None:
        return str(found["cannot"])
    if task == "memory":
        text = f"{middle:.0f} MiB, {median(task, found, 1):.0f} private"
    else:
        rounds = found["rounds"]
        text = f"{_time(middle)} ({_time(min(rounds))} to {_time(max(rounds))})"
    times = None if own else ratio(task, ours, found)
    return text if times is None else f"{text}, **{times:.2g} ×**"


def _time(us: float) -> str:
    for unit, size in (("s", 1e6), ("ms", 1e3)):
        if us >= size:
            return f"{us / size:.3g} {unit}"
    return f"{us:.3g} µs"


def bars(task: str, bouts: Mapping[str, Mapping[str, Any]], ours: str) -> str:
    """Return an SVG of one task: a bar for each contender, on a logarithmic scale."""
    found = [(name, median(task, bout), bout) for name, bout in bouts.items()]
    values = [middle for _, middle, _ in found if middle]
    low = 10 ** math.floor(math.log10(min(values))) if values else 1.0
    span = math.log10(max(values) / low) or 1.0 if values else 1.0
    height = ROW * (len(found) + 1) + 8
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{LEFT + WIDTH + RIGHT}" height="{height}" '
        'font-family="sans-serif" font-size="12">',
        f'<rect width="100%" height="100%" fill="white"/>'
        f'<text x="4" y="15" font-weight="bold">{html.escape(f"{task}: {TASKS[task]}")}</text>',
    ]
    for number, (name, middle, bout) in enumerate(found, 1):
        length = WIDTH * math.log10(middle / low) / span if middle else 0.0
        label = _label(task, middle, bout)
        colour = "#1f6f54" if name == ours else "#8fa3b8"
        y = ROW * number + 4
        parts.append(
            f'<text x="{LEFT - 6}" y="{y + 13}" text-anchor="end">{html.escape(name)}</text>'
            f'<rect x="{LEFT}" y="{y}" width="{length:.0f}" height="{ROW - 6}" fill="{colour}"/>'
            f'<text x="{LEFT + length + 4:.0f}" y="{y + 13}">{html.escape(label)}</text>'
        )
    return "\n".join([*parts, "</svg>", ""])


def _label(task: str, middle: float | None, bout: Mapping[str, Any]) -> str:
    if not middle:
        return str(bout.get("cannot", "nothing"))[:90]
    return f"{middle:.0f} MiB" if task == "memory" else _time(middle)


def line(name: str, points: Sequence[Mapping[str, float]]) -> str:
    """Return an SVG of one curve: its points in equal steps, as multiples of the first one."""
    values = [each["pace"] / points[0]["pace"] for each in points]
    top = max(*values, 2.0)
    xs = [40 + number * (WIDTH // max(1, len(points) - 1)) for number in range(len(points))]
    ys = [20 + 120 * (1 - value / top) for value in values]
    bar = 20 + 120 * (1 - BAR / top)
    path = " ".join(f"{x},{y:.0f}" for x, y in zip(xs, ys, strict=True))
    labels = "".join(
        f'<text x="{x}" y="{y - 6:.0f}" text-anchor="middle">{value:.2f}</text>'
        f'<text x="{x}" y="158" text-anchor="middle">{each[name]:,.0f}</text>'
        for x, y, value, each in zip(xs, ys, values, points, strict=True)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH + 90}" height="168" '
        'font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="white"/>'
        f'<text x="4" y="14" font-weight="bold">cost of a call, by {name}</text>'
        f'<line x1="40" x2="{WIDTH + 40}" y1="{bar:.0f}" y2="{bar:.0f}" stroke="#b04030" '
        'stroke-dasharray="4"/><line x1="40" '
        f'x2="{WIDTH + 40}" y1="140" y2="140" stroke="#888"/>'
        f'<polyline points="{path}" fill="none" stroke="#1f6f54" stroke-width="2"/>{labels}</svg>\n'
    )


def write(report: Mapping[str, Any], docs: Path = DOCS) -> list[Path]:
    """Write the plots, and tables and notes into the page; return what was written."""
    page = docs / "cost.md"
    text, written = page.read_text(encoding="utf-8"), [page]
    for part, make in (("contest", _contest), ("curves", _curves)):
        if part in report:
            plots, words = make(report[part])
            for name, plot in plots.items():
                written.append(docs / f"{name}.svg")
                written[-1].write_text(plot, encoding="utf-8")
            images = [f"![{name}]({name}.svg)" for name in plots]
            begin, end = MARKS[part]
            head, _, rest = text.partition(begin)
            body = [begin, *words, f"*{_signature(report)}*", *images, end]
            text = head + "\n\n".join(body) + rest.partition(end)[2]
    page.write_text(text, encoding="utf-8")
    return written


def _contest(contest: Mapping[str, Any]) -> tuple[dict[str, str], list[str]]:
    plots = {
        f"cost-{task.lower().replace(', ', '-').replace(' ', '-')}": bars(
            task, bouts, contest["ours"]
        )
        for task, bouts in contest["tasks"].items()
    }
    return plots, [table(contest), *_notes(contest)]


def _curves(curves: Mapping[str, Any]) -> tuple[dict[str, str], list[str]]:
    plots = {f"cost-by-{name}": line(name, points) for name, points in curves.items()}
    words = [
        f"By {name}, from {points[0][name]:,.0f} to {points[-1][name]:,.0f}: "
        f"{flatness(points):.2f} times as much at the end (bar {BAR:g}), beside a loop of Python. "
        "In µs: " + ", ".join(f"{each['us']:.0f}" for each in points) + "."
        for name, points in curves.items()
    ]
    return plots, [*words, *_of_pipes(curves["threads"]), _memory(curves["rows"])]


def _of_pipes(points: Sequence[Mapping[str, float]]) -> list[str]:
    if "pipes_us" not in points[0]:  # a report from before they were measured
        return []
    times = points[-1]["pipes_us"] / points[0]["pipes_us"]
    every = ", ".join(f"{each['pipes_us']:.0f}" for each in points)
    return [
        f"As many threads, each on a `multiprocessing.Pipe` of its own: {times:.2f} times as much "
        f"at the end. In µs: {every}."
    ]


def _memory(rows: Sequence[Mapping[str, float]]) -> str:
    return (
        f"Memory that the application's process has for itself: {rows[0]['mib']:.1f} MiB after "
        f"{rows[0]['rows']:,.0f} rows, {rows[-1]['mib']:.1f} MiB after {rows[-1]['rows']:,.0f}."
    )


def _notes(contest: Mapping[str, Any]) -> Sequence[str]:
    tasks = "\n".join(f"- **{task}**: {TASKS[task]}" for task in contest["tasks"])
    names = "\n".join(f"- **{name}**: {note}" for name, note in contest["notes"].items())
    return (
        "Each cell: the median of the rounds, the least and the largest of them, and how many "
        "times what nxkernel takes.",
        tasks,
        names,
    )


def _signature(report: Mapping[str, Any]) -> str:
    return f"`nox -s bench`, {report['rounds']} rounds, {report['machine']}, {report['when']}"


def main() -> None:
    """Write the page of the report that is named."""
    for path in write(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))):
        print(path)


if __name__ == "__main__":
    main()
