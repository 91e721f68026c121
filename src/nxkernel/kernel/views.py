"""What ``kernel.explain`` and ``kernel.plugins`` show: values, and their text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs

from nxkernel._pickling import Portable
from nxkernel.dispatch.costs import EVERY, LayerCost
from nxkernel.settings import PluginSettings
from nxkernel.types import PluginId

__all__ = ["Explanation", "PluginView", "ProviderView"]


@attrs.frozen(kw_only=True)
class ProviderView:
    """One provider of a hook, and why it stands where it stands."""

    plugin: PluginId
    impl: str
    #: ``wrapper``, ``plain``
    kind: str
    reason: str
    #: Why it does not run, or None.
    disabled: str | None = None
    #: What a call leaves behind there: ``warm`` or ``fresh``.
    memory: str = "warm"


@attrs.frozen(kw_only=True)
class Explanation:
    """How a hook is called: the providers in their order, and the stack around each."""

    hook: str
    #: ``first answer``, ``all at once`` or ``historic``.
    mode: str
    providers: tuple[ProviderView, ...]
    #: Names of the middleware, outermost first.
    stack: tuple[str, ...]
    level: str
    #: Kind and place of the elements of a result that are dropped alone when they are invalid.
    alone: tuple[tuple[str, str], ...] = ()
    #: What each layer of its calls has taken, if that was asked; empty before its first call.
    cost: tuple[LayerCost, ...] | None = None

    def __str__(self) -> str:
        lines = [f"{self.hook}: {self.mode}"]
        for number, each in enumerate(self.providers, 1):
            off = ", each call in a fresh process" if each.memory == "fresh" else ""
            off += f", DISABLED [{each.disabled}]" if each.disabled else ""
            lines.append(f"  {number}. {each.plugin} ({each.kind}: {each.reason}){off}")
        if not self.providers:
            lines.append("  no provider")
        lines += [
            f"  dropped alone if invalid: each {kind} of {place}" for kind, place in self.alone
        ]
        lines.append(f"  around each: {' > '.join((*self.stack, f'worker[{self.level}]'))}")
        return "\n".join([*lines, *self._costs()])

    def _costs(self) -> list[str]:
        if self.cost is None:
            return []
        if not self.cost:
            return ["  cost: no call of it was measured yet"]
        whole = sum(each.median_us for each in self.cost) or 1.0
        head = f"  cost: one call of {EVERY} is measured; median of {self.cost[0].samples}"
        return [
            head,
            *(
                f"    {each.layer:<12} {each.median_us:9.1f} µs {each.median_us / whole:4.0%}"
                f"   ({each.least_us:.1f} to {each.most_us:.1f})"
                for each in self.cost
            ),
        ]

    def to_json(self) -> dict[str, Any]:
        """Return plain data for ``--json``."""
        return attrs.asdict(self)


@attrs.frozen
class _Said:
    """What a log said: where nobody can ask the log itself."""

    text: str

    def __call__(self) -> str:
        return self.text


@attrs.frozen(kw_only=True)
class PluginView(Portable):
    """One plugin as the kernel sees it now."""

    id: PluginId
    version: str
    #: ``disabled``, or the state of its worker: stopped, starting, ready, busy, backoff,
    #: quarantined.
    state: str
    level: str
    #: What a call leaves behind for the next one: ``warm``, its process; ``fresh``, files alone.
    memory: str
    #: Why it does not run, or None.
    error: Exception | None
    #: Its effective settings and who gave each; secrets are masked.
    settings: PluginSettings
    calls: int
    errors: int
    #: Elements of its results that were dropped.
    dropped: int
    #: Median microseconds inside the plugin over its latest calls, or None before the first.
    p50_us: int | None
    #: Milliseconds that its last start took, or None.
    start_ms: float | None
    #: Workers started so far.
    starts: int
    #: Process id of its worker, or None while it has none.
    pid: int | None
    #: What its worker's self-test met: attempt -> errno.
    witnessed: dict[str, str]
    _log: Callable[[], str] = attrs.field(repr=False, eq=False)

    @property
    def log(self) -> str:
        """The end of what it wrote to stdout and stderr."""
        return self._log()

    def __reduce__(self) -> tuple[Any, ...]:
        return Portable.__reduce__(attrs.evolve(self, log=_Said(self.log)))

    def to_json(self) -> dict[str, Any]:
        """Return plain data for ``--json``."""
        data = attrs.asdict(self, filter=lambda a, _: a.name not in ("_log", "error"))
        return {**data, "error": getattr(self.error, "code", None)}
