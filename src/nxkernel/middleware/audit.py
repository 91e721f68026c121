"""The outermost middleware: an intent before each call, a row after it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Literal, Protocol

import attrs

from nxkernel import _forks, _locks
from nxkernel._clock import Clock
from nxkernel._pickling import Rooted
from nxkernel.dispatch.entrances import Passage
from nxkernel.dispatch.errand import Errand, Steps, Whom, own
from nxkernel.dispatch.stack import BootFacts, Event, Layer, PluginFacts
from nxkernel.errors import AuditError, KernelConfigError
from nxkernel.types import Call, Outcome, PluginId

__all__ = ["Audit", "AuditSink", "OnError"]

#: What happens when the audit cannot be written: refuse the call, or go on without a record, or
#: refuse this call and every later one.
OnError = Literal["fail", "warn", "halt"]

_log = logging.getLogger("nxkernel.audit")
_WITHHELD = "the call was made and its result is withheld"
#: Takes the place of an intent whose call has ended, until there is the next attempt's.
_SPENT = object()


class AuditSink(Protocol):
    """Where rows go. Every method raises AuditError when its row is not on record."""

    def begin_run(self, facts: BootFacts) -> None:
        """Write the header of the run."""

    def plugin(self, facts: PluginFacts, disabled: str | None = None) -> None:
        """Write how a plugin takes part, or why it does not."""

    def intend(self, call: Call) -> Any:
        """Write that the call is about to be made; returns what ``finish`` needs."""

    def finish(self, intent: Any, call: Call, outcome: Outcome, duration_us: int) -> None:
        """Write how the call ended; *intent* is None when its intent was lost."""

    def break_off(self, call: Call, outcome: Outcome) -> None:
        """Write how the call ended, if its intent is on record and its end is not."""

    def event(self, event: Event) -> None:
        """Write something that happened beside the calls."""

    def end_run(self) -> object:
        """Write the end of the run."""


@attrs.define(eq=False)
class _Attempt:
    """The attempt of a call that is under way."""

    call: Call
    intent: Any
    #: Seconds of the kernel's clock, before its intent says when it began: so the end that follows
    #: from the two is never before that of the call.
    began: float


class Audit(Rooted):
    """Puts every call on record before its worker sees it, and again when it has ended.

    *on_error* decides about a call that cannot be put on record:

    - ``"fail"``: it is not made, or its result is withheld: ``audit.failed``, fault ``host``;
    - ``"halt"``: the same, and no later call is made either;
    - ``"warn"``: it is made, a warning is logged, and once writing works again an event
      ``audit.gap`` says how many rows are missing.

    A run header that cannot be written always stops the boot.
    """

    _instead = "a middleware belongs to its kernel; make another one for the kernel there"

    name = "audit"
    _clock: Clock

    def __init__(self, log: AuditSink, on_error: OnError = "fail") -> None:
        if on_error not in ("fail", "warn", "halt"):
            raise KernelConfigError(f"Audit(on_error={on_error!r}): expected fail, warn or halt")
        self._sink = log
        self._on_error = on_error
        self._forget()
        _forks.register(self)

    def _forget(self) -> None:
        self._booted = False
        self._plugins: dict[PluginId, PluginFacts] = {}
        self._halted: AuditError | None = None
        self._lost = 0
        #: The calls under way that may be made again, by id.
        self._attempts: dict[str, _Attempt] = {}
        self._counting = _locks.lock()

    def abandon(self) -> None:
        """In a forked child: a run of its own begins with the next boot."""
        self._forget()

    def boot(self, facts: BootFacts) -> None:
        """Write the run header and a row for each plugin; the second time, what has changed.

        Raises:
            AuditError: when they cannot be written, whatever ``on_error`` says.
        """
        if not self._booted:
            self._sink.begin_run(facts)
            self._clock, self._halted, self._booted = facts.clock, None, True
        for plugin_id in sorted(facts.plugins):
            if self._plugins.get(plugin_id) != facts.plugins[plugin_id]:
                self._plugins[plugin_id] = facts.plugins[plugin_id]
                self._sink.plugin(facts.plugins[plugin_id])

    def plugin_switched(self, facts: PluginFacts) -> None:
        """Put on record what new calls of a plugin run on from now on.

        Raises:
            AuditError: when it cannot be written, unless ``on_error`` is ``"warn"``.
        """
        self._must(self._sink.plugin, facts)
        self._plugins[facts.id] = facts

    def plugin_removed(self, facts: PluginFacts) -> None:
        """Put on record that a plugin is not there any more; a former edition needs no row.

        Raises:
            AuditError: when it cannot be written, unless ``on_error`` is ``"warn"``.
        """
        if self._plugins.get(facts.id) == facts:
            del self._plugins[facts.id]
            self._must(self._sink.plugin, facts, "plugin.removed")

    def plugin_disabled(self, facts: PluginFacts, reason: str) -> None:
        """Put on record that a plugin does not run; *reason* is a stable error code.

        Raises:
            AuditError: when it cannot be written, unless ``on_error`` is ``"warn"``.
        """
        self._plugins.pop(facts.id, None)
        self._must(self._sink.plugin, facts, reason)

    def event(self, event: Event) -> None:
        """Put an event on record.

        Raises:
            AuditError: when it cannot be written, unless ``on_error`` is ``"warn"``.
        """
        self._must(self._sink.event, event)

    def around(self, call: Call) -> Layer:
        """Write the intent, make the call, write the row."""
        began = self._clock.monotonic()
        intent, lost = self._try(self._sink.intend, call)
        if lost is not None and self._on_error != "warn":
            return _refused(call, lost, "the call was not made")
        attempt = _Attempt(call, intent, began)
        if call.retries:
            self._attempts[call.call_id] = attempt
        try:
            outcome = yield call
        finally:
            if call.retries:
                del self._attempts[call.call_id]
        return outcome if attempt.intent is _SPENT else self._returned(attempt, outcome)

    def through(self, call: Call) -> Passage | Outcome | None:
        """Do what ``around`` does, for a call that is made once, while all could be written."""
        if call.retries or self._lost or self._halted is not None:
            return None
        began = self._clock.monotonic()
        try:
            intent = self._sink.intend(call)
        except AuditError as error:
            self._note(error)
            if self._on_error != "warn":
                return _refused(call, error, "the call was not made")
            intent = None
        return call, self._returned, _Attempt(call, intent, began)

    def usual(self, whom: Whom) -> Steps | None:
        """Return the same for usual calls; None for a sink that knows nothing of them."""
        rows_of = own(self._sink, "usual")
        if rows_of is None:
            return None
        rows, clock = rows_of(whom), self._clock

        def end(errand: Errand) -> Callable[[Call], Outcome] | None:
            duration_us = round((clock.monotonic() - errand.entered_s) * 1e6)
            try:
                rows.end(errand, duration_us)
            except AuditError as error:
                return self._withheld(error)
            return None

        def passage(errand: Errand, call: Call) -> Passage:
            attempt = _Attempt(call, errand.intent, errand.entered_s)
            if not call.retries:
                return call, self._returned, attempt
            self._attempts[call.call_id] = attempt
            return call, self._ended, attempt

        return Steps(
            admit=lambda _: not self._lost and self._halted is None,
            brief=True,
            begin=rows.begin,
            end=end,
            passage=passage,
        )

    def _withheld(self, error: AuditError) -> Callable[[Call], Outcome] | None:
        """What becomes of a usual call whose row could not be written."""
        self._note(error)
        return None if self._on_error == "warn" else lambda call: _refused(call, error, _WITHHELD)

    def _returned(self, attempt: _Attempt, outcome: Outcome) -> Outcome:
        lost = self._finish(attempt, outcome)
        if lost is not None and self._on_error != "warn":
            return _refused(attempt.call, lost, _WITHHELD)
        return outcome

    def _ended(self, attempt: _Attempt, outcome: Outcome) -> Outcome:
        """Do the end of ``around``."""
        self._attempts.pop(attempt.call.call_id, None)
        return outcome if attempt.intent is _SPENT else self._returned(attempt, outcome)

    def retrying(self, lost: Call, outcome: Outcome, again: Call) -> None:
        """Put on record that *lost* ended with *outcome*, and that *again* is about to be made.

        Each attempt has its own intent and row, though the stack sees one call.

        Raises:
            AuditError: when they cannot be written, unless ``on_error`` is ``"warn"``.
        """
        attempt = self._attempts.get(lost.call_id)
        if attempt is None:
            return
        if lost.seed is not None:
            outcome = attrs.evolve(outcome, annotations={"seed": lost.seed.hex()})
        # Spent before it is used: an interrupt may strike before there is another one.
        ended, attempt.intent = attrs.evolve(attempt), _SPENT
        problem = self._finish(ended, outcome)
        if problem is not None:
            attempt.intent = ended.intent
        if problem is None or self._on_error == "warn":
            attempt.call, attempt.began = again, self._clock.monotonic()
            attempt.intent, problem = self._try(self._sink.intend, again)
        if problem is not None and self._on_error != "warn":
            raise problem

    def broken_off(self, call: Call) -> None:
        """Put an end of *call* on record if it has none: an interrupt struck as it came or went."""
        if self._booted and self._halted is None:
            gone = Outcome.failed(call, "call.cancelled", "the caller went away", "caller")
            self._try(self._sink.break_off, call, gone)

    def _finish(self, attempt: _Attempt, outcome: Outcome) -> AuditError | None:
        duration_us = round((self._clock.monotonic() - attempt.began) * 1e6)
        if self._lost or self._halted is not None:
            arguments = (attempt.intent, attempt.call, outcome, duration_us)
            return self._try(self._sink.finish, *arguments)[1]
        try:
            self._sink.finish(attempt.intent, attempt.call, outcome, duration_us)
        except AuditError as error:
            self._note(error)
            return error
        return None

    def close(self) -> None:
        """Write the end of the run.

        Raises:
            AuditError: when it cannot be written, unless ``on_error`` is ``"warn"``.
        """
        if self._booted:
            self._booted = False
            self._plugins.clear()
            self._must(self._sink.end_run)

    def _must(self, write: Any, *arguments: object) -> None:
        _, lost = self._try(write, *arguments)
        if lost is not None and self._on_error != "warn":
            raise lost

    def _try(self, write: Any, *arguments: object) -> tuple[Any, AuditError | None]:
        """Call *write*; return what it returned, and why it failed or None."""
        if self._halted is not None:
            return None, self._halted
        try:
            if self._lost:
                self._report_gap()
            return write(*arguments), None
        except AuditError as error:
            self._note(error)
            return None, error

    def _note(self, error: AuditError) -> None:
        if self._on_error == "halt":
            self._halted = error
        elif self._on_error == "warn":
            self._count(1)
            _log.warning("not on record: %s", error)

    def _count(self, rows: int) -> None:
        with self._counting:
            self._lost += rows

    def _report_gap(self) -> None:
        rows = self._lost
        self._sink.event(Event(kind="audit.gap", data={"rows": rows}))
        self._count(-rows)


def _refused(call: Call, error: AuditError, consequence: str) -> Outcome:
    return Outcome.failed(call, error.code, f"{error.message}; {consequence}", "host")
