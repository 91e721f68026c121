"""Sessions, varied: recorded calls as trials, and what they depend on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final

import attrs

from nxkernel._temporary import temporary
from nxkernel.errors import NxError
from nxkernel.kernel import Kernel
from nxkernel.kernel.vectors import pinned
from nxkernel.recording.records import RecordedCall
from nxkernel.replay.exemptions import exemption
from nxkernel.replay.rerun import rerun
from nxkernel.replay.session import Session
from nxkernel.replay.verdicts import Verdict
from nxkernel.variation.catalogue import processors, rounds
from nxkernel.variation.conditions import ALONE, Conditions
from nxkernel.variation.findings import Report
from nxkernel.variation.places import Places
from nxkernel.variation.search import MOST, Progress, search
from nxkernel.variation.trials import Answer, Answers, Subject

__all__ = ["vary"]

_LEFT_OUT: Final = Answer(key="left out")


def vary(
    session: Session,
    kernel_factory: Callable[[], Kernel],
    calls: Iterable[RecordedCall] | None = None,
    *,
    most: int = MOST,
    progress: Progress | None = None,
) -> Report:
    """Make *calls* of *session* again as usual and varied; find what each one depends on.

    What :func:`nxkernel.replay.rerun` says of *kernel_factory* and of what is made again holds here
    as well. Whether a call is what it was when it was recorded is the replay's matter: here calls
    are compared with each other. Only where every plugin can run with ``state = "fresh"``, calls
    are made in a process for each as well.

    Raises:
        NxError: as ``rerun`` does.
    """
    chosen = [c for c in (session.calls if calls is None else calls) if not exemption(c)]
    with temporary("vary") as folder:
        trials = _Repeats(session, kernel_factory, chosen, Places(folder))
        alone = trials.can_be_alone()
        varied = [
            [each for each in some if alone or not each.fresh]
            for some in rounds(processors(), vectors=bool(pinned()))
        ]
        subjects = [_subject(call) for call in chosen]
        return search(trials, subjects, varied, most=most, progress=progress, alone=alone)


class _Repeats:
    """Makes recorded calls again."""

    def __init__(
        self,
        session: Session,
        kernel_factory: Callable[[], Kernel],
        calls: Sequence[RecordedCall],
        places: Places,
    ) -> None:
        self._session = session
        self._kernel_factory = kernel_factory
        self._calls: dict[str, RecordedCall] = {call.call_id: call for call in calls}
        self._places = places
        usual = kernel_factory().hosting.surroundings
        #: Where the guard leaves addresses to chance, here they are a variation.
        self._usual = attrs.evolve(usual, addresses="fixed")

    def run(self, calls: Sequence[Subject], conditions: Conditions) -> Answers:
        """Make *calls* in workers that have seen none."""
        arranged = conditions.arranged(calls, lambda call: call.id)
        with self._places.of(conditions) as place:
            verdicts = self._made([self._calls[call.id] for call in arranged], conditions, place)
        return {verdict.call.call_id: _answer(verdict) for verdict in verdicts}

    def let_time_pass(self) -> None:
        """See `Trials.let_time_pass`."""
        self._places.let_time_pass()

    def can_be_alone(self) -> bool:
        """Whether each call of every plugin can have a process of its own."""
        conditions = Conditions.of([ALONE])
        first = {call.plugin: call for call in reversed(list(self._calls.values()))}
        try:
            with self._places.of(conditions) as place:
                verdicts = self._made(list(first.values()), conditions, place)
        except NxError:
            return False
        codes = (verdict.difference.now for verdict in verdicts if verdict.difference)
        return not any(now.startswith("[plugin.start]") for now in codes)

    def _made(
        self, calls: Sequence[RecordedCall], conditions: Conditions, place: Path
    ) -> list[Verdict]:
        return rerun(
            self._session,
            self._kernel_factory,
            calls,
            surroundings=conditions.around(self._usual),
            fresh=conditions.fresh,
            folder=place,
        )


def _subject(call: RecordedCall) -> Subject:
    return Subject(id=call.call_id, plugin=call.plugin, hook=call.hook, label=call.call_id)


def _answer(verdict: Verdict) -> Answer:
    found = verdict.difference
    if verdict.state == "left_out":
        return _LEFT_OUT
    if found is not None and found.kind != "value":
        return Answer(key=f"{found.kind} {found.now}", difference=found)
    return Answer(key=verdict.digest or "as recorded", difference=found)
