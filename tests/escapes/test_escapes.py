"""Every attempt to get out of the level `confined` fails, as root and as an ordinary user.

And none of them hurts the host on the way: its files, limits, listeners and processes are compared
before and after each. Control attempts show that ordinary code goes on working.
"""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from nxkernel.host.sandbox.linux import probe
from tests.escapes.attempts import ATTEMPTS, GROUPS, Attempt, Expectation
from tests.escapes.cage import OPEN, Verdict
from tests.escapes.victim import SECRET_NAME, SECRET_VALUE
from tests.support import interpreter

#: Not in any group and the owner of nothing.
NOBODY = 65534


#: Harmless ones, one of each kind.
SUCCEED_WITHOUT_WALLS = [
    *("read-etc_passwd", "read-secret", "read-list_root", "read-other_plugin", "read-dotdot"),
    *("read-through_sqlite", "read-openat2_in_root", "read-watch_folder"),
    *("net-listen", "net-family_alg", "net-sequenced_pair", "net-who_is_the_host"),
    *("proc-signal_zero_host", "proc-pidfd_of_host", "proc-prctl_dumpable", "proc-prctl_debugger"),
    *("kernel-huge_pages", "kernel-splice", "kernel-pi_futex", "resource-memory_files"),
    *("leak-group_of_host", "leak-limits_of_host", "leak-process_list", "leak-no_new_privileges"),
]
#: Attempt -> what the invariants say of it.
TRACES = {
    "write-overwrite_secret": "file secret.txt",
    "write-chmod": "file secret.txt",
    "write-utime": "file secret.txt",
    "write-mkdir": "file d",
    "write-plant_symlink": "planted etc",
    "write-fifo_in_own_folder": "planted ff",
    "write-setuid_file": "planted su",
    "net-tcp": "tcp was connected to",
    "net-udp": "udp received",
    "net-unix_path": "usock was connected to",
    "net-unix_abstract": "abs was connected to",
    "net-reconnect_datagram_pair": "dsock received",
}


@attrs.frozen
class StandIn:
    """The process that plays the host."""

    process: subprocess.Popen[str]

    def attempt(self, attempt: Attempt, plan: str = "") -> tuple[Verdict, list[str]]:
        """Return how *attempt* ended and what damage it did."""
        answer = self._ask(f"{attempt.id} {plan or attempt.plan}")
        fields = answer["verdict"]
        fields["exceptions"] = tuple(fields["exceptions"])
        return Verdict(**fields), answer["damage"]

    def _ask(self, line: str) -> dict[str, Any]:
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self.read()

    def read(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, "the process that plays the host ended"
        answer: dict[str, Any] = json.loads(line)
        return answer


@pytest.fixture(scope="module")
def walls() -> None:
    """Skip, saying why, on a machine that cannot confine."""
    for found in (probe.landlock_abi(), probe.seccomp_available()):
        if not found.ok:
            pytest.skip(f"{found.name} is not available here: {found.detail} ({found.errno})")


@pytest.fixture(scope="module", params=["root", "user"])
def stand_in(request: pytest.FixtureRequest, walls: None) -> Iterator[StandIn]:
    """A host that runs as root, and one that runs as an ordinary user."""
    with _running(request.param) as host:
        yield host


@pytest.fixture(scope="module", params=["root", "user"])
def unguarded(request: pytest.FixtureRequest) -> Iterator[StandIn]:
    """Another such host, for attempts without walls: they do change it."""
    with _running(request.param) as host:
        yield host


@contextlib.contextmanager
def _running(role: str) -> Iterator[StandIn]:
    if role == "root" and os.geteuid() != 0:
        pytest.skip("the part for uid 0 needs uid 0; run the suite as root to see it")
    uid = 0 if role == "root" else os.geteuid() or NOBODY
    # Not tmp_path: its parents are closed to other users.
    with tempfile.TemporaryDirectory(prefix="nx-escapes-") as name:
        process = _start(Path(name).resolve(), uid)
        host = StandIn(process)
        try:
            assert host.read()["uid"] == uid
            yield host
        finally:
            process.communicate(timeout=30)
        assert process.returncode == 0


def _start(folder: Path, uid: int) -> subprocess.Popen[str]:
    home = folder / "host"
    home.mkdir(mode=0o700)
    python, identity = interpreter.own(), {}
    if uid != os.geteuid():
        folder.chmod(0o755)
        python = interpreter.for_everybody(folder / "python")
        shutil.chown(home, uid, uid)
        identity = {"user": uid, "group": uid, "extra_groups": []}
    return subprocess.Popen(
        [*python.command("tests.escapes.stand_in"), str(home)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=home,
        env={"PATH": os.defpath, "LC_ALL": "C.UTF-8", SECRET_NAME: SECRET_VALUE}
        | dict(python.environment),
        **identity,
    )


@pytest.mark.parametrize("attempt", ATTEMPTS, ids=lambda attempt: attempt.id)
def test_attempt(stand_in: StandIn, attempt: Attempt) -> None:
    """The attempt ends as expected, and the host is what it was before."""
    verdict, damage = stand_in.attempt(attempt)
    assert damage == []
    assert met(attempt.expect, verdict), f"expected {attempt.expect}, got {verdict}"


@pytest.mark.parametrize("name", SUCCEED_WITHOUT_WALLS)
def test_attempt_is_real(unguarded: StandIn, name: str) -> None:
    """Without walls the same attempt goes through, or hurts the host, and is seen to."""
    attempt = next(a for a in ATTEMPTS if a.id == name)
    verdict, damage = unguarded.attempt(attempt, OPEN)
    assert damage or not met(attempt.expect, verdict)


@pytest.mark.parametrize(("name", "trace"), sorted(TRACES.items()))
def test_damage_is_seen(unguarded: StandIn, name: str, trace: str) -> None:
    """The invariants are no decoration: what an unconfined attempt changes is reported."""
    attempt = next(a for a in ATTEMPTS if a.id == name)
    _, damage = unguarded.attempt(attempt, OPEN)
    assert any(trace in line for line in damage), damage


def met(expect: Expectation, verdict: Verdict) -> bool:
    """Say whether *verdict* is one of the ends that *expect* allows."""
    match verdict.kind:
        case "value":
            return verdict.value == expect.value
        case "killed":
            return verdict.signal in expect.killed
        case "error":
            return verdict.errno in expect.denied or bool(
                set(verdict.exceptions) & set(expect.raises)
            )
    return False


class TestCorpus:
    """The corpus itself."""

    def test_ids_are_unique(self) -> None:
        """A second attempt of the same name would hide the first."""
        assert len({attempt.id for attempt in ATTEMPTS}) == len(ATTEMPTS)

    def test_every_group_is_there(self) -> None:
        """Every axis is attacked, and every attack has a control beside it."""
        assert {attempt.group for attempt in ATTEMPTS} == set(GROUPS)

    def test_every_attempt_expects_something(self) -> None:
        """An attempt that may end in any way proves nothing."""
        assert not [a.id for a in ATTEMPTS if a.expect == Expectation()]

    def test_leaks_are_marked(self) -> None:
        """What the level does not hide stays a list that can be read."""
        leaks = {a.id for a in ATTEMPTS if a.note.startswith("leak:")}
        assert "read-stat" in leaks
        assert len(leaks) < 10

    def test_nobody_is_an_ordinary_user(self) -> None:
        """The unprivileged half really runs without privileges."""
        assert pwd.getpwuid(NOBODY).pw_uid != 0
