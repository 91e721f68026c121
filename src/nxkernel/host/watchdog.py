"""Limits that no ordinary process can ask the system to hold: the host looks, and ends who exceeds.

Shared anonymous memory counts against no limit of memory that an unprivileged process has, and no
limit of a file counts four hundred files; and the signal at the end of a call's processor time can
be ignored. So one thread looks at the workers that are busy, ten
times a second, by what the system shows of any process. What is used between two looks can
overshoot; what holds in the meantime is written in the reference of the manifest.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterable
from functools import partial
from typing import Final, Protocol
from weakref import WeakKeyDictionary

import attrs

from nxkernel import _forks
from nxkernel.host.guarded import Guarded
from nxkernel.host.launch import Launch, kill
from nxkernel.host.ledger import ENDLESS, Ledger
from nxkernel.host.slot import Slot
from nxkernel.host.ticker import PATIENCE_S, Ticker
from nxkernel.host.workers import Breach, Exit, Worker
from nxkernel.settings import Limits

__all__ = [
    "INTERVAL_S",
    "Gauge",
    "ProcGauge",
    "Usage",
    "Ward",
    "Watchdog",
    "gauge",
    "judge",
    "of_exit",
]

#: What ends a process at its limit of processor time; Windows sends none.
_SIGXCPU: Final = getattr(signal, "SIGXCPU", -1)
_MIB: Final = 1024 * 1024
#: The stack is no part of what RLIMIT_DATA bounds.
_STACK: Final = 8 * _MIB
#: Seconds between two looks at busy workers.
INTERVAL_S: Final = 0.1
#: Looks at the busy ones for each look at the idle ones, whose threads may go on.
_IDLE_EVERY: Final = 10
#: Looking through folders takes at most this part of the time.
_SHARE: Final = 0.1


@attrs.frozen(kw_only=True)
class Usage:
    """What was seen of one worker."""

    #: Bytes in memory or swapped out, of its own and shared anonymous; None where nobody can tell.
    memory: int | None
    #: Its own included.
    processes: int = 1
    #: Bytes by which its folders have grown.
    written: int
    #: The same when this worker was first looked at: it may clean up after the one before it.
    inherited: int = 0


class Gauge(Protocol):
    """Sees what a process uses; time and memory are None for one that is gone."""

    def cpu(self, pid: int) -> int | None:
        """Return its processor time so far, in any unit."""

    def memory(self, pid: int) -> int | None:
        """Return its memory, in bytes."""

    def family(self, pid: int) -> list[int]:
        """Return its pid and those of all its descendants that have not ended."""


class Ward(Protocol):
    """A plugin's place, as far as it is watched."""

    slot: Slot

    @property
    def launched(self) -> Launch | None:
        """What its workers are started with, once one was."""

    @property
    def books(self) -> Ward:
        """On whose account goes what is written here."""

    def overran(self, breach: Breach) -> None:
        """Put on record that its worker was ended."""


def judge(limits: Limits, usage: Usage) -> Breach | None:
    """Return the first limit that *usage* exceeds, or None."""
    # First of all: forks share their memory, which is counted for each.
    if usage.processes > limits.processes:
        return Breach("processes", limits.processes, usage.processes)
    if usage.memory is not None and usage.memory > limits.memory_mb * _MIB + _STACK:
        return Breach("memory_mb", limits.memory_mb, usage.memory)
    if usage.written > max(limits.written_mb * _MIB, usage.inherited):
        return Breach("written_mb", limits.written_mb, usage.written)
    return None


def of_exit(limits: Limits, ended: Exit | None) -> Breach | None:
    """Return the limit for which the system itself ended a process, or None."""
    if ended is None or ended.signal != _SIGXCPU:
        return None
    return _overdue(limits)


def _overdue(limits: Limits) -> Breach | None:
    seconds = limits.cpu_seconds_per_call
    return None if seconds is None else Breach("cpu_seconds_per_call", seconds, None)


class ProcGauge:
    """Linux: /proc shows these of every process, also of one that hides its memory."""

    def cpu(self, pid: int) -> int | None:
        """Return the ticks of all its threads and of the children that it has waited for."""
        text = _read(f"/proc/{pid}/stat")
        if text is None:
            return None
        fields = text.rpartition(")")[2].split()
        return sum(map(int, fields[11:15]))

    def memory(self, pid: int) -> int | None:
        """Return anonymous, shared and swapped memory; files that are mapped cost nobody."""
        text = _read(f"/proc/{pid}/status")
        if text is None:
            return None
        rows = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
        names = ("RssAnon", "RssShmem", "VmSwap")
        return sum(int(rows[name].split()[0]) for name in names if name in rows) * 1024

    def family(self, pid: int) -> list[int]:
        """Follow parents through /proc: who was adopted belongs to the first of its namespace."""
        children: dict[int, list[int]] = {}
        for name in os.listdir("/proc"):
            text = _read(f"/proc/{name}/stat") if name.isdigit() else None
            fields = text.rpartition(")")[2].split() if text else ["Z"]
            if fields[0] not in "ZX":
                children.setdefault(int(fields[1]), []).append(int(name))
        found = [pid]
        for each in found:
            found += children.get(each, ())
        return found


def _read(path: str) -> str | None:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return None


@attrs.define
class _Account:
    """What one plugin has written, whichever of its processes did."""

    ledger: Ledger
    #: Its growth when somebody last looked.
    seen: int = 0


@attrs.define
class _Memo:
    """What is remembered of one plugin's place between two looks."""

    account: _Account
    #: Whether others write on it too: what they had written is not this worker's doing.
    shared: bool = False
    worker: Worker | None = None
    cpu: int | None = None
    inherited: int = 0
    #: Before this its folders are not looked through again.
    not_before: float = 0.0


class Watchdog:
    """Looks at the workers of one kernel and ends those that exceed a limit."""

    def __init__(
        self,
        wards: Callable[[], Iterable[Ward]],
        clock: Callable[[], float],
        gauge: Gauge | None,
    ) -> None:
        self._wards = wards
        self._clock = clock
        self._gauge = gauge
        #: A place that is gone takes its memory along.
        self._memos: WeakKeyDictionary[Ward, _Memo] = WeakKeyDictionary()
        self._accounts: WeakKeyDictionary[Ward, _Account] = WeakKeyDictionary()
        self._looks = 0
        self._guarded = Guarded("a look at the limits")
        #: Held while descriptors are open that a forked child must not inherit.
        self._looking = threading.Lock()
        self._rests = False
        self._ticker = Ticker("nxkernel-watchdog", INTERVAL_S, self.look, self._guarded)
        _forks.rest(self)

    def before_fork(self) -> None:
        """Wait for the end of the look that is under way.

        Not for ever, because a disk may hang: the child has its descriptors then, which do no harm
        but hold folders open.
        """
        self._rests = self._looking.acquire(timeout=PATIENCE_S)

    def after_fork(self) -> None:
        """Look on."""
        if self._rests:
            self._looking.release()

    def start(self) -> None:
        """Start looking."""
        self._ticker.start()

    def stop(self) -> None:
        """Stop looking, and wait for the end of the look that is under way."""
        self._ticker.stop()

    def look(self) -> None:
        """Look once at every busy worker, and now and then at the idle ones.

        What fails costs that look at that worker; it is told, and the next one is tried.
        """
        self._looks += 1
        for ward in self._wards():
            if not self._guarded.does(ward, partial(self._visit, ward)) and ward in self._memos:
                self._memos[ward].cpu = None  # It was not looked at, even if it does no more.

    def _visit(self, ward: Ward) -> None:
        worker, launch = ward.slot.worker, ward.launched
        if worker is None or launch is None:
            return
        memo = self._memo(ward, launch)
        if ward.slot.occupied or self._looks % _IDLE_EVERY == 0:
            self._look_at(ward, worker, launch, memo)

    def _memo(self, ward: Ward, launch: Launch) -> _Memo:
        memo = self._memos.get(ward)
        if memo is None:
            shared = ward.books is not ward
            memo = self._memos[ward] = _Memo(self._account(ward.books, launch), shared)
        return memo

    def _account(self, ward: Ward, launch: Launch) -> _Account:
        account = self._accounts.get(ward)
        if account is None:
            # The first look is before the plugin's first call: what lies there is not its doing.
            account = _Account(Ledger(_roots(launch), launch.run_dir))
            with self._looking:
                account.ledger.growth(None)
            self._accounts[ward] = account
        return account

    def _look_at(self, ward: Ward, worker: Worker, launch: Launch, memo: _Memo) -> None:
        with self._looking:
            breach = self._breach(worker, launch, memo)
        if breach is not None and ward.slot.overran(worker, breach, kill):
            ward.overran(breach)

    def _breach(self, worker: Worker, launch: Launch, memo: _Memo) -> Breach | None:
        if worker.process.overdue():
            return _overdue(launch.limits)
        usage = self._measure(worker, launch, memo)
        return None if usage is None else judge(launch.limits, usage)

    def _measure(self, worker: Worker, launch: Launch, memo: _Memo) -> Usage | None:
        """What *worker* uses, or None where it did nothing since the last look."""
        gauge = self._gauge
        # Each process of a call is looked at by itself, and so is their template.
        alone = gauge is None or not launch.tasks or launch.forks_calls
        family = [worker.pid] if gauge is None or alone else gauge.family(worker.pid)
        cpu = None if gauge is None else _sum(gauge.cpu, family)
        if memo.worker is worker and cpu is not None and memo.cpu == cpu:
            return None
        if memo.worker is not worker:
            found = memo.account.seen if memo.shared else memo.account.ledger.growth(None)
            memo.inherited = 0 if found >= ENDLESS // 2 else found
        memo.worker, memo.cpu = worker, cpu
        return Usage(
            memory=None if gauge is None else _sum(gauge.memory, family),
            processes=len(family),
            written=self._written(memo, launch.limits),
            inherited=memo.inherited,
        )

    def _written(self, memo: _Memo, limits: Limits) -> int:
        began = self._clock()
        if began < memo.not_before:
            memo.cpu = None  # Look again, whether or not it does anything more.
            return 0
        written = memo.account.ledger.growth(max(limits.written_mb * _MIB, memo.inherited))
        memo.account.seen = written
        took = self._clock() - began
        memo.not_before = began + took / _SHARE
        return written


def _sum(measure: Callable[[int], int | None], pids: Iterable[int]) -> int | None:
    seen = [amount for amount in map(measure, pids) if amount is not None]
    return sum(seen) if seen else None


def _roots(launch: Launch) -> tuple[str, ...]:
    return launch.load.write_roots if launch.load is not None else ()


def gauge() -> Gauge | None:
    """Return what sees processes on this system, or None."""
    return ProcGauge() if os.path.exists("/proc/self/status") else None
