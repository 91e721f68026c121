"""The audit log as a kernel writes it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Protocol

import attrs

from nxkernel import _forks
from nxkernel._clock import Clock
from nxkernel._sqlite import Durability
from nxkernel.audit.checkpoint import Checkpoint
from nxkernel.audit.failure import cannot, shown
from nxkernel.audit.liveness import Claim
from nxkernel.audit.rows import (
    call_facts,
    event_facts,
    intent_facts,
    plugin_facts,
    run_facts,
)
from nxkernel.audit.schema import (
    CALLS,
    INTENTS,
    PLUGINS,
    RUN_ENDS,
    RUNS,
    Facts,
    Table,
    table_of,
)
from nxkernel.audit.settings import settings_events
from nxkernel.audit.writer import Writer
from nxkernel.dispatch.stack import BootFacts, Event, PluginFacts
from nxkernel.errors import AuditError
from nxkernel.types import Call, Outcome

__all__ = ["AuditLog", "Intent", "RowWriter"]


class RowWriter(Protocol):
    """Where rows go. A row that ``append`` returned for survives the death of any process."""

    def open(self) -> None:
        """Get ready to append; harmless when already open."""

    def append(self, table: Table, facts: Facts) -> int:
        """Append one row and return its number."""

    def checkpoint(self) -> Checkpoint:
        """Return the state of the log now."""

    def close(self) -> None:
        """Let go of everything; may be opened again."""


@attrs.frozen
class Intent:
    """What :meth:`AuditLog.finish` needs to know of :meth:`AuditLog.intend`."""

    seq: int
    facts: Facts


@attrs.frozen
class _Run:
    seq: int
    claim: Claim


class AuditLog:
    """Records one run at a time; its methods may be called from any thread.

    *durability* ``"process"`` keeps every row through the death of any process, ``"power"`` also
    through the loss of power, at the price of a disk flush for each row.
    """

    def __init__(
        self,
        path: Path | str,
        clock: Clock,
        *,
        durability: Durability = "process",
        writer: RowWriter | None = None,
    ) -> None:
        #: The database.
        self.path = Path(path)
        #: State of the log at the end of the last run, or None.
        self.checkpoint: Checkpoint | None = None
        self._clock = clock
        self._writer = writer or Writer(self.path, clock, durability)
        self._run: _Run | None = None
        _forks.register(self)

    def abandon(self) -> None:
        """In a forked child: its parent's run is not its to write to."""
        self._run = self.checkpoint = None

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
        if self._run is not None:
            raise AuditError(f"a run in {shown(self.path)} is not over; end it before the next")
        self._writer.open()
        started_ns = self._clock.wall_ns()
        try:
            claim = Claim(self.path, facts.run_id, started_ns)
        except OSError as error:
            raise cannot("write", self.path, error) from error
        try:
            self._run = _Run(self._writer.append(RUNS, run_facts(facts, started_ns)), claim)
        except BaseException:
            claim.release()
            raise

    def plugin(self, facts: PluginFacts, disabled: str | None = None) -> None:
        """Write how a plugin takes part; *disabled* says why it does not run.

        The newest row of a plugin counts. Of one that runs, its settings follow as events, and
        of one that does not a failure.

        Raises AuditError.
        """
        row = plugin_facts(self._seq, facts, disabled, self._clock.wall_ns())
        self._writer.append(PLUGINS, row)
        if disabled == "plugin.removed":
            return
        if disabled is not None:
            data = {"reason": disabled, "edition": facts.edition}
            self.event(Event(kind="plugin.disabled", plugin=facts.id, data=data))
            return
        for event in settings_events(facts):
            self.event(event)

    def intend(self, call: Call) -> Intent:
        """Write that *call* is about to be made. Raises AuditError."""
        facts = intent_facts(self._seq, call, self._clock.wall_ns())
        return Intent(self._writer.append(INTENTS, facts), facts)

    def finish(self, intent: Intent | None, call: Call, outcome: Outcome, duration_us: int) -> None:
        """Write how *call* ended; *intent* is None when its intent was lost. Raises AuditError.

        The call key is taken from ``outcome.annotations["seed"]`` (hex or bytes).
        """
        if intent is None:
            facts, seq = intent_facts(self._seq, call, self._clock.wall_ns()), None
        else:
            facts, seq = intent.facts, intent.seq
        self._writer.append(CALLS, call_facts(facts, outcome, duration_us, seq))

    def event(self, event: Event) -> None:
        """Write something that happened beside the calls. Raises AuditError."""
        self._writer.append(
            table_of(event.kind), event_facts(self._seq, event, self._clock.wall_ns())
        )

    def end_run(self, status: Literal["completed", "failed"] = "completed") -> Checkpoint:
        """Write the end of the run and return the state of the log after it.

        Called again after the end, it returns the same checkpoint.

        Raises:
            AuditError: when it cannot be written; the run then counts as interrupted.
        """
        run = self._run
        if run is None:
            if self.checkpoint is None:
                raise self._no_run()
            return self.checkpoint
        self._run = None
        try:
            before = self._writer.checkpoint()
            facts = (run.seq, self._clock.wall_ns(), status, before.text())
            self._writer.append(RUN_ENDS, facts)
            self.checkpoint = self._writer.checkpoint()
        finally:
            run.claim.release()
        return self.checkpoint

    def close(self) -> None:
        """Close the database. A run that has not been ended counts as interrupted."""
        if self._run is not None:
            self._run.claim.release()
            self._run = None
        self._writer.close()

    @property
    def _seq(self) -> int:
        if self._run is None:
            raise self._no_run()
        return self._run.seq

    def _no_run(self) -> AuditError:
        return AuditError(f"no run has begun in {shown(self.path)}; begin one first")
