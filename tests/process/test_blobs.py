"""Blobs cross between real processes: whole, unchanged, and wherever they stand in a value."""

from __future__ import annotations

import contextlib
import hashlib
import os
from pathlib import Path
from typing import Any

import attrs
import pytest

import nxkernel as nx
from tests.process.conftest import Opens
from tests.support.zoo import Picture, Zoo, allow, code_of, copies, eventually, patient, recorded

ANIMALS = ("carries", "prints")
RULES = [*allow("carries", "act", "echo")]
#: An arena of a size that a few calls fill.
FRAME = 4 << 20
HOSTING = nx.Hosting(restart_intensity=10**6, timeout_s=60.0, backoff_s=0.0, max_frame=FRAME)
OPTIONS = {"rules": RULES, "hosting": HOSTING}

#: Below and above what lies in an arena.
SMALL, LARGE = 100, 300_001


def blob(size: int, seed: int = 1, media: str = "image/png") -> nx.Blob:
    """A blob whose pages all differ."""
    block = hashlib.sha256(bytes([seed])).digest()
    whole = b"".join(n.to_bytes(8, "little") + block for n in range(size // 40 + 1))
    return nx.Blob(whole[:size], media)


def hex_of(given: nx.Blob) -> str:
    return given.digest.removeprefix("sha256:")


@pytest.mark.parametrize("size", [0, 1, SMALL, (1 << 15) - 1, 1 << 15, (1 << 16) + 1, LARGE])
def test_a_blob_crosses_there_and_back(zoo: Zoo, size: int) -> None:
    """The same bytes, digest, size and media type on either side, whatever the size."""
    sent = blob(size)
    assert zoo.ask("carries", "echo", value=sent).value == sent
    (facts,) = zoo.act("carries", {"do": "facts", "blobs": [sent]}).value
    assert facts == [size, "image/png", sent.digest, hex_of(sent)]
    (back,) = zoo.ask("carries", "echo", value=[sent]).value
    assert (back.bytes(), back.media) == (sent.bytes(), sent.media)


def test_blobs_stand_anywhere_in_a_value(zoo: Zoo) -> None:
    """In lists and dicts, at any depth, next to bytes, twice, and as different media types."""
    one, two = blob(SMALL), blob(LARGE, 2)
    again = nx.Blob(two.bytes(), "image/x-other")
    value = {"a": [one, {"b": two, "c": [again, two]}], "$blob": b"raw", "d": None}
    back = zoo.ask("carries", "echo", value=value).value
    assert back == value
    assert back["a"][1]["c"][0].media == "image/x-other"


def test_blobs_cross_in_annotated_classes(zoo: Zoo) -> None:
    """A field that is annotated as a blob is one on both sides."""
    image, thumb = blob(LARGE), blob(SMALL, 3)
    (back,) = zoo.kernel.hook.develop(picture=Picture("cat", image, (thumb,)))
    turned = nx.Blob(image.bytes()[::-1], "image/x-turned")
    assert back == Picture("CAT", turned, (thumb, image), None)


def test_many_blobs_cross_in_one_value(zoo: Zoo) -> None:
    """As many as a value may have, small and large together."""
    made = zoo.act("carries", {"do": "make", "count": 60, "size": 1 << 15}).value
    assert [each.bytes() for each in made] == [bytes([n]) * (1 << 15) for n in range(60)]
    few = zoo.act("carries", {"do": "make", "count": 256, "size": 3}).value
    assert [each.bytes() for each in few] == [bytes([n]) * 3 for n in range(256)]


def test_too_many_blobs_are_refused(zoo: Zoo) -> None:
    """The caller is told what to do instead; nothing is sent."""
    value = [nx.Blob(n.to_bytes(2, "little")) for n in range(1025)]
    with pytest.raises(nx.CallRejected, match="more than 1024 blobs; send small ones as bytes"):
        zoo.ask("carries", "echo", value=value)
    assert zoo.ask("carries", "echo", value=value[:1024]).value == value[:1024]


def test_blobs_count_against_the_frame(zoo: Zoo) -> None:
    """An argument is refused at the caller, a result in its worker, by the same limit as bytes."""
    with pytest.raises(nx.CallRejected, match=rf"have \d+ bytes; the limit is {FRAME}"):
        zoo.ask("carries", "echo", value=nx.Blob(bytes(FRAME)))
    outcome = zoo.act("carries", {"do": "make", "count": 5, "size": 1 << 20})
    assert outcome.error is not None
    assert (outcome.error.code, outcome.fault) == ("contract.output", "plugin")
    assert "bytes; the limit is" in outcome.error.message
    assert zoo.answers("carries")


def test_a_view_is_read_only(zoo: Zoo) -> None:
    """A plugin cannot change what it was given, by accident."""
    assert zoo.act("carries", {"do": "write", "blob": blob(LARGE)}).value == "read-only"
    assert zoo.act("carries", {"do": "write", "blob": blob(SMALL)}).value == "read-only"


def test_the_audit_does_not_depend_on_where_a_blob_lay(zoo: Zoo) -> None:
    """The digest of a call is that of its canonical bytes, which hold the blob's name."""
    sent = blob(LARGE)
    outcomes = [zoo.ask("carries", "echo", value=sent) for _ in range(2)]
    rows = {r.call_id: r for r in recorded(zoo.kernel.run)}
    one, two = (rows[outcome.call_id] for outcome in outcomes)
    assert one.input_digest == two.input_digest
    assert one.output_digest == two.output_digest


class TestNested:
    """A blob goes from plugin to plugin by way of the kernel."""

    @pytest.fixture
    def pair(self, open_zoo: Opens, tmp_path: Path) -> Zoo:
        rules = [*allow("carries", "act", "echo"), *allow("carries.two", "act", "echo")]
        folders = copies(tmp_path / "more", "carries", ["carries.two"])
        return open_zoo(patient, "carries", folders=folders, rules=rules, hosting=HOSTING)

    @pytest.mark.parametrize("size", [SMALL, LARGE])
    def test_blobs_are_brokered(self, pair: Zoo, size: int) -> None:
        """The other plugin reads what the first one was given; the answer comes back whole."""
        sent = blob(size)
        onward = {"do": "facts", "blobs": [sent, blob(size, 9)]}
        answer, unharmed = pair.act("carries", {"do": "ask", "blob": sent, "onward": onward}).value
        assert unharmed
        facts = [[size, "image/png", b.digest, hex_of(b)] for b in onward["blobs"]]
        assert answer == [facts, facts]  # both plugins act

    @pytest.mark.parametrize("hold", [True, False])
    def test_a_call_may_be_given_blobs_again_and_again(self, pair: Zoo, hold: bool) -> None:
        """More than an arena holds, in one call, whether they are kept or dropped."""
        count, size = (9, 1 << 19) if hold else (18, 1 << 19)
        onward = {"do": "make", "count": 1, "size": size}
        value = {"do": "ask_often", "times": count, "hold": hold, "onward": onward}
        zeros = hashlib.sha256(bytes(size)).hexdigest()
        assert pair.act("carries", value).value == ([zeros] * count if hold else [])


class TestKept:
    """What a plugin keeps of a blob stays what it was."""

    @pytest.mark.parametrize("size", [SMALL, LARGE])
    def test_a_kept_view_stays_valid(self, zoo: Zoo, size: int) -> None:
        """Blob, view and view of a view hold the old bytes while new blobs come and go."""
        zoo.act("carries", {"do": "drop"})
        kept = [blob(size, seed) for seed in range(3)]
        for each in kept:
            assert zoo.act("carries", {"do": "keep", "blob": each}).ok
        for seed in range(3, 9):
            zoo.act("carries", {"do": "facts", "blobs": [blob(LARGE, seed)]})
        told = zoo.act("carries", {"do": "told"}).value
        first = [each.bytes()[:1] for each in kept]
        assert first == [b"\0"] * 3  # so that the view of the view can be told by its hash too
        assert told == [[hex_of(each)] * 3 for each in kept]
        assert zoo.act("carries", {"do": "drop"}).ok
        assert zoo.act("carries", {"do": "facts", "blobs": kept}).ok

    def test_a_view_never_shows_other_bytes(self, zoo: Zoo) -> None:
        """Not even to a thread that reads without a pause while the call ends and others come."""
        watched = blob(LARGE, 4)
        assert zoo.act("carries", {"do": "watch", "blob": watched}).ok
        for seed in range(5, 15):
            zoo.act("carries", {"do": "facts", "blobs": [blob(LARGE, seed)]})
        assert zoo.act("carries", {"do": "watched_until_now"}).value == [hex_of(watched)]


def test_fan_out_gives_each_plugin_the_same(open_zoo: Opens, tmp_path: Path) -> None:
    """Eight plugins at once read one blob."""
    names = [f"carries.n{n}" for n in range(8)]
    zoo = open_zoo(patient, folders=copies(tmp_path / "more", "carries", names))
    sent = blob(LARGE)
    result = zoo.kernel.call("act", value={"do": "facts", "blobs": [sent]})
    assert not result.degraded
    assert result.value == [[[LARGE, "image/png", sent.digest, hex_of(sent)]]] * 8


@pytest.mark.parametrize(
    "hosting",
    [nx.Hosting(inproc_allowlist={"carries": "a test"}), nx.Hosting(launcher="spawn")],
    ids=["in process", "spawned"],
)
def test_blobs_cross_however_a_plugin_is_hosted(open_zoo: Opens, hosting: nx.Hosting) -> None:
    """In the host's own process, and in an interpreter of its own without an arena."""
    zoo = open_zoo(patient, "carries", "prints", hosting=hosting, rules=RULES)
    sent = blob(LARGE)
    (facts,) = zoo.act("carries", {"do": "facts", "blobs": [sent]}).value
    assert facts == [LARGE, "image/png", sent.digest, hex_of(sent)]
    assert zoo.ask("carries", "echo", value={"a": [sent]}).value == {"a": [sent]}
    assert zoo.act("carries", {"do": "keep", "blob": sent}).ok
    assert zoo.act("carries", {"do": "told"}).value == [[hex_of(sent)] * 3]


def test_a_contract_sees_what_a_blob_is(open_zoo: Opens) -> None:
    """Size and media type can be constrained; the bytes never enter the validator."""
    image: dict[str, Any] = {
        "type": "object",
        "required": ["$blob"],
        "properties": {"media": {"const": "image/png"}, "size": {"maximum": SMALL}},
    }
    given = {"type": "object", "properties": {"value": image}, "required": ["value"]}
    contracts = nx.Contracts({"echo": {"input": given, "output": image}})
    zoo = open_zoo(patient, "carries", middleware=[contracts])
    assert zoo.ask("carries", "echo", value=blob(SMALL)).ok
    for wrong, where in (
        (blob(SMALL + 1), "/value/size"),
        (blob(SMALL, media="image/gif"), "/value/media"),
        (b"raw", "/value"),
        ({"$blob": "sha256:00", "media": "image/png", "size": 1}, "/value"),
    ):
        outcome = zoo.ask("carries", "echo", value=wrong)
        assert code_of(outcome) == "contract.input"
        assert outcome.error is not None
        assert where in str(outcome.error.details)


def arena_bytes() -> int:
    """How much memory all arenas of this process have."""
    found: dict[int, int] = {}
    for number in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            if os.readlink(f"/proc/self/fd/{number}").startswith("/memfd:nxkernel-arena"):
                status = os.stat(f"/proc/self/fd/{number}")
                found[status.st_ino] = status.st_blocks * 512
    return sum(found.values())


def test_memory_is_used_again_and_given_back(open_zoo: Opens) -> None:
    """Many calls need what one needs, and a plugin that rests needs nothing."""
    hosting = attrs.evolve(HOSTING, ping_interval_s=0.2)
    zoo = open_zoo(patient, "carries", hosting=hosting)
    before = arena_bytes()
    sent, made = blob(LARGE), {"do": "make", "count": 2, "size": LARGE}
    for _ in range(30):
        assert zoo.act("carries", {"do": "facts", "blobs": [sent]}).ok
        assert zoo.act("carries", made).ok
    assert arena_bytes() - before <= 3 * (LARGE + 4096)
    eventually(lambda: arena_bytes() <= before, "the arena of an idle worker is empty")
    assert zoo.ask("carries", "echo", value=sent).value == sent
    zoo.kernel.close()
    assert arena_bytes() <= before
