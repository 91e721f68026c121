"""`state = "fresh"`: each call in a process of its own, forked after import, and gone with it."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest

import nxkernel as nx
from nxkernel.host.sandbox.linux import probe
from nxkernel.kernel import machine
from tests.process.conftest import Opens
from tests.support import interpreter
from tests.support.calls_fresh import CALLS
from tests.support.zoo import (
    PATIENCE_S,
    SOON_S,
    Picture,
    Zoo,
    allow,
    code_of,
    copies,
    events,
    eventually,
    folder,
    patient,
    recorded,
)

ANIMALS = ("forgets", "remembers")
OPTIONS: dict[str, Any] = {"rules": allow("forgets", "ask_a", "echo", "act")}
#: An ordinary user, by a number that exists everywhere.
NOBODY = 65534


@pytest.fixture(scope="module", autouse=True)
def processes(confinement: None) -> None:
    """Skip, with the reason, where no pid namespace can be had or bounded."""
    found = probe.processes_available()
    if not found.ok:
        pytest.skip(f"{found.name} is not available here: {found.detail} ({found.errno})")


def template(zoo: Zoo) -> psutil.Process:
    """The process that the plugin's calls are forked of."""
    pid = zoo.kernel.plugins["forgets"].pid
    assert pid is not None
    return psutil.Process(pid)


def changed(place: Path, animal: str, name: str, **texts: str) -> Path:
    """A copy of *animal* with the id *name*; *texts* are put in for what they name."""
    (copy,) = copies(place, animal, [name])
    for file in ("plugin.toml", "plugin.py"):
        text = (copy / file).read_text()
        for old, new in texts.items():
            text = text.replace(old, new)
        (copy / file).write_text(text)
    return copy


# -- what a call finds and leaves ------------------------------------------------------------------


def test_fresh_calls_count_to_one_and_warm_ones_on(open_zoo: Opens, tmp_path: Path) -> None:
    """The same plugin: `fresh` always answers 1, `warm` answers n to the n-th call."""
    warm = changed(tmp_path / "warm", "forgets", "keeps.all", fresh="warm")
    zoo = open_zoo(patient, "forgets", folders=[warm])
    assert [zoo.act("forgets", ["count"]).value for _ in range(4)] == [1, 1, 1, 1]
    assert [zoo.act("keeps.all", ["count"]).value for _ in range(4)] == [1, 2, 3, 4]


def test_a_call_finds_no_trace_of_another(zoo: Zoo) -> None:
    """Globals, caches, modules, files, threads, random numbers, environment, folder, umask."""
    first, second = (zoo.act("forgets", ["traces"]) for _ in range(2))
    assert first.value == second.value
    assert first.value["threads"] == first.value["calls"] == first.value["cached"] == 1
    assert first.value["opened"] == 0
    assert first.value["environment"] is None
    assert first.value["folder"]


def test_files_in_its_folder_stay(zoo: Zoo) -> None:
    """That is what a call can still leave to the next one, as the manual says."""
    assert zoo.act("forgets", ["write", "note", "for the next one"]).ok
    assert zoo.act("forgets", ["read", "note"]).value == "for the next one"


def test_its_process_is_gone_before_its_answer_is_there(zoo: Zoo) -> None:
    """Threads and all: nothing of a call goes on behind the back of the next one."""
    for _ in range(5):
        assert zoo.act("forgets", ["traces"]).ok
        assert template(zoo).children(recursive=True) == []


def test_what_it_printed_is_in_the_log(zoo: Zoo) -> None:
    """Also what no end of line came after."""
    zoo.act("forgets", ["print", "printed by a call"])
    eventually(lambda: "printed by a call" in zoo.log("forgets"), "the line is there")


def test_calls_at_the_same_time_are_apart(zoo: Zoo) -> None:
    """They do not wait for one another, and none sees another."""
    with ThreadPoolExecutor(6) as pool:
        counts = list(pool.map(lambda _: zoo.act("forgets", ["count"]).value, range(18)))
    assert counts == [1] * 18


def test_there_is_room_for_any_number_of_calls(zoo: Zoo) -> None:
    """Also when the numbers of processes in the template's namespace have been through."""
    counts = {zoo.act("forgets", ["count"]).value for _ in range(310)}
    assert counts == {1}
    assert zoo.act("forgets", ["traces"]).ok, "one more process, and a thread in it"


def test_blobs_cross_both_ways(zoo: Zoo) -> None:
    """Each call has an arena of its own, so that no bytes are left in it either."""
    image, small = nx.Blob(os.urandom(1 << 20)), nx.Blob(b"small")
    picture = Picture("p", image, (small, image))
    outcome = zoo.ask("forgets", "develop", picture=picture)
    assert outcome.ok, outcome.error
    assert outcome.value["image"] == image
    assert outcome.value["thumbs"][0] == small


def test_the_audit_has_each_call(zoo: Zoo) -> None:
    """A row with its level and digests, as for any other plugin."""
    outcome = zoo.act("forgets", ["count"])
    row = recorded(zoo.kernel.run)[-1]
    assert (row.call_id, row.plugin, row.level) == (outcome.call_id, "forgets", "confined")
    assert row.output_digest == outcome.output_digest


# -- calls in calls --------------------------------------------------------------------------------


def test_a_brokered_call_goes_on_in_the_same_process(zoo: Zoo) -> None:
    """What it did before the nested call is there behind it."""
    assert zoo.act("forgets", ["ask", "echo", 7]).value[::2] == [1, 2]


def test_a_call_to_itself_has_a_process_of_its_own(zoo: Zoo) -> None:
    """However deep: each finds the plugin as it was imported."""
    value = zoo.ask("forgets", "ask_a", value=3).value
    depth = 0
    while len(value) > 1:
        assert value[0] == 1
        value, depth = value[1][0], depth + 1
    assert (value, depth) == ([1], 3)
    assert template(zoo).children() == []


def test_both_halves_of_a_wrapper_share_a_process(zoo: Zoo) -> None:
    """Its second phase goes on where the first one stopped; the next wrapper is another one."""
    for _ in range(2):
        value = zoo.kernel.options(only={"forgets"}).call("wrapped", value="x").value
        assert value == [[], 1, 2, True]
    assert template(zoo).children() == []


def test_a_wrapper_of_a_cancelled_call_is_ended(zoo: Zoo) -> None:
    """Its `finally` runs, and its process goes."""

    async def main() -> None:
        hook = zoo.kernel.options(only={"forgets", "remembers"})
        call = asyncio.create_task(hook.acall("wrapped", value="wait"))
        while not list(zoo.kernel.run.dir.rglob("waits")):
            await asyncio.sleep(0.002)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call

    asyncio.run(main())
    eventually(lambda: template(zoo).children() == [], "it has ended")
    (left,) = zoo.kernel.run.dir.rglob("left")
    assert "wait" in left.read_text()


# -- ends ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "code", "details"),
    [
        (["exit", 3], "plugin.crashed", {"exit_status": 3, "signal": None}),
        (["signal", "SIGKILL"], "plugin.crashed", {"exit_status": None, "signal": 9}),
        (["signal", "SIGSEGV"], "plugin.crashed", {"exit_status": None, "signal": 11}),
        (["hoard"], "plugin.raised", {"exception": "builtins.MemoryError"}),
        (["raise"], "plugin.raised", {"exception": "builtins.LookupError"}),
    ],
    ids=str,
)
def test_the_end_of_a_call_is_not_the_templates(
    zoo: Zoo, value: list[Any], code: str, details: dict[str, Any]
) -> None:
    """It costs that call alone: nothing is started anew, and nothing counts as a death."""
    before = zoo.kernel.plugins["forgets"].starts
    outcome = zoo.act("forgets", value)
    assert (code_of(outcome), outcome.fault) == (code, "plugin")
    assert outcome.error is not None
    found = {key: outcome.error.details[key] for key in details}
    if probe_says_how() or code != "plugin.crashed":
        assert found == details
    assert zoo.act("forgets", ["count"]).value == 1
    assert zoo.kernel.plugins["forgets"].starts == max(1, before)
    assert zoo.kernel.health()["forgets"].deaths == 0


def probe_says_how() -> bool:
    """Whether this system says how the child of another process ended: Linux 6.15."""
    return tuple(map(int, os.uname().release.split(".")[:2])) >= (6, 15)


def test_a_deadline_ends_the_call_alone(zoo: Zoo) -> None:
    """Whatever it does, it is killed; the template stays."""
    before = zoo.kernel.plugins["forgets"].starts
    assert code_of(zoo.act("forgets", ["spin"], timeout=SOON_S)) == "plugin.timeout"
    assert zoo.act("forgets", ["count"]).value == 1
    assert zoo.kernel.plugins["forgets"].starts == max(1, before)


def test_processor_time_is_each_calls_own(open_zoo: Opens, tmp_path: Path) -> None:
    """What is used up ends the call with `plugin.limit`; the next one has all of it again."""
    limits = 'state = "fresh"\n[limits]\ncpu_seconds_per_call = 1'
    hungry = changed(tmp_path / "hungry", "forgets", "hungry", **{'state = "fresh"': ""})
    toml = hungry / "plugin.toml"
    toml.write_text(toml.read_text() + limits)
    zoo = open_zoo(patient, folders=[hungry])
    outcome = zoo.act("hungry", ["spin"])
    assert code_of(outcome) == "plugin.limit"
    assert zoo.act("hungry", ["count"]).value == 1


def test_a_lost_call_is_made_again_where_that_may_be(zoo: Zoo) -> None:
    """In another process, with the same template."""
    outcome = zoo.ask("forgets", "again", value="first time")
    assert (outcome.value, outcome.attempts) == (1, 2)


def test_the_end_of_the_template_is_a_death(open_zoo: Opens) -> None:
    """It takes its calls along, counts, and the next call has a new one."""
    zoo = open_zoo(patient, "forgets")
    zoo.act("forgets", ["count"])
    found: list[nx.Outcome] = []
    caller = threading.Thread(target=lambda: found.append(zoo.act("forgets", ["sleep", 3600])))
    caller.start()
    eventually(lambda: bool(list(zoo.kernel.run.dir.rglob("asleep"))), "it sleeps")
    family = [template(zoo), *template(zoo).children()]
    family[0].kill()
    caller.join()
    assert psutil.wait_procs(family, PATIENCE_S)[1] == []
    assert code_of(found[0]) == "plugin.crashed"
    eventually(lambda: zoo.kernel.health()["forgets"].deaths == 1, "it counts")
    assert zoo.act("forgets", ["count"]).value == 1
    assert zoo.kernel.plugins["forgets"].starts == 2


def test_closing_ends_calls_under_way(tmp_path: Path) -> None:
    """They have outcomes, and no process stays."""
    found: list[nx.Outcome] = []
    with patient(tmp_path, "forgets") as kernel:
        zoo = Zoo(kernel)
        zoo.act("forgets", ["count"])
        caller = threading.Thread(target=lambda: found.append(zoo.act("forgets", ["sleep", 3600])))
        caller.start()
        eventually(lambda: bool(list(kernel.run.dir.rglob("asleep"))), "it sleeps")
        family = [template(zoo), *template(zoo).children()]
    caller.join()
    assert [code_of(each) for each in found] == ["kernel.not_running"]
    assert psutil.wait_procs(family, PATIENCE_S)[1] == []


# -- historic calls --------------------------------------------------------------------------------


def test_historic_calls_are_in_every_call(open_zoo: Opens) -> None:
    """They run in the template, which is why they stay; a new template is told of them again."""
    zoo = open_zoo(patient, "forgets")
    told = zoo.kernel.hook.told
    told.call_historic(kwargs={"value": "early"})
    assert [zoo.act("forgets", ["count"]).value for _ in range(2)] == [101, 101]
    told.call_historic(kwargs={"value": "late"})
    assert [zoo.act("forgets", ["count"]).value for _ in range(2)] == [201, 201]
    gone = template(zoo)
    gone.kill()
    gone.wait()  # Before that it may still be given the next call.
    assert zoo.act("forgets", ["count"]).value == 201
    assert zoo.kernel.plugins["forgets"].starts == 2


# -- what a plugin must be for it ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("threading.Thread(target=threading.Event().wait, daemon=True).start()", "2 threads"),
        ("FILE = open(__file__)", "1 open after its import (file)"),
        ("PIPE = os.pipe()", "2 open after its import (pipe or event, pipe or event)"),
    ],
    ids=["thread", "file", "pipe"],
)
def test_what_calls_would_share_is_refused(
    open_zoo: Opens, tmp_path: Path, line: str, words: str
) -> None:
    """At the start, with what it is and what to do."""
    odd = changed(tmp_path / "odd", "forgets", "odd", **{"calls = 0": f"calls = 0\n{line}"})
    zoo = open_zoo(patient, folders=[odd])
    outcome = zoo.act("odd", ["count"])
    assert code_of(outcome) == "plugin.start"
    assert outcome.error is not None
    assert words in outcome.error.message
    assert 'write state = "warm" in the manifest' in outcome.error.message
    assert "in the hookimpl" in outcome.error.message


# -- walls -----------------------------------------------------------------------------------------

REFUSED = {
    "kill": errno.EPERM,
    "kill all": errno.EPERM,
    "tgkill": errno.EPERM,
    "ptrace": errno.EPERM,
    "read": errno.EPERM,
    "write": errno.EPERM,
    "fork": errno.EPERM,
    "filter": errno.ENOSYS,
    "limit": errno.EPERM,
    "pidfd": errno.ENOSYS,
    "take": errno.EPERM,
    "mem": errno.EACCES,
    "group": errno.EPERM,
    "priority": errno.EPERM,
}


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_a_call_cannot_reach_its_template(zoo: Zoo, name: str) -> None:
    """Neither signal nor trace it, nor read or write its memory, nor fork as it does."""
    assert zoo.act("forgets", ["reach", name]).value == REFUSED[name]
    assert zoo.act("forgets", ["count"]).value == 1


@pytest.mark.parametrize("level", ["process", "isolated"])
def test_the_other_levels_have_it_too(open_zoo: Opens, level: Any) -> None:
    """Calls are as fresh there, and their ends as much their own."""
    found = probe.namespaces_available()
    if level == "isolated" and not found.ok:
        pytest.skip(f"{found.name} is not available here: {found.detail} ({found.errno})")
    zoo = open_zoo(patient, "forgets", sandbox=nx.Sandbox(require=level))
    first, second = (zoo.act("forgets", ["traces"]).value for _ in range(2))
    assert first == second
    assert code_of(zoo.act("forgets", ["exit", 1])) == "plugin.crashed"
    assert code_of(zoo.act("forgets", ["sleep", 3600], timeout=SOON_S)) == "plugin.timeout"
    assert zoo.act("forgets", ["count"]).value == 1
    assert zoo.kernel.plugins["forgets"].starts == 1
    assert template(zoo).children() == []


class TestKilledHost:
    """SIGKILL of the host ends the template and every call, whoever runs it."""

    @pytest.fixture(params=["root", "user"])
    def place(self, request: pytest.FixtureRequest) -> Iterator[tuple[Path, int]]:
        if request.param == "root" and os.geteuid() != 0:
            pytest.skip("the part for uid 0 needs uid 0; run the suite as root to see it")
        # Not tmp_path: its parents are closed to other users.
        with tempfile.TemporaryDirectory(prefix="nx-fresh-") as name:
            yield Path(name).resolve(), 0 if request.param == "root" else os.geteuid() or NOBODY

    @pytest.mark.parametrize("level", ["process", "confined", "isolated"])
    def test_nobody_is_left(self, place: tuple[Path, int], level: str) -> None:
        """And until then calls were as fresh as anywhere."""
        host = self.start(*place, level)
        try:
            assert host.stdout is not None
            said = json.loads(host.stdout.readline())
            assert said["counts"] == [1, 1], said
            pidfds = [os.pidfd_open(pid) for pid in said["family"]]
            assert len(pidfds) == CALLS + 1
        finally:
            host.kill()
            host.communicate()
        for pidfd in pidfds:
            ended, _, _ = select.select([pidfd], [], [], PATIENCE_S)
            os.close(pidfd)
            assert ended

    @staticmethod
    def start(folder: Path, uid: int, level: str) -> subprocess.Popen[str]:
        python, identity = interpreter.own(), dict[str, Any]()
        home = folder / "host"
        home.mkdir(mode=0o700)
        if uid != os.geteuid():
            folder.chmod(0o755)
            python = interpreter.for_everybody(folder / "python")
            shutil.chown(home, uid, uid)
            identity = {"user": uid, "group": uid, "extra_groups": []}
        return subprocess.Popen(
            [*python.command("tests.support.calls_fresh"), str(home), level],
            env=dict(python.environment),
            cwd="/",
            stdout=subprocess.PIPE,
            text=True,
            **identity,
        )


# -- what is shown, and what is refused ------------------------------------------------------------


def test_it_is_shown(zoo: Zoo) -> None:
    """By the plugin's view, its health, `explain`, `doctor` and `plugins info`."""
    kernel = zoo.kernel
    assert (kernel.plugins["forgets"].memory, kernel.plugins["remembers"].memory) == (
        "fresh",
        "warm",
    )
    assert kernel.health()["forgets"].memory == "fresh"
    assert "each call in a fresh process" in str(kernel.health()["forgets"])
    shown = {view.plugin: view.memory for view in kernel.explain("act").providers}
    assert shown == {"forgets": "fresh", "remembers": "warm"}
    assert "each call in a fresh process" in str(kernel.explain("act"))
    assert nx.probe("process").machine["fresh_state"] == "available"
    info = [sys.executable, "-m", "nxkernel_cli", "plugins", "info", "forgets", "--json"]
    told = subprocess.run([*info, str(folder("forgets"))], stdout=subprocess.PIPE, check=True)
    assert json.loads(told.stdout)["plugin"]["state"] == "fresh"


def test_a_machine_that_cannot_hold_them(open_zoo: Opens, monkeypatch: pytest.MonkeyPatch) -> None:
    """The plugin is disabled, and the reason names what is missing; it never becomes warm."""
    monkeypatch.setattr(machine, "_found_processes", lambda: (False, 1))
    zoo = open_zoo(patient, "forgets")
    outcome = zoo.act("forgets", ["count"])
    assert code_of(outcome) == "sandbox.unavailable"
    assert outcome.error is not None
    assert "with fresh state needs a pid namespace" in outcome.error.message
    assert 'write state = "warm" in its manifest' in outcome.error.message
    assert "EPERM" in nx.probe("process").machine["fresh_state"]


def test_spawned_workers_have_none(open_zoo: Opens) -> None:
    """Without a zygote there is nothing to fork a template of."""
    zoo = open_zoo(patient, "forgets", hosting=nx.Hosting(launcher="spawn"))
    outcome = zoo.act("forgets", ["count"])
    assert code_of(outcome) == "sandbox.unavailable"
    assert outcome.error is not None
    assert "needs Linux and its zygote" in outcome.error.message


def test_what_the_walls_refuse_is_told(zoo: Zoo) -> None:
    """The outcome has the line to write, and the audit the refusal, as for any other plugin."""
    before = len(events(zoo.kernel.run, "access.denied"))
    outcome = zoo.act("forgets", ["read", "/etc/passwd"])
    assert code_of(outcome) == "plugin.raised"
    assert outcome.error is not None
    assert 'read = ["/etc/passwd"] below [permissions]' in outcome.error.message
    (event,) = events(zoo.kernel.run, "access.denied")[before:]
    assert event.data["call"] == outcome.call_id


def test_files_count_for_all_calls_together(open_zoo: Opens, tmp_path: Path) -> None:
    """However little each writes: `written_mb` is the plugin's."""
    limits = 'state = "fresh"\n[limits]\nwritten_mb = 2'
    greedy = changed(tmp_path / "greedy", "forgets", "greedy", **{'state = "fresh"': ""})
    toml = greedy / "plugin.toml"
    toml.write_text(toml.read_text() + limits)
    zoo = open_zoo(patient, folders=[greedy])
    codes = [code_of(zoo.act("greedy", ["fill", str(n)])) for n in range(4)]
    assert codes[0] == "ok"
    assert codes[-1] == "plugin.limit"
    assert zoo.kernel.plugins["greedy"].starts == 1
