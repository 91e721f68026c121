"""Which calls a reader wants, as one value: as a condition in SQL, and of a record."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import attrs

from nxkernel.audit.records import CallRecord

__all__ = ["EVERYTHING", "CallFilter"]

#: Field -> its condition. Those of a field that says nothing are left out, so that SQLite
#: evaluates what was asked and nothing else.
_CONDITIONS: Final[Mapping[str, str]] = {
    "run_id": "run_id = :run_id",
    "plugin": "plugin = :plugin",
    "hook": "hook = :hook",
    "code": "error_code = :code",
    "fault": "fault = :fault",
    "caller": "caller = :caller",
    "top": "depth = 0",
    "since_ns": "started_ns >= :since_ns",
    "until_ns": "started_ns < :until_ns",
    "failures": "ok IS NOT 1",
    "min_us": "duration_us >= :min_us",
}


_BEYOND: Final = 2**63


@attrs.frozen(kw_only=True)
class CallFilter:
    """The calls for which everything holds that it says; a field that is None says nothing."""

    run_id: str | None = None
    plugin: str | None = None
    hook: str | None = None
    #: A stable error code: ``plugin.timeout``.
    code: str | None = None
    #: ``caller``, ``plugin`` or ``host``.
    fault: str | None = None
    #: The plugin that asked.
    caller: str | None = None
    #: Calls of the application only.
    top: bool = False
    #: Began then or later, and before; nanoseconds since the Unix epoch.
    since_ns: int | None = None
    until_ns: int | None = None
    #: Calls that failed or were interrupted only.
    failures: bool = False
    #: Took as long as that or longer, in microseconds; one without an end did not.
    min_us: int | None = None

    def said(self) -> dict[str, Any]:
        """Return the fields that say something."""
        found = attrs.asdict(self)
        return {name: v for name, v in found.items() if v is not None and v is not False}

    def where(self) -> tuple[str, dict[str, Any]]:
        """Return a condition on columns named as in :class:`CallRecord`, and what it binds.

        With ``failures`` it lets calls in flight through: SQL cannot see which they are.
        """
        said = {name: _bounded(value) for name, value in self.said().items()}
        parts = [_CONDITIONS[name] for name in said]
        return " AND ".join(parts) or "1", said

    def takes(self, record: CallRecord) -> bool:
        """Whether everything holds for *record*."""
        return (
            (self.run_id is None or record.run_id == self.run_id)
            and (self.plugin is None or record.plugin == self.plugin)
            and (self.hook is None or record.hook == self.hook)
            and (self.code is None or record.error_code == self.code)
            and (self.fault is None or record.fault == self.fault)
            and (self.caller is None or record.caller == self.caller)
            and (not self.top or record.depth == 0)
            and (self.since_ns is None or record.started_ns >= self.since_ns)
            and (self.until_ns is None or record.started_ns < self.until_ns)
            and (not self.failures or record.status in ("error", "interrupted"))
            and (self.min_us is None or (record.duration_us or -1) >= self.min_us)
        )


def _bounded(value: Any) -> Any:
    """Return a number that SQLite takes and that means the same: no row has one beyond."""
    return max(-_BEYOND, min(value, _BEYOND - 1)) if type(value) is int else value


#: Every call.
EVERYTHING: Final = CallFilter()
