"""Rows of one run on their way: to a spool at once, from there to the database."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Protocol

from nxkernel import _forks
from nxkernel._canonical import encode
from nxkernel._clock import Clock
from nxkernel._sqlite import Durability
from nxkernel.audit.checkpoint import Checkpoint
from nxkernel.audit.failure import cannot
from nxkernel.audit.ledger import FAILURES, SqliteLedger, opened
from nxkernel.audit.liveness import claimed
from nxkernel.audit.request import is_asked
from nxkernel.audit.rotation import is_due, rotate
from nxkernel.audit.schema import CALLS, RUNS, Facts, Table
from nxkernel.audit.spool.drainer import Drainer
from nxkernel.audit.spool.entries import Fact, entry
from nxkernel.audit.spool.folder import folder_of
from nxkernel.audit.spool.spool import ROLL_BYTES, Open, Spool
from nxkernel.audit.watch import Watch
from nxkernel.errors import AuditError

__all__ = ["Draining", "Writer"]

#: Seconds that a fork waits for the database: as long as a transaction may take.
_REST_S = 12.0
_CALLS = encode(CALLS.name)


class Draining(Protocol):
    """Somebody who drains what is complete, beside everything else."""

    def start(self) -> None:
        """Have it drained. Never waits."""

    def stop(self) -> None:
        """Have nothing drained any more."""


class Writer:
    """Appends the rows of one run at a time, from any thread and beside other processes.

    A row that a method returned for is in the spool. It comes to the database when the run ends, or
    before that by a *drainer*.

    Facts come without ``run``, their first column: that number is the database's to give.
    """

    def __init__(
        self,
        path: Path,
        clock: Clock,
        durability: Durability = "process",
        *,
        drainer: Draining | None = None,
        roll_bytes: int = ROLL_BYTES,
        rotate_bytes: int | None = None,
    ) -> None:
        self.path = path
        self._folder = folder_of(path)
        self._clock = clock
        self._durability: Durability = durability
        self._drainer = drainer
        self._roll_bytes = roll_bytes
        self._rotate_bytes = rotate_bytes
        self._spool: Spool | None = None
        #: Held while this process uses the database, and while it is forked.
        self._mutex = threading.Lock()
        #: Open from a run's beginning to its close, for the sake of those who read beside us: a
        #: database that nobody has open has no files that its readers could share.
        self._kept: ExitStack | None = None
        self._ledger: SqliteLedger | None = None
        #: Whether it is to be open, but for who seals it.
        self._keeps = False
        self._watch = Watch(self._look)
        self._resting = self._was_kept = False
        _forks.register(self)
        _forks.rest(self)

    @contextmanager
    def _database(self) -> Iterator[SqliteLedger]:
        with self._mutex:
            if self._ledger is not None and not self._ledger.is_current():
                self._let_go()  # somebody took the file away: what is open belongs to nobody
            if self._ledger is not None:
                yield self._ledger
                return
            with opened(self.path, self._clock) as ledger:
                yield ledger

    def _keep(self) -> None:
        kept = ExitStack()
        self._ledger = kept.enter_context(opened(self.path, self._clock))
        self._kept = kept

    def _let_go(self) -> None:
        kept, self._kept, self._ledger = self._kept, None, None
        if kept is not None:
            kept.close()

    def _look(self) -> None:
        """Let go of the database while somebody seals it; see whether the spool is there."""
        spool = self._spool
        if spool is not None:
            with suppress(OSError):
                spool.look()
        asked = is_asked(self.path)
        with self._mutex:
            if asked:
                self._let_go()
            elif self._keeps and self._ledger is None:
                with suppress(AuditError):  # whoever needs it says what is wrong
                    self._keep()

    def open(self) -> None:
        """Make sure that there is a log and that it can be used.

        Raises:
            AuditError: when that cannot be done, naming the file and what to do.
        """
        with self._database():
            pass

    def begin(self, claim: str, facts: Facts) -> None:
        """Begin the spool of a run that is claimed as *claim*, with the run's own row.

        Raises:
            AuditError: when the row is not on record, naming the file and what to do.
        """
        with self._mutex:
            if self._ledger is None:
                self._keep()
            self._keeps = True
        self._watch.start()
        with self._database() as ledger:
            try:
                first = entry(RUNS.name, _plain(facts))
                self._folder.mkdir(mode=0o700, exist_ok=True)
                with ledger.lock:
                    self._spool = self._begun(ledger, claim, first)
            except FAILURES as error:
                raise cannot("write", self.path, error) from error

    def _begun(self, ledger: SqliteLedger, claim: str, first: bytes) -> Spool:
        return Spool(
            self._folder,
            ledger.next_spool(claim),
            first,
            durability=self._durability,
            roll_bytes=self._roll_bytes,
            rolled=self._drainer.start if self._drainer else lambda: None,
        )

    def append(self, table: Table, facts: Facts) -> None:
        """Append a row.

        Raises:
            AuditError: when it is not on record, naming the file and what to do.
        """
        try:
            self._living().append(entry(table.name, _plain(facts)))
        except FAILURES as error:
            raise cannot("write", self.path, error) from error

    def intend(self, facts: Facts) -> Open:
        """Say that a call is about to be made; raises as :meth:`append`."""
        try:
            return (self._spool or self._living()).begin(facts)  # type: ignore[arg-type]
        except FAILURES as error:
            raise cannot("write", self.path, error) from error

    def finish(self, intent: Open, facts: Facts) -> None:
        """Append the row of a call, whose *facts* follow those of its intent; raises likewise."""
        try:
            (self._spool or self._living()).finish(_CALLS, intent, facts)  # type: ignore[arg-type]
        except FAILURES as error:
            raise cannot("write", self.path, error) from error

    def unfinished(self, is_it: Callable[[Facts], bool]) -> tuple[Open, Facts] | None:
        """Return a call in flight whose facts *is_it* knows, and them; raises as :meth:`append`."""
        try:
            return self._living().unfinished(is_it)
        except FAILURES as error:
            raise cannot("write", self.path, error) from error

    def _living(self) -> Spool:
        spool = self._spool
        if spool is None:
            raise ValueError("no run has begun")
        return spool

    def end(self) -> None:
        """Append no more rows: what is still in flight from now on was interrupted."""
        spool, self._spool = self._spool, None
        if spool is not None:
            spool.close()

    def settle(self) -> Checkpoint:
        """Bring all of ended runs to the database; return the state of the log after that.

        Raises:
            AuditError: when that cannot be done; the rows are safe, and the next one tries again.
        """
        with self._database() as ledger:
            try:
                Drainer(
                    self._folder,
                    ledger,
                    lambda claim: claimed(self.path, claim),
                    dead_only=True,
                ).drain()
                checkpoint = ledger.checkpoint()
            except FAILURES as error:
                raise cannot("write", self.path, error) from error
        self._rotate_if_due()
        return checkpoint

    def _rotate_if_due(self) -> None:
        """Seal a file that is large enough, unless somebody has it open: then the next one does."""
        most = self._rotate_bytes
        if most is None or not is_due(self.path, most_bytes=most):
            return
        with self._mutex:
            self._keeps = False
            self._let_go()
        with suppress(AuditError):
            rotate(self.path, self._clock, waits=False)

    def close(self) -> None:
        """End what has not been ended, and the drainer."""
        self.end()
        if self._drainer is not None:
            self._drainer.stop()
        self._watch.stop()
        with self._mutex:
            self._keeps = False
            self._let_go()

    # -- forks of the process ----------------------------------------------------------------

    def before_fork(self) -> None:
        """Wait until nobody uses the database, and close it.

        A thread that forks in the middle of its own work with it waits in vain; its child then
        finds the database open, and is refused it.
        """
        self._resting = self._mutex.acquire(timeout=_REST_S)
        if self._resting:
            self._was_kept = self._kept is not None
            self._let_go()

    def after_fork(self) -> None:
        """Go on; in the parent with the database that was open."""
        if self._resting:
            self._resting = False
            if self._was_kept:
                with suppress(AuditError):  # rows do not need it; whoever does says what is wrong
                    self._keep()
            self._mutex.release()

    def abandon(self) -> None:
        """In the child: no run has begun here. Its parent's spool lets go by itself."""
        self._mutex = threading.Lock()
        self._resting = self._was_kept = self._keeps = False
        self._watch.abandon()
        # Kept for ever, should it be open all the same: it must not even be closed here.
        self._inherited = self._kept
        self._spool = self._kept = self._ledger = None


def _plain(facts: Facts) -> tuple[Fact, ...]:
    """Only the database itself writes bytes, and in no row that comes this way.

    The two on the path of every call say so by a comment.
    """
    return facts  # type: ignore[return-value]
