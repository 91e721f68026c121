"""Keeps one plugin's worker: what starts it, whether it may, and what was seen of it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

from nxkernel import _forks
from nxkernel._system.shelter import sheltered
from nxkernel._wire import Setup, Stop
from nxkernel.errors import NxError, PluginDisabled, SandboxUnavailable
from nxkernel.host.custody import Custody, end
from nxkernel.host.frame import Frame
from nxkernel.host.housekeeping import Housekeeper
from nxkernel.host.launch import Compilation, Launch, Launcher, setup
from nxkernel.host.logs import LogTail
from nxkernel.host.logwriter import Pending
from nxkernel.host.memory_kills import MemoryKills
from nxkernel.host.slot import CLOSED, Slot
from nxkernel.host.supervisor import Report, Supervisor
from nxkernel.host.unanswered import came_too_late
from nxkernel.host.workers import Worker
from nxkernel.types import PluginId

__all__ = ["Check", "Keeper"]

#: Raises SandboxUnavailable when the kernel's own account of a worker is not what it must be.
Check = Callable[[int], None]


class Keeper(Custody):
    """One plugin's place among the host's processes."""

    def __init__(
        self,
        plugin: PluginId,
        *,
        slot: Slot,
        plan: Callable[[], Launch],
        launcher: Launcher,
        housekeeper: Housekeeper,
        supervisor: Supervisor,
        check_status: Check | None,
        report: Report,
        log_tail: int,
        log_disk: Pending | None = None,
        start_timeout_s: float,
        answer_s: float = 10.0,
        cpu_seconds: float | None,
        patient: bool = False,
        memory_kills: MemoryKills | None = None,
        edition: int = 1,
        forks_calls: bool = False,
    ) -> None:
        super().__init__(
            plugin,
            slot=slot,
            log=LogTail(log_tail, log_disk),
            report=report,
            answer_s=answer_s,
            cpu_seconds=cpu_seconds,
            patient=patient,
            memory_kills=memory_kills or MemoryKills(lambda: None),
            edition=edition,
        )
        self.supervisor = supervisor
        self.start_timeout_s = start_timeout_s
        #: Why the plugin does not run any more, or None.
        self.disabled: PluginDisabled | None = None
        #: Workers started so far.
        self.starts = 0
        #: Microseconds that the last start took, and what its self-test met.
        self.start_us = 0
        self.witnessed: Mapping[str, str] = {}
        #: Whether its worker is a template, which forks a process for each call.
        self.forks_calls = forks_calls
        #: These processes, by their generation.
        self.cells: dict[int, Custody] = {}
        #: How many of the places of this plugin have a call.
        self._taken = 0
        self._plan = plan
        self._launch: Launch | None = None
        self._launcher = launcher
        self.housekeeper = housekeeper
        self._check_status = check_status
        if not forks_calls:
            slot.watch = supervisor.occupied  # It has one place, whose word is the plugin's.
        _forks.register(self)

    # -- starting ------------------------------------------------------------------------

    def refusal(self, deadline: float) -> NxError | None:
        """Why a call until *deadline* gets no worker, or None."""
        if self.slot.closed_by is not None:
            return came_too_late(self.plugin, self.slot.closed_by)
        return self.disabled or self.supervisor.refusal(deadline)

    def launch(self, frame: Frame) -> Worker:
        """Start a worker in the slot, for *frame* to talk to.

        Raises:
            NxError: when its confinement cannot be built or no worker can be started.
        """
        return sheltered(lambda: self._started_for(frame))

    def _started_for(self, frame: Frame) -> Worker:
        plan = self._planned()
        self.slot.generation += 1
        with self.housekeeper.starting():
            worker = self._launcher.start(plan, self.log, self.slot.generation)
            seated = self.slot.seat(worker, frame)
            self.housekeeper.watch(worker)
        self.starts += 1
        self.supervisor.note("start")
        if not seated:
            # An interrupt took the caller away, and the start had not come to an end in time.
            self._ended(worker)
            self._dying.append(worker)
        return worker

    @property
    def setup(self) -> Setup:
        """What the worker is told after it has confined itself."""
        return setup(self._planned())

    def compilation(self) -> Compilation | None:
        """Return what takes in the byte code that the worker was asked for."""
        load = self._planned().load
        return load.bytecode.compilation() if load and load.bytecode else None

    def _planned(self) -> Launch:
        if self._launch is None:
            with _forks.whole():
                self._launch = self._plan()
            if self._launch.limits.log_kb is not None:
                self.log.keep(self._launch.limits.log_kb * 1024)
            if self._launch.load is not None:
                self.log.masking = self._launch.load.masking
        return self._launch

    def check(self, worker: Worker, witnessed: Mapping[str, str]) -> None:
        """Hold the worker's word of its confinement against the kernel's.

        Raises:
            SandboxUnavailable: when they differ.
        """
        self.witnessed = dict(witnessed)
        self.hold_against(worker.level, worker.pid, witnessed)

    def hold_against(self, level: str, pid: int, witnessed: Mapping[str, str]) -> None:
        """Hold what process *pid* says of its confinement against the kernel's word.

        Raises:
            SandboxUnavailable: when they differ.
        """
        if level not in ("confined", "isolated"):
            return
        if not witnessed:
            raise SandboxUnavailable(f"plugin {self.plugin!r}: the worker witnessed nothing")
        if self._check_status is not None:
            self._check_status(pid)

    @property
    def pid(self) -> int | None:
        """Process id of the worker, or None while there is none."""
        worker = self.slot.worker
        return worker.pid if worker is not None else None

    def disable(self, error: PluginDisabled) -> None:
        """Do not start this plugin again."""
        self.disabled = error

    def release(self, by: str) -> bool:
        """Forgive the plugin its deaths; returns whether that lifted a quarantine."""
        lifted = self.supervisor.release(by)
        self.slot.wake()
        return lifted

    @property
    def launched(self) -> Launch | None:
        """What its workers are started with, once one was."""
        return self._launch

    # -- what its supervisor hears ---------------------------------------------------------

    def taken(self, occupied: bool) -> None:
        """Note, under the slots' lock, that one of its places got its first call or lost its last.

        For its supervisor they are one.
        """
        self._taken += 1 if occupied else -1
        if self._taken == occupied:
            self.supervisor.occupied(occupied)

    _occupied = taken

    def heard_from(self, worker: Worker) -> None:
        """*worker* answered a call: only the first answer of each is news."""
        if not worker.answered:
            worker.answered = True
            self.supervisor.tell("answered")

    def _died(self, worker: Worker) -> None:
        self.supervisor.note("died")
        worker.counted = True
        end(worker)

    def _ended(self, worker: Worker) -> None:
        self.supervisor.note("ended")
        end(worker)

    def _publish(self) -> None:
        self.supervisor.publish()

    # -- ending --------------------------------------------------------------------------

    def part(self, worker: Worker, frame: Frame, now: float) -> None:
        """Interrupt the call on *worker*, whose caller went away, and have the worker end.

        What the plugin has under way is left by an exception, so that its ``finally`` runs; where
        that was, nobody knows, so no further call is made there. One that goes on is killed.
        """
        if self.patient or not frame.running:
            super().part(worker, frame, now)
            return
        self.slot.lose(worker, frame, self._interrupted)
        self.supervisor.publish()
        if frame.buries is worker:
            frame.buries, worker.ends_by = None, self.until(now)
            self._dying.append(worker)

    def _interrupted(self, worker: Worker) -> None:
        self.supervisor.note("ended")
        worker.ended_by_host = True
        worker.process.interrupt()
        worker.channel.send(Stop())

    def retire(self, by: str = CLOSED) -> None:
        """Let no call in any more, and end the worker under the calls that are on it."""
        super().retire(by)
        for cell in list(self.cells.values()):
            cell.retire(by)
        self.supervisor.note("ended")

    def close(self) -> None:
        """Give back the last worker's descriptors and what was built for starting workers."""
        for cell in list(self.cells.values()):
            cell.close()
        super().close()
        self.abandon()

    def abandon(self) -> None:
        """Give back what was built for starting workers; in a forked child, that is all."""
        if self._launch is not None and self._launch.confinement.ruleset_fd >= 0:
            os.close(self._launch.confinement.ruleset_fd)
        self._launch = None
