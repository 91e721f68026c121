"""Custody of one worker: the calls on it, its accounts, and its end."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from nxkernel._wire import Stop
from nxkernel.host.denials import Advice, Advisor
from nxkernel.host.exits import exit_facts
from nxkernel.host.frame import Frame
from nxkernel.host.launch import Launch, kill
from nxkernel.host.logs import LogTail
from nxkernel.host.memory_kills import MemoryKills
from nxkernel.host.replies import draws
from nxkernel.host.slot import CLOSED, Slot
from nxkernel.host.supervisor import Report
from nxkernel.host.watchdog import of_exit
from nxkernel.host.workers import Breach, Worker
from nxkernel.types import Call, Outcome, PluginId

__all__ = ["LAST_LINES", "Custody", "end", "give_back"]

#: Lines of a lost worker's log that go into an outcome's details.
LAST_LINES = 10


class Custody(ABC):
    """One worker's place: whoever talks to it does so through here."""

    def __init__(
        self,
        plugin: PluginId,
        *,
        slot: Slot,
        log: LogTail,
        report: Report,
        answer_s: float,
        cpu_seconds: float | None,
        patient: bool,
        memory_kills: MemoryKills,
        edition: int,
    ) -> None:
        self.plugin = plugin
        #: Which edition of the plugin its workers run.
        self.edition = edition
        self.slot = slot
        slot.watch = self._occupied
        self.cpu_seconds = cpu_seconds
        #: Somebody debugs the plugin: no deadline, ping or limit of time ends its worker.
        self.patient = patient
        self.log = log
        #: How the last worker ended, and the end of its log; None before the first one did.
        self.last_exit: Mapping[str, Any] | None = None
        #: Pings that its workers answered, and that they did not.
        self.pings = 0
        self.pings_missed = 0
        #: Workers that are to end without anybody waiting for it.
        self._dying: list[Worker] = []
        #: Seconds in which an idle worker has to have answered.
        self.answer_s = answer_s
        #: The last worker, once the slot is closed.
        self._retired: Worker | None = None
        self.memory_kills = memory_kills
        self.report = report

    @property
    @abstractmethod
    def launched(self) -> Launch | None:
        """What its workers are started with, once one was."""

    @property
    def books(self) -> Custody:
        """On whose account goes what is written here."""
        return self

    # -- limits --------------------------------------------------------------------------

    def overran(self, breach: Breach) -> None:
        """Put on record that the watchdog has ended the worker."""
        self.report("plugin.limit", self.plugin, breach.facts())

    def breach_of(self, worker: Worker) -> Breach | None:
        """The limit for which *worker* was ended, by the watchdog or by the system, or None."""
        launch = self.launched
        if worker.breach is not None or launch is None:
            return worker.breach
        breach = of_exit(launch.limits, worker.exit)
        if breach is not None:
            self.overran(breach)
        return breach

    # -- accounts ------------------------------------------------------------------------

    def record_draws(self, frame: Frame) -> None:
        """Put on record what *frame* drew that follows from no seed."""
        if frame.drawn is not None:
            found = draws(frame.drawn)
            frame.drawn = None
            self.report("determinism.drawn", self.plugin, {"call": frame.call_id, "found": found})

    def advice(self, frame: Frame) -> list[Advice]:
        """Put on record what the walls refused to *frame*; return what is to be said of it."""
        advisor = self._advisor
        if frame.denied is None or advisor is None:
            return []
        advice = advisor.advise(frame.denied)
        if advice:
            denied = self.log.masking.value([each.fact() for each in advice])
            self.report("access.denied", self.plugin, {"call": frame.call_id, "denied": denied})
        return advice

    def explained(self, call: Call, frame: Frame, outcome: Outcome) -> Outcome:
        """Put the worker's accounts on record; return *outcome* with the grants that it lacks.

        No secret is in it.
        """
        if frame.drawn is None and frame.denied is None and outcome.error is None:
            return outcome  # Nothing was told, and a value is the plugin's to give.
        self.record_draws(frame)
        advice = self.advice(frame)
        advisor = self._advisor
        if advisor is None or outcome.error is call.inner_error:
            return outcome
        return self.log.masking.outcome(advisor.explain(outcome, advice))

    @property
    def _advisor(self) -> Advisor | None:
        return None if self.launched is None else self.launched.advisor

    # -- ending --------------------------------------------------------------------------

    def loser(self, generation: int) -> str | None:
        """What took the worker of *generation* down, or None where it ended by itself.

        A call's id, or what closed the gate: it is not the plugin's doing then.
        """
        return self.slot.loser(generation)

    @abstractmethod
    def _occupied(self, occupied: bool) -> None:
        """The slot's word, under its lock, that the first call came or the last one left."""

    @abstractmethod
    def heard_from(self, worker: Worker) -> None:
        """*worker* answered a call."""

    # Both under the slot's lock: nobody finds the place empty before its worker's end is noted.

    @abstractmethod
    def _died(self, worker: Worker) -> None:
        """End *worker*, and count that against it."""

    @abstractmethod
    def _ended(self, worker: Worker) -> None:
        """End *worker*, by no fault of its own."""

    @abstractmethod
    def _publish(self) -> None:
        """Report what was noted under the lock."""

    def lose(self, worker: Worker, frame: Frame, *, counted: bool) -> None:
        """End *worker* and every call on it by the fault of *frame*, unless it is lost already.

        *counted*: against the restart intensity.
        """
        self.slot.lose(worker, frame, self._died if counted else self._ended)
        self._publish()

    def part(self, worker: Worker, frame: Frame, now: float) -> None:
        """End *worker* and every call on it, because the caller of *frame* went away."""
        self.lose(worker, frame, counted=False)

    def press(self, now: float) -> None:
        """Kill the workers that had until *now* to end by themselves."""
        for worker in self._dying:
            if worker.ends_by is not None and now >= worker.ends_by:
                worker.ends_by = None
                kill(worker)

    def replace(self, worker: Worker, frame: Frame) -> None:
        """Do without *worker*, which ended or babbled before *frame* could use it."""
        self.slot.replace(worker, frame, self._died)
        self._publish()

    def evict(self, worker: Worker) -> None:
        """Do without *worker*, which ended while no call was on it."""
        if self.slot.evict(worker, self._died):
            self._publish()
            self.buried(worker)

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

        def tell() -> None:
            if worker.asked is None and worker.forsaken:
                worker.end_forsaken(self.until(now))

        self.slot.while_idle(worker, tell)

    def until(self, now: float) -> float:
        """When a worker that is asked something *now* has to have answered."""
        return math.inf if self.patient else now + self.answer_s

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
            self.report("worker.unresponsive", self.plugin, {"pings": self.pings})
            self._publish()

    def bury_dead(self) -> None:
        """Bury the workers that nobody waits for, once they have ended."""
        dead = [worker for worker in self._dying if worker.exit is not None]
        for worker in dead:
            self._dying.remove(worker)
            self.buried(worker)

    def buried(self, worker: Worker) -> None:
        """Report the exit and give back what the worker held."""
        give_back(worker)
        self.last_exit = self.last_words(worker)
        facts = exit_facts(worker, self.memory_kills)
        self.report("worker.exit", self.plugin, {**facts, "worker": worker.generation})

    def last_words(self, worker: Worker, lines: int = LAST_LINES) -> dict[str, Any]:
        """The exit and the end of the log, for an outcome's details."""
        facts = exit_facts(worker, self.memory_kills)
        return {**facts, "log": worker.log.last_lines(lines, worker.log_from)}

    def retire(self, by: str = CLOSED) -> None:
        """Let no call in any more, and end the worker under the calls that are on it."""
        self._retired = self._retired or self.slot.close(end, by)

    def ask_to_stop(self) -> Worker | None:
        """First step of the stop ladder; returns the worker that was asked."""
        if self._retired is not None:
            self._retired.channel.send(Stop())
        return self._retired

    def close(self) -> None:
        """Give back the last worker's descriptors."""
        worker, self._retired = self._retired or self.slot.worker, None
        self.slot.worker = None
        for each in [*self._dying, *([] if worker is None else [worker])]:
            self.buried(each)
        self._dying.clear()


def give_back(worker: Worker) -> None:
    """Close what the host has of *worker*, but for its log: that is read to its end."""
    worker.channel.close()
    worker.process.close()
    if worker.nursery is not None:
        worker.nursery.close()


def end(worker: Worker) -> None:
    """Kill *worker*, and keep whether that was its end, as far as anybody can see."""
    over = worker.channel.closed or worker.exit is not None or worker.process.has_ended()
    worker.ended_by_host = not over
    kill(worker)
