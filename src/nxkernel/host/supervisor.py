"""One plugin's supervisor: hears what happens to its workers, and says whether one may start."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from nxkernel import _forks, _locks
from nxkernel._clock import Clock
from nxkernel.errors import NxError, WorkerLost
from nxkernel.host.supervision import (
    Event,
    Policy,
    Supervision,
    after,
    budget,
    may_start,
    quarantined,
)
from nxkernel.types import PluginId

__all__ = ["NO_RECORD", "Record", "Report", "Supervisor"]

#: Called with (kind, plugin, data).
Report = Callable[[str, str, Mapping[str, Any]], None]
_News = list[tuple[str, Mapping[str, Any]]]
#: Changes that the calls themselves put on record.
_EVERYDAY = frozenset({("ready", "busy"), ("busy", "ready")})


class Record(Protocol):
    """Where a quarantine outlives the kernel, and may be lifted from outside."""

    def write(self, seconds: float | None) -> None:
        """Keep that the plugin is in quarantine for *seconds* from now, or for ever."""

    def remove(self) -> None:
        """Keep that it is not."""

    def lifted(self) -> str | None:
        """Who lifted the quarantine that was written, or None."""

    def left(self) -> tuple[float | None] | None:
        """Seconds that are left of it in a tuple (None: for ever), or None if there is none."""


class _NoRecord:
    def write(self, seconds: float | None) -> None:
        """Keep nothing."""

    def remove(self) -> None:
        """There is nothing to remove."""

    def lifted(self) -> str | None:
        """Nobody can reach it."""
        return None

    def left(self) -> tuple[float | None] | None:
        """There was none."""
        return None


#: For workers that no kernel will ask for again.
NO_RECORD: Record = _NoRecord()


class Supervisor:
    """Keeps the supervision of one plugin. Thread-safe.

    Lock order: it is told things under the slot's lock, and takes no other lock under its own.
    What it has to report is reported by :meth:`publish`, outside of every lock.
    """

    def __init__(
        self,
        plugin: PluginId,
        policy: Policy,
        clock: Clock,
        report: Report,
        record: Record = NO_RECORD,
    ) -> None:
        self.policy = policy
        self._plugin = plugin
        self._clock = clock
        self._report = report
        self._record = record
        self._lock = _locks.lock()
        self._current = Supervision()
        #: Whether calls are on its workers; None before the first one.
        self._taken: bool | None = None
        self._news: _News = []
        _forks.register(self)

    def abandon(self) -> None:
        """In a forked child: the workers are the parent's, and nobody holds the lock."""
        self._lock = _locks.lock()
        self._current = Supervision()
        self._taken = None
        self._news = []

    # -- what it hears -------------------------------------------------------------------

    def tell(self, event: Event) -> None:
        """Note *event* and report what it changed."""
        self.note(event)
        self.publish()

    def note(self, event: Event, by: str = "") -> None:
        """Note *event*; what there is to report waits for :meth:`publish`."""
        with self._lock:
            now, before = self._clock.monotonic(), self._caught_up()
            self._current = after(before, event, now, self.policy)
            if self._current is not before:
                self._news += _news(before, self._current, now, self.policy, by)

    def occupied(self, taken: bool) -> None:
        """Note, under the slots' lock, that the first call came, or that the last one left.

        The one event on the path of every call: what follows from it is worked out when somebody
        asks.
        """
        self._taken = taken

    def _caught_up(self) -> Supervision:
        """Return the current value, with what was told of calls since.

        Of calls that came and went only the last matters, and nothing else depends on the order.
        """
        if self._taken is None:
            return self._current
        event: Event = "called" if self._taken else "idle"
        self._current = after(self._current, event, 0.0, self.policy)
        return self._current

    def release(self, by: str) -> bool:
        """Forgive every death; returns whether the plugin was in quarantine or on probation."""
        held = self._current.state == "quarantined" or self._current.probation
        self.note("released", by)
        self.publish()
        return held

    def resume(self) -> None:
        """Honour the quarantine of an earlier kernel, or report that it was lifted meanwhile."""
        left, by = self._record.left(), self._record.lifted()
        if left is None:
            return
        with self._lock:
            now = self._clock.monotonic()
            self._current = quarantined(self._current, None if left[0] is None else now + left[0])
        if by is not None:
            self.release(by)

    def publish(self) -> None:
        """Report what has been noted."""
        while (news := self._next()) is not None:
            kind, data = news
            if kind == "plugin.quarantined":
                self._record.write(self.policy.quarantine_s)
            elif kind == "plugin.released":
                self._record.remove()
            self._report(kind, self._plugin, data)

    def _next(self) -> tuple[str, Mapping[str, Any]] | None:
        # One at a time: a report that fails must not take those behind it along.
        with self._lock:
            return self._news.pop(0) if self._news else None

    # -- what it says --------------------------------------------------------------------

    @property
    def supervision(self) -> Supervision:
        """What is remembered now."""
        with self._lock:
            return self._caught_up()

    def may_start(self) -> bool:
        """Whether a worker may be started now."""
        return may_start(self._current, self._clock.monotonic())

    def refusal(self, deadline: float) -> NxError | None:
        """Why a call until *deadline* gets no worker, or None.

        A pause is waited for, if it ends in time. Quarantine is not: it is long, and ends in a
        trial that may fail.
        """
        if self._current.state == "quarantined":
            by = self._record.lifted()
            if by is not None:
                self.release(by)
        state = self._current
        if may_start(state, self._clock.monotonic()):
            return None
        if state.state == "quarantined":
            return _quarantined(self._plugin, self.policy)
        late = state.until is None or state.until >= deadline
        return _resting(self._plugin) if late else None


def _quarantined(plugin: PluginId, policy: Policy) -> NxError:
    return WorkerLost(
        f"plugin {plugin!r} is quarantined: its worker died more than {policy.intensity} times "
        f"within {policy.period_s:g} s; `nxkernel plugins release {plugin}` lifts it",
        code="plugin.quarantined",
        plugin=plugin,
    )


def _resting(plugin: PluginId) -> NxError:
    return WorkerLost(
        f"plugin {plugin!r} rests: its worker died again before it had answered a call, and the "
        "next one is started after this call's deadline",
        code="plugin.backoff",
        plugin=plugin,
    )


def _news(before: Supervision, after_it: Supervision, now: float, policy: Policy, by: str) -> _News:
    """What of a change belongs on record."""
    news: _News = []
    states = (before.state, after_it.state)
    if before.state != after_it.state and states not in _EVERYDAY:
        data: dict[str, Any] = {"from": before.state, "to": after_it.state}
        if after_it.state == "backoff" and after_it.until is not None:
            data |= {"in_a_row": after_it.in_a_row, "wait_s": round(after_it.until - now, 3)}
        news.append(("worker.state", data))
    if after_it.state == "quarantined" and before.state != "quarantined":
        news.append(("plugin.quarantined", _terms(after_it, now, policy)))
    if _held(before) and not _held(after_it):
        news.append(("plugin.released", {"by": by or "probation"}))
    return news


def _held(state: Supervision) -> bool:
    return state.state == "quarantined" or state.probation


def _terms(state: Supervision, now: float, policy: Policy) -> dict[str, Any]:
    return {
        "deaths": state.recent(now, policy),
        "intensity": policy.intensity,
        "period_s": policy.period_s,
        "budget": budget(state, now, policy),
        "quarantine_s": policy.quarantine_s,
    }
