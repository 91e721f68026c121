"""The same facts as numbers: the hooks, the slowest calls, the runs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from nxkernel.audit.page.markup import Markup, tag
from nxkernel.audit.page.scales import clock, duration, moment, percent
from nxkernel.audit.page.shares import bar
from nxkernel.audit.records import CallRecord, RunRecord
from nxkernel.audit.statistics import HookStats, Where

__all__ = ["of_hooks", "of_runs", "of_slowest", "size"]

_NUMBERS = frozenset(
    {
        *("calls", "failed", "p50", "p95", "p99", "longest", "took", "in all", "processor"),
        *("memory", "in", "out", "rows", "seed"),
    }
)


def of_hooks(hooks: Sequence[HookStats]) -> Markup:
    """Return every hook of every plugin with its numbers."""
    names = (
        *("plugin", "hook", "calls", "failed", "p50", "p95", "p99", "longest", "in all"),
        *("processor", "memory", "in", "out", "rows"),
    )
    return _table(names, (_hook(hook) for hook in hooks))


def _hook(hook: HookStats) -> tuple[object, ...]:
    took = hook.duration
    times = (took.p50, took.p95, took.p99, took.most, took.total)
    failed = f"{hook.failures:,} ({percent(hook.failures, hook.calls)})" if hook.failures else "0"
    return (
        hook.plugin,
        hook.hook,
        f"{hook.calls:,}",
        failed,
        *(duration(us) for us in times),
        "" if hook.cpu_us is None else duration(hook.cpu_us),
        "" if hook.peak_kb is None else size(hook.peak_kb * 1024),
        size(hook.input_bytes),
        size(hook.output_bytes),
        _rows(hook),
    )


def _rows(hook: HookStats) -> str:
    if hook.rows_read is None and hook.rows_written is None:
        return ""
    return f"{hook.rows_read or 0:,} / {hook.rows_written or 0:,}"


def of_slowest(calls: Sequence[CallRecord], runs: int) -> Markup:
    """Return the slowest calls, each with a bar of where its time went."""
    prefix = ("run",) if runs > 1 else ()
    names = (*prefix, "call", "plugin", "hook", "began", "took", "where it went", "ended")
    longest = max((call.duration_us or 0 for call in calls), default=0)
    return _table(
        names, ((*((call.run_id,) if prefix else ()), *_slow(call, longest)) for call in calls)
    )


def _slow(call: CallRecord, longest: int) -> tuple[object, ...]:
    where = Where()
    where.add(call, 0)
    return (
        call.call_id,
        call.plugin,
        call.hook,
        clock(call.started_ns, 10**9),
        duration(call.duration_us or 0),
        bar(where, longest),
        call.status if call.error_code is None else call.error_code,
    )


def of_runs(runs: Sequence[RunRecord]) -> Markup:
    """Return the runs that the page is about."""
    names = ("run", "began", "status", "level", "seed", "kernel", "python", "stack")
    return _table(names, (_run(run) for run in runs))


def _run(run: RunRecord) -> tuple[object, ...]:
    stack = " › ".join(run.stack) or "empty"
    facts = (run.status, run.level, run.seed, run.kernel, run.python, stack)
    return (run.run_id, moment(run.started_ns), *facts)


def _table(names: Sequence[str], rows: Iterable[Sequence[object]]) -> Markup:
    kinds = ["right" if name in _NUMBERS else None for name in names]
    head = (
        tag("th", name, scope="col", class_=kind) for name, kind in zip(names, kinds, strict=True)
    )
    body = (
        tag("tr", *(tag("td", cell, class_=kind) for cell, kind in zip(row, kinds, strict=True)))
        for row in rows
    )
    table = tag("table", tag("thead", tag("tr", *head)), tag("tbody", *body))
    return tag("div", table, class_="wide")


def size(amount: int) -> str:
    """Return bytes in the unit that fits."""
    power = min(3, max(0, amount.bit_length() - 1) // 10)
    value, unit = amount / 1024**power, ("B", "KiB", "MiB", "GiB")[power]
    return f"{value:.0f} {unit}" if value >= 10 or not power else f"{value:.1f} {unit}"
