"""The audit log as a kernel writes it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, Protocol

from nxkernel import _forks
from nxkernel._clock import Clock
from nxkernel._numbers import unfit
from nxkernel._pickling import Rooted
from nxkernel._sqlite import Durability
from nxkernel.audit.anchor import Anchor
from nxkernel.audit.checkpoint import Checkpoint
from nxkernel.audit.failure import cannot, shown
from nxkernel.audit.liveness import Claim
from nxkernel.audit.rows import (
    CALL_ID,
    began_ns,
    call_facts,
    event_facts,
    intent_facts,
    plugin_facts,
    run_facts,
)
from nxkernel.audit.schema import (
    CALLS,
    PLUGINS,
    RUN_ENDS,
    Facts,
    Table,
    table_of,
)
from nxkernel.audit.settings import settings_events
from nxkernel.audit.starting import Starter
from nxkernel.audit.usual import UsualRows
from nxkernel.audit.writer import Writer
from nxkernel.dispatch.errand import Whom
from nxkernel.dispatch.stack import BootFacts, Event, PluginFacts
from nxkernel.errors import AuditError, KernelConfigError
from nxkernel.types import Call, Outcome

__all__ = ["AuditLog", "Durability", "RowWriter"]


class RowWriter(Protocol):
    """Where rows go. A row that a method returned for survives the death of any process.

    Facts come without ``run``, the first column of every table but ``runs``.
    """

    def open(self) -> None:
        """Make sure that there is a log."""

    def begin(self, claim: str, facts: Facts) -> None:
        """Begin a run with the facts of ``runs``; *claim* names what says that it lives."""

    def append(self, table: Table, facts: Facts) -> None:
        """Append one row of the run."""

    def intend(self, facts: Facts) -> Any:
        """Say that a call is about to be made; returns what :meth:`finish` needs."""

    def finish(self, intent: Any, facts: Facts) -> None:
        """Append the row of a call: the facts of its intent and then *facts*."""

    def unfinished(self, is_it: Callable[[Facts], bool]) -> tuple[Any, Facts] | None:
        """Return a call in flight whose facts *is_it* knows: for :meth:`finish`, and its facts."""

    def end(self) -> None:
        """Append no more rows of the run."""

    def settle(self) -> Checkpoint:
        """Bring the rows of ended runs to the database; return the state of the log after that."""

    def close(self) -> None:
        """Let go of everything; may be used again."""


#: No file of SQLite grows beyond 256 TiB.
MOST_MB = 1 << 28


class AuditLog(Rooted):
    """Records one run at a time; its methods may be called from any thread.

    *durability* ``"process"`` keeps every row through the death of any process, ``"power"`` also
    through the loss of power, at the price of a disk flush for each row.

    A file of the log that has grown to *rotate_mb* MiB is sealed, and the log goes on in the next
    one; also in the middle of a run. None leaves it one file until somebody rotates it.

    Raises:
        KernelConfigError: for *rotate_mb* that is no whole number of MiB, from 1 to
            :data:`MOST_MB`, and for another *durability*.
    """

    _instead = "create a run there, or read this log there with AuditReader(path)"

    def __init__(
        self,
        path: Path | str,
        clock: Clock,
        *,
        durability: Durability = "process",
        rotate_mb: int | None = None,
        writer: RowWriter | None = None,
        anchor: Anchor | None = None,
    ) -> None:
        #: The database.
        self.path = Path(path)
        #: State of the log at the end of the last run, or None.
        self.checkpoint: Checkpoint | None = None
        #: How checkpoints are signed, and where else they go.
        self.anchor = anchor or Anchor()
        self._clock = clock
        if durability not in ("process", "power"):
            raise KernelConfigError(f"durability must be process or power, not {durability!r}")
        #: What *durability* was.
        self.durability: Durability = durability
        #: What *rotate_mb* was.
        self.rotate_mb = _checked(rotate_mb)
        most = None if rotate_mb is None else rotate_mb << 20
        self._writer = writer or Writer(
            self.path,
            clock,
            durability,
            drainer=Starter(self.path, most),
            rotate_bytes=most,
        )
        self._claim: Claim | None = None
        _forks.register(self)

    def abandon(self) -> None:
        """In a forked child: its parent's run is not its to write to."""
        self._claim = self.checkpoint = None

    def open(self) -> None:
        """Open or create the database; ``begin_run`` does it too.

        Raises:
            AuditError: when that cannot be done, naming the file and what to do.
        """
        self._writer.open()

    def begin_run(self, facts: BootFacts) -> None:
        """Write the header of a run.

        Of ``facts.header`` it takes ``kernel``, ``python``, ``platform``, ``level`` (str),
        ``stack`` (names), ``lock_digest``, ``settings_digest``, ``policy_digest`` (or None); every
        other key, and those of ``environment``, are recorded as the environment's fingerprint.

        Raises:
            AuditError: when it cannot be written, or another run of this log is not over.
        """
        if self._claim is not None:
            raise AuditError(f"a run in {shown(self.path)} is not over; end it before the next")
        self._writer.open()
        started_ns = self._clock.wall_ns()
        try:
            claim = Claim(self.path, facts.run_id, started_ns)
        except OSError as error:
            raise cannot("write", self.path, error) from error
        try:
            self._writer.begin(claim.name, run_facts(facts, started_ns))
        except BaseException:
            claim.release()
            raise
        self._claim = claim

    def plugin(self, facts: PluginFacts, disabled: str | None = None) -> None:
        """Write how a plugin takes part; *disabled* says why it does not run.

        The newest row of a plugin counts. Of one that runs, its settings follow as events, and
        of one that does not a failure.

        Raises AuditError.
        """
        self._begun()
        self._writer.append(PLUGINS, plugin_facts(facts, disabled, self._clock.wall_ns()))
        if disabled is not None:
            data = {"reason": disabled, "edition": facts.edition}
            self.event(Event(kind="plugin.disabled", plugin=facts.id, data=data))
            return
        for event in settings_events(facts):
            self.event(event)

    def intend(self, call: Call) -> Any:
        """Write that *call* is about to be made; returns what ``finish`` needs.

        Raises AuditError.
        """
        if self._claim is None:
            raise self._no_run()
        return self._writer.intend(intent_facts(call, self._clock.wall_ns()))

    def finish(self, intent: Any, call: Call, outcome: Outcome, duration_us: int) -> None:
        """Write how *call* ended; *intent* is None when its intent was lost. Raises AuditError.

        The call key is taken from ``outcome.annotations["seed"]`` (hex or bytes).
        """
        if self._claim is None:
            raise self._no_run()
        facts = call_facts(outcome, duration_us, call.stack_ns)
        if intent is None:
            before = intent_facts(call, self._clock.wall_ns())
            self._writer.append(CALLS, (*before, *facts))
        else:
            self._writer.finish(intent, facts)

    def usual(self, whom: Whom) -> UsualRows:
        """Return what writes the rows of usual calls, by the same way as those two."""
        return UsualRows(whom, self._clock, self._writer, self._begun)

    def break_off(self, call: Call, outcome: Outcome) -> None:
        """Write that *call* ended with *outcome*, if it is in flight. Raises AuditError.

        For an interrupt that strikes while a row is written: nobody knows then whether it was.
        """
        self._begun()
        found = self._writer.unfinished(lambda facts: facts[CALL_ID] == call.call_id)
        if found is not None:
            intent, before = found
            duration_us = max(0, self._clock.wall_ns() - began_ns(before)) // 1000
            self._writer.finish(intent, call_facts(outcome, duration_us, call.stack_ns))

    def event(self, event: Event) -> None:
        """Write something that happened beside the calls. Raises AuditError."""
        self._begun()
        self._writer.append(table_of(event.kind), event_facts(event, self._clock.wall_ns()))

    def end_run(self, status: Literal["completed", "failed"] = "completed") -> Checkpoint:
        """Write the end of the run and return the state of the log after it.

        Called again after the end, it returns the same checkpoint.

        Raises:
            AuditError: when it cannot be written; the run then counts as interrupted. Or when its
                rows cannot be brought to the database: they are safe, the next run tries again.
        """
        if self._claim is None:
            if self.checkpoint is None:
                raise self._no_run()
            return self.checkpoint
        try:
            self._writer.append(RUN_ENDS, (self._clock.wall_ns(), status))
        finally:
            self._leave()
        self.checkpoint = self._writer.settle()
        return self.checkpoint

    def _leave(self) -> None:
        """End the run, with or without a row that says so."""
        claim, self._claim = self._claim, None
        self._writer.end()
        if claim is not None:
            claim.release()

    def close(self) -> None:
        """Let go of the log. A run that has not been ended counts as interrupted."""
        if self._claim is not None:
            self._leave()
            with suppress(AuditError):  # the next one finds the rows where they are
                self._writer.settle()
        self._writer.close()

    def _begun(self) -> None:
        if self._claim is None:
            raise self._no_run()

    def _no_run(self) -> AuditError:
        return AuditError(f"no run has begun in {shown(self.path)}; begin one first")


def _checked(rotate_mb: int | None) -> int | None:
    given = None if rotate_mb is None else unfit(rotate_mb, 1, MOST_MB)
    if given is not None:
        raise KernelConfigError(
            f"rotate_mb must be a whole number of MiB, from 1 to {MOST_MB}, or None; not {given}"
        )
    return rotate_mb
