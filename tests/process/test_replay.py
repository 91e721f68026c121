"""A recorded run is made again in fresh workers, and what is not as it was is named."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

import pytest

import nxkernel as nx
from nxkernel._canonical import digest, encode
from nxkernel.recording.pack import NAME
from nxkernel.replay import Session, Verdict, rerun
from tests.support import zoo
from tests.support.recordings import Waverer

#: What is planted into a run of a thousand calls, and what a replay says of it.
PLANTED = {
    3: ("value", "value", 'at $.items[2].deep[0]: "same" then, "other" now'),
    104: ("longer", "value", 'at $.items[3]: nothing then, "one more" now'),
    205: ("less", "value", "at $.n: 205 then, nothing now"),
    306: ("more", "value", "at $.also: nothing then, true now"),
    407: ("float", "value", "at $.n: 407 then, 407.0 now"),
    508: ("sign", "value", "at $.items[2].deep[1]: 0.0 then, -0.0 now"),
    609: ("raise", "outcome", "... then, [plugin.raised] ValueError: no answer to 609 now"),
    717: ("calm", "outcome", "[plugin.raised] ValueError: no answer to 717 then, {"),
    784: ("ask", "asked", '"word"]} then, asked echo with {"value": [784, "changed"]} now'),
    931: ("shy", "asked", '{"value": [931, "word"]} then, asked nothing more now'),
}
#: Of a thousand calls, those that the plugin makes itself: one for each multiple of 49.
CALLS, NESTED = 980, 20


@pytest.fixture
def waverer(confinement: None, tmp_path: Path) -> Waverer:
    """An application whose plugin answers as it should."""
    found = Waverer(tmp_path)
    found.says({})
    return found


def again(waverer: Waverer, folder: Path) -> list[Verdict]:
    """Replay the run in *folder*."""
    with Session.open(folder) as session:
        return rerun(session, waverer.kernel)


def test_a_thousand_calls_name_each_of_ten_planted_differences_and_nothing_else(
    waverer: Waverer,
) -> None:
    """Nested calls, errors and seeds included; each difference says where, and what was there."""
    folder = waverer.record(CALLS)
    waverer.says({number: whim for number, (whim, _, _) in PLANTED.items()})
    verdicts = again(waverer, folder)
    assert len(verdicts) == CALLS + NESTED
    # Numbers are asked for from 0, and calls counted from 1.
    found = [verdict for verdict in verdicts if verdict.state != "same"]
    by_number = {int(verdict.call.call_id) - 1: verdict for verdict in found}
    assert sorted(by_number) == sorted(PLANTED)
    for number, (_, kind, words) in PLANTED.items():
        verdict = by_number[number]
        assert (verdict.call.plugin, verdict.call.hook) == ("wavers", "act")
        assert verdict.difference is not None
        assert verdict.difference.kind == kind
        assert words in str(verdict.difference)
        assert verdict.circumstances == ()


def test_an_unchanged_run_has_no_difference(waverer: Waverer) -> None:
    """Not in a call either that ends its worker; the next one starts another."""
    waverer.says({2: "exit"})
    verdicts = again(waverer, waverer.record(60))
    assert {verdict.state for verdict in verdicts} == {"same"}
    assert len(verdicts) == 62
    ended = verdicts[3].call.ended
    assert ended is not None
    assert ended.error is not None
    assert ended.error.code == "plugin.crashed"


def test_what_is_drawn_comes_from_the_record(waverer: Waverer) -> None:
    """Whatever seed the application has now, and whoever else is asked before."""
    folder = waverer.record(3)
    run = nx.Run.create(waverer.place / "data", seed="another")
    with Session.open(folder) as session:
        backwards = list(reversed(session.calls))
        verdicts = rerun(session, lambda: waverer.kernel(run=run, middleware=[]), backwards)
    assert {verdict.state for verdict in verdicts} == {"same"}


def test_one_call_can_be_made_alone(waverer: Waverer) -> None:
    """Its nested calls are answered from the record, and not made."""
    with Session.open(waverer.record(50)) as session:
        call = next(each for each in session.calls if each.ended and each.ended.questions)
        (verdict,) = rerun(session, waverer.kernel, [call])
    assert (verdict.state, verdict.call.call_id) == ("same", call.call_id)


def test_changed_code_and_settings_are_named_beside_the_difference(waverer: Waverer) -> None:
    """They may be to blame; a difference in a secret alone cannot be seen, by design."""
    folder = waverer.record(2)
    source = waverer.plugin / "plugin.py"
    source.write_text(source.read_text().replace('"x"', '"y"'))
    (waverer.place / "media" / "other.json").write_text("{}")
    settings = {"place": str(waverer.place / "media" / "other.json"), "word": "open sesame"}

    def changed() -> nx.Kernel:
        return waverer.kernel(settings={"wavers": settings})

    with Session.open(folder) as session:
        verdicts = rerun(session, changed)
    differing = [verdict for verdict in verdicts if verdict.differs]
    assert len(differing) == 2
    for verdict in differing:
        assert str(verdict.difference) == 'at $.items[1]: "x" then, "y" now'
        assert [(each.name, each.plugin) for each in verdict.circumstances] == [
            ("code", "wavers"),
            ("settings", "wavers"),
        ]


def test_a_plugin_that_is_gone_is_named(waverer: Waverer) -> None:
    """Nothing is made then: a part of a run would look like the whole of it."""
    folder = waverer.record(1)
    others = nx.discover(zoo.folder("plain.a"))
    with (
        Session.open(folder) as session,
        pytest.raises(nx.ReplayError, match="'wavers' was recorded and is not there") as caught,
    ):
        rerun(session, lambda: waverer.kernel(plugins=others, grants={}, settings={}))
    assert caught.value.code == "replay.missing_plugin"


def test_a_plugin_without_the_hookimpl_is_named(waverer: Waverer) -> None:
    """Its manifest and code have lost the hook that was recorded."""
    folder = waverer.record(1)
    for name, before, after in (
        ("plugin.toml", 'hooks = ["act", "echo"]', 'hooks = ["echo"]'),
        ("plugin.py", "    @hookimpl\n    def act", "    def act"),
    ):
        file = waverer.plugin / name
        file.write_text(file.read_text().replace(before, after))
    with (
        Session.open(folder) as session,
        pytest.raises(nx.ReplayError, match="no hookimpl 'act' of 'act' any more") as caught,
    ):
        rerun(session, waverer.kernel)
    assert caught.value.code == "replay.changed_manifest"


def test_a_plugin_that_does_not_run_says_why(waverer: Waverer) -> None:
    """The reason is its own: here, a grant that it has lost."""
    folder = waverer.record(1)
    with Session.open(folder) as session, pytest.raises(nx.PermissionNotGranted):
        rerun(session, lambda: waverer.kernel(grants={}))


def test_a_plugin_that_asks_otherwise_is_told_so(waverer: Waverer) -> None:
    """It may deal with the refusal; the difference stays the one that it asked."""
    folder = waverer.record(1)
    source = waverer.plugin / "plugin.py"
    asks = 'found["heard"] = self.context.call("echo", value=[value, word])'
    text = source.read_text()
    assert asks in text
    caught = f"try:\n                {asks.replace('word]', '0]')}\n            " + (
        "except nx.NxError as error:\n                found['heard'] = [value, error.code]"
    )
    source.write_text(text.replace(asks, caught))
    with Session.open(folder) as session:
        (verdict,) = rerun(session, waverer.kernel, [session.call("1")])
    assert str(verdict.difference) == (
        'asked echo with {"value": [0, "word"]} then, asked echo with {"value": [0, 0]} now'
    )
    with Session.open(folder) as session:
        expected = session.value(session.call("1").ended.value)
    dealt = {**expected, "heard": [0, "replay.asked_otherwise"]}
    assert verdict.digest == digest(encode(dealt))


def test_calls_are_found_by_their_ids(waverer: Waverer) -> None:
    """One that is not there says how far they go."""
    with Session.open(waverer.record(2)) as session:
        assert session.call("1.1").hook == "echo"
        with pytest.raises(nx.ReplayError, match="no call '3' among the 3") as caught:
            session.call("3")
    assert caught.value.code == "replay.unknown_call"


def test_no_secret_and_no_setting_is_in_the_file(waverer: Waverer) -> None:
    """Only a digest of the settings, with their secrets masked, is."""
    written = (waverer.record(3) / NAME).read_bytes()
    assert b"abracadabra" not in written
    assert b"whims.json" not in written


def test_wrappers_are_made_with_both_their_phases(confinement: None, tmp_path: Path) -> None:
    """Also when only the second one is asked for; its inner result is the recorded one."""

    def kernel(*, recorded: bool = False) -> nx.Kernel:
        run = nx.Run.create(tmp_path / "data")
        stack = [nx.Determinism(), *([nx.Recording(run)] if recorded else [])]
        plugins = nx.discover(*map(zoo.folder, ("wraps.new", "wraps.old", "raises")))
        return nx.Kernel("zoo", specs=[zoo.Hooks], run=run, plugins=plugins, middleware=stack)

    with kernel(recorded=True) as running:
        running.call("wrapped", value=3)
        folder = running.run.dir
    with Session.open(folder) as session:
        phases = [call.begun.phase for call in session.calls]
        assert {"setup", "teardown"} <= set(phases)
        assert {verdict.state for verdict in rerun(session, kernel)} == {"same"}
        last = session.calls[phases.index("teardown")]
        assert [verdict.state for verdict in rerun(session, kernel, [last])] == ["same"]


def test_what_a_plugin_remembers_is_what_it_was(confinement: None, tmp_path: Path) -> None:
    """A whole run is made in its order, in workers that have seen no call before."""

    def kernel(*, recorded: bool = False) -> nx.Kernel:
        run = nx.Run.create(tmp_path / "data")
        plugins = nx.discover(zoo.folder("remembers"))
        stack = [nx.Recording(run)] if recorded else []
        return nx.Kernel("zoo", specs=[zoo.Hooks], run=run, plugins=plugins, middleware=stack)

    with kernel(recorded=True) as running:
        for word in ("one", "two", "three"):
            running.hook.told.call_historic(kwargs={"value": word})
        folder = running.run.dir
    with Session.open(folder) as session:
        assert {verdict.state for verdict in rerun(session, kernel)} == {"same"}
        (alone,) = rerun(session, kernel, [session.calls[1]])
    assert str(alone.difference) == 'at $[0]: "one" then, "two" now'


def test_calls_of_many_threads_are_told_apart(confinement: None, tmp_path: Path) -> None:
    """Also those that come back to a plugin while it waits: each is made again by itself."""

    def kernel(*, recorded: bool = False) -> nx.Kernel:
        run = nx.Run.create(tmp_path / "data")
        rules = [*zoo.allow("asks.a", "ask_b"), *zoo.allow("asks.b", "ask_a")]
        stack = nx.standard_stack(run, rules=rules)
        plugins = nx.discover(*map(zoo.folder, ("asks.a", "asks.b")))
        return nx.Kernel(
            "zoo",
            specs=[zoo.Hooks],
            run=run,
            plugins=plugins,
            middleware=[*stack, nx.Recording(run)] if recorded else stack,
            hosting=nx.Hosting(timeout_s=zoo.PATIENCE_S),
        )

    with kernel(recorded=True) as running:

        def ask(number: int) -> None:
            for length in range(4):
                running.call("ask_a", value=["ask_b", "ask_a", "ask_b", number][:length])

        threads = [threading.Thread(target=ask, args=(number,)) for number in range(3)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        folder = running.run.dir
    with Session.open(folder) as session:
        assert max(call.begun.depth for call in session.calls) == 3
        assert len({call.call_id for call in session.calls}) == 3 * (1 + 2 + 3 + 4)
        assert {verdict.state for verdict in rerun(session, kernel)} == {"same"}


def test_streams_are_made_again_as_far_as_they_went(confinement: None, tmp_path: Path) -> None:
    """To their end, up to a failure, or until their consumer had enough of one without an end."""

    def kernel(plugin: Path, *, recorded: bool = False) -> nx.Kernel:
        run = nx.Run.create(tmp_path / "data")
        stack = [nx.Determinism(), *([nx.Recording(run)] if recorded else [])]
        plugins = nx.discover(plugin)
        return nx.Kernel("zoo", specs=[zoo.Hooks], run=run, plugins=plugins, middleware=stack)

    with kernel(zoo.folder("flows"), recorded=True) as running:
        assert list(running.hook.flow(value=["count", 3])) == [0, 1, 2]
        with running.hook.flow(value=["count", None]) as endless:
            assert [next(endless) for _ in range(2)] == [0, 1]
        with pytest.raises(nx.HookFailed):
            list(running.hook.flow(value=["text"]))
        folder = running.run.dir
    with Session.open(folder) as session:
        assert [len(call.items) for call in session.calls] == [3, 2, 0]
        verdicts = rerun(session, lambda: kernel(zoo.folder("flows")))
        assert [(verdict.state, verdict.why) for verdict in verdicts] == [("same", "")] * 3
        other = tmp_path / "flows"
        shutil.copytree(zoo.folder("flows"), other)
        source = other / "plugin.py"
        source.write_text(source.read_text().replace("else number\n", "else number * 2\n"))
        changed = rerun(session, lambda: kernel(other))
    assert [str(verdict.difference) for verdict in changed[:2]] == [
        "at $[1]: 1 then, 2 now",
        "at $[1]: 1 then, 2 now",
    ]
