"""A plugin that lies about blobs: it costs its own worker, and nobody else anything."""

from __future__ import annotations

import hashlib
import resource
from collections.abc import Iterator

import pytest

import nxkernel as nx
from tests.process.conftest import Opens
from tests.support.zoo import Zoo, code_of, patient

ANIMALS = ("forges", "prints")
#: Largest arguments of the default hosting, and room for a few copies of them.
ROOM_KIB = 5 * 64 * 1024


@pytest.fixture(autouse=True)
def unharmed(zoo: Zoo) -> Iterator[None]:
    """After every lie the neighbour answers from the same process, and memory is bounded."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    assert zoo.act("prints", nx.Blob(bytes(40_000))).value == nx.Blob(bytes(40_000))
    assert zoo.kernel.plugins["prints"].starts == 1
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak < ROOM_KIB


LIES = {
    "another digest in the frame": "a blob's bytes do not have its digest",
    "another digest in the arena": "a blob's bytes do not have its digest",
    "bytes that are not there": "a blob's bytes do not have its digest",
    "another size": "it refers to a blob of another size",
    "a size of nothing": "a blob lies where none can",
    "a negative size": "a blob lies where none can",
    "a gigantic size": "a blob lies beyond the arena",
    "a size of 64 bits": "a blob lies beyond the arena",
    "all of the arena": "more bytes than the limit of 67108864",
    "a negative offset": "a blob lies where none can",
    "before the arena": "a blob lies where none can",
    "an offset beyond": "a blob lies where none can",
    "a gap": "a blob lies where none can",
    "an odd place": "a blob lies where none can",
    "an overlap": "a blob lies where none can",
    "twice in the arena": "a blob came twice",
    "twice": "a blob came twice",
    "nobody refers to the frame": "a blob came along to which nothing refers",
    "nobody refers to the arena": "a blob came along to which nothing refers",
    "it did not come": "it refers to a blob that did not come with it",
    "no media type": "a reference to a blob is malformed",
    "too many": "a frame holds no message",
    "no kind": "a frame holds no message",
    "asked with another digest": "a blob's bytes do not have its digest",
    "asked with what nobody names": "a blob came along to which nothing refers",
    "asked with what did not come": "it refers to a blob that did not come with it",
    "holds what it was not given": "it holds blobs that it was never given",
    "holds less than nothing": "it holds blobs that it was never given",
}


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_about_a_blob_ends_the_worker(zoo: Zoo, lie: str) -> None:
    """Place, size, digest and reference are checked before use; the next call has a new worker."""
    outcome = zoo.act("forges", lie)
    assert outcome.error is not None
    assert (outcome.error.code, outcome.fault) == ("protocol.violation", "plugin")
    assert LIES[lie] in outcome.error.message
    assert zoo.answers("forges")


def test_a_blob_of_an_earlier_call_must_come_again(zoo: Zoo) -> None:
    """What a plugin was given once is no longer at hand by its name alone."""
    assert zoo.act("forges", {"do": "remember", "blob": nx.Blob(b"r" * 50_000)}).ok
    outcome = zoo.act("forges", "it came before")
    assert code_of(outcome) == "protocol.violation"


def test_an_arena_keeps_its_size_and_its_seals(zoo: Zoo) -> None:
    """It can be made neither smaller, which would end the host, nor larger."""
    told = zoo.act("forges", {"do": "tamper"}).value
    assert told == [["refused", "refused", "refused", -1]] * 2
    assert zoo.act("forges", {"do": "remember", "blob": nx.Blob(bytes(1 << 20))}).ok


def test_bytes_that_change_are_taken_once(zoo: Zoo) -> None:
    """A blob is what its digest says, or a violation: never bytes that nobody hashed."""
    for _ in range(10):
        outcome = zoo.act("forges", {"do": "flicker"})
        if outcome.ok:
            value = outcome.value
            assert "sha256:" + hashlib.sha256(value.view()).hexdigest() == value.digest
            assert zoo.act("forges", {"do": "still"}).ok
        else:
            assert code_of(outcome) == "protocol.violation"


def test_scribbling_harms_the_scribbler_alone(zoo: Zoo) -> None:
    """The caller's blob, and what others are given of it, stay as they were."""
    sent = nx.Blob(b"precious" * 10_000)
    before, after, failed = zoo.act("forges", {"do": "scribble", "blob": sent}).value
    assert "sha256:" + before == sent.digest
    assert after == before
    assert failed == ["refused"] * len(failed)
    assert sent.bytes() == b"precious" * 10_000
    assert zoo.ask("prints", "act", value=sent).value == sent
    assert zoo.ask("forges", "echo", value=[sent]).value == [sent]


def test_what_lies_there_still_is_what_it_was(zoo: Zoo) -> None:
    """A blob that is not copied again has its bytes, whatever the plugin did in the meantime."""
    one, two = nx.Blob(b"1" * 300_000), nx.Blob(b"2" * 300_000)
    for sent in (one, two, one, one, two, one):
        assert zoo.act("forges", {"do": "scribble", "blob": sent}).ok
        told = zoo.act("forges", {"do": "read", "blob": sent}).value
        assert "sha256:" + told == sent.digest


def test_without_a_wall_nothing_is_left_to_lie(open_zoo: Opens) -> None:
    """At level `process` a plugin may write where the host does: it is given each blob anew."""
    zoo = open_zoo(patient, "forges", sandbox=nx.Sandbox(require="process"))
    sent = nx.Blob(b"precious" * 10_000)
    assert "done" in zoo.act("forges", {"do": "scribble", "blob": sent}).value[2]
    told = zoo.act("forges", {"do": "read", "blob": sent}).value
    assert "sha256:" + told == sent.digest


def test_no_arena_shows_what_another_plugin_was_given(zoo: Zoo) -> None:
    """Each worker has its own, and what it finds there was meant for it."""
    secret = b"for prints alone: " + bytes(range(256)) * 400
    assert zoo.act("prints", nx.Blob(secret)).ok
    wanted = {"do": "look", "wanted": secret[:400]}
    assert zoo.act("forges", wanted).value is False
    assert zoo.ask("forges", "echo", value=nx.Blob(secret)).ok
    assert zoo.act("forges", wanted).value is True
