"""By whose hand a worker ended: only what is known is said."""

from __future__ import annotations

import signal
from types import SimpleNamespace
from typing import Any

import pytest

from nxkernel.host.exits import exit_facts
from nxkernel.host.memory_kills import MemoryKills
from nxkernel.host.workers import Breach, Exit


def a_worker(ended: Exit | None, **changes: Any) -> Any:
    given = {"exit": ended, "breach": None, "ended_by_host": False, "cause": None, **changes}
    return SimpleNamespace(**given)


def kills(steps: int = 0) -> MemoryKills:
    counts = iter([0, *[steps] * 9])
    return MemoryKills(lambda: next(counts))


KILLED = Exit(status=None, signal=signal.SIGKILL)


@pytest.mark.parametrize(
    ("ended", "changes", "steps", "cause"),
    [
        (Exit(status=3, signal=None), {}, 1, None),
        (Exit(status=None, signal=signal.SIGSEGV), {}, 1, None),
        (Exit(status=None, signal=signal.SIGXCPU), {}, 0, "limit"),
        (Exit(status=None, signal=signal.SIGSYS), {}, 0, "forbidden_call"),
        (KILLED, {"ended_by_host": True}, 1, "host"),
        (KILLED, {"ended_by_host": True, "breach": Breach("memory_mb", 1, 2)}, 1, "limit"),
        (KILLED, {}, 1, "out_of_memory"),
        (KILLED, {}, 0, None),
    ],
)
def test_a_cause_is_named_where_it_is_known(
    ended: Exit, changes: dict[str, Any], steps: int, cause: str | None
) -> None:
    """A SIGKILL of unknown sender stays one."""
    facts = exit_facts(a_worker(ended, **changes), kills(steps))
    assert facts.get("cause") == cause
    assert (facts["exit_status"], facts["signal"]) == (ended.status, ended.signal)


def test_an_end_is_explained_once() -> None:
    """Whoever asks again hears the same, and takes no further step of the count."""
    worker, count = a_worker(KILLED), kills(2)
    assert exit_facts(worker, count) == exit_facts(worker, count)
    assert exit_facts(a_worker(KILLED), count)["cause"] == "out_of_memory"
    assert "cause" not in exit_facts(a_worker(KILLED), count)


def test_an_end_that_nobody_saw_has_no_facts() -> None:
    """Not even a cause."""
    assert exit_facts(a_worker(None), kills(1)) == {"exit_status": None, "signal": None}
