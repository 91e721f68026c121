"""What each layer of a call takes: of every sixteenth call of a hook, kept for whoever asks.

The stack is measured in every call, for the audit. What lies around it is measured here in one call
of sixteen, which tells the same medians: the others pay for a count.
"""

from __future__ import annotations

import itertools
import statistics
from collections import deque
from collections.abc import Iterator, Sequence

import attrs

from nxkernel._clock import Clock

__all__ = ["EVERY", "Costs", "LayerCost", "Sample"]

#: One call of so many is measured, the first one among them.
EVERY = 16
#: Measured calls that are kept for each hook.
_KEPT = 64


@attrs.frozen(kw_only=True)
class LayerCost:
    """What one layer of a hook's calls took, in microseconds."""

    #: A middleware's name, or ``arguments`` (checked, made plain, encoded), ``transport`` (the
    #: worker's gate, both ways, the answer decoded), ``plugin``, ``result`` (structured), of a
    #: stream ``consumer`` (what the application did with its items), and ``kernel`` for the rest.
    layer: str
    median_us: float
    least_us: float
    most_us: float
    #: How many calls that is made of.
    samples: int


@attrs.define(eq=False)
class Sample:
    """One call that is measured: seconds by layer."""

    clock: Clock
    taken: dict[str, float] = attrs.Factory(dict)
    _last: float = 0.0
    _began: float = 0.0

    def __attrs_post_init__(self) -> None:
        self._began = self._last = self.clock.monotonic()

    def asked(self, at: float, taken_s: float, layers_ns: Sequence[int]) -> None:
        """It was asked *at* that time; its arguments and *layers_ns* took so many seconds."""
        self._began = at
        self.add("arguments", taken_s - sum(layers_ns) / 1e9)

    def branch(self) -> Sample:
        """Return one for an invocation, which goes on beside others of the same call."""
        return Sample(self.clock, self.taken)

    def skip(self) -> None:
        """What is measured next begins now."""
        self._last = self.clock.monotonic()

    def lap(self, layer: str) -> None:
        """Put the time since the last lap to *layer*."""
        now = self.clock.monotonic()
        self.add(layer, now - self._last)
        self._last = now

    def sent(self, layers: Sequence[str]) -> None:
        """A call has come through *layers*; what is measured next is the way to its worker."""
        for layer in layers:
            self.add(layer, 0.0)
        self.skip()

    def layered(self, layers: Sequence[str], spent_ns: Sequence[int]) -> None:
        """Put to each of *layers* what the stack has found: nanoseconds, the outermost first."""
        for layer, spent in zip(layers, spent_ns, strict=False):
            self.add(layer, spent / 1e9)

    def answered(self, plugin_us: int) -> None:
        """Part the time since the last lap into the way to a worker and *plugin_us* in it."""
        now = self.clock.monotonic()
        plugin = min(now - self._last, plugin_us / 1e6)
        self.add("transport", now - self._last - plugin)
        self.add("plugin", plugin)
        self._last = now

    def streamed(self, waited_us: int, plugin_us: int) -> None:
        """Part the time of a stream, of which *waited_us* went by in waiting for its worker."""
        now = self.clock.monotonic()
        waited = min(now - self._last, max(waited_us, plugin_us) / 1e6)
        plugin = min(waited, plugin_us / 1e6)
        self.add("transport", waited - plugin)
        self.add("plugin", plugin)
        self.add("consumer", now - self._last - waited)
        self._last = now

    def close(self) -> None:
        """The call is over: what nobody has accounted for is the kernel's own."""
        whole = self.clock.monotonic() - self._began
        self.add("kernel", max(0.0, whole - sum(self.taken.values())))

    def add(self, layer: str, seconds: float) -> None:
        """Put *seconds* to *layer*."""
        self.taken[layer] = self.taken.get(layer, 0.0) + seconds


class Costs:
    """The samples of one kernel. Thread-safe: a sample belongs to one call until it is kept."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._counts: dict[str, Iterator[int]] = {}
        self._kept: dict[str, deque[dict[str, float]]] = {}

    def sample(self, hook: str) -> Sample | None:
        """Return a sample that has started, if this call of *hook* is one to measure."""
        count = self._counts.get(hook)
        if count is None:
            # Two threads may make one each: then one more call is measured.
            count = self._counts.setdefault(hook, itertools.count())
        return None if next(count) % EVERY else Sample(self._clock)

    def keep(self, hook: str, sample: Sample) -> None:
        """Keep what was measured of a call of *hook*, which is over."""
        sample.close()
        self._kept.setdefault(hook, deque(maxlen=_KEPT)).append(sample.taken)

    def of(self, hook: str) -> tuple[LayerCost, ...]:
        """Return what the layers of *hook* took, in the order in which a call met them first."""
        calls = list(self._kept.get(hook, ()))
        layers = dict.fromkeys(layer for call in calls for layer in call)
        return tuple(
            _cost(layer, [call.get(layer, 0.0) * 1e6 for call in calls]) for layer in layers
        )


def _cost(layer: str, found: list[float]) -> LayerCost:
    return LayerCost(
        layer=layer,
        median_us=round(statistics.median(found), 1),
        least_us=round(min(found), 1),
        most_us=round(max(found), 1),
        samples=len(found),
    )
