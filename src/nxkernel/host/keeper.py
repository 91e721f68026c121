"""Keeps one plugin's worker: what starts it, whether it may, and what was seen of it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

from nxkernel._wire import Setup, Stop
from nxkernel.errors import (
    KernelNotRunning,
    NxError,
    PluginDisabled,
    SandboxUnavailable,
    WorkerLost,
)
from nxkernel.host.housekeeping import Housekeeper
from nxkernel.host.launch import Launch, kill, setup, start
from nxkernel.host.logs import LogTail
from nxkernel.host.slot import Frame, Slot, Worker
from nxkernel.host.supervisor import Supervision, died, may_start
from nxkernel.host.zygote import Zygote
from nxkernel.types import PluginId

__all__ = ["Keeper"]

#: Called with (kind, plugin, data).
Report = Callable[[str, str, Mapping[str, Any]], None]
#: Raises SandboxUnavailable when the kernel's own account of a worker is not what it must be.
Check = Callable[[int], None]


class Keeper:
    """One plugin's place among the host's processes."""

    def __init__(
        self,
        plugin: PluginId,
        *,
        slot: Slot,
        plan: Callable[[], Launch],
        zygote: Callable[[], Zygote],
        housekeeper: Housekeeper,
        supervision: Supervision,
        check_status: Check | None,
        report: Report,
        log_tail: int,
        start_timeout_s: float,
        cpu_seconds: float | None,
    ) -> None:
        self.plugin = plugin
        self.slot = slot
        self.start_timeout_s = start_timeout_s
        self.cpu_seconds = cpu_seconds
        self.log = LogTail(log_tail)
        #: Why the plugin does not run any more, or None.
        self.disabled: PluginDisabled | None = None
        #: Workers started so far.
        self.starts = 0
        #: Microseconds that the last start took, and what its self-test met.
        self.start_us = 0
        self.witnessed: Mapping[str, str] = {}
        self._plan = plan
        self._launch: Launch | None = None
        #: The last worker, once the slot is closed.
        self._retired: Worker | None = None
        self._zygote = zygote
        self._housekeeper = housekeeper
        self._supervision = supervision
        self._check_status = check_status
        self._report = report

    # -- starting ------------------------------------------------------------------------

    def refusal(self, now: float) -> NxError | None:
        """Why no worker may be started now, or None."""
        if self.slot.closed:
            return KernelNotRunning("the kernel was closed before the call was made")
        if self.disabled is not None:
            return self.disabled
        if may_start(self._supervision, now):
            return None
        return WorkerLost(
            f"plugin {self.plugin!r} is quarantined: its worker died more than "
            f"{self._supervision.intensity} times within {self._supervision.period_s:g} s",
            code="plugin.quarantined",
            plugin=self.plugin,
        )

    def launch(self, frame: Frame) -> Worker:
        """Start a worker in the slot, for *frame* to talk to.

        Raises:
            NxError: when its confinement cannot be built or the zygote is gone.
        """
        if self._launch is None:
            self._launch = self._plan()
        self.slot.generation += 1
        worker = start(self._zygote(), self._launch, self.log, self.slot.generation)
        frame.worker = self.slot.worker = worker
        self._housekeeper.watch(worker)
        self.starts += 1
        return worker

    @property
    def setup(self) -> Setup:
        """What the worker is told after it has confined itself."""
        if self._launch is None:
            self._launch = self._plan()
        return setup(self._launch)

    def check(self, worker: Worker, witnessed: Mapping[str, str]) -> None:
        """Hold the worker's word of its confinement against the kernel's.

        Raises:
            SandboxUnavailable: when they differ.
        """
        self.witnessed = dict(witnessed)
        if worker.level not in ("confined", "isolated"):
            return
        if not witnessed:
            raise SandboxUnavailable(f"plugin {self.plugin!r}: the worker witnessed nothing")
        if self._check_status is not None:
            self._check_status(worker.pid)

    @property
    def pid(self) -> int | None:
        """Process id of the worker, or None while there is none."""
        worker = self.slot.worker
        return worker.pid if worker is not None else None

    def state(self, now: float) -> str:
        """The plugin's state in the supervisor's terms."""
        if self.slot.worker is None and not may_start(self._supervision, now):
            return "quarantined"
        return self.slot.state

    def disable(self, error: PluginDisabled) -> None:
        """Do not start this plugin again."""
        self.disabled = error

    # -- ending --------------------------------------------------------------------------

    def died(self, now: float) -> None:
        """Count a death against the restart intensity."""
        self._supervision = died(self._supervision, now)

    def buried(self, worker: Worker) -> None:
        """Report the exit and give back what the worker held."""
        self._report("worker.exit", self.plugin, _exit_facts(worker))
        worker.channel.close()
        pidfd, worker.pidfd = worker.pidfd, -1
        if pidfd >= 0:
            os.close(pidfd)

    def last_words(self, worker: Worker, lines: int) -> dict[str, Any]:
        """The exit and the end of the log, for an outcome's details."""
        return {**_exit_facts(worker), "log": worker.log.last_lines(lines, worker.log_from)}

    def retire(self) -> None:
        """Let no call in any more, and end the worker under the calls that are on it."""
        self._retired = self._retired or self.slot.close(kill)

    def ask_to_stop(self) -> Worker | None:
        """First step of the stop ladder; returns the worker that was asked."""
        if self._retired is not None:
            self._retired.channel.send(Stop())
        return self._retired

    def close(self) -> None:
        """Give back the last worker's descriptors and what was built for starting workers."""
        worker, self._retired = self._retired or self.slot.worker, None
        self.slot.worker = None
        if worker is not None:
            self.buried(worker)
        if self._launch is not None and self._launch.confinement.ruleset_fd >= 0:
            os.close(self._launch.confinement.ruleset_fd)
        self._launch = None

    def abandon(self) -> None:
        """Close every descriptor without a word to anybody: they belong to another process."""
        worker, self.slot.worker = self.slot.worker, None
        if worker is not None:
            worker.channel.close()
            os.close(worker.pidfd)
            if worker.log_fd >= 0:
                os.close(worker.log_fd)
        if self._launch is not None and self._launch.confinement.ruleset_fd >= 0:
            os.close(self._launch.confinement.ruleset_fd)
        self._launch = None


def _exit_facts(worker: Worker) -> dict[str, Any]:
    ended = worker.exit
    if ended is None:
        return {"exit_status": None, "signal": None}
    return {"exit_status": ended.status, "signal": ended.signal}
