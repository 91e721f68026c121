"""Plugins at level `isolated`: what `confined` cannot hide is not there at all."""

from __future__ import annotations

import errno
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

import nxkernel as nx
from nxkernel.host.sandbox.linux import probe
from tests.support.child import run_child
from tests.support.dialogue import Dialogue
from tests.support.zoo import PATIENCE_S, Zoo, copies, eventually, patient

SANDBOX = nx.Sandbox(require="isolated")


@pytest.fixture(scope="module", autouse=True)
def namespaces() -> None:
    """Skip, with the reason, where namespaces cannot be had."""
    found = probe.namespaces_available()
    if not found.ok:
        pytest.skip(f"{found.name} is not available here: {found.detail} ({found.errno})")


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Zoo]:
    data = tmp_path_factory.mktemp("isolated")
    options = {"sandbox": SANDBOX}
    with patient(data, "looks", "trespasses", "tidy", "inspects", "dies", **options) as kernel:
        yield Zoo(kernel)


def confined(tmp_path: Path) -> nx.Kernel:
    return patient(tmp_path, "looks")


def looks(zoo: Zoo, way: str, target: object = "") -> object:
    outcome = zoo.act("looks", [way, target])
    return outcome.value if outcome.ok else outcome.error.details["errno"]


class TestWhatConfinedLeaks:
    """The documented leaks of `confined` are real there, and closed here."""

    def test_whether_a_file_exists(self, zoo: Zoo, tmp_path: Path) -> None:
        """`stat` tells that a path of the host exists; here it does not exist."""
        secret = tmp_path / "secret"
        secret.write_text("of the host")
        with confined(tmp_path / "data") as kernel:
            assert looks(Zoo(kernel), "size", str(secret)) == len("of the host")
        assert looks(zoo, "size", str(secret)) == "ENOENT"

    def test_name_of_the_machine(self, zoo: Zoo, tmp_path: Path) -> None:
        """The plugin's machine has a name that says nothing."""
        with confined(tmp_path) as kernel:
            assert looks(Zoo(kernel), "hostname") == socket.gethostname()
        assert looks(zoo, "hostname") == "nxkernel"

    def test_process_numbers(self, zoo: Zoo, tmp_path: Path) -> None:
        """The zygote is process 1, and never the plugin."""
        with confined(tmp_path) as kernel:
            parent = looks(Zoo(kernel), "parent")
            assert isinstance(parent, int)
            assert psutil.pid_exists(parent)
        assert looks(zoo, "parent") == 1

    def test_room_on_the_disk(self, zoo: Zoo) -> None:
        """TMPDIR is in memory and has a size; the next worker finds it empty."""
        assert looks(zoo, "fill") == "ENOSPC"
        zoo.act("looks", ["leave", 0])
        tmp = zoo.kernel.run.dir / "plugins" / "looks" / "tmp"
        assert looks(zoo, "exists", str(tmp)) is True
        assert looks(zoo, "exists", str(tmp / "0")) is False
        assert list(tmp.iterdir()) == []


def test_room_can_be_set(tmp_path: Path) -> None:
    """`scratch_mb` is what TMPDIR and HOME share; the manifest has the last word."""
    (small,) = copies(tmp_path / "plugins", "looks", ["looks.small"])
    manifest = small / "plugin.toml"
    manifest.write_text(manifest.read_text() + "[limits]\nscratch_mb = 1\n")
    hosting = nx.Hosting(limits=nx.Limits(scratch_mb=300))
    options = {"folders": [small], "sandbox": SANDBOX, "hosting": hosting}
    with patient(tmp_path / "data", "looks", **options) as kernel:
        zoo = Zoo(kernel)
        assert looks(zoo, "fill") == 256
        error = zoo.act("looks.small", ["fill", ""]).error
        assert error is not None
        assert error.details["errno"] == "ENOSPC"


def test_own_folder_has_the_same_path(zoo: Zoo) -> None:
    """What a plugin writes to its run_dir is there for the host, under the same name."""
    own = zoo.kernel.run.dir.resolve() / "plugins" / "looks" / "result"
    assert looks(zoo, "write", str(own)) == 4
    assert own.read_text() == "mine"
    outcome = zoo.act("tidy", "some text")
    assert outcome.value == "some text", outcome.error


def test_walls_of_confined_stand_as_well(zoo: Zoo) -> None:
    """Landlock and the filter hold in the new root too."""
    for way, target, refusal in (
        ("list", "/", "EACCES"),
        ("fork", "", "EPERM"),
        ("signal", "1", "EPERM"),
        ("connect", "80", "EACCES"),
    ):
        error = zoo.act("trespasses", [way, target]).error
        assert error is not None
        assert error.details["errno"] == refusal


def test_every_worker_has_witnessed_its_root(zoo: Zoo) -> None:
    """Beside the walls of `confined`, each worker saw that folders of the host are gone."""
    assert looks(zoo, "exists", "/") is True
    view = zoo.kernel.plugins["looks"]
    assert view.level == "isolated"
    assert view.witnessed["stat /proc"] == view.witnessed["stat /sys"] == "ENOENT"
    assert view.witnessed["list /"] == "EACCES"


def test_numbers_that_the_host_is_told_are_its_own(zoo: Zoo) -> None:
    """The pid of a worker is the one that the host has for it, and so is its exit."""
    inside = zoo.act("inspects").value["pid"]
    outside = zoo.kernel.plugins["inspects"].pid
    assert inside != outside
    status = Path(f"/proc/{outside}/status").read_text()
    (numbers,) = [line.split()[1:] for line in status.splitlines() if line.startswith("NSpid:")]
    assert numbers[-2:] == [str(outside), str(inside)]


@pytest.mark.parametrize(("way", "facts"), [("exit", (3, None)), ("abort", (None, 6))])
def test_how_a_worker_ended_is_told(zoo: Zoo, way: str, facts: tuple[object, object]) -> None:
    """Exit status and signal come through the namespace, and the next call works."""
    error = zoo.act("dies", way).error
    assert error is not None
    assert (error.details["exit_status"], error.details["signal"]) == facts
    assert zoo.answers("dies")


def test_a_granted_port_is_reached(tmp_path: Path) -> None:
    """It needs the host's network; everything else stays a world of its own."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        def serve() -> None:
            peer, _ = server.accept()
            with peer:
                peer.sendall(b"ok")

        thread = threading.Thread(target=serve)
        thread.start()
        (folder,) = copies(tmp_path / "plugins", "looks", ["looks.out"])
        manifest = folder / "plugin.toml"
        ask = f'[permissions]\nnetwork = ["tcp:{port}"]\n'
        manifest.write_text(manifest.read_text() + ask)
        grants = {"looks.out": nx.Grant(network=(f"tcp:{port}",))}
        options = {"folders": [folder], "grants": grants, "sandbox": SANDBOX}
        with patient(tmp_path / "data", "looks", **options) as kernel:
            zoo = Zoo(kernel)
            assert zoo.act("looks.out", ["connect", port]).value == "ok"
            assert zoo.act("looks.out", ["hostname", ""]).value == "nxkernel"
            assert zoo.act("looks.out", ["exists", "/etc/passwd"]).value is False
            refusal = zoo.act("looks", ["connect", port]).error
            assert refusal is not None
            assert refusal.details["errno"] == "EACCES"
        thread.join()


def test_below_it_the_boot_fails(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where a step is refused nothing is started, and the error says which and what to do."""
    broken = probe.Probe(
        name="namespaces", ok=False, errno=errno.EPERM, detail="unshare: Operation not permitted"
    )
    monkeypatch.setattr(probe, "namespaces_available", lambda: broken)
    before = set(psutil.Process().children(recursive=True))
    with pytest.raises(nx.SandboxUnavailable) as caught, patient(tmp_path, sandbox=SANDBOX):
        pass
    assert caught.value.details == {
        "guarantee": "namespaces",
        "step": "unshare",
        "errno": errno.EPERM,
    }
    assert "allow unprivileged user namespaces" in caught.value.message
    assert set(psutil.Process().children(recursive=True)) == before


REFUSED = """
from pathlib import Path
from nxkernel import _namespaces
from nxkernel.kernel import machine
from tests.support.zoo import patient
from nxkernel.settings import Sandbox
_namespaces.enter(["user"])
Path("/proc/sys/user/max_user_namespaces").write_text("0")
machine._check_namespaces = lambda: None
with patient(Path(folder), sandbox=Sandbox(require="isolated")):
    pass
"""


def test_a_zygote_that_is_refused_says_the_step(tmp_path: Path) -> None:
    """A machine that changed its mind after the probe is believed as well."""
    report = run_child(REFUSED, folder=str(tmp_path))
    assert report["error"] == "SandboxUnavailable"
    assert report["details"] == {
        "guarantee": "namespaces",
        "step": "unshare",
        "errno": errno.ENOSPC,
    }


@pytest.mark.parametrize("which", ["stub", "first process"])
def test_a_zygote_that_is_killed_takes_its_workers_along(tmp_path: Path, which: str) -> None:
    """Whichever of its two processes it is; the next call starts another zygote."""
    others = set(psutil.Process().children())  # zygotes of kernels that other tests share
    with patient(tmp_path, "looks", "dies", sandbox=SANDBOX) as kernel:
        zoo = Zoo(kernel)
        assert zoo.answers("dies")
        (stub,) = set(psutil.Process().children()) - others
        (first,) = stub.children()
        workers = first.children()
        assert workers
        (stub if which == "stub" else first).kill()
        _, alive = psutil.wait_procs([first, *workers], timeout=PATIENCE_S)
        assert alive == []
        eventually(lambda: zoo.answers("dies"), "another zygote was started")
        assert zoo.kernel.plugins["dies"].witnessed["stat /proc"] == "ENOENT"


def test_a_debugger_reaches_into_the_namespaces(tmp_path: Path) -> None:
    """The terminal is a descriptor: a root of its own does not keep it out."""
    hosting = nx.Hosting(debug="resides")
    with (
        ThreadPoolExecutor(1) as pool,
        patient(tmp_path, "resides", sandbox=SANDBOX, hosting=hosting) as kernel,
        Dialogue("-m", "nxkernel_cli", "plugins", "debug", "resides", tmp_path) as person,
    ):
        call = pool.submit(Zoo(kernel).act, "resides", ["draw"])
        person.expect("stopped at a call", "(Pdb) ")
        assert person.ask("p value") == "['draw']\r\n"
        person.type("c\n")
        assert call.result().ok
