"""How long calls took, how often they failed, and where their time went."""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

import attrs

from nxkernel.audit.records import CallRecord

__all__ = ["HookStats", "Spread", "Statistics", "Where", "summary"]


@attrs.frozen(kw_only=True)
class Spread:
    """How a duration is spread, in microseconds.

    A percentile is the smallest value that so many per cent of the values do not exceed: always
    one that was measured.
    """

    count: int = 0
    total: int = 0
    least: int = 0
    p50: int = 0
    p95: int = 0
    p99: int = 0
    most: int = 0

    @classmethod
    def of(cls, values: Sequence[int]) -> Spread:
        """Return how *values* are spread; all zero without any."""
        if not values:
            return cls()
        ordered = sorted(values)
        return cls(
            count=len(ordered),
            total=sum(ordered),
            least=ordered[0],
            p50=_percentile(ordered, 50),
            p95=_percentile(ordered, 95),
            p99=_percentile(ordered, 99),
            most=ordered[-1],
        )


def _percentile(ordered: Sequence[int], percent: int) -> int:
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


@attrs.define(kw_only=True)
class Where:
    """Where the time of calls went, in microseconds in all; the parts add up to the whole.

    A plugin's part has nothing of the calls that it asked for: those are in the sums as calls of
    their own. Where they ran side by side, they may leave less for it than it took.
    """

    #: Waiting for a worker to start or to become free.
    queue: int = 0
    #: In the plugin's function.
    plugin: int = 0
    #: On the way to the worker and back: pipes, scheduling, encoding.
    transport: int = 0
    #: In the middlewares, as far as the audit sees them: itself it sees until the call is sent.
    middlewares: int = 0
    #: In the rest of the host.
    host: int = 0

    @property
    def total(self) -> int:
        """The sum of the parts."""
        return self.queue + self.plugin + self.transport + self.middlewares + self.host

    def add(self, record: CallRecord, nested: int) -> None:
        """Add a call of which *nested* microseconds went into calls that it asked for."""
        queue, plugin = record.queue_us or 0, record.plugin_us or 0
        whole, crossing = record.duration_us or 0, record.transport_us or 0
        stack = min(sum(record.stack_us or ()), max(0, whole - queue - crossing))
        self.queue += queue
        self.plugin += max(0, plugin - nested)
        self.transport += max(0, crossing - max(plugin, nested))
        self.middlewares += stack
        self.host += max(0, whole - queue - crossing - stack)


@attrs.frozen(kw_only=True)
class HookStats:
    """One hook of one plugin."""

    plugin: str
    hook: str
    #: Calls that ended, every phase and attempt.
    calls: int
    failures: int
    #: Calls that never ended: the kernel ended first.
    interrupted: int
    #: From the intent to the end, as the caller waited.
    duration: Spread
    #: In the plugin's function, with the calls that it asked for.
    inside: Spread
    where: Where
    input_bytes: int
    output_bytes: int
    #: Sums of what was told, and the most memory, in KiB: None where nothing was.
    cpu_us: int | None
    rows_read: int | None
    rows_written: int | None
    peak_kb: int | None
    #: Error code and fault -> how many.
    errors: Mapping[tuple[str, str], int]
    #: Durations of all its calls, in the order in which they ended.
    durations: array[int] = attrs.field(repr=False)


@attrs.frozen(kw_only=True)
class Statistics:
    """A summary of calls."""

    #: In the order of plugin and hook.
    hooks: tuple[HookStats, ...]
    where: Where
    #: Name of each middleware -> microseconds in it.
    middlewares: Mapping[str, int]
    #: When calls began, in nanoseconds since the Unix epoch, in the order in which they ended;
    #: and for each whether it ended well.
    began_ns: array[int] = attrs.field(repr=False)
    fine: bytearray = attrs.field(repr=False)
    #: The calls that took longest, the longest first.
    slowest: tuple[CallRecord, ...]

    @property
    def calls(self) -> int:
        """How many calls ended."""
        return len(self.began_ns)

    @property
    def failures(self) -> int:
        """How many of them failed."""
        return self.fine.count(0)

    @property
    def interrupted(self) -> int:
        """How many calls never ended."""
        return sum(each.interrupted for each in self.hooks)

    @property
    def errors(self) -> dict[tuple[str, str], int]:
        """Error code and fault -> how many, the most frequent first."""
        found: Counter[tuple[str, str]] = Counter()
        for each in self.hooks:
            found.update(each.errors)
        return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))


@attrs.define
class _Gathering:
    """What is known of one hook of one plugin so far."""

    durations: array[int] = attrs.Factory(lambda: array("q"))
    inside: array[int] = attrs.Factory(lambda: array("q"))
    where: Where = attrs.Factory(Where)
    errors: Counter[tuple[str, str]] = attrs.Factory(Counter)
    interrupted: int = 0
    input_bytes: int = 0
    output_bytes: int = 0
    cpu_us: int | None = None
    rows_read: int | None = None
    rows_written: int | None = None
    peak_kb: int | None = None

    def add(self, record: CallRecord, nested: int) -> None:
        self.durations.append(record.duration_us or 0)
        if record.plugin_us:
            self.inside.append(record.plugin_us)
        self.where.add(record, nested)
        self.input_bytes += record.input_bytes
        self.output_bytes += record.output_bytes or 0
        for name in ("cpu_us", "rows_read", "rows_written"):
            if (told := getattr(record, name)) is not None:
                setattr(self, name, (getattr(self, name) or 0) + told)
        if record.peak_kb is not None:
            self.peak_kb = max(self.peak_kb or 0, record.peak_kb)
        if record.error_code is not None:
            self.errors[record.error_code, record.fault or ""] += 1

    def stats(self, plugin: str, hook: str) -> HookStats:
        return HookStats(
            plugin=plugin,
            hook=hook,
            calls=len(self.durations),
            failures=self.errors.total(),
            interrupted=self.interrupted,
            duration=Spread.of(self.durations),
            inside=Spread.of(self.inside),
            where=self.where,
            input_bytes=self.input_bytes,
            output_bytes=self.output_bytes,
            cpu_us=self.cpu_us,
            rows_read=self.rows_read,
            rows_written=self.rows_written,
            peak_kb=self.peak_kb,
            errors=dict(self.errors),
            durations=self.durations,
        )


class _Nested:
    """How long the calls took that calls asked for. A nested call ends before who asked for it."""

    def __init__(self) -> None:
        self._spent: Counter[tuple[str, str, str]] = Counter()

    def below(self, record: CallRecord) -> int:
        """Return what went into the calls that *record* asked for, and note it for its own."""
        if record.parent is not None:
            key = (record.run_id, record.parent, record.caller or "")
            self._spent[key] += record.duration_us or 0
        if not self._spent:
            return 0
        return self._spent.pop((record.run_id, record.call_id, record.plugin), 0)


def summary(
    calls: Iterable[CallRecord],
    slowest: int = 10,
    stacks: Mapping[str, Sequence[str]] = MappingProxyType({}),
) -> Statistics:
    """Return the statistics of *calls*, which come in the order in which they ended.

    Calls in flight are passed over. *stacks* has the names of the middlewares of each run. It keeps
    some 40 bytes for each call.
    """
    hooks: dict[tuple[str, str], _Gathering] = {}
    began, fine, nested = array("q"), bytearray(), _Nested()
    longest: list[CallRecord] = []
    layers: Counter[str] = Counter()
    for record in calls:
        one = hooks.setdefault((record.plugin, record.hook), _Gathering())
        if record.status == "interrupted":
            one.interrupted += 1
        if record.duration_us is None:
            continue
        one.add(record, nested.below(record))
        began.append(record.started_ns)
        fine.append(record.status == "ok")
        for name, us in zip(stacks.get(record.run_id, ()), record.stack_us or (), strict=False):
            layers[name] += us
        _keep(longest, record, slowest)
    return Statistics(
        hooks=tuple(hooks[key].stats(*key) for key in sorted(hooks)),
        where=_sum(one.where for one in hooks.values()),
        middlewares=dict(layers),
        began_ns=began,
        fine=fine,
        slowest=tuple(sorted(longest, key=_slowness)[:slowest]),
    )


def _keep(longest: list[CallRecord], record: CallRecord, wanted: int) -> None:
    """Keep *record* if it may be one of the longest; sorted out now and then, not each time."""
    longest.append(record)
    if len(longest) > 64 + 8 * wanted:
        longest.sort(key=_slowness)
        del longest[wanted:]


def _slowness(record: CallRecord) -> tuple[int, int]:
    return (-(record.duration_us or 0), record.seq)


def _sum(parts: Iterable[Where]) -> Where:
    whole = Where()
    for part in parts:
        whole.queue += part.queue
        whole.plugin += part.plugin
        whole.transport += part.transport
        whole.middlewares += part.middlewares
        whole.host += part.host
    return whole
