"""Audit: an intent before each call, a row after it, and no call without a record."""

from __future__ import annotations

import logging
from typing import Any

import attrs
import pytest

from nxkernel.dispatch.stack import BootFacts, Event, PluginFacts, open_stack
from nxkernel.errors import AuditError, KernelConfigError
from nxkernel.middleware.audit import Audit, OnError
from nxkernel.types import Call, Digest, Outcome, PluginId, RunId
from tests.support.calls import a_call, answered, failed
from tests.unit.audit.logs import Ticks


class Tape:
    """A sink that remembers, and that fails while ``broken`` is set."""

    def __init__(self) -> None:
        self.rows: list[tuple[Any, ...]] = []
        self.broken: set[str] = set()
        #: After which rows an interrupt strikes.
        self.struck: set[str] = set()

    def _write(self, kind: str, *facts: Any) -> None:
        if kind in self.broken:
            raise AuditError("cannot write audit/audit.db: disk full; free some disk space")
        self.rows.append((kind, *facts))
        if kind in self.struck:
            raise KeyboardInterrupt

    def begin_run(self, facts: BootFacts) -> None:
        self._write("run", facts.run_id)

    def plugin(self, facts: PluginFacts, disabled: str | None = None) -> None:
        self._write("plugin", facts.id, facts.level, disabled)

    def intend(self, call: Call) -> str:
        self._write("intent", call.call_id)
        return f"intent of {call.call_id}"

    def finish(self, intent: Any, call: Call, outcome: Outcome, duration_us: int) -> None:
        code = outcome.error.code if outcome.error else "ok"
        self._write("call", call.call_id, intent, code, duration_us)

    def break_off(self, call: Call, outcome: Outcome) -> None:
        self._write("break off", call.call_id)

    def event(self, event: Event) -> None:
        self._write("event", event.kind, dict(event.data))

    def end_run(self) -> None:
        self._write("end")


class Deny:
    """A layer further in that refuses every call."""

    name = "deny"

    def boot(self, facts: BootFacts) -> None:
        """Nothing to do."""

    def around(self, call: Call) -> Any:
        return Outcome.failed(call, "policy.denied", "no", "plugin")
        yield call

    def close(self) -> None:
        """Nothing to do."""


CALL = Call(
    run_id=RunId("run-1"),
    call_id="7",
    plugin=PluginId("a"),
    impl="f",
    hook="f",
    arguments={},
    payload=b"\x80",
    input_digest=Digest("sha256:" + "0" * 64),
    deadline=1.0,
    key=(),
)  # type: ignore[arg-type]
OK = Outcome(plugin=CALL.plugin, impl="f", hook=CALL.hook, call_id=CALL.call_id, value=1)


def facts(*plugins: str, level: str = "confined") -> BootFacts:
    known = [
        PluginFacts(id=PluginId(name), version="1", code_digest="", level=level) for name in plugins
    ]
    return BootFacts(
        run_id=RunId("run-1"),
        seed=1,
        clock=Ticks(),
        specs={},
        plugins={plugin.id: plugin for plugin in known},
        header={},
        emit=lambda event: None,
    )


def booted(on_error: OnError = "fail") -> tuple[Audit, Tape]:
    """Return an Audit that has been booted, and its tape from then on."""
    tape = Tape()
    audit = Audit(tape, on_error)
    audit.boot(facts())
    tape.rows.clear()
    return audit, tape


def make(audit: Audit, outcome: Outcome = OK) -> tuple[bool, Outcome]:
    """Make a call through *audit*; return whether it went on, and what came back."""
    stack = open_stack([audit], CALL)
    if stack.early is not None:
        return False, stack.early
    return True, stack.close(outcome)


def test_a_call_is_between_its_intent_and_its_row() -> None:
    """The intent is written before the call goes on, the row when its outcome is there."""
    audit, tape = booted()
    stack = open_stack([audit], CALL)
    assert tape.rows == [("intent", "7")]
    assert stack.call is CALL
    assert stack.close(OK) is OK
    assert tape.rows[1:] == [("call", "7", "intent of 7", "ok", 1000)]


def test_a_failure_is_recorded_like_a_value() -> None:
    """What the plugin did wrong reaches the record and the caller unchanged."""
    audit, tape = booted()
    wrong = Outcome.failed(CALL, "plugin.raised", "KeyError", "plugin")
    assert make(audit, wrong) == (True, wrong)
    assert tape.rows[-1][3] == "plugin.raised"


def test_a_call_that_was_denied_further_in_is_recorded() -> None:
    """Audit stands outermost: a refusal by another layer is on record too."""
    audit, tape = booted()
    stack = open_stack([audit, Deny()], CALL)
    assert stack.early is not None
    assert [row[0] for row in tape.rows] == ["intent", "call"]
    assert tape.rows[-1][3] == "policy.denied"


def test_boot_writes_the_header_and_each_plugin() -> None:
    """Plugins come in the order of their ids, after the run that they belong to."""
    tape = Tape()
    Audit(tape).boot(facts("b", "a"))
    assert tape.rows == [
        ("run", "run-1"),
        ("plugin", "a", "confined", None),
        ("plugin", "b", "confined", None),
    ]


def test_a_second_boot_writes_what_has_changed() -> None:
    """When a plugin was disabled and boot begins anew, nothing is written twice."""
    tape = Tape()
    audit = Audit(tape)
    first = facts("a", "b")
    audit.boot(first)
    tape.rows.clear()
    audit.plugin_disabled(first.plugins[PluginId("b")], "settings.invalid")
    audit.boot(facts("a"))
    audit.boot(facts("a", level="process"))
    assert tape.rows == [
        ("plugin", "b", "confined", "settings.invalid"),
        ("plugin", "a", "process", None),
    ]


@pytest.mark.parametrize("on_error", ["fail", "warn", "halt"])
@pytest.mark.parametrize("part", ["run", "plugin"])
def test_a_boot_that_cannot_be_recorded_stops(on_error: OnError, part: str) -> None:
    """No setting lets a kernel run without a header."""
    tape = Tape()
    tape.broken = {part}
    with pytest.raises(AuditError):
        Audit(tape, on_error).boot(facts("a"))


@pytest.mark.parametrize("on_error", ["fail", "halt"])
def test_a_call_whose_intent_cannot_be_written_is_not_made(on_error: OnError) -> None:
    """It has an outcome that blames the host and says what to do."""
    audit, tape = booted(on_error)
    tape.broken = {"intent"}
    went_on, outcome = make(audit)
    assert not went_on
    assert outcome.error is not None
    assert (outcome.error.code, outcome.fault) == ("audit.failed", "host")
    assert outcome.error.message == (
        "cannot write audit/audit.db: disk full; free some disk space; the call was not made"
    )


@pytest.mark.parametrize("on_error", ["fail", "halt"])
def test_a_result_that_cannot_be_recorded_is_withheld(on_error: OnError) -> None:
    """A result without a row would be a result that nobody can account for."""
    audit, tape = booted(on_error)
    tape.broken = {"call"}
    went_on, outcome = make(audit)
    assert went_on
    assert outcome.error is not None
    assert outcome.error.code == "audit.failed"
    assert "its result is withheld" in outcome.error.message
    assert outcome.value is None


def test_fail_goes_on_when_writing_works_again() -> None:
    """Each call is judged by itself."""
    audit, tape = booted("fail")
    tape.broken = {"intent"}
    make(audit)
    tape.broken = set()
    assert make(audit) == (True, OK)


@pytest.mark.parametrize("part", ["intent", "call", "event"])
def test_halt_makes_no_further_call(part: str) -> None:
    """After the first row that was lost, the kernel does nothing unrecorded and nothing more."""
    audit, tape = booted("halt")
    tape.broken = {part}
    if part == "event":
        with pytest.raises(AuditError):
            audit.event(Event(kind="x"))
    else:
        make(audit)
    tape.broken = set()
    tape.rows.clear()
    went_on, outcome = make(audit)
    assert not went_on
    assert outcome.error is not None
    assert outcome.error.code == "audit.failed"
    assert tape.rows == []


def test_warn_makes_the_call_and_says_so_later(caplog: pytest.LogCaptureFixture) -> None:
    """The call is made, a warning is logged, and the gap is on record once that is possible."""
    audit, tape = booted("warn")
    tape.broken = {"intent", "call", "event"}
    with caplog.at_level(logging.WARNING, logger="nxkernel.audit"):
        assert make(audit) == (True, OK)
        audit.event(Event(kind="x"))
    assert len(caplog.messages) == 3
    assert "not on record: [audit.failed] cannot write" in caplog.messages[0]
    tape.broken = set()
    assert make(audit) == (True, OK)
    assert tape.rows == [
        ("event", "audit.gap", {"rows": 3}),
        ("intent", "7"),
        ("call", "7", "intent of 7", "ok", 1000),
    ]


def test_warn_counts_what_is_lost_while_the_gap_cannot_be_written() -> None:
    """A gap that could not be reported grows, and is reported once."""
    audit, tape = booted("warn")
    tape.broken = {"intent"}
    make(audit)
    assert tape.rows == [("event", "audit.gap", {"rows": 1}), ("call", "7", None, "ok", 1000)]
    tape.broken = {"event"}
    make(audit)
    tape.rows.clear()
    tape.broken = set()
    audit.event(Event(kind="x"))
    assert tape.rows == [("event", "x", {})]


def test_events_are_recorded_or_refused() -> None:
    """Whoever reports an event learns that it is not on record."""
    audit, tape = booted("fail")
    audit.event(Event(kind="breaker.open", data={"failures": 5}))
    assert tape.rows == [("event", "breaker.open", {"failures": 5})]
    tape.broken = {"event"}
    with pytest.raises(AuditError):
        audit.event(Event(kind="x"))


def test_close_ends_the_run_once() -> None:
    """Closing a kernel twice, or one that never booted, writes nothing more."""
    audit, tape = booted()
    audit.close()
    audit.close()
    assert tape.rows == [("end",)]
    fresh = Tape()
    Audit(fresh).close()
    assert fresh.rows == []


def test_an_end_that_cannot_be_written_is_an_error() -> None:
    """A run without an end on record does not end in silence."""
    audit, tape = booted()
    tape.broken = {"end"}
    with pytest.raises(AuditError):
        audit.close()


def test_a_kernel_can_be_entered_again() -> None:
    """After the end of a run the next one has a header and all its plugins."""
    tape = Tape()
    audit = Audit(tape, "halt")
    for _ in range(2):
        audit.boot(facts("a"))
        tape.broken = {"end"}
        with pytest.raises(AuditError):
            audit.close()
        tape.broken = set()
    assert [row[0] for row in tape.rows] == ["run", "plugin"] * 2


def test_other_words_for_on_error_are_refused() -> None:
    """A misspelt mode is no mode."""
    with pytest.raises(KernelConfigError, match="expected fail, warn or halt"):
        Audit(Tape(), "ignore")  # type: ignore[arg-type]


def test_the_envelope_is_left_alone() -> None:
    """Audit changes nothing about a call."""
    audit, _ = booted()
    call = attrs.evolve(CALL, deadline=3.0, annotations={"x": 1})
    assert open_stack([audit], call).call == call


# -- calls that are made again ---------------------------------------------------------------------


def repeated(
    on_error: OnError = "fail", broken: set[str] | None = None
) -> tuple[Tape, AuditError | None]:
    """Lose a call once, then answer it; *broken* is what cannot be written in between."""
    audit, tape = booted(on_error)
    first = a_call({}, retries=1, seed=b"s")
    opened = open_stack([audit], first)
    again, problem = attrs.evolve(first, attempt=2, retries=0), None
    tape.broken = broken or set()
    try:
        audit.retrying(first, failed(first, code="plugin.crashed"), again)
    except AuditError as error:
        problem = error
    tape.broken = set()
    opened.close(answered(again, attempts=2))
    return tape, problem


def test_each_attempt_has_an_intent_and_a_row() -> None:
    """In the order in which they were made."""
    tape, problem = repeated()
    assert problem is None
    assert [row[:2] for row in tape.rows] == [
        *[("intent", "7"), ("call", "7")] * 2,
    ]
    assert [row[3] for row in tape.rows if row[0] == "call"] == ["plugin.crashed", "ok"]


@pytest.mark.parametrize("part", ["intent", "call"])
def test_an_attempt_that_cannot_be_recorded_is_not_made(part: str) -> None:
    """The one who would make it hears so; no attempt has two rows."""
    tape, problem = repeated(broken={part})
    assert problem is not None
    assert [row[0] for row in tape.rows] == ["intent", "call", *(["call"] * (part == "intent"))]


@pytest.mark.parametrize("part", ["intent", "call"])
def test_an_interrupt_between_two_attempts_ends_neither_twice(part: str) -> None:
    """The intent of the first one is spent: what is in flight by then is looked for."""
    audit, tape = booted()
    first = a_call({}, retries=1, seed=b"s")
    opened = open_stack([audit], first)
    tape.struck = {part}
    with pytest.raises(KeyboardInterrupt):
        audit.retrying(first, failed(first, code="plugin.crashed"), first)
    tape.struck = set()
    opened.close(failed(first, code="call.cancelled"))
    audit.broken_off(first)
    assert [row[0] for row in tape.rows] == [
        "intent",
        "call",
        *(["intent"] * (part == "intent")),
        "break off",
    ]


def test_nothing_is_broken_off_in_a_log_that_takes_nothing() -> None:
    """Neither before the run, nor when the audit has halted."""
    tape = Tape()
    audit = Audit(tape, "halt")
    audit.broken_off(CALL)
    audit.boot(facts())
    tape.broken = {"intent"}
    make(audit)
    tape.rows.clear()
    audit.broken_off(CALL)
    assert tape.rows == []


def test_where_records_may_be_missing_it_is_made_all_the_same() -> None:
    """As for any other call."""
    tape, problem = repeated("warn", {"intent", "call"})
    assert problem is None
    assert tape.rows[-1][:2] == ("call", "7")


def test_a_call_of_another_stack_is_none_of_its_business() -> None:
    """It may stand in one kernel's stack only, but nothing makes it fail."""
    audit, tape = booted("fail")
    audit.retrying(a_call({}), failed(a_call({})), a_call({}))
    assert tape.rows == []


def test_a_switch_and_a_removal_are_rows() -> None:
    """The newest row of a plugin says what it is now; the end of a former edition is no row."""
    audit, tape = booted()
    first, second = (attrs.evolve(facts("a").plugins["a"], edition=n) for n in (1, 2))  # type: ignore[index]
    audit.plugin_switched(second)
    audit.plugin_removed(first)
    audit.plugin_removed(second)
    assert [row for row in tape.rows if row[0] == "plugin"][-2:] == [
        ("plugin", "a", "confined", None),
        ("plugin", "a", "confined", "plugin.removed"),
    ]
