"""The middleware keeps what crosses, last in the stack, and fails closed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

import nxkernel as nx
from nxkernel._canonical import digest, encode
from nxkernel.dispatch.stack import Asked
from nxkernel.recording.pack import NAME
from nxkernel.replay.session import Session
from nxkernel.types import CallError
from tests.support.calls import Boot, a_call, a_plugin, answered, drive, enter, failed, leave


@attrs.frozen
class Here:
    """A run that is recorded."""

    data_dir: Path
    started_ns: int = 5


@pytest.fixture
def recording(tmp_path: Path) -> Iterator[nx.Recording]:
    """A recording that has booted, with one plugin."""
    (tmp_path / "runs" / "r1").mkdir(parents=True)
    made = nx.Recording(Here(tmp_path))
    made.boot(Boot(plugins=[a_plugin("ocr.rapid")], seed=2**70).facts())
    yield made
    made.abandon()


def read(tmp_path: Path) -> Session:
    """What stands in its file."""
    return Session.open(tmp_path / "runs" / "r1")


def test_a_call_is_kept_whole(recording: nx.Recording, tmp_path: Path) -> None:
    """Arguments, answer, logical id, seed, options and run."""
    call = a_call({"frame": 1}, seed=b"k" * 32, key=("doc", 2**80), retries=1)
    drive(recording, call, answered(call, ["token"]))
    recording.close()
    with read(tmp_path) as session:
        (found,) = session.calls
        assert (session.seed, session.head.started_ns, session.whole) == (2**70, 5, True)
        assert (found.call_id, found.plugin, found.hook) == ("7", "ocr.rapid", "read_tokens")
        assert (found.key, found.begun.seed, found.begun.retries) == (("doc", 2**80), b"k" * 32, 1)
        assert found.begun.timeout_s == 10.0
        assert session.value(found.begun.input) == {"frame": 1}
        assert found.ended is not None
        assert session.value(found.ended.value) == ["token"]
        assert session.plugin_of(found).code_digest == "sha256:00"


def test_a_value_is_named_by_its_own_bytes(recording: nx.Recording, tmp_path: Path) -> None:
    """Whatever the outcome says of other bytes, such as the items of a stream."""
    call = a_call()
    drive(recording, call, answered(call, None, output_digest="sha256:" + "7" * 64))
    recording.close()
    with read(tmp_path) as session:
        ended = session.calls[0].ended
        assert ended is not None
        assert session.value(ended.value) is None


def test_an_error_is_kept_with_its_words(recording: nx.Recording, tmp_path: Path) -> None:
    """Code, message and fault; there is no value."""
    call = a_call()
    drive(recording, call, failed(call))
    recording.close()
    with read(tmp_path) as session:
        ended = session.calls[0].ended
        assert ended is not None
        assert (ended.error.code, ended.error.message) == ("plugin.raised", "it failed")
        assert (ended.fault, ended.value) == ("plugin", "")


def test_a_call_without_an_end_is_there(recording: nx.Recording, tmp_path: Path) -> None:
    """A host that was killed leaves what was under way, and no last word."""
    enter(recording, a_call())
    with read(tmp_path) as session:
        assert [call.ended for call in session.calls] == [None]
        assert not session.whole


def test_items_of_a_stream_are_kept_as_they_come(recording: nx.Recording, tmp_path: Path) -> None:
    """Before anybody has seen them; one that cannot be kept is withheld."""
    call = a_call(stream=True)
    layer = enter(recording, call)
    for number in range(2):
        assert recording.item(call, answered(call, number)).value == number
    leave(layer, answered(call))
    with read(tmp_path) as session:
        found = session.calls[0]
        assert [session.value(item.value) for item in found.items] == [0, 1]
        assert found.begun.stream
    recording._writer.close()
    refused = recording.item(call, answered(call, 2))
    assert (refused.error.code, refused.fault) == ("recording.failed", "host")


def test_what_a_plugin_asks_stands_in_its_call(recording: nx.Recording, tmp_path: Path) -> None:
    """Question and answer, in their order, and none of an attempt that was lost."""
    call = a_call()
    layer = enter(recording, call)
    payload, answer = encode({"x": 1}), encode("heard")
    asked = Asked(call=call, hook="echo", payload=payload, blobs={}, answer=answer)
    recording.asked(asked)
    recording.retrying(call, failed(call), call)
    recording.asked(asked)
    refused = CallError(code="policy.denied", message="no")
    recording.asked(attrs.evolve(asked, hook="other", answer=b"", error=refused))
    leave(layer, answered(call))
    recording.close()
    with read(tmp_path) as session:
        one, other = session.calls[0].ended.questions
        assert (one.hook, one.input, one.answer.value) == ("echo", digest(payload), digest(answer))
        assert session.value(one.answer.value) == "heard"
        assert (other.hook, other.answer.error.code) == ("other", "policy.denied")


def test_a_second_phase_knows_its_first(recording: nx.Recording, tmp_path: Path) -> None:
    """Tokens are numbers of one worker; on record is the call that gave it."""
    setup = a_call(call_id="8", phase="setup")
    drive(recording, setup, answered(setup, annotations={"token": (1, 4)}))
    error = CallError(code="plugin.raised", message="inner")
    teardown = a_call(call_id="9", phase="teardown", token=(1, 4), inner_error=error)
    drive(recording, teardown, answered(teardown))
    recording.close()
    with read(tmp_path) as session:
        assert session.call("9").begun.setup == "8"
        assert session.call("9").begun.inner_error.message == "inner"


def test_a_reloaded_plugin_is_another_edition(recording: nx.Recording, tmp_path: Path) -> None:
    """Calls of either one name the code that they went to."""
    recording.plugin_added(attrs.evolve(a_plugin("ocr.rapid"), edition=2, code_digest="sha256:11"))
    call = a_call(edition=2)
    drive(recording, call, answered(call))
    recording.close()
    with read(tmp_path) as session:
        assert session.plugin_of(session.calls[0]).code_digest == "sha256:11"
        assert len(session.plugins) == 2


def test_a_call_that_cannot_be_recorded_is_not_made(recording: nx.Recording) -> None:
    """Fail closed: the outcome says so, and that it was the host's doing."""
    recording._writer.close()
    outcome = enter(recording, a_call())
    assert (outcome.error.code, outcome.fault) == ("recording.failed", "host")
    assert outcome.error.message.endswith("the call was not made")


def test_a_result_that_cannot_be_recorded_is_withheld(recording: nx.Recording) -> None:
    """Nobody uses what a replay could not show."""
    layer = enter(recording, a_call())
    recording._writer.close()
    outcome = leave(layer, answered(a_call(), "value"))
    assert (outcome.error.code, outcome.value) == ("recording.failed", None)


def test_it_stands_last_in_the_stack(tmp_path: Path) -> None:
    """Elsewhere it would record another thing than what crossed."""
    facts = attrs.evolve(Boot().facts(), header={"stack": ["recording", "determinism"]})
    with pytest.raises(nx.KernelConfigError, match="stands before 'determinism': list it last"):
        nx.Recording(Here(tmp_path)).boot(facts)


def test_a_forked_child_lets_go_of_the_file(recording: nx.Recording, tmp_path: Path) -> None:
    """The parent goes on; the child would write into the middle of its frames."""
    pid = os.fork()
    if pid == 0:
        os._exit(0 if recording._writer is None else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    call = a_call()
    drive(recording, call, answered(call, 1))
    recording.close()
    assert (tmp_path / "runs" / "r1" / NAME).exists()
    with read(tmp_path) as session:
        assert session.whole
