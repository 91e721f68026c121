"""Recorded calls as tests: an id for each, over one replay of them all."""

from __future__ import annotations

from pathlib import Path

import pytest

import nxkernel as nx
from nxkernel.testing import Case, StandIn, replays
from tests.support.recordings import Waverer


@pytest.fixture
def waverer(confinement: None, tmp_path: Path) -> Waverer:
    """An application whose plugin answers as it should."""
    found = Waverer(tmp_path)
    found.says({})
    return found


def cases(mark: pytest.MarkDecorator) -> dict[str, Case]:
    """The cases of a test, by its ids."""
    name, params = mark.args
    assert name == "recorded"
    return {param.id: param.values[0] for param in params}


def test_each_recorded_call_is_a_test(waverer: Waverer) -> None:
    """The ids come from the record alone; what differs fails alone, in words."""
    folder = waverer.record(3)
    waverer.says({1: "more"})
    found = cases(replays(folder, waverer.kernel))
    assert list(found) == ["1-wavers-act", "1.1-wavers-echo", "2-wavers-act", "3-wavers-act"]
    assert list(cases(replays(str(folder / "recording.pack"), waverer.kernel))) == list(found)
    for name in ("1-wavers-act", "1.1-wavers-echo", "3-wavers-act"):
        found[name].check()
    with pytest.raises(AssertionError) as caught:
        found["2-wavers-act"].check()
    assert str(caught.value) == "call 2 of wavers, act: at $.also: nothing then, true now"


def test_one_replay_serves_all_tests(waverer: Waverer) -> None:
    """A kernel is composed when the first test asks, and never again, also where that fails."""
    made = []

    def kernel() -> nx.Kernel:
        made.append(waverer.kernel(grants={}))
        return made[-1]

    found = cases(replays(waverer.record(2), kernel, only={"wavers"}))
    assert made == []
    for case in found.values():
        with pytest.raises(nx.PermissionNotGranted):
            case.check()
    assert len(made) == 1


def test_a_stand_in_takes_the_place_of_the_recorded_plugin(waverer: Waverer) -> None:
    """Under its own id, as a builtin: the application gets what it got."""
    folder = waverer.record(3)
    with waverer.kernel() as kernel:
        expected = [kernel.hook.act(value=number) for number in range(3)]
    stand_in = StandIn(folder, "wavers", project="zoo")
    options = {"plugins": [], "grants": {}, "settings": {}, "builtins": {"wavers": stand_in}}
    with waverer.kernel(**options) as kernel:
        assert [kernel.hook.act(value=number) for number in range(3)] == expected
