"""In-process hosting: for debugging one plugin, at level none, and like a worker otherwise."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import nxkernel as nx
from nxkernel.audit.reader import AuditReader
from tests.process.conftest import Opens
from tests.support.zoo import Zoo, allow, build, code_of, eventually, patient, recorded

REASON = "it stops at a breakpoint"
IN_HOST = nx.Hosting(inproc_allowlist={"resides": REASON}, timeout_s=60)
RULES = [*allow("resides", "echo", "act"), *allow("asks.a", "echo", "act")]


@pytest.fixture
def inside(open_zoo: Opens) -> Zoo:
    """``resides`` in this process, ``prints`` in a worker."""
    return open_zoo(build, "resides", "prints", hosting=IN_HOST, rules=RULES)


@pytest.fixture
def outside(open_zoo: Opens, tmp_path: Path) -> Zoo:
    """The same, all in workers, in a data directory of its own."""

    def elsewhere(data: Path, *animals: str, **options: Any) -> nx.Kernel:
        return patient(tmp_path / "outside", *animals, **options)

    return open_zoo(elsewhere, "resides", "prints", rules=RULES)


def test_it_runs_here_in_a_thread_of_its_own(inside: Zoo) -> None:
    """Its process is ours; its modules are found, and the standard library keeps its names."""
    told = inside.act("resides", ["where"]).value
    assert (told["pid"], told["thread"]) == (os.getpid(), "nxkernel-inproc-resides")
    assert told["helper"] == "the plugin's"
    assert told["inner"] == "the plugin's inner, beside a sibling"
    assert told["json"] == "[1]"


def test_level_none_is_shown_and_on_record(inside: Zoo) -> None:
    """Views, explanation, run header, plugin row and every call say that nothing holds it."""
    inside.act("resides", ["where"])
    kernel = inside.kernel
    assert {n: v.level for n, v in kernel.plugins.items()} == {
        "prints": "confined",
        "resides": "none",
    }
    assert kernel.plugins["resides"].state == "ready"
    assert (kernel.health()["resides"].level, kernel.health()["resides"].state) == ("none", "ready")
    assert "IN THE HOST'S PROCESS" in str(kernel.explain("act"))
    assert {row.level for row in recorded(kernel.run, plugin="resides")} == {"none"}
    with AuditReader(kernel.run.audit_log.path) as reader:
        assert reader.runs()[0].environment["inproc"] == {"resides": REASON}
        levels = {row.plugin: row.level for row in reader.plugins(kernel.run.id)}
    assert levels == {"prints": "confined", "resides": "none"}


CASES: list[Any] = [
    ["draw"],
    ["mutate", [1, 2]],
    ["ask", "echo", {"deep": [1, None, 2.5]}],
    ["nest", 3],
    ["raise"],
    ["odd"],
    ["exit"],
    ["ask", "nobody", 1],
    ["ask", "travel", 1],
    ["unknown"],
]


@pytest.mark.parametrize("value", CASES, ids=lambda value: " ".join(map(str, value)))
def test_it_behaves_as_in_a_worker(inside: Zoo, outside: Zoo, value: Any) -> None:
    """Value, code, message and fault are the same across the boundary and without it."""
    here, there = inside.act("resides", value), outside.act("resides", value)
    assert (here.value, code_of(here), here.fault) == (there.value, code_of(there), there.fault)
    assert (here.error and here.error.message) == (there.error and there.error.message)


def test_traceback_is_that_of_a_worker(inside: Zoo, outside: Zoo) -> None:
    """File, line, function and source of each frame; no name of ours shows."""
    trees = []
    for zoo in (inside, outside):
        error = zoo.act("resides", ["raise"]).error
        assert error is not None
        trees.append(error.details["traceback"])
    assert trees[0] == trees[1]


def test_it_is_not_reloaded_or_removed(inside: Zoo) -> None:
    """What was imported here cannot be taken out whole: that takes a new process."""
    for change in (inside.kernel.reload, inside.kernel.remove):
        with pytest.raises(nx.PluginDisabled, match="runs in the host's process"):
            change("resides")
    assert inside.answers("resides")


def test_no_mutable_value_is_shared(inside: Zoo) -> None:
    """What the plugin does to an argument does not reach the caller."""
    given = [1]
    assert inside.act("resides", ["mutate", given]).value == [1, "mine"]
    assert given == [1]


def test_brokered_call_within_a_fan_out_does_not_wait_for_itself(open_zoo: Opens) -> None:
    """It may call a plugin whose worker is busy with the very same fan-out."""
    zoo = open_zoo(build, "resides", "asks.a", "asks.b", hosting=IN_HOST, rules=RULES)
    result = zoo.kernel.call("echo", value=["hello"])
    assert [code_of(outcome) for outcome in result] == ["ok"] * len(result)
    nested = zoo.act("resides", ["ask", "echo", 7])
    assert nested.value == [7] * len(result)


def test_callers_in_threads_take_turns(inside: Zoo) -> None:
    """One call at a time, each with its own answer."""
    answers: dict[int, Any] = {}
    threads = [
        threading.Thread(
            target=lambda n=n: answers.update({n: inside.ask("resides", "echo", value=n)})
        )
        for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {n: outcome.value for n, outcome in answers.items()} == {n: n for n in range(8)}


def test_breakpoint_stops_in_the_embedders_terminal(confinement: None, tmp_path: Path) -> None:
    """``breakpoint()`` is an ordinary one, and may last longer than any deadline."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.embedder", "breakpoint", tmp_path / "data"],
        cwd=Path(__file__).parents[2],
        input="where\np answer\nanswer = 43\ncontinue\n",
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "_break()" in done.stdout
    assert "(Pdb) 42\n" in done.stdout
    assert done.stdout.endswith('{"value": 43}\n'), done.stderr


@pytest.fixture
def modules() -> Iterator[set[str]]:
    before = set(sys.modules)
    paths = list(sys.path), list(sys.meta_path)
    yield before
    assert (sys.path, sys.meta_path) == paths


def test_modules_have_names_of_their_own_and_leave_with_the_kernel(
    modules: set[str], confinement: None, tmp_path: Path
) -> None:
    """Our ``helper`` and ``plugin`` are not shadowed, and nothing stays; no bytecode is written."""
    kernel = build(tmp_path / "data", "resides", hosting=IN_HOST, rules=RULES)
    with kernel:
        assert Zoo(kernel).act("resides", ["where"]).ok
        came = {name for name in set(sys.modules) - modules if "resides" in repr(sys.modules[name])}
        assert not {"helper", "plugin", "package", "inner"} & (set(sys.modules) - modules)
    gone = {name for name in sys.modules if name.startswith("_nxkernel_inproc_")}
    assert (came, gone) == (set(), set())
    assert list((tmp_path / "data" / "cache" / "code").rglob("*.pyc")) == []
    assert "nxkernel-inproc-resides" not in {thread.name for thread in threading.enumerate()}


def test_event_loop_goes_on_meanwhile(inside: Zoo) -> None:
    """The plugin works in its own thread: other tasks of the caller run."""

    async def main() -> nx.HookResult:
        waiting = inside.kernel.options(only={"resides"}).acall("act", value=["wait"])
        task = asyncio.ensure_future(waiting)
        while not os.path.exists(place / "waits"):
            await asyncio.sleep(0.001)
        (place / "go").touch()
        return await task

    place = inside.kernel.run.dir / "plugins" / "resides"
    assert asyncio.run(main()).value == ["went"]


def test_caller_that_goes_away_costs_the_plugin_nothing(inside: Zoo) -> None:
    """What the plugin asks for afterwards is refused, and the next call works."""
    place = inside.kernel.run.dir / "plugins" / "resides"

    async def main() -> None:
        caller = inside.kernel.options(only={"resides"})
        task = asyncio.ensure_future(caller.acall("act", value=["wait", "ask"]))
        while not os.path.exists(place / "waits"):
            await asyncio.sleep(0.001)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        (place / "go").touch()

    asyncio.run(main())
    assert inside.answers("resides")
    assert inside.act("resides", ["seen"]).value == ["KernelNotRunning", ["still", "here"]]


def test_closing_under_a_call_ends_it(
    confinement: None, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A call that never returns has its outcome and its row when the kernel closes."""
    kernel = build(tmp_path / "data", "resides", hosting=IN_HOST, rules=RULES)
    with kernel:
        zoo, place = Zoo(kernel), kernel.run.dir / "plugins" / "resides"
        outcomes: list[nx.Outcome] = []
        thread = threading.Thread(target=lambda: outcomes.append(zoo.act("resides", ["wait"])))
        thread.start()
        eventually(lambda: (place / "waits").exists(), "the plugin waits")
    thread.join()
    assert [code_of(outcome) for outcome in outcomes] == ["kernel.not_running"]
    (place / "go").touch()
    assert code_of_row(kernel.run) == "kernel.not_running"


def code_of_row(run: nx.Run) -> str | None:
    """The error of the last call on record."""
    return recorded(run)[-1].error_code


class TestRefusal:
    """What is not debugging one harmless plugin is refused."""

    @pytest.mark.parametrize("reason", ["", "  ", None, True])
    def test_without_a_reason(self, reason: Any) -> None:
        """Somebody has to say why."""
        with pytest.raises(nx.KernelConfigError, match="'resides' has no reason"):
            nx.Hosting(inproc_allowlist={"resides": reason})

    def test_of_an_unknown_plugin(self, tmp_path: Path) -> None:
        """A typing mistake must not leave the plugin in a worker without a word."""
        hosting = nx.Hosting(inproc_allowlist={"residez": REASON})
        with (
            pytest.raises(nx.KernelConfigError, match="no plugin 'residez' was found; found: resi"),
            build(tmp_path, "resides", hosting=hosting),
        ):
            pass

    def test_of_a_plugin_with_grants(self, open_zoo: Opens, tmp_path: Path) -> None:
        """Nothing here would hold it to what it is granted: it does not run at all."""
        media = tmp_path / "media"
        media.mkdir()
        zoo = open_zoo(
            build,
            "meets",
            hosting=nx.Hosting(inproc_allowlist={"meets": REASON}),
            paths={"media_dir": media},
            settings={"meets": {"place": str(media)}},
            grants={"meets": nx.Grant(read=("{media_dir}",), write=("{media_dir}",))},
        )
        error = zoo.kernel.plugins["meets"].error
        assert isinstance(error, nx.PluginDisabled)
        assert error.code == "plugin.inproc"
        assert "granted read '{media_dir}', and nothing there would hold it to that" in str(error)

    def test_of_level_none_for_all(self, tmp_path: Path) -> None:
        """The sandbox has no such switch; the refusal names the way for one plugin."""
        with (
            pytest.raises(nx.KernelConfigError, match="inproc_allowlist"),
            build(tmp_path, "resides", sandbox=nx.Sandbox(require="none")),
        ):
            pass

    def test_of_a_plugin_that_does_not_load(self, open_zoo: Opens) -> None:
        """Its own exception, with its frames, is the reason why it does not run."""
        hosting = nx.Hosting(inproc_allowlist={"import.raises": REASON})
        zoo = open_zoo(build, "import.raises", "prints", hosting=hosting)
        error = zoo.kernel.plugins["import.raises"].error
        assert isinstance(error, nx.PluginDisabled)
        assert error.message.startswith(
            "plugin 'import.raises' could not be loaded: RuntimeError: not on this machine: "
            "{plugin_dir}/plugin.py"
        )
        assert zoo.answers("prints")
