"""``nxkernel replay``, over a real application and its recorded run."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests.support.commands import Ran
from tests.support.recordings import Waverer
from tests.unit.cli.conftest import run


@pytest.fixture
def waverer(confinement: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Waverer:
    """An application that ``--app theapp:kernel`` names."""
    found = Waverer(tmp_path)
    found.says({})
    module = ModuleType("theapp")
    module.kernel = found.kernel  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "theapp", module)
    return found


def replay(*words: str | Path) -> Ran:
    """Run the command on that application."""
    return run("replay", *words, "--app", "theapp:kernel")


def test_differences_are_said_and_counted(waverer: Waverer) -> None:
    """Data to standard output, a line for each; the rest to standard error; exit code 1."""
    folder = waverer.record(4)
    waverer.says({3: "value"})
    ran = replay(folder.name)
    assert (ran.code, ran.out) == (
        1,
        'call 4, wavers, act: at $.items[2].deep[0]: "same" then, "other" now\n',
    )
    assert ran.err == "run r000001: 4 of 5 calls as they were, 1 not, 0 left out\n"
    ran = replay(folder, "--json")
    assert ran.code == 1
    (found,) = ran.data["differences"]
    assert (ran.data["schema_version"], ran.data["ok"], ran.data["same"]) == (1, False, 4)
    assert [found[key] for key in ("call", "plugin", "hook", "kind", "path", "then", "now")] == [
        "4",
        "wavers",
        "act",
        "value",
        "$.items[2].deep[0]",
        '"same"',
        '"other"',
    ]


def test_one_call_and_no_difference(waverer: Waverer) -> None:
    """Exit code 0, and nothing on standard output."""
    ran = replay(waverer.record(2), "2")
    assert (ran.code, ran.out) == (0, "")
    assert ran.err == "run r000001: 1 of 1 calls as they were, 0 not, 0 left out\n"


def test_what_cannot_be_replayed_says_why(waverer: Waverer) -> None:
    """A run without a recording, an unknown call, a damaged file, each by its code."""
    folder = waverer.record(1)
    for words, code, error in (
        (["r000099"], 1, "recording.missing"),
        ([folder.name, "99"], 1, "replay.unknown_call"),
    ):
        ran = replay(*words, "--json")
        assert (ran.code, ran.data["error"]["code"]) == (code, error)
    pack = folder / "recording.pack"
    data = bytearray(pack.read_bytes())
    data[40] ^= 1
    pack.write_bytes(data)
    ran = replay(folder, "--json")
    assert (ran.code, ran.data["error"]["code"]) == (4, "recording.damaged")


def test_a_run_whose_host_was_killed_is_replayed_as_far_as_it_goes(waverer: Waverer) -> None:
    """The torn tail is named by its size; the call that it belonged to is left out."""
    pack = waverer.record(3) / "recording.pack"
    # Into the last call's end: the frame that closes the file has fewer bytes.
    pack.write_bytes(pack.read_bytes()[:-60])
    ran = replay(pack)
    assert ran.code == 0
    assert "the recording was not closed" in ran.err
    assert "are half a write" in ran.err
    data = replay(pack, "--json").data
    assert data["torn"] > 0
    assert [(each["call"], each["why"]) for each in data["left_out"]] == [
        ("3", "the recording broke off before it ended")
    ]


def test_circumstances_are_said(waverer: Waverer) -> None:
    """Also where nothing differs: a new version with equal bytes is what one wants to see."""
    folder = waverer.record(1)
    source = waverer.plugin / "plugin.py"
    source.write_text(source.read_text() + "\n# a comment\n")
    ran = replay(folder)
    assert ran.code == 0
    assert ran.err.startswith("changed since then: code of wavers: sha256:")
