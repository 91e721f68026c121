"""Rulesets: what is granted works, everything else is closed, and errors say what to do."""

from __future__ import annotations

import errno
import os
import socket
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from nxkernel.errors import SandboxUnavailable
from nxkernel.host.sandbox.linux import landlock
from nxkernel.host.sandbox.linux.landlock import FsRules, TcpPorts, build_ruleset
from tests.support.child import run_child
from tests.support.descriptors import open_files

APPLY = """
import errno, socket
from nxkernel import _linux
_linux.prctl(_linux.PR_SET_NO_NEW_PRIVS, 1)
_linux.syscall("landlock_restrict_self", ruleset, 0)
os.close(ruleset)
def attempt(function, *args):
    try:
        function(*args)
    except OSError as error:
        return errno.errorcode[error.errno]
    return "ok"
"""


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[Path]:
    """`read/file`, `write/file`, `other/file` below a folder without symbolic links."""
    root = tmp_path.resolve()
    for name in ("read", "write", "other"):
        (root / name).mkdir()
        (root / name / "file").write_text(name)
    return root


def under(rules: FsRules, ports: TcpPorts, code: str, **facts: object) -> object:
    """Apply the ruleset in a process of its own and return what *code* leaves in `out`."""
    ruleset = build_ruleset(rules, ports)
    try:
        report = run_child(APPLY + code, fds=[ruleset], ruleset=ruleset, **facts)
    finally:
        os.close(ruleset)
    assert "out" in report, report
    return report["out"]


def test_abi_is_new_enough() -> None:
    """This machine has the ABI that ports need."""
    assert landlock.abi() >= 4


def test_granted_paths_and_nothing_else(tree: Path) -> None:
    """Reading where reading is granted, writing where writing is; the parent stays closed."""
    rules = FsRules(read=(f"{tree}/read",), write=(f"{tree}/write",))
    code = """
    def write(path): open(path, "a").write("x")
    out = {
        "read": attempt(open, root + "/read/file"),
        "write what is readable": attempt(write, root + "/read/file"),
        "truncate what is readable": attempt(os.truncate, root + "/read/file", 0),
        "write": attempt(write, root + "/write/file"),
        "make": attempt(write, root + "/write/new"),
        "remove": attempt(os.unlink, root + "/write/new"),
        "folder": attempt(os.mkdir, root + "/write/folder"),
        "list parent": attempt(os.listdir, root),
        "read other": attempt(open, root + "/other/file"),
        "make in parent": attempt(write, root + "/new"),
        "rename out": attempt(os.rename, root + "/write/file", root + "/read/taken"),
        "rename in": attempt(os.rename, root + "/read/file", root + "/write/taken"),
    }
    """
    assert under(rules, TcpPorts(), _flat(code), root=str(tree)) == {
        **dict.fromkeys(("read", "write", "make", "remove", "folder"), "ok"),
        **dict.fromkeys(("write what is readable", "truncate what is readable"), "EACCES"),
        **dict.fromkeys(("list parent", "read other", "make in parent"), "EACCES"),
        **dict.fromkeys(("rename out", "rename in"), "EACCES"),
    }


def test_writable_folders_hold_files_and_folders_alone(tree: Path) -> None:
    """Neither links, fifos, sockets nor devices: the host reads there later."""
    code = """
    here = root + "/write/"
    out = [
        attempt(os.symlink, "/etc/passwd", here + "link"),
        attempt(os.mkfifo, here + "fifo"),
        attempt(socket.socket(socket.AF_UNIX).bind, here + "socket"),
        attempt(os.mknod, here + "device", 0o20600, os.makedev(1, 3)),
    ]
    """
    rules = FsRules(write=(f"{tree}/write",))
    assert under(rules, TcpPorts(), _flat(code), root=str(tree)) == ["EACCES"] * 4


def test_single_files_can_be_granted(tree: Path) -> None:
    """A file grants itself, not the folder that it lies in."""
    rules = FsRules(read=(f"{tree}/read/file",), write=(f"{tree}/write/file",))
    code = """
    out = [
        attempt(open, root + "/read/file"),
        attempt(os.listdir, root + "/read"),
        attempt(open, root + "/write/file", "w"),
        attempt(open, root + "/write/other", "w"),
    ]
    """
    got = under(rules, TcpPorts(), _flat(code), root=str(tree))
    assert got == ["ok", "EACCES", "ok", "EACCES"]


def test_null_device_is_writable_and_others_are_not() -> None:
    """Everybody writes to /dev/null; a read rule on another device stays one."""
    rules = FsRules(read=("/dev/null", "/dev/zero"))
    code = """
    out = [
        attempt(open, "/dev/null", "w"),
        attempt(open, "/dev/zero", "rb"),
        attempt(open, "/dev/zero", "r+b"),
    ]
    """
    assert under(rules, TcpPorts(), _flat(code)) == ["ok", "ok", "EACCES"]


def test_running_needs_its_own_right(tree: Path) -> None:
    """A readable program cannot be run, an executable one can."""
    shell = os.path.realpath("/bin/sh")
    code = "out = attempt(os.execv, shell, [shell, '-c', 'exit 3'])"
    libraries = tuple(p for p in map(os.path.realpath, ("/usr/lib", "/lib64")) if os.path.isdir(p))
    readable = FsRules(read=(shell, *libraries))
    assert under(readable, TcpPorts(), code, shell=shell) == "EACCES"
    runs = FsRules(read=libraries, execute=(shell, *libraries))
    forked = """
    pid = os.fork()
    if pid == 0:
        os.execv(shell, [shell, "-c", "exit 3"])
    out = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    """
    assert under(runs, TcpPorts(), _flat(forked), shell=shell) == 3


def test_ports(tree: Path) -> None:
    """Granted ports alone may be connected to, or bound."""
    with (
        socket.create_server(("127.0.0.1", 0)) as one,
        socket.create_server(("127.0.0.1", 0)) as two,
    ):
        granted, other = one.getsockname()[1], two.getsockname()[1]
        code = """
        def connect(port): socket.socket().connect(("127.0.0.1", port))
        def bind(port):
            s = socket.socket()
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            s.bind(("127.0.0.1", port))
        out = [attempt(connect, granted), attempt(connect, other), attempt(bind, 0)]
        """
        ports = TcpPorts(connect=(granted,))
        got = under(FsRules(), ports, _flat(code), granted=granted, other=other)
    assert got == ["ok", "EACCES", "EACCES"]


def test_missing_path_is_refused(tree: Path) -> None:
    """A grant of nothing is a mistake: it would silently become a closed door."""
    with pytest.raises(SandboxUnavailable, match="does not exist; create it") as caught:
        build_ruleset(FsRules(read=(f"{tree}/absent",)), TcpPorts())
    assert caught.value.details["errno"] == errno.ENOENT


def test_optional_path_may_be_missing(tree: Path) -> None:
    """Where the caller said so, and only for that path."""
    absent = f"{tree}/absent"
    os.close(build_ruleset(FsRules(read=(absent,), optional=frozenset({absent})), TcpPorts()))
    with pytest.raises(SandboxUnavailable):
        build_ruleset(FsRules(write=(f"{tree}/b",), optional=frozenset({absent})), TcpPorts())


@pytest.mark.parametrize("below", ["", "/file"])
def test_symbolic_links_are_refused(tree: Path, below: str) -> None:
    """A link could be turned to another place between the check and the grant."""
    (tree / "link").symlink_to(tree / "read")
    with pytest.raises(SandboxUnavailable, match="grant the resolved path"):
        build_ruleset(FsRules(read=(f"{tree}/link{below}",)), TcpPorts())


def test_failed_ruleset_leaves_no_descriptor(tree: Path) -> None:
    """Each failed build closes what it opened."""
    before = open_files()
    for _ in range(3):
        with pytest.raises(SandboxUnavailable):
            build_ruleset(FsRules(read=(str(tree), f"{tree}/absent")), TcpPorts())
    assert open_files() == before


@pytest.mark.parametrize(
    ("version", "ports", "needed"),
    [(0, TcpPorts(), 3), (2, TcpPorts(), 3), (3, TcpPorts(connect=(443,)), 4)],
)
def test_too_old_abi_is_refused(
    monkeypatch: pytest.MonkeyPatch, version: int, ports: TcpPorts, needed: int
) -> None:
    """Below 3 files could be emptied, below 4 ports would be open: refuse, do not degrade."""
    monkeypatch.setattr(landlock, "abi", lambda: version)
    with pytest.raises(SandboxUnavailable, match=f"ABI {needed} is needed"):
        build_ruleset(FsRules(), ports)


@pytest.mark.parametrize("version", [3, 4, 5, 6, 7, 11])
def test_attributes_of_each_abi_are_accepted(monkeypatch: pytest.MonkeyPatch, version: int) -> None:
    """This kernel takes the ruleset of every ABI that it is not older than."""
    if version <= 7 and version > landlock.abi():
        pytest.skip(f"this kernel has ABI {landlock.abi()}")
    monkeypatch.setattr(landlock, "abi", lambda: version)
    os.close(build_ruleset(FsRules(read=("/usr",)), TcpPorts()))


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM])
def test_absent_landlock_is_abi_0(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Not compiled in, not enabled, or refused by a container: the same answer."""

    def fail(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(landlock, "syscall", fail)
    assert landlock.abi() == 0


def _flat(code: str) -> str:
    return textwrap.dedent(code)
