"""Calls as they come."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from nxkernel.audit.draining import drain
from nxkernel.audit.filters import EVERYTHING, CallFilter
from nxkernel.audit.following import follow
from nxkernel.audit.log import AuditLog
from nxkernel.audit.reader import AuditReader
from tests.unit.audit.logs import Ticks, make_call, ok, opened


class _Enough(Exception):
    pass


def _make(log: AuditLog, call_id: str) -> None:
    """Make a call; those with an even number are to another plugin."""
    call = make_call(call_id, plugin="ocr.rapid" if int(call_id) % 2 else "store")
    log.finish(log.intend(call), call, ok(call), 5)


def _pausing(log: AuditLog, *rounds: str, drains: bool = True) -> Callable[[], None]:
    """Return a pause in which the calls of the next round are made; after the last, it ends."""
    remaining = list(rounds)

    def pause() -> None:
        if not remaining:
            raise _Enough
        for call_id in remaining.pop(0).split():
            _make(log, call_id)
        if drains:
            drain(log.path, Ticks(), lambda: True)

    return pause


@pytest.mark.parametrize("drains", [True, False], ids=["drained", "on-the-way"])
@pytest.mark.parametrize(
    ("where", "told"),
    [(EVERYTHING, ["2", "3", "4"]), (CallFilter(plugin="store"), ["2", "4"])],
    ids=["everything", "filtered"],
)
def test_new_calls_are_told_once_and_in_order(
    tmp_path: Path, where: CallFilter, told: list[str], drains: bool
) -> None:
    """What ended before is passed over, what ends later comes once, whenever it was looked for."""
    path, heard = tmp_path / "audit.db", []
    with opened(path) as log, AuditReader(path) as reader:
        _make(log, "1")
        if drains:
            drain(log.path, Ticks(), lambda: True)
        with suppress(_Enough):
            for call in follow(reader, _pausing(log, "2 3", "", "4", "", drains=drains), where):
                heard.append(call.call_id)
    assert heard == told


def test_it_goes_on_from_a_call_that_somebody_has(tmp_path: Path) -> None:
    """Nothing is lost between what was read at first and what is followed."""
    path, heard = tmp_path / "audit.db", []
    with opened(path) as log, AuditReader(path) as reader:
        _make(log, "1")
        drain(log.path, Ticks(), lambda: True)
        after = reader.newest()
        _make(log, "2")
        with suppress(_Enough):
            for call in follow(reader, _pausing(log, "3"), after=after):
                heard.append(call.call_id)
    assert heard == ["2", "3"]


def test_a_call_is_told_once_also_when_its_row_moves(tmp_path: Path) -> None:
    """Between a spool and the database a row gets another number, and stays the same call."""
    path, heard = tmp_path / "audit.db", []
    with opened(path) as log, AuditReader(path) as reader:
        rounds = iter(["make", "drain", "make", "drain", "drain"])

        def pause() -> None:
            step = next(rounds, None)
            if step is None:
                raise _Enough
            if step == "make":
                _make(log, str(len(heard) + 1))
            else:
                drain(log.path, Ticks(), lambda: True)

        with suppress(_Enough):
            for call in follow(reader, pause):
                heard.append(call.call_id)
    assert heard == ["1", "2"]
