"""How often plugins have failed: a snapshot, taken once before a run, by which it may order them.

A plugin is known by its code: one that was mended, or reloaded with other code, starts clean. Only
calls whose failure was the plugin's own fault count. The snapshot is in the head of the run, so
that its order can be explained from the record, and nothing that happens in a run changes it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import attrs

from nxkernel import _forks
from nxkernel.run import Run
from nxkernel.types import PluginId

if TYPE_CHECKING:
    from nxkernel.audit.whole import AuditReader

__all__ = ["Record", "Standings"]

_DAY_S = 86_400.0


@attrs.frozen
class Record:
    """The calls of a plugin with one and the same code."""

    calls: int
    #: Those that failed by the plugin's own fault.
    failures: int

    @property
    def percent(self) -> int:
        """Failures of a hundred calls, rounded down: one of a thousand moves nobody."""
        return self.failures * 100 // self.calls if self.calls else 0


@attrs.define(eq=False)
class Standings:
    """The snapshot of one kernel; empty until it is taken, and where nobody asks for one."""

    #: The digest of the code that a plugin has now, or None for who has none.
    code_of: Callable[[PluginId], str | None]
    window_s: float | None = None
    until_ns: int = 0
    #: By plugin and code.
    records: Mapping[tuple[str, str], Record] = attrs.Factory(dict)

    def take(self, run: Run, window_s: float | None) -> None:
        """Take the snapshot of the *window_s* seconds before now; None takes none.

        Raises:
            AuditError: when what is on record cannot be read.
        """
        self.window_s = window_s
        if window_s is None:
            return
        self.until_ns = run.clock.wall_ns()
        if run.audit_log.path.exists():
            since_ns = self.until_ns - int(window_s * 1e9)
            with _forks.whole():
                from nxkernel.audit.whole import AuditReader
            with AuditReader(run.audit_log.path) as reader:
                self.records = _records(reader, since_ns)

    def of(self, plugin: PluginId) -> Record | None:
        """Return the record of *plugin* with its present code; None where there is none."""
        code = self.code_of(plugin)
        return None if code is None else self.records.get((plugin, code))

    def failing(self, plugin: PluginId) -> int:
        """Return the failures of a hundred calls of *plugin*: those with fewer go first."""
        record = self.of(plugin)
        return 0 if record is None else record.percent

    def words(self, plugin: PluginId) -> str:
        """Say what of its history counts, or nothing where none does."""
        if self.window_s is None:
            return ""
        record, window = self.of(plugin), _span(self.window_s)
        if record is None or not record.calls:
            return f"no call with this code in the last {window}"
        return (
            f"failed {record.failures} of {record.calls} calls ({record.percent} %) with this "
            f"code in the last {window}"
        )

    def told(self) -> dict[str, Any]:
        """Return the snapshot for the head of the run: empty where none was taken."""
        if self.window_s is None:
            return {}
        records = [
            [plugin, code, record.calls, record.failures]
            for (plugin, code), record in sorted(self.records.items())
        ]
        return {"window_s": self.window_s, "until_ns": self.until_ns, "records": records}


def _records(reader: AuditReader, since_ns: int) -> dict[tuple[str, str], Record]:
    codes: dict[tuple[str, str], dict[int, str]] = {}
    for row in reader.plugins():
        if row.disabled is None:
            codes.setdefault((row.run_id, row.plugin), {})[row.edition] = row.code_digest
    found: dict[tuple[str, str], Record] = {}
    for (run_id, plugin, edition), (calls, failures) in reader.tally(since_ns).items():
        code = codes.get((run_id, plugin), {}).get(edition)
        if code is not None:
            before = found.get((plugin, code), Record(0, 0))
            found[plugin, code] = Record(before.calls + calls, before.failures + failures)
    return found


def _span(seconds: float) -> str:
    if seconds >= _DAY_S:
        return f"{seconds / _DAY_S:g} days"
    return f"{seconds:g} s"
