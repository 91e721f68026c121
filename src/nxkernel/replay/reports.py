"""Reports: a whole replay, from a run's folder to what it found."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Protocol

import attrs

from nxkernel.kernel import Kernel
from nxkernel.recording.records import RecordedCall
from nxkernel.replay.circumstances import Circumstance
from nxkernel.replay.rerun import rerun
from nxkernel.replay.session import Session
from nxkernel.replay.verdicts import Verdict

__all__ = ["Progress", "Report", "replay"]


class Progress(Protocol):
    """Who is told how far a replay has come."""

    def __call__(self, done: int, total: int) -> None:
        """*done* of *total* calls have been made."""


@attrs.frozen(kw_only=True)
class Report:
    """What a replay found."""

    run_id: str
    #: Whether the recording was closed in order, and bytes of a write that was cut off.
    whole: bool
    torn: int
    #: One for each call, in the order in which they were made.
    verdicts: tuple[Verdict, ...]

    @property
    def differences(self) -> tuple[Verdict, ...]:
        """Calls that are not what they were."""
        return tuple(each for each in self.verdicts if each.differs)

    @property
    def left_out(self) -> tuple[Verdict, ...]:
        """Calls that were not made again; each says why."""
        return tuple(each for each in self.verdicts if each.state == "left_out")

    @property
    def same(self) -> int:
        """How many calls are what they were."""
        return len(self.verdicts) - len(self.differences) - len(self.left_out)

    @property
    def circumstances(self) -> tuple[Circumstance, ...]:
        """What has changed around the calls that were made, each thing once."""
        found = (change for verdict in self.verdicts for change in verdict.circumstances)
        return tuple(dict.fromkeys(found))

    @property
    def ok(self) -> bool:
        """Whether no call differs."""
        return not self.differences

    def to_json(self) -> dict[str, Any]:
        """Return plain data for ``--json``."""
        return {
            "run": self.run_id,
            "whole": self.whole,
            "torn": self.torn,
            "calls": len(self.verdicts),
            "same": self.same,
            "differences": [_difference(each) for each in self.differences],
            "left_out": [{**_call(each.call), "why": each.why} for each in self.left_out],
            "circumstances": [attrs.asdict(each) for each in self.circumstances],
        }


def replay(
    run: Path | str,
    kernel_factory: Callable[[], Kernel],
    calls: Iterable[str] | None = None,
    *,
    only: Iterable[str] | None = None,
    progress: Progress | None = None,
) -> Report:
    """Replay the recording of the run directory, or the file, *run*.

    Args:
        kernel_factory: returns the application's kernel; see :func:`rerun`.
        calls: ids of the calls to make; all of them without it.
        only: make calls of these plugins only.
        progress: told after each call.

    Raises:
        StorageError: ``recording.missing``.
        IntegrityError: ``recording.damaged``.
        ReplayError: an unknown call; or a plugin, or its hookimpl, is not there any more.
        NxError: as a boot does.
    """
    with Session.open(run) as session:
        chosen = _chosen(session, calls, only)
        made: list[Verdict] = []

        def note(verdict: Verdict) -> None:
            made.append(verdict)
            if progress is not None:
                progress(len(made), len(chosen))

        rerun(session, kernel_factory, chosen, progress=note)
        return Report(
            run_id=session.head.run_id,
            whole=session.whole,
            torn=session.torn,
            verdicts=tuple(made),
        )


def _chosen(
    session: Session, calls: Iterable[str] | None, only: Iterable[str] | None
) -> list[RecordedCall]:
    found = session.calls if calls is None else [session.call(each) for each in calls]
    plugins = None if only is None else frozenset(only)
    return [each for each in found if plugins is None or each.plugin in plugins]


def _call(call: RecordedCall) -> dict[str, Any]:
    begun = call.begun
    return {
        "call": call.call_id,
        "plugin": call.plugin,
        "hook": call.hook,
        "impl": begun.impl,
        "phase": begun.phase,
        "key": [part.hex() if isinstance(part, bytes) else part for part in call.key],
    }


def _difference(verdict: Verdict) -> dict[str, Any]:
    difference = verdict.difference
    return {
        **_call(verdict.call),
        **(attrs.asdict(difference) if difference else {}),
        "circumstances": [attrs.asdict(each) for each in verdict.circumstances],
    }
