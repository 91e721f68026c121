"""What a plugin asks is answered from the record, in the order in which it asked then."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from nxkernel._canonical import decode, encode
from nxkernel.dispatch.stack import Asked
from nxkernel.recording.records import RecordedCall
from nxkernel.replay.answers import Recall
from nxkernel.replay.session import Session
from nxkernel.types import Call
from tests.support.calls import a_call
from tests.support.recordings import Written


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    """A call that asked ``echo`` twice: for 1, and for 2, which was refused."""
    written = Written(tmp_path / "recorded.pack")
    asked = [("echo", {"value": 1}, "one"), ("echo", {"value": 2}, ("policy.denied", "no"))]
    written.call("act", {"value": 0}, value="done", asked=asked)
    with Session.open(written.close()) as opened:
        yield opened


def begun(session: Session) -> tuple[Recall, RecordedCall, Call]:
    """The call, about to be made again."""
    recall, call = Recall(session), session.calls[0]
    recall.begin(call)
    return recall, call, a_call(call_id=call.call_id)


def ask(recall: Recall, call: Call, value: int) -> Asked:
    """Ask ``echo`` for *value*."""
    return recall.answer(call, "echo", encode({"value": value}), {})


def test_answers_are_those_of_then(session: Session) -> None:
    """A value, and an error with its code and words; then there is no difference."""
    recall, recorded, call = begun(session)
    assert decode(ask(recall, call, 1).answer) == "one"
    error = ask(recall, call, 2).error
    assert error is not None
    assert (error.code, error.message) == ("policy.denied", "no")
    assert recall.end(recorded) is None


def test_the_first_strange_question_is_the_difference(session: Session) -> None:
    """It is refused, and does not use up an answer."""
    recall, recorded, call = begun(session)
    for value in (3, 4):
        error = ask(recall, call, value).error
        assert error is not None
        assert error.code == "replay.asked_otherwise"
    assert decode(ask(recall, call, 1).answer) == "one"
    difference = recall.end(recorded)
    assert str(difference) == (
        'asked echo with {"value": 1} then, asked echo with {"value": 3} now'
    )


def test_what_is_not_asked_any_more_is_a_difference(session: Session) -> None:
    """The first of those questions is named."""
    recall, recorded, call = begun(session)
    ask(recall, call, 1)
    assert str(recall.end(recorded)) == (
        'asked echo with {"value": 2} then, asked nothing more now'
    )


def test_a_lost_attempt_asks_from_the_beginning(session: Session) -> None:
    """What it had asked, and asked otherwise, is forgotten with it."""
    recall, recorded, call = begun(session)
    ask(recall, call, 1)
    ask(recall, call, 9)
    recall.begin_again(call)
    ask(recall, call, 1)
    ask(recall, call, 2)
    assert recall.end(recorded) is None


def test_bytes_that_are_no_value_are_said_to_be_none(session: Session) -> None:
    """A worker may send anything; a report of it is words all the same."""
    recall, recorded, call = begun(session)
    recall.answer(call, "ec\x1bho", b"\xc1", {})
    assert str(recall.end(recorded)).endswith("asked ec\\u001bho with bytes that are no value now")
