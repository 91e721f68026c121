"""Answers from the record: what a plugin is told when it calls back during a replay."""

from __future__ import annotations

from collections.abc import Sequence

from nxkernel._blob import NONE, Blobs
from nxkernel._canonical import NotCanonical, decode, digest
from nxkernel.dispatch.stack import Asked
from nxkernel.recording.records import Question, RecordedCall
from nxkernel.replay.comparing import Difference, shown
from nxkernel.replay.session import Session
from nxkernel.types import Call, CallError, CallId

__all__ = ["Recall"]

_NOTHING = "nothing more"


class Recall:
    """Answers the questions of recorded calls, in their order.

    A plugin that asks for something that it did not ask for then is refused with
    ``replay.asked_otherwise``; what it did instead is the call's difference.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._expected: dict[CallId, Sequence[Question]] = {}
        self._place: dict[CallId, int] = {}
        self._strayed: dict[CallId, Difference] = {}

    def begin(self, call: RecordedCall) -> None:
        """*call* is about to be made."""
        ended = call.ended
        self._expected[call.call_id] = () if ended is None else ended.questions
        self._place[call.call_id] = 0

    def begin_again(self, lost: Call) -> None:
        """An attempt of *lost* was lost; the next one asks from the beginning."""
        self._place[lost.call_id] = 0
        self._strayed.pop(lost.call_id, None)

    def end(self, call: RecordedCall) -> Difference | None:
        """*call* was made; return what it asked otherwise than then, if anything."""
        questions, place = self._expected.pop(call.call_id), self._place.pop(call.call_id)
        strayed = self._strayed.pop(call.call_id, None)
        if strayed is not None or place == len(questions):
            return strayed
        return Difference(kind="asked", then=self._words(questions[place]), now=f"asked {_NOTHING}")

    def answer(self, call: Call, hook: str, payload: bytes, blobs: Blobs) -> Asked:
        """Return what the plugin of *call* was told then."""
        place, questions = self._place[call.call_id], self._expected[call.call_id]
        expected = questions[place] if place < len(questions) else None
        asked = Asked(call=call, hook=hook, payload=payload, blobs=blobs)
        if expected is None or (expected.hook, expected.input) != (hook, digest(payload)):
            return self._stray(asked, expected)
        self._place[call.call_id] = place + 1
        return self._told(asked, expected)

    def _told(self, asked: Asked, then: Question) -> Asked:
        answer, error = then.answer, then.answer.error
        return Asked(
            call=asked.call,
            hook=asked.hook,
            payload=asked.payload,
            blobs=asked.blobs,
            answer=self._session.payload(answer.value) if answer.value else b"",
            answer_blobs=self._session.blobs(answer.blobs),
            error=None if error is None else CallError(code=error.code, message=error.message),
            origin=answer.origin,
            degraded=answer.degraded,
        )

    def _stray(self, asked: Asked, expected: Question | None) -> Asked:
        now = _asked(asked.hook, asked.payload, asked.blobs)
        then = f"asked {_NOTHING}" if expected is None else self._words(expected)
        difference = Difference(kind="asked", then=then, now=now)
        self._strayed.setdefault(asked.call.call_id, difference)
        text = f"the record has no answer: {now}, where it {then} then"
        error = CallError(code="replay.asked_otherwise", message=text)
        return Asked(
            call=asked.call,
            hook=asked.hook,
            payload=asked.payload,
            blobs=asked.blobs,
            error=error,
            origin=asked.call.plugin,
        )

    def _words(self, question: Question) -> str:
        payload = self._session.payload(question.input)
        return _asked(question.hook, payload, self._session.blobs(question.blobs))


def _asked(hook: str, payload: bytes, blobs: Blobs = NONE) -> str:
    """Say what was asked; *payload* may be only a worker's word."""
    try:
        return f"asked {shown(hook)[1:-1]} with {shown(decode(payload, blobs))}"
    except NotCanonical:
        return f"asked {shown(hook)[1:-1]} with bytes that are no value"
