"""Plugins come, change and go while the kernel runs, and nobody's call fails for it."""

from __future__ import annotations

import itertools
import os
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

import nxkernel as nx
from nxkernel.audit.reader import AuditReader
from nxkernel.audit.verification import verify
from nxkernel.plugins.codestore import CodeStore
from nxkernel.plugins.lockfile import Lock, lock_entry, write_lock
from tests.process.conftest import Opens
from tests.support.zoo import Zoo, allow, code_of, events, eventually, patient

pytestmark = pytest.mark.usefixtures("confinement")

MANIFEST = """
schema_version = 1
id = "{id}"
version = "{version}"
entrypoint = "plugin:Plugin"
hooks = {hooks}
{more}
"""
CODE = """
import nxkernel as nx
hookimpl = nx.HookimplMarker("zoo")

class Plugin:
    def __init__(self, context):
        self.context, self.heard = context, []

    @hookimpl
    def act(self, value):
        return ["{version}", value, self.heard, dict(self.context.settings)]
{more}
"""
SETTINGS = """
[settings]
schema = {{ type = "object" }}
defaults = {{ mood = "{mood}" }}
"""
ECHO = """
    @hookimpl
    def echo(self, value):
        return "{version}"
"""
TOLD = """
    @hookimpl
    def told(self, value):
        self.heard.append(value)
        return value
"""
WRAPPED = """
    @hookimpl(wrapper=True)
    def wrapped(self, value):
        result = yield
        return [*result, "{version}"]
"""
WAITS = """
    @hookimpl
    def first(self, value):
        import pathlib, time
        place = pathlib.Path(self.context.run_dir)
        (place / "waiting").touch()
        while not (place / "go").exists():
            time.sleep(0.005)
        return "{version}"
"""

ASKS_LATE = """
    @hookimpl
    def first(self, value):
        import pathlib, time
        place = pathlib.Path(self.context.run_dir)
        (place / "waiting").touch()
        while not (place / "go").exists():
            time.sleep(0.005)
        try:
            return ["{version}", self.context.call("echo", value=value)]
        except nx.NxError as error:
            return ["{version}", error.message]
"""


def write(
    place: Path,
    version: str,
    *,
    name: str = "changes",
    more: str = "",
    hooks: tuple[str, ...] = ("act",),
    code: str | None = None,
    manifest: str = "",
) -> Path:
    """Write an edition of a plugin into its folder."""
    folder = place / name
    folder.mkdir(parents=True, exist_ok=True)
    text = CODE.format(version=version, more=more.format(version=version)) if code is None else code
    (folder / "plugin.py").write_text(text)
    (folder / "plugin.toml").write_text(
        MANIFEST.format(id=name, version=version, hooks=list(hooks), more=manifest)
    )
    return folder


def version_of(zoo: Zoo, name: str = "changes") -> Any:
    return zoo.act(name, 1).value[0]


class TestReload:
    """A changed plugin takes effect without a restart of the host."""

    def test_next_call_runs_the_new_code(self, open_zoo: Opens, tmp_path: Path) -> None:
        """Another worker, another version and digest; the old worker is gone."""
        folder = write(tmp_path, "1")
        zoo = open_zoo(patient, "prints", folders=[folder])
        assert version_of(zoo) == "1"
        before = zoo.kernel.plugins["changes"]
        write(tmp_path, "2")
        zoo.kernel.reload("changes")
        after = zoo.kernel.plugins["changes"]
        assert version_of(zoo) == "2"
        assert (before.version, after.version) == ("1", "2")
        assert before.pid != after.pid
        assert before.pid is not None
        assert not psutil.pid_exists(before.pid)
        assert zoo.act("prints", 1).ok

    def test_new_manifest_counts(self, open_zoo: Opens, tmp_path: Path) -> None:
        """Hooks, priority and settings are those of the new files."""
        folder = write(tmp_path, "1", manifest=SETTINGS.format(mood="calm"))
        zoo = open_zoo(patient, "prints", folders=[folder])
        assert zoo.act("changes", 1).value == ["1", 1, [], {"mood": "calm"}]
        assert [p.plugin for p in zoo.kernel.explain("echo").providers] == ["prints"]
        write(
            tmp_path,
            "2",
            hooks=("act", "echo"),
            more=ECHO,
            manifest="priority = -1" + SETTINGS.format(mood="wild"),
        )
        zoo.kernel.reload("changes")
        assert zoo.act("changes", 1).value == ["2", 1, [], {"mood": "wild"}]
        assert [p.plugin for p in zoo.kernel.explain("echo").providers] == ["changes", "prints"]
        assert zoo.kernel.hook.echo(value=7) == ["2", 7]

    def test_record_says_what_ran(self, open_zoo: Opens, tmp_path: Path) -> None:
        """The newest row of the plugin has the new digest; an event has both."""
        folder = write(tmp_path, "1")
        zoo = open_zoo(patient, folders=[folder])
        version_of(zoo)
        write(tmp_path, "2")
        zoo.kernel.reload("changes")
        version_of(zoo)
        (event,) = events(zoo.kernel.run, "plugin.reloaded")
        with AuditReader(zoo.kernel.run.audit_log.path) as reader:
            *_, row = reader.plugins(zoo.kernel.run.id)
        assert row.version == "2"
        assert event.data["code_digest"] == row.code_digest != event.data["before"]
        assert event.data["edition"] == 2
        assert verify(zoo.kernel.run.audit_log.path).ok

    def test_record_says_what_it_asks_for_beside_its_grants(
        self, open_zoo: Opens, tmp_path: Path
    ) -> None:
        """Of each edition; also of one that does not run for what it was not granted."""
        asks = '[permissions]\nread = ["{media_dir}"]\n'
        folder = write(tmp_path, "1", manifest=asks)
        greedy = write(tmp_path, "1", name="greedy", manifest=f'{asks}network = ["tcp:443"]\n')
        (tmp_path / "broken").mkdir()
        (tmp_path / "broken" / "plugin.toml").write_text("no manifest")
        grant = nx.Grant(read=("{media_dir}",))
        zoo = open_zoo(
            patient,
            folders=[folder, greedy, tmp_path / "broken"],
            grants={"changes": grant, "greedy": grant},
        )
        write(tmp_path, "2")
        zoo.kernel.reload("changes")
        with AuditReader(zoo.kernel.run.audit_log.path) as reader:
            rows = reader.plugins(zoo.kernel.run.id)
        found = {r.edition: (r.permissions, r.grants) for r in rows if r.plugin == "changes"}
        nothing = {kind: [] for kind in ("calls", "devices", "exec", "network", "read", "write")}
        media = {**nothing, "read": ["{media_dir}"]}
        assert found == {1: (media, media), 2: (nothing, nothing)}
        *_, refused = [r for r in rows if r.plugin == "greedy"]
        assert (refused.disabled, refused.grants) == ("permission.not_granted", nothing)
        assert refused.permissions == {**media, "network": ["tcp:443"]}
        assert {r.permissions for r in rows if r.plugin == "broken"} == {None}

    def test_historic_calls_are_replayed(self, open_zoo: Opens, tmp_path: Path) -> None:
        """Before its first call the new worker has heard what the old one heard."""
        folder = write(tmp_path, "1", hooks=("act", "told"), more=TOLD)
        zoo = open_zoo(patient, folders=[folder])
        zoo.kernel.hook.told.call_historic(kwargs={"value": "early"})
        write(tmp_path, "2", hooks=("act", "told"), more=TOLD)
        zoo.kernel.reload("changes")
        assert zoo.act("changes", 1).value[:3] == ["2", 1, ["early"]]
        zoo.kernel.hook.told.call_historic(kwargs={"value": "late"})
        assert zoo.act("changes", 1).value[:3] == ["2", 1, ["early", "late"]]

    def test_disabled_plugin_gets_another_chance(self, open_zoo: Opens, tmp_path: Path) -> None:
        """What was broken at boot and is mended runs after a reload."""
        folder = write(tmp_path, "1", code="raise RuntimeError('not yet')")
        zoo = open_zoo(patient, "prints", folders=[folder])
        assert zoo.kernel.plugins["changes"].state == "disabled"
        write(tmp_path, "2")
        zoo.kernel.reload("changes")
        assert version_of(zoo) == "2"

    def test_files_that_are_the_same_make_a_fresh_worker(
        self, open_zoo: Opens, tmp_path: Path
    ) -> None:
        """Reloading an unchanged plugin loses its state, and nothing else."""
        folder = write(tmp_path, "1")
        zoo = open_zoo(patient, folders=[folder])
        version_of(zoo)
        before = zoo.kernel.plugins["changes"].pid
        zoo.kernel.reload("changes")
        assert version_of(zoo) == "1"
        assert zoo.kernel.plugins["changes"].pid != before

    @pytest.mark.parametrize("older", [False, True], ids=["gains", "loses"])
    def test_last_calls_are_judged_by_their_own_manifest(
        self, open_zoo: Opens, tmp_path: Path, older: bool
    ) -> None:
        """What the new edition requests is nothing that the old one may do, nor the other way."""
        asks = ['requires = ["echo"]' if each else "" for each in (older, not older)]
        how = {"more": ASKS_LATE, "hooks": ("act", "first")}
        folder = write(tmp_path, "1", manifest=asks[0], **how)
        zoo = open_zoo(patient, "prints", folders=[folder], rules=allow("changes", "echo"))
        answers: list[nx.HookResult] = []
        late = threading.Thread(
            target=lambda: answers.append(zoo.kernel.call("first", value="late"))
        )
        late.start()
        place = zoo.kernel.run.dir / "plugins" / "changes"
        eventually(lambda: (place / "waiting").exists(), "the call of the old edition waits")
        write(tmp_path, "2", manifest=asks[1], **how)
        reload = threading.Thread(target=lambda: zoo.kernel.reload("changes"))
        reload.start()
        eventually(lambda: zoo.kernel.plugins["changes"].version == "2", "the new one is there")
        (place / "go").touch()
        late.join()
        reload.join()
        late_version, late_answer = answers[0].value
        version, answer = zoo.kernel.call("first", value="now").value
        assert (late_version, version) == ("1", "2")
        assert (late_answer == ["late"], answer == ["now"]) == (older, not older)

    def test_lockfile_of_the_new_files_counts(self, open_zoo: Opens, tmp_path: Path) -> None:
        """Changed files that nobody locked stay out; the lockfile is read anew."""
        folder, path = write(tmp_path, "1"), tmp_path / "nxkernel.lock"

        def lock() -> None:
            (found,) = nx.discover(folder)
            assert found.manifest is not None
            admitted = CodeStore(tmp_path / "store").admit(folder)
            entry = lock_entry(found.manifest, admitted, nx.Grant())
            write_lock(path, Lock(plugins={"changes": entry}))

        lock()
        zoo = open_zoo(patient, folders=[folder], lock=path)
        assert version_of(zoo) == "1"
        write(tmp_path, "2")
        with pytest.raises(nx.LockMismatch):
            zoo.kernel.reload("changes")
        assert version_of(zoo) == "1"
        lock()
        zoo.kernel.reload("changes")
        assert version_of(zoo) == "2"

    def test_open_breaker_closes(self, open_zoo: Opens, tmp_path: Path) -> None:
        """The old code's failures say nothing about the new code."""
        broken = CODE.format(version="1", more="").replace("return [", "raise RuntimeError([")
        folder = write(tmp_path, "1", code=broken.replace("settings)]", "settings)])"))
        breaker = nx.Breaker(failures=1, reset_s=10**6)
        zoo = open_zoo(patient, folders=[folder], breaker=breaker)
        assert [code_of(zoo.act("changes", 1)) for _ in range(2)] == [
            "plugin.raised",
            "breaker.open",
        ]
        write(tmp_path, "2")
        zoo.kernel.reload("changes")
        assert version_of(zoo) == "2"
        assert [e.data["to"] for e in events(zoo.kernel.run, "breaker.closed")] == ["closed"]


BROKEN: dict[str, tuple[dict[str, Any], str]] = {
    "raises when imported": ({"code": "raise RuntimeError('no')"}, "plugin.start"),
    "ends when imported": ({"code": "import os; os._exit(3)"}, "plugin.crashed"),
    "has no manifest": ({"manifest": "["}, "manifest.invalid"),
    "offers other hooks": ({"hooks": ("act", "echo")}, "plugin.handshake"),
    "implements no hookspec": (
        {"hooks": ("act", "unknown"), "more": ECHO.replace("echo", "unknown")},
        "plugin.handshake",
    ),
    "asks for more than is granted": (
        {"manifest": "[permissions]\nnetwork = ['tcp:443']"},
        "permission.not_granted",
    ),
    "has a contract that is none": (
        {"manifest": "[contracts.act]\noutput = {type = 7}"},
        "manifest.invalid",
    ),
    "needs another kernel": ({"manifest": "[compat]\nkernel = '>=99'"}, "plugin.disabled"),
    "has wrong settings": (
        {"manifest": "[settings]\nschema = {required = ['x']}"},
        "settings.invalid",
    ),
}


@pytest.mark.parametrize("what", BROKEN)
def test_failed_reload_is_rolled_back(what: str, open_zoo: Opens, tmp_path: Path) -> None:
    """Whatever is wrong with the new files: the old worker goes on, in the same process."""
    folder = write(tmp_path, "1")
    zoo = open_zoo(patient, folders=[folder])
    version_of(zoo)
    before = zoo.kernel.plugins["changes"]
    changes, code = BROKEN[what]
    write(tmp_path, "2", **changes)
    with pytest.raises(nx.NxError) as raised:
        zoo.kernel.reload("changes")
    assert raised.value.code == code
    assert version_of(zoo) == "1"
    after = zoo.kernel.plugins["changes"]
    assert (after.pid, after.version, after.starts) == (before.pid, "1", before.starts)
    (event,) = events(zoo.kernel.run, "plugin.rejected")
    assert event.data == {"action": "reload", "edition": 2, "code": code}
    assert len(psutil.Process().children(recursive=True)) <= 3  # zygote, worker, what others left
    write(tmp_path, "3")
    zoo.kernel.reload("changes")
    assert version_of(zoo) == "3"


def test_call_under_way_ends_on_the_old_code(open_zoo: Opens, tmp_path: Path) -> None:
    """New calls go to the new worker while the old one still has one to answer."""
    folder = write(tmp_path, "1", hooks=("act", "first"), more=WAITS)
    zoo = open_zoo(patient, folders=[folder])
    place = zoo.kernel.run.dir / "plugins" / "changes"
    answers: list[Any] = []
    slow = threading.Thread(target=lambda: answers.append(zoo.kernel.hook.first(value=1)))
    slow.start()
    eventually((place / "waiting").exists, "the old worker is in the middle of a call")
    write(tmp_path, "2")
    reload = threading.Thread(target=zoo.kernel.reload, args=("changes",))
    reload.start()
    eventually(lambda: zoo.kernel.plugins["changes"].version == "2", "the switch")
    assert version_of(zoo) == "2"
    assert slow.is_alive()
    (place / "go").touch()
    slow.join()
    reload.join()
    assert answers == ["1"]


def test_wrapper_is_left_where_it_was_entered(open_zoo: Opens, tmp_path: Path) -> None:
    """A wrapper that was entered before the switch has its second phase in the old worker."""
    waits = WAITS.replace("def first", "def wrapped")
    inner = write(tmp_path, "7", name="waits", hooks=("act", "wrapped"), more=waits)
    outer = write(tmp_path, "1", hooks=("act", "wrapped"), more=WRAPPED)
    zoo = open_zoo(patient, folders=[inner, outer])
    place = zoo.kernel.run.dir / "plugins" / "waits"
    answers: list[Any] = []
    slow = threading.Thread(target=lambda: answers.append(zoo.kernel.call("wrapped", value=1)))
    slow.start()
    eventually((place / "waiting").exists, "the wrapper has been entered")
    write(tmp_path, "2", hooks=("act", "wrapped"), more=WRAPPED)
    reload = threading.Thread(target=zoo.kernel.reload, args=("changes",))
    reload.start()
    eventually(lambda: zoo.kernel.plugins["changes"].version == "2", "the switch")
    (place / "go").touch()
    slow.join()
    reload.join()
    assert answers[0].unwrap() == ["7", "1"]
    late = {event.data["edition"] for event in events(zoo.kernel.run, "call.edition")}
    assert late == {1}  # the teardown came after the row of the new edition, and says so
    assert zoo.kernel.hook.wrapped(value=1) == ["7", "2"]


def test_reloading_under_load_fails_no_call(open_zoo: Opens, tmp_path: Path) -> None:
    """Eight threads call without a pause while the plugin is reloaded, also when that fails."""
    folder = write(tmp_path, "0", hooks=("act", "echo"), more=ECHO)
    zoo = open_zoo(patient, "prints", folders=[folder])
    stop, wrong, counts = threading.Event(), [], itertools.count()
    seen: set[str] = set()

    def call() -> None:
        while not stop.is_set():
            result = zoo.kernel.call("act", value=next(counts))
            if result.error or len(result.value) != 2 or result.degraded:
                wrong.append(result)
            seen.add(result.value[0][0])
            if set(map(str, zoo.kernel.hook.echo(value=7))) - {"7", *"012345"}:
                wrong.append("echo")

    threads = [threading.Thread(target=call) for _ in range(8)]
    for thread in threads:
        thread.start()
    try:
        for number in range(1, 6):
            write(tmp_path, str(number), hooks=("act", "echo"), more=ECHO)
            zoo.kernel.reload("changes")
            assert version_of(zoo) == str(number)
            write(tmp_path, "9", code="raise RuntimeError('no')")
            with pytest.raises(nx.PluginDisabled):
                zoo.kernel.reload("changes")
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert not wrong
    assert seen >= {"1", "5"}
    assert verify(zoo.kernel.run.audit_log.path).ok


class TestAddAndRemove:
    """The set of plugins changes."""

    def test_added_plugin_takes_part(self, open_zoo: Opens, tmp_path: Path) -> None:
        """By its path; in its place in the order; with what was said before it came."""
        zoo = open_zoo(patient, "remembers")
        zoo.kernel.hook.told.call_historic(kwargs={"value": "early"})
        folder = write(tmp_path, "1", hooks=("act", "told"), more=TOLD)
        assert zoo.kernel.add(folder) == ("changes",)
        assert zoo.act("changes", 1).value[:3] == ["1", 1, ["early"]]
        assert [p.plugin for p in zoo.kernel.explain("act").providers] == ["changes", "remembers"]
        assert len(events(zoo.kernel.run, "plugin.added")) == 1

    @pytest.mark.parametrize(
        "give",
        [nx.discover, lambda folder: nx.discover(folder)[0], str],
        ids=["candidates", "candidate", "path"],
    )
    def test_whatever_discover_takes_or_gives(
        self, give: Callable[[Path], Any], open_zoo: Opens, tmp_path: Path
    ) -> None:
        """A path, a candidate, or candidates."""
        zoo = open_zoo(patient, "prints")
        assert zoo.kernel.add(give(write(tmp_path, "1"))) == ("changes",)
        assert version_of(zoo) == "1"

    def test_all_or_none(self, open_zoo: Opens, tmp_path: Path) -> None:
        """One of a folder that cannot run keeps the others out too, and leaves no process."""
        zoo = open_zoo(patient, "prints")
        write(tmp_path / "more", "1", name="a.good")
        write(tmp_path / "more", "1", name="b.bad", code="raise RuntimeError('no')")
        before = len(psutil.Process().children(recursive=True))
        with pytest.raises(nx.PluginDisabled, match="no"):
            zoo.kernel.add(tmp_path / "more")
        assert set(zoo.kernel.plugins) == {"prints"}
        assert len(psutil.Process().children(recursive=True)) == before
        assert len(zoo.kernel.hook.act(value=1)) == 1

    def test_taken_id_is_refused(self, open_zoo: Opens, tmp_path: Path) -> None:
        """What is there is reloaded, not added."""
        zoo = open_zoo(patient, "prints")
        with pytest.raises(nx.PluginDisabled, match="taken"):
            zoo.kernel.add(write(tmp_path, "1", name="prints"))

    def test_removed_plugin_is_gone(self, open_zoo: Opens, tmp_path: Path) -> None:
        """From the order, from the views, from the processes; and its id is free again."""
        folder = write(tmp_path, "1")
        zoo = open_zoo(patient, "prints", folders=[folder])
        version_of(zoo)
        pid = zoo.kernel.plugins["changes"].pid
        zoo.kernel.remove("changes")
        assert pid is not None
        assert not psutil.pid_exists(pid)
        assert set(zoo.kernel.plugins) == {"prints"}
        assert zoo.kernel.hook.act(value=1) == [1]
        with pytest.raises(nx.CallRejected, match="no plugin 'changes'"):
            zoo.act("changes", 1)
        with pytest.raises(nx.CallRejected, match="there are: prints"):
            zoo.kernel.remove("changes")
        with AuditReader(zoo.kernel.run.audit_log.path) as reader:
            rows = {row.plugin: row.disabled for row in reader.plugins(zoo.kernel.run.id)}
        assert rows == {"prints": None, "changes": "plugin.removed"}
        zoo.kernel.add(folder)
        assert version_of(zoo) == "1"

    def test_what_another_depends_on_stays(self, open_zoo: Opens, tmp_path: Path) -> None:
        """Removing it would disable the other: refused, with the reason."""
        base = write(tmp_path, "1", name="base")
        user = write(tmp_path, "1", name="user", manifest='depends_on = ["base"]')
        zoo = open_zoo(patient, folders=[base, user])
        with pytest.raises(nx.PluginDisabled, match="cannot be removed"):
            zoo.kernel.remove("base")
        zoo.kernel.remove("user")
        zoo.kernel.remove("base")

    def test_coming_and_going_under_load(self, open_zoo: Opens, tmp_path: Path) -> None:
        """Calls see the plugin or they do not; none of them fails."""
        folder = write(tmp_path, "1")
        zoo = open_zoo(patient, "prints", folders=[])
        stop, wrong = threading.Event(), []

        def call() -> None:
            while not stop.is_set():
                result = zoo.kernel.call("act", value=1)
                if result.error or result.degraded or len(result.value) not in (1, 2):
                    wrong.append(result)

        threads = [threading.Thread(target=call) for _ in range(4)]
        for thread in threads:
            thread.start()
        try:
            for _ in range(5):
                zoo.kernel.add(folder)
                zoo.kernel.remove("changes")
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        assert not wrong


def test_change_inside_a_call_is_refused(open_zoo: Opens, tmp_path: Path) -> None:
    """It would wait for the call that it is made from; the error says where to make it."""

    class Own:
        @nx.HookimplMarker("zoo")
        def act(self, value):
            zoo.kernel.reload("prints")

    zoo = open_zoo(patient, "prints", builtins={"own": Own()})
    result = zoo.kernel.call("act", value=1)
    (failed,) = [outcome for outcome in result if not outcome.ok]
    assert failed.error is not None
    assert "asyncio.to_thread(kernel.reload" in failed.error.message


def test_calls_that_do_not_end_are_taken_away(open_zoo: Opens, tmp_path: Path) -> None:
    """After ``drain_s`` the old worker goes, and its call has an outcome that says why."""
    folder = write(tmp_path, "1", hooks=("act", "first"), more=WAITS)
    hosting = nx.Hosting(drain_s=0.05, stop_grace_s=0.1, timeout_s=60)
    zoo = open_zoo(patient, folders=[folder], hosting=hosting)
    place = zoo.kernel.run.dir / "plugins" / "changes"
    answers: list[Any] = []
    slow = threading.Thread(target=lambda: answers.append(zoo.kernel.call("first", value=1)))
    slow.start()
    eventually((place / "waiting").exists, "the old worker is in the middle of a call")
    zoo.kernel.remove("changes")
    slow.join()
    ((outcome,),) = answers
    assert (code_of(outcome), outcome.fault) == ("plugin.retired", "host")


def test_forked_child_has_the_plugins_of_now(open_zoo: Opens, tmp_path: Path) -> None:
    """What was added is there, what was removed is not, what was reloaded has its new files."""
    kept, gone = write(tmp_path, "1"), write(tmp_path, "1", name="gone")
    zoo = open_zoo(patient, folders=[kept, gone])
    zoo.kernel.add(write(tmp_path, "1", name="new"))
    zoo.kernel.remove("gone")
    write(tmp_path, "2")
    zoo.kernel.reload("changes")
    read, pipe = os.pipe()
    with warnings.catch_warnings():
        # Python 3.12 says that a process with threads should not be forked; this one may be.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        values = sorted(value[0] for value in zoo.kernel.hook.act(value=1))
        os.write(pipe, "".join(values).encode())
        os._exit(0)
    os.close(pipe)
    with os.fdopen(read) as file:
        assert file.read() == "12"
    assert os.waitpid(child, 0)[1] == 0
