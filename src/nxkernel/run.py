"""One execution of an application: its id, its seed, its folder, its audit log."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs

from nxkernel._clock import Clock, SystemClock
from nxkernel._pickling import Rooted
from nxkernel.audit.anchor import Anchor
from nxkernel.audit.log import AuditLog, Durability
from nxkernel.dispatch.stack import Middleware
from nxkernel.errors import KernelConfigError, StorageError
from nxkernel.middleware.audit import Audit
from nxkernel.middleware.breaker import Breaker
from nxkernel.middleware.contracts import Contracts
from nxkernel.middleware.determinism import Determinism
from nxkernel.middleware.policy import PolicyGate, Rule
from nxkernel.types import RunId

__all__ = ["Run", "begun_as", "standard_stack"]

_MOST_RUNS = 10**6


@attrs.frozen(kw_only=True)
class Run(Rooted):
    """A run: made by :meth:`create`, recorded by the audit, seeded once.

    The data directory holds ``audit/`` (one database over all runs), ``cache/`` (verified copies
    of plugins) and ``runs/<id>/`` (what belongs to one run).
    """

    _instead = "create one there, with the same seed"

    id: RunId
    data_dir: Path
    #: ``<data_dir>/runs/<id>``.
    dir: Path
    #: Root of the seed tree.
    seed: int | str
    #: What ``nx.Audit`` takes.
    audit_log: AuditLog
    clock: Clock
    #: Wall nanoseconds since the epoch; what ``context.now()`` tells every plugin.
    started_ns: int
    #: The run of the process that this one was forked from, or None.
    forked_from: RunId | None = None
    #: The process that it belongs to.
    _pid: int = attrs.field(factory=os.getpid, eq=False, repr=False, alias="pid")

    @classmethod
    def create(
        cls,
        data_dir: Path | str,
        *,
        seed: int | str = 0,
        clock: Clock | None = None,
        anchor: Anchor | None = None,
        audit_rotate_mb: int | None = None,
        audit_durability: Durability = "process",
    ) -> Run:
        """Lay out *data_dir* and a new run in it.

        Run ids count upwards from ``r000001`` in each data directory. *anchor* says how the
        checkpoints of the audit are signed, and where a copy of them goes. A file of the audit that
        has grown to *audit_rotate_mb* MiB is sealed and the audit goes on in the next one, also in
        the middle of a run; without it, that is left to ``nxkernel audit rotate``. Rows of the
        audit survive the death of any process; with *audit_durability* ``"power"`` also the loss of
        power, at the price of two disk flushes for each call.

        Raises:
            KernelConfigError: for a seed that is neither an int nor a string, and for
                *audit_rotate_mb* that is no whole number from 1 to 2**28, or another
                *audit_durability*.
            StorageError: when the folders cannot be made.
        """
        if isinstance(seed, bool) or not isinstance(seed, int | str):
            raise KernelConfigError(f"seed must be an int or a str, not {type(seed).__name__}")
        root = Path(data_dir).absolute()
        clock = clock or SystemClock()
        log = AuditLog(
            root / "audit" / "audit.db",
            clock,
            anchor=anchor,
            rotate_mb=audit_rotate_mb,
            durability=audit_durability,
        )
        try:
            (root / "audit").mkdir(parents=True, exist_ok=True, mode=0o700)
            folder = _claim(root / "runs")
        except OSError as error:
            raise _cannot_lay_out(root, error) from None
        return cls(
            id=RunId(folder.name),
            data_dir=root,
            dir=folder,
            seed=seed,
            audit_log=log,
            clock=clock,
            started_ns=clock.wall_ns(),
        )

    def here(self) -> Run:
        """Return the run of this process: itself, or after a fork one of the process's own.

        That one has a new id and folder under the same data directory. Seed and ``started_ns``
        stay, so that parent and child get the same bytes for the same call.

        Raises:
            StorageError: when its folder cannot be made.
        """
        if self._pid == os.getpid():
            return self
        try:
            folder = _claim(self.data_dir / "runs")
        except OSError as error:
            raise _cannot_lay_out(self.data_dir, error) from None
        return attrs.evolve(
            self, id=RunId(folder.name), dir=folder, forked_from=self.id, pid=os.getpid()
        )


def begun_as(run: Run, folder: Path, *, seed: int | str, started_ns: int) -> Run:
    """Return a run in *run*'s data directory that begins as a recorded one did.

    It keeps its files in *folder*, which is nobody else's, and shares the caches. What its plugins
    are told of seed and time is what they were told then.
    """
    return attrs.evolve(
        run,
        dir=folder,
        seed=seed,
        started_ns=started_ns,
        audit_log=AuditLog(
            run.audit_log.path,
            run.clock,
            rotate_mb=run.audit_log.rotate_mb,
            durability=run.audit_log.durability,
        ),
    )


def _cannot_lay_out(root: Path, error: OSError) -> StorageError:
    return StorageError(
        f"data directory {root} cannot be laid out: {error.strerror}; "
        "choose a folder that this user may write"
    )


def _claim(runs: Path) -> Path:
    """Make the next folder; mkdir decides between two that count at once."""
    runs.mkdir(exist_ok=True, mode=0o700)
    taken = [int(p.name[1:]) for p in runs.iterdir() if p.name[1:].isdecimal()]
    for number in range(max(taken, default=0) + 1, _MOST_RUNS):
        folder = runs / f"r{number:06d}"
        try:
            folder.mkdir(mode=0o700)
        except FileExistsError:
            continue
        return folder
    raise OSError(28, f"more than {_MOST_RUNS} runs")


def standard_stack(
    run: Run, *, rules: Sequence[Rule] = (), contracts: Any = None
) -> list[Middleware]:
    """Return the standard stack, outermost first.

    *rules* are the application's policy rules, *contracts* its own schemas by hook or the folder
    that holds them; see :class:`PolicyGate` and :class:`Contracts`.
    """
    return [
        Audit(run.audit_log),
        PolicyGate(rules),
        Breaker(),
        Contracts(contracts),
        Determinism(),
    ]
