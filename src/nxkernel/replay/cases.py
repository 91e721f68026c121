"""Recorded sessions as tests: one for each call, over one replay of all of them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from nxkernel._pickling import Rooted
from nxkernel.kernel import Kernel
from nxkernel.recording.records import RecordedCall
from nxkernel.replay.exemptions import exemption
from nxkernel.replay.rerun import rerun
from nxkernel.replay.session import Session
from nxkernel.replay.verdicts import Verdict
from nxkernel.types import CallId

if TYPE_CHECKING:
    import pytest

__all__ = ["Case", "replays"]


@attrs.define(eq=False)
class _Rehearsal:
    """The replay that the tests of one recording share; made when the first of them asks."""

    run: Path
    kernel_factory: Callable[[], Kernel]
    calls: tuple[CallId, ...]
    _verdicts: dict[CallId, Verdict] | None = None
    _failure: Exception | None = None
    _lock: threading.Lock = attrs.Factory(threading.Lock)

    def verdict(self, call: CallId) -> Verdict:
        with self._lock:
            if self._verdicts is None and self._failure is None:
                self._make()
        if self._verdicts is None:
            raise self._failure or RuntimeError("the replay has not been made")
        return self._verdicts[call]

    def _make(self) -> None:
        try:
            with Session.open(self.run) as session:
                calls = [session.call(each) for each in self.calls]
                verdicts = rerun(session, self.kernel_factory, calls)
        except Exception as error:  # for every test that asks, not only for the first
            self._failure = error
            return
        self._verdicts = {each.call.call_id: each for each in verdicts}


@attrs.frozen(eq=False)
class Case(Rooted):
    """One recorded call, as a test is given it."""

    _instead = "pass on its call, or its verdict"

    call: RecordedCall
    _rehearsal: _Rehearsal

    @property
    def verdict(self) -> Verdict:
        """What became of the call when it was made again."""
        return self._rehearsal.verdict(self.call.call_id)

    def check(self) -> None:
        """Raise AssertionError, with the difference and what has changed, if it is not the same."""
        verdict = self.verdict
        if verdict.differs:
            changes = "".join(f"\n  changed since then: {each}" for each in verdict.circumstances)
            who = f"call {self.call.call_id} of {self.call.plugin}, {self.call.hook}"
            raise AssertionError(f"{who}: {verdict.difference}{changes}")


def replays(
    run: Path | str,
    kernel_factory: Callable[[], Kernel],
    *,
    only: Iterable[str] | None = None,
) -> pytest.MarkDecorator:
    """Parametrise a test with the recorded calls of *run*, as its argument ``recorded``.

    The ids follow from the record: ``7.2-ocr.rapid-read_tokens``. The calls are made again in their
    order when the first test asks, once for all of them in this process; calls that cannot be made
    again are no tests.

    Args:
        run: a run directory, or the file of a recording, which can be kept beside the tests.
        kernel_factory: returns the application's kernel; see :func:`nxkernel.replay.rerun`.
        only: calls of these plugins only.

    Raises:
        StorageError: ``recording.missing``.
        IntegrityError: ``recording.damaged``.
    """
    import pytest  # of whoever writes tests; nothing else here needs it

    plugins = None if only is None else frozenset(only)
    with Session.open(run) as session:
        calls = [
            each
            for each in session.calls
            if not exemption(each) and (plugins is None or each.plugin in plugins)
        ]
    ids = tuple(each.call_id for each in calls)
    rehearsal = _Rehearsal(Path(run), kernel_factory, ids)
    params: list[Any] = [
        pytest.param(Case(each, rehearsal), id=f"{each.call_id}-{each.plugin}-{each.begun.impl}")
        for each in calls
    ]
    return pytest.mark.parametrize("recorded", params)
