"""A grant of `exec` is for these programs, inside the same walls, and leaves nobody behind."""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import subprocess
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import nxkernel as nx
from nxkernel.host.sandbox.linux import probe
from nxkernel.host.watchdog import ProcGauge
from tests.process.conftest import Opens
from tests.support import interpreter
from tests.support.starts_programs import GRANTS
from tests.support.zoo import PATIENCE_S, Zoo, code_of, copies, folder, patient

ANIMALS = ("runs",)
#: An ordinary user, by a number that exists everywhere.
NOBODY = 65534
OPTIONS: dict[str, Any] = {"grants": GRANTS}


@pytest.fixture(scope="module", autouse=True)
def processes(confinement: None) -> None:
    """Skip, with the reason, where no pid namespace can be had or bounded."""
    found = probe.processes_available()
    if not found.ok:
        pytest.skip(f"{found.name} is not available here: {found.detail} ({found.errno})")


def family(zoo: Zoo) -> list[int]:
    """Return pidfds of the plugin's worker and all that descend from it."""
    worker = zoo.kernel.plugins["runs"].pid
    assert worker is not None
    return [os.pidfd_open(pid) for pid in ProcGauge().family(worker)]


def assert_all_end(pidfds: list[int]) -> None:
    """Wait until every one of these processes is over."""
    for pidfd in pidfds:
        ended, _, _ = select.select([pidfd], [], [], PATIENCE_S)
        os.close(pidfd)
        assert ended


class TestPrograms:
    """What is granted runs, and nothing else does."""

    def test_granted_programs_run(self, zoo: Zoo) -> None:
        """By path, and by the name that the search path finds, scripts by their interpreter."""
        assert zoo.act("runs", ["run", "/usr/bin/true"]).value == [0, "", ""]
        assert zoo.act("runs", ["run", "true"]).value == [0, "", ""]
        assert zoo.act("runs", ["run", "sh", "-c", "echo $((6 * 7))"]).value == [0, "42\n", ""]
        assert zoo.act("runs", ["script", "mine"]).value == [0, "script of mine\n", ""]

    @pytest.mark.parametrize("program", ["/usr/bin/id", "id"])
    def test_other_programs_are_refused(self, zoo: Zoo, program: str) -> None:
        """With the line that asks for them."""
        outcome = zoo.act("runs", ["run", program])
        assert outcome.error is not None
        assert outcome.error.details["errno"] == "EACCES"
        assert '"/usr/bin/id"] below [permissions]' in outcome.error.message
        assert zoo.act("runs", ["run", "sh", "-c", "exec /usr/bin/id"]).value[0] == 126

    def test_its_own_files_are_no_programs(self, zoo: Zoo) -> None:
        """A copy of a granted program in the plugin's own folder cannot be started."""
        outcome = zoo.act("runs", ["own"])
        assert outcome.error is not None
        assert outcome.error.details["errno"] == "EACCES"

    def test_children_have_the_same_walls(self, zoo: Zoo) -> None:
        """Files and namespaces are closed to them; they see their own processes alone."""
        assert zoo.act("runs", ["child"]).value == {
            "read": "Permission denied",
            "list": "Permission denied",
            "signal": "No such process",
            "namespace": "Operation not permitted",
            "pids": "(True, 1)",
        }
        shell = zoo.act("runs", ["run", "sh", "-c", "read line < /etc/passwd"]).value
        assert shell[0] != 0
        assert "Permission denied" in shell[2]


class TestBounds:
    """However it multiplies, it ends."""

    def test_fork_bomb(self, zoo: Zoo) -> None:
        """It costs its own call, and leaves no process."""
        outcome = zoo.act("runs", ["bomb"])
        assert outcome.error is not None
        assert (outcome.error.code, outcome.fault) == ("plugin.limit", "plugin")
        assert "processes = 12" in outcome.error.message
        assert 12 < outcome.error.details["seen"] <= 301 + 64 + 16
        assert zoo.answers("runs")
        assert [len(ProcGauge().family(zoo.kernel.plugins["runs"].pid or 0))] == [1]

    def test_daemons_end_with_the_worker(self, zoo: Zoo) -> None:
        """Another session and an ended parent lead nowhere."""
        assert zoo.act("runs", ["daemon"]).value == "left behind"
        pidfds = family(zoo)
        assert len(pidfds) == 2
        signal.pidfd_send_signal(pidfds[0], signal.SIGKILL)
        assert_all_end(pidfds)
        assert zoo.answers("runs")

    def test_daemons_end_with_the_kernel(self, open_zoo: Opens) -> None:
        """Closing the kernel closes them too."""
        zoo = open_zoo(patient, "runs", **OPTIONS)
        assert zoo.act("runs", ["daemon"]).value == "left behind"
        pidfds = family(zoo)
        zoo.kernel.close()
        assert_all_end(pidfds)


class TestHosts:
    """Also when nobody is left to end them."""

    @pytest.fixture(params=["root", "user"])
    def place(self, request: pytest.FixtureRequest) -> Iterator[tuple[Path, int]]:
        """A folder, and whose it is."""
        if request.param == "root" and os.geteuid() != 0:
            pytest.skip("the part for uid 0 needs uid 0; run the suite as root to see it")
        # Not tmp_path: its parents are closed to other users.
        with tempfile.TemporaryDirectory(prefix="nx-programs-") as name:
            yield Path(name).resolve(), 0 if request.param == "root" else os.geteuid() or NOBODY

    @pytest.mark.parametrize("level", ["confined", "isolated"])
    def test_killed_host(self, place: tuple[Path, int], level: str) -> None:
        """SIGKILL of the host ends the zygote, the nanny, the worker and its daemons."""
        host = self.start(*place, level)
        try:
            assert host.stdout is not None
            said = json.loads(host.stdout.readline())
            assert said["shell"] == [0, "from a shell\n", ""], said
            assert said["left"] == "left behind"
            pidfds = [os.pidfd_open(pid) for pid in said["family"]]
            assert len(pidfds) == 2
        finally:
            host.kill()
            host.communicate()
        assert_all_end(pidfds)

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
        command = [*python.command("tests.support.starts_programs"), str(home), level]
        pipe = subprocess.PIPE
        return subprocess.Popen(
            command, env=dict(python.environment), cwd="/", stdout=pipe, text=True, **identity
        )


def test_a_request_alone_is_no_grant(open_zoo: Opens) -> None:
    """The manifest asks, the application grants; without that the plugin does not run."""
    zoo = open_zoo(patient, "runs")
    error = zoo.kernel.plugins["runs"].error
    assert isinstance(error, nx.PermissionNotGranted)
    assert "exec" in error.message


def test_a_machine_that_cannot_hold_them(open_zoo: Opens, monkeypatch: pytest.MonkeyPatch) -> None:
    """The plugin is disabled, and the reason names what is missing; there is no weaker form."""
    from nxkernel.kernel import machine

    monkeypatch.setattr(machine, "_found_processes", lambda: (False, 1))
    zoo = open_zoo(patient, "runs", **OPTIONS)
    error = zoo.kernel.plugins["runs"].error
    assert isinstance(error, nx.PluginDisabled)
    assert error.code == "sandbox.unavailable"
    assert "a pid namespace was refused with EPERM" in error.message
    assert code_of(zoo.act("runs", ["run", "true"])) == "sandbox.unavailable"


def test_the_animal_asks_for_what_it_gets() -> None:
    """The grants of these tests are what the manifest requests."""
    manifest = tomllib.loads((folder("runs") / "plugin.toml").read_text(encoding="utf-8"))
    assert tuple(manifest["permissions"]["exec"]) == GRANTS["runs"].exec
    assert Path("/usr/bin/true").exists()


@pytest.mark.parametrize("kind", ["gpu", "raw_input"])
def test_devices_that_this_machine_lacks(
    open_zoo: Opens, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """The plugin that was granted them is disabled, with the reason; the others run."""
    from nxkernel.host.sandbox.linux import devices

    monkeypatch.setattr(devices.glob, "glob", lambda pattern: [])
    (place,) = copies(tmp_path / "plugins", "prints", ["p.device"])
    manifest = (place / "plugin.toml").read_text()
    (place / "plugin.toml").write_text(f"{manifest}\n[permissions]\n{kind} = true\n")
    grants = {"p.device": nx.Grant(devices=(kind,))}
    zoo = open_zoo(patient, "raises", folders=[place], grants=grants)
    error = zoo.kernel.plugins["p.device"].error
    assert isinstance(error, nx.PluginDisabled)
    assert error.code == "sandbox.unavailable"
    assert f"cannot grant {kind}" in error.message
    assert zoo.answers("raises")


def test_an_input_device_is_read_and_nothing_beside_it(
    open_zoo: Opens, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """/dev/full stands in for a keyboard: it can be read, not written, and no other device."""
    from nxkernel.host.sandbox.linux import devices

    monkeypatch.setitem(devices._PATTERNS, "raw_input", ("/dev/full",))
    (place,) = copies(tmp_path / "plugins", "trespasses", ["p.device"])
    manifest = (place / "plugin.toml").read_text()
    (place / "plugin.toml").write_text(f"{manifest}\n[permissions]\nraw_input = true\n")
    grants = {"p.device": nx.Grant(devices=("raw_input",))}
    zoo = open_zoo(patient, folders=[place], grants=grants)
    assert zoo.act("p.device", ["peek", "/dev/full"]).value == b"\0"
    for way, path in (("write", "/dev/full"), ("peek", "/dev/tty"), ("list", "/dev")):
        outcome = zoo.act("p.device", [way, path])
        assert outcome.error is not None
        assert outcome.error.details["errno"] == "EACCES"
