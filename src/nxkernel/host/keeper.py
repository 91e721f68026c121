"""Keeps one plugin's worker: what starts it, whether it may, and what was seen of it."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from typing import Any

from nxkernel import _forks
from nxkernel._system.shelter import sheltered
from nxkernel._wire import Setup, Stop
from nxkernel.errors import KernelNotRunning, NxError, PluginDisabled, SandboxUnavailable
from nxkernel.host.denials import Advice
from nxkernel.host.exits import exit_facts
from nxkernel.host.housekeeping import Housekeeper
from nxkernel.host.launch import Compilation, Launch, Launcher, kill, setup
from nxkernel.host.logs import LogTail
from nxkernel.host.logwriter import Pending
from nxkernel.host.memory_kills import MemoryKills
from nxkernel.host.replies import draws
from nxkernel.host.slot import CLOSED, Frame, Slot
from nxkernel.host.supervisor import Report, Supervisor
from nxkernel.host.watchdog import of_exit
from nxkernel.host.workers import Breach, Worker
from nxkernel.types import Call, Outcome, PluginId

__all__ = ["Keeper"]

#: Lines of a lost worker's log that go into an outcome's details.
LAST_LINES = 10
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
    ) -> None:
        self.plugin = plugin
        #: Which edition of the plugin its workers run.
        self.edition = edition
        self.slot = slot
        self.supervisor = supervisor
        slot.watch = self._occupied
        self.start_timeout_s = start_timeout_s
        self.cpu_seconds = cpu_seconds
        #: Somebody debugs the plugin: no deadline, ping or limit of time ends its worker.
        self.patient = patient
        self.log = LogTail(log_tail, log_disk)
        #: Why the plugin does not run any more, or None.
        self.disabled: PluginDisabled | None = None
        #: Workers started so far.
        self.starts = 0
        #: Microseconds that the last start took, and what its self-test met.
        self.start_us = 0
        self.witnessed: Mapping[str, str] = {}
        #: How the last worker ended, and the end of its log; None before the first one did.
        self.last_exit: Mapping[str, Any] | None = None
        #: Pings that its workers answered, and that they did not.
        self.pings = 0
        self.pings_missed = 0
        #: Workers that did not answer, until they have ended.
        self._dying: list[Worker] = []
        self._plan = plan
        #: Seconds in which an idle worker has to have answered.
        self._answer_s = answer_s
        self._launch: Launch | None = None
        #: The last worker, once the slot is closed.
        self._retired: Worker | None = None
        self._launcher = launcher
        self._housekeeper = housekeeper
        self._check_status = check_status
        self._memory_kills = memory_kills or MemoryKills(lambda: None)
        self._report = report
        _forks.register(self)

    # -- starting ------------------------------------------------------------------------

    def refusal(self, deadline: float) -> NxError | None:
        """Why a call until *deadline* gets no worker, or None."""
        if self.slot.closed:
            return KernelNotRunning("the kernel was closed before the call was made")
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
        with self._housekeeper.starting():
            worker = self._launcher.start(plan, self.log, self.slot.generation)
            seated = self.slot.seat(worker, frame)
            self._housekeeper.watch(worker)
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

    def disable(self, error: PluginDisabled) -> None:
        """Do not start this plugin again."""
        self.disabled = error

    def release(self, by: str) -> bool:
        """Forgive the plugin its deaths; returns whether that lifted a quarantine."""
        lifted = self.supervisor.release(by)
        self.slot.wake()
        return lifted

    # -- limits --------------------------------------------------------------------------

    @property
    def launched(self) -> Launch | None:
        """What its workers are started with, once one was."""
        return self._launch

    def overran(self, breach: Breach) -> None:
        """Put on record that the watchdog has ended the worker."""
        self._report("plugin.limit", self.plugin, breach.facts())

    def breach_of(self, worker: Worker) -> Breach | None:
        """The limit for which *worker* was ended, by the watchdog or by the system, or None."""
        if worker.breach is not None or self._launch is None:
            return worker.breach
        breach = of_exit(self._launch.limits, worker.exit)
        if breach is not None:
            self.overran(breach)
        return breach

    # -- accounts ------------------------------------------------------------------------

    def record_draws(self, frame: Frame) -> None:
        """Put on record what *frame* drew that follows from no seed."""
        if frame.drawn is not None:
            found = draws(frame.drawn)
            frame.drawn = None
            self._report("determinism.drawn", self.plugin, {"call": frame.call_id, "found": found})

    def advice(self, frame: Frame) -> list[Advice]:
        """Put on record what the walls refused to *frame*; return what is to be said of it."""
        advisor = self._launch.advisor if self._launch is not None else None
        if frame.denied is None or advisor is None:
            return []
        advice = advisor.advise(frame.denied)
        if advice:
            denied = self.log.masking.value([each.fact() for each in advice])
            self._report("access.denied", self.plugin, {"call": frame.call_id, "denied": denied})
        return advice

    def explained(self, call: Call, frame: Frame, outcome: Outcome) -> Outcome:
        """Put the worker's accounts on record; return *outcome* with the grants that it lacks.

        No secret is in it.
        """
        self.record_draws(frame)
        advice = self.advice(frame)
        advisor = self._launch.advisor if self._launch is not None else None
        if advisor is None or outcome.error is call.inner_error:
            return outcome
        return self.log.masking.outcome(advisor.explain(outcome, advice))

    # -- ending --------------------------------------------------------------------------

    def _occupied(self, occupied: bool) -> None:
        """The slot's word, under its lock, that the first call came or the last one left."""
        self.supervisor.occupied(occupied)

    def heard_from(self, worker: Worker) -> None:
        """*worker* answered a call: only the first answer of each is news."""
        if not worker.answered:
            worker.answered = True
            self.supervisor.tell("answered")

    def lose(self, worker: Worker, frame: Frame, *, counted: bool) -> None:
        """End *worker* and every call on it by the fault of *frame*, unless it is lost already.

        *counted*: against the restart intensity.
        """

        self.slot.lose(worker, frame, self._died if counted else self._ended)
        self.supervisor.publish()

    def replace(self, worker: Worker, frame: Frame) -> None:
        """Do without *worker*, which ended or babbled before *frame* could use it."""

        self.slot.replace(worker, frame, self._died)
        self.supervisor.publish()

    def evict(self, worker: Worker) -> None:
        """Do without *worker*, which ended while no call was on it."""
        if self.slot.evict(worker, self._died):
            self.supervisor.publish()
            self.buried(worker)

    # Both under the slot's lock: nobody finds the place empty before its worker's end is noted.

    def _died(self, worker: Worker) -> None:
        self.supervisor.note("died")
        _end(worker)

    def _ended(self, worker: Worker) -> None:
        self.supervisor.note("ended")
        _end(worker)

    def forsake(self, token: tuple[int, int], now: float) -> None:
        """Have a wrapper end that waits for what never comes; *token* names worker and setup.

        Calls that are on its worker are finished first.
        """
        worker = self.slot.worker
        if worker is not None and worker.generation == token[0]:
            worker.forsaken.append(token[1])
            self.end_forsaken(worker, now)

    def end_forsaken(self, worker: Worker, now: float) -> None:
        """Have *worker* end its forsaken wrappers, unless a call is on it or an answer is due."""

        def end() -> None:
            if worker.asked is None and worker.forsaken:
                worker.end_forsaken(self.until(now))

        self.slot.while_idle(worker, end)

    def until(self, now: float) -> float:
        """When a worker that is asked something *now* has to have answered."""
        return math.inf if self.patient else now + self._answer_s

    # -- pings ---------------------------------------------------------------------------

    def pinged(self, worker: Worker) -> None:
        """*worker* answered the ping."""
        worker.asked = None
        self.pings += 1

    def unanswered(self, worker: Worker) -> None:
        """Do without *worker*, which no call is on and which did not answer a ping."""
        if self.slot.evict(worker, self._died):
            self.pings_missed += 1
            self._dying.append(worker)
            self._report("worker.unresponsive", self.plugin, {"pings": self.pings})
            self.supervisor.publish()

    def bury_dead(self) -> None:
        """Bury the workers that did not answer, once they have ended."""
        dead = [worker for worker in self._dying if worker.exit is not None]
        for worker in dead:
            self._dying.remove(worker)
            self.buried(worker)

    def buried(self, worker: Worker) -> None:
        """Report the exit and give back what the worker held."""
        worker.channel.close()
        worker.process.close()
        self.last_exit = self.last_words(worker)
        facts = exit_facts(worker, self._memory_kills)
        self._report("worker.exit", self.plugin, {**facts, "worker": worker.generation})

    def last_words(self, worker: Worker, lines: int = LAST_LINES) -> dict[str, Any]:
        """The exit and the end of the log, for an outcome's details."""
        facts = exit_facts(worker, self._memory_kills)
        return {**facts, "log": worker.log.last_lines(lines, worker.log_from)}

    def retire(self, by: str = CLOSED) -> None:
        """Let no call in any more, and end the worker under the calls that are on it."""
        self._retired = self._retired or self.slot.close(_end, by)
        self.supervisor.note("ended")

    def ask_to_stop(self) -> Worker | None:
        """First step of the stop ladder; returns the worker that was asked."""
        if self._retired is not None:
            self._retired.channel.send(Stop())
        return self._retired

    def close(self) -> None:
        """Give back the last worker's descriptors and what was built for starting workers."""
        worker, self._retired = self._retired or self.slot.worker, None
        self.slot.worker = None
        for each in [*self._dying, *([] if worker is None else [worker])]:
            self.buried(each)
        self._dying.clear()
        self.abandon()

    def abandon(self) -> None:
        """Give back what was built for starting workers; in a forked child, that is all."""
        if self._launch is not None and self._launch.confinement.ruleset_fd >= 0:
            os.close(self._launch.confinement.ruleset_fd)
        self._launch = None


def _end(worker: Worker) -> None:
    """Kill *worker*, and keep whether that was its end, as far as anybody can see."""
    over = worker.channel.closed or worker.exit is not None or worker.process.has_ended()
    worker.ended_by_host = not over
    kill(worker)
