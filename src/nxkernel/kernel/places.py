"""Places: what the plant has to know of a plugin whose workers it keeps."""

from __future__ import annotations

from collections.abc import Callable

import attrs

from nxkernel.host.launch import Launch
from nxkernel.host.supervisor import NO_RECORD, Record, Report
from nxkernel.kernel.composition import Composition
from nxkernel.kernel.debugging import Debugging
from nxkernel.kernel.launches import Launches
from nxkernel.kernel.members import Member
from nxkernel.kernel.quarantine import QuarantineRecord
from nxkernel.types import PluginId

__all__ = ["Place", "Places"]


@attrs.frozen(kw_only=True)
class Place:
    """One plugin's place among the processes of a kernel, before anything is started in it."""

    plugin: PluginId
    #: What a worker is started with, when it is needed.
    plan: Callable[[], Launch]
    #: Where exits of its workers are reported.
    report: Report
    #: Processor time of a call, in seconds; None is without a limit.
    cpu_seconds: float | None = None
    #: Somebody debugs the plugin: no deadline, ping or limit of time ends its worker.
    patient: bool = False
    #: Where its quarantine is remembered.
    record: Record = NO_RECORD
    #: Which edition of the plugin its workers run.
    edition: int = 1
    #: Whether its worker is a template, which forks a process for each call.
    forks_calls: bool = False


@attrs.frozen
class Places:
    """Says what place a member of one kernel needs."""

    _given: Composition
    _launches: Launches
    _debugging: Debugging
    _report: Report

    def of(self, member: Member) -> Place:
        """Return the place of *member*; the plugin that is debugged gets its terminal with it.

        Raises:
            KernelConfigError: where workers cannot have a terminal.
            SandboxUnavailable: when none can be had.
        """
        run = self._given.run
        debugged = member.id == self._given.hosting.debug
        plan = self._launches.planner(member, self._given.project)
        return Place(
            plugin=member.id,
            plan=self._debugging.open(member.id, plan) if debugged else plan,
            report=self._report,
            cpu_seconds=None if debugged else member.limits.cpu_seconds_per_call,
            patient=debugged,
            record=QuarantineRecord(run.data_dir, member.id, member.facts.code_digest, run.clock),
            edition=member.edition,
            forks_calls=member.fresh and not debugged,
        )
