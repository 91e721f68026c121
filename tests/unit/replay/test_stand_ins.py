"""A stand-in answers in a plugin's place, from the record and from nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import nxkernel as nx
from nxkernel.testing import StandIn
from tests.support.recordings import Written

hookspec = nx.HookspecMarker("zoo")


class Specs:
    @hookspec
    def act(self, value):
        """Do what the plugin is there for."""

    @hookspec(stream=True, firstresult=True)
    def flow(self, value):
        """Return items."""

    @hookspec
    def echo(self, value):
        """Return *value*."""


def kernel(place: Path, stand_in: StandIn) -> nx.Kernel:
    """A kernel without any plugin but the stand-in."""
    run = nx.Run.create(place / "data")
    return nx.Kernel(
        "zoo", specs=[Specs], run=run, middleware=[nx.Determinism()], builtins={"p": stand_in}
    )


@pytest.fixture
def written(tmp_path: Path) -> Written:
    """A recording that a test writes call by call."""
    found = Written(tmp_path / "recorded.pack")
    found.call("act", {"value": 1}, value=["one"])
    found.call("act", {"value": 2}, value="first")
    found.call("act", {"value": 2}, value="second")
    found.call("echo", {"value": nx.Blob(b"pixels")}, value=nx.Blob(b"other"))
    found.call("act", {"value": 3}, error=("plugin.raised", "ValueError: no"))
    return found


def test_it_answers_as_the_plugin_did(written: Written, tmp_path: Path) -> None:
    """Every hook that was asked; equal arguments in their order, and then the last again."""
    with kernel(tmp_path, StandIn(written.close(), "p", project="zoo")) as running:
        assert running.hook.act(value=1) == [["one"]]
        assert [running.hook.act(value=2) for _ in range(3)] == [["first"], ["second"], ["second"]]
        assert running.hook.echo(value=nx.Blob(b"pixels")) == [nx.Blob(b"other")]


def test_an_error_is_raised_again(written: Written, tmp_path: Path) -> None:
    """With the recorded code and text in its message."""
    with kernel(tmp_path, StandIn(written.close(), "p", project="zoo")) as running:
        (outcome,) = running.call("act", value=3)
    assert outcome.error is not None
    assert outcome.error.message == "PluginFailed: [plugin.raised] ValueError: no"


def test_what_was_not_recorded_is_an_error(written: Written, tmp_path: Path) -> None:
    """It says what was asked, and guesses nothing."""
    stand_in: Any = StandIn(written.close(), "p", project="zoo")
    with pytest.raises(nx.ReplayError) as caught:
        stand_in.act(value=99)
    assert str(caught.value) == (
        "[replay.unknown_input] the stand-in for 'p' has no record of act with {\"value\": 99}"
    )
    with kernel(tmp_path, stand_in) as running:
        (outcome,) = running.call("act", value=99)
    assert outcome.error is not None
    assert outcome.error.message == f"ReplayError: {caught.value.message}"


def test_a_plugin_without_calls_cannot_be_stood_in_for(written: Written) -> None:
    """The message names those that can."""
    with pytest.raises(nx.ReplayError, match="no call of plugin 'q'; it has calls of: p") as caught:
        StandIn(written.close(), "q", project="zoo")
    assert caught.value.code == "replay.missing_plugin"


@pytest.mark.parametrize("kind", ["wrapper", "method"])
def test_what_is_no_answer_to_arguments_cannot_be_stood_in_for(written: Written, kind: str) -> None:
    """A stand-in that lacked a hookimpl would not say so."""
    changes = {"phase": "setup"} if kind == "wrapper" else {"impl": "_learn"}
    written.call("act", {"value": 1}, value=None, **changes)
    with pytest.raises(nx.KernelConfigError, match=f"of 'p' is a {kind}"):
        StandIn(written.close(), "p", project="zoo")


def test_a_stream_has_the_items_that_were_taken(written: Written, tmp_path: Path) -> None:
    """To its end, up to its failure, or until its consumer had closed it: that is said."""
    closed = ("call.cancelled", "the stream was closed before its end")
    for number, error in enumerate((None, ("plugin.raised", "ValueError: no"), closed)):
        written.call("flow", {"value": number}, items=[1, 2], error=error, stream=True)
    words = []
    with kernel(tmp_path, StandIn(written.close(), "p", project="zoo")) as running:
        assert list(running.hook.flow(value=0)) == [1, 2]
        for number in (1, 2):
            stream = running.hook.flow(value=number)
            assert [next(stream), next(stream)] == [1, 2]
            with pytest.raises(nx.HookFailed) as caught:
                next(stream)
            words.append(caught.value.message)
    assert words[0] == "PluginFailed: [plugin.raised] ValueError: no"
    assert (
        "has no more items on record: the consumer closed this stream of flow after 2" in words[1]
    )


def test_what_the_host_ended_is_no_answer(written: Written, tmp_path: Path) -> None:
    """A caller who went away once does not do so in every test; a builtin answers for itself."""
    written.call("act", {"value": 1}, error=("call.cancelled", "the caller went away"))
    written.call("act", {"value": 5}, value="built in", level="host")
    with kernel(tmp_path, StandIn(written.close(), "p", project="zoo")) as running:
        assert [running.hook.act(value=1) for _ in range(2)] == [[["one"]], [["one"]]]
        assert running.hook.act(value=5) == ["built in"]
