"""Rows of usual calls, made of what only one call has of its own.

They are the facts of :func:`~nxkernel.audit.rows.intent_facts` and
:func:`~nxkernel.audit.rows.call_facts`, of calls that the application makes and that have a value;
a property test holds the two to the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from nxkernel._clock import Clock
from nxkernel.audit.rows import key_text, stack_us
from nxkernel.audit.schema import Facts
from nxkernel.dispatch.errand import Errand, Whom

__all__ = ["UsualRows"]


class _Writer(Protocol):
    """As :class:`~nxkernel.audit.log.RowWriter`."""

    def intend(self, facts: Facts) -> Any: ...

    def finish(self, intent: Any, facts: Facts) -> None: ...


class UsualRows:
    """Writes the rows of the usual calls of one hookimpl."""

    def __init__(
        self, whom: Whom, clock: Clock, writer: _Writer, begun: Callable[[], None]
    ) -> None:
        """*begun* raises AuditError unless a run has begun."""
        self._whom = (whom.plugin, whom.edition, whom.impl, whom.hook)
        self._level = whom.level
        self._clock, self._writer, self._begun = clock, writer, begun

    def begin(self, errand: Errand) -> None:
        """Write that *errand* is about to be sent. Raises AuditError."""
        self._begun()
        plugin, edition, impl, hook = self._whom
        errand.intent = self._writer.intend(
            (
                errand.call_id,
                plugin,
                edition,
                impl,
                hook,
                "call",
                None,  # no parent,
                None,  # and no caller but the application
                0,
                None if errand.key is None else key_text(errand.key, errand.raw),
                1,
                0,
                self._level,
                self._clock.wall_ns(),
                errand.input_digest,
                len(errand.payload),
            )
        )

    def end(self, errand: Errand, duration_us: int) -> None:
        """Write that *errand* has its value. Raises AuditError."""
        self._begun()
        seed = errand.seed
        self._writer.finish(
            errand.intent,
            (
                errand.instance,
                duration_us,
                0,  # microseconds of waiting: its worker was idle,
                errand.transport_us,
                errand.plugin_us,
                stack_us(errand.spent_ns),
                *_usage(errand),
                errand.output_digest,
                len(errand.output),
                None if seed is None else seed.hex(),
                1,
                None,  # no error,
                None,  # whose fault it would be,
                None,  # where it would have begun,
                None,  # and nothing else to say of it
                None,
            ),
        )


def _usage(errand: Errand) -> Sequence[int | None]:
    used = errand.used
    if used is None:
        return None, None, None, None
    return used.cpu_us, used.peak_kb, used.rows_read, used.rows_written
