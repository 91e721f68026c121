"""Every attempt to get out of a level fails, as root and as an ordinary user, at both levels.

And none of them hurts the host on the way: its files, limits, listeners and processes are compared
before and after each. Control attempts show that ordinary code goes on working. Each is made by a
plugin of a real kernel, in a worker of its own.
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
from tests.escapes.arena import FRESH, PLANS, Verdict
from tests.escapes.attempts import GROUPS, Attempt, Expectation
from tests.escapes.corpus import CORPUS
from tests.escapes.given import GIVEN
from tests.escapes.victim import SECRET_NAME, SECRET_VALUE
from tests.support import interpreter

#: Not in any group and the owner of nothing.
NOBODY = 65534


#: Harmless ones, one of each kind.
SUCCEED_WITHOUT_WALLS = [
    *("read-etc_passwd", "read-secret", "read-list_root", "read-other_plugin", "read-dotdot"),
    *("read-through_sqlite", "read-openat2_in_root", "read-watch_folder"),
    *("net-listen", "net-family_alg", "net-sequenced_pair"),
    *("proc-signal_zero_host", "proc-pidfd_of_host", "proc-prctl_dumpable", "proc-prctl_debugger"),
    *("leak-arena_written_by_chmod", "leak-arena_written_by_chmod_by_path"),
    *("kernel-huge_pages", "kernel-splice", "kernel-pi_futex", "resource-memory_files"),
    *("leak-group_of_host", "leak-limits_of_host", "leak-process_list", "leak-no_new_privileges"),
    *("isolation-new_user_namespace", "isolation-list_own_root", "isolation-interfaces"),
    *("isolation-outlive_the_zygote", "isolation-become_visible"),
    *("read-given.r02_secret", "read-given.r03_listdir_root", "net-given.n03_listen"),
    *("proc-given.p01_fork", "kernel-given.k04_add_key", "leak-given.l12_proc_list"),
]
#: What no level hides, or holds.
OPEN_LEAKS = [
    "net-allow-listen_on_free_port",
    "net-allow-abstract_name_as_long_as_an_address",
    "leak-machine",
]
#: Attempt -> how it ends in a process that was forked for its call: its channel is a socket, it is
#: in a pid namespace, and what it says beyond its answer is lost with it.
IN_A_CALL = {
    "net-pass_descriptor_out": Expectation(denied=("EPERM",)),
    "net-who_is_the_host": Expectation(denied=("EPERM",)),
    "net-handle_of_the_host": Expectation(denied=("EPERM",)),
    "net-given.n21_scm_rights_out": Expectation(denied=("EPERM",)),
    "leak-capabilities_of_host": Expectation(denied=("ESRCH",)),
    "isolation-parent_is_process_one": Expectation(value="True"),
    "protocol-given.x05_answers_twice": Expectation(value="theirs"),
}
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


@attrs.define
class StandIn:
    """The process that plays the host."""

    process: subprocess.Popen[str]
    #: Whether it may have namespaces.
    isolated: bool = False

    def attempt(self, attempt: Attempt, level: str) -> tuple[Verdict, list[str]]:
        """Return how *attempt* ended at *level* and what damage it did."""
        answer = self._ask(f"{attempt.id} {level}")
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
            greeting = host.read()
            assert greeting["uid"] == uid
            host.isolated = greeting["isolated"]
            yield host
        finally:
            process.communicate(timeout=120)  # It closes kernels; a fence, over when it has ended.
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


@pytest.mark.parametrize("level", ["confined", "isolated"])
@pytest.mark.parametrize("attempt", CORPUS, ids=lambda attempt: attempt.id)
def test_attempt(stand_in: StandIn, attempt: Attempt, level: str) -> None:
    """The attempt ends as expected, and the host is what it was before."""
    if level == "isolated" and not stand_in.isolated:
        found = probe.namespaces_available()
        pytest.skip(f"{found.name} is not available here: {found.detail} ({found.errno})")
    verdict, damage = stand_in.attempt(attempt, level)
    expect = attempt.at(level).expect
    assert damage == []
    assert met(expect, verdict), f"expected {expect}, got {verdict}"
    assert verdict.answers


@pytest.mark.timeout(1800)
def test_attempts_in_processes_of_their_own(
    stand_in: StandIn, request: pytest.FixtureRequest
) -> None:
    """What a call of a plugin with fresh state tries ends no other way, and its template lives.

    Some attempts at other processes, and those to write where the host does, in every run; all
    that a call can make with ``--storm=full``.
    """
    found = probe.processes_available()
    if not found.ok:
        pytest.skip(f"{found.name} is not available here: {found.detail} ({found.errno})")
    full = request.config.getoption("--storm") == "full"
    made = [a for a in CORPUS if a.group != "import"]
    some = [a for a in made if a.group == "proc"][::4]
    some += [a for a in made if a.name.startswith("arena_")]
    wrong = {}
    for attempt in made if full else some:
        verdict, damage = stand_in.attempt(attempt, FRESH)
        expect = IN_A_CALL.get(attempt.id, attempt.expect)
        if damage or not (met(expect, verdict) and verdict.answers):
            wrong[attempt.id] = (str(expect), verdict, damage)
    assert wrong == {}


@pytest.mark.parametrize("name", SUCCEED_WITHOUT_WALLS)
def test_attempt_is_real(unguarded: StandIn, name: str) -> None:
    """At level `process` the same attempt goes through, or hurts the host, and is seen to."""
    attempt = next(a for a in CORPUS if a.id == name)
    verdict, damage = unguarded.attempt(attempt, "process")
    assert damage or not met(attempt.expect, verdict)


@pytest.mark.parametrize(("name", "trace"), sorted(TRACES.items()))
def test_damage_is_seen(unguarded: StandIn, name: str, trace: str) -> None:
    """The invariants are no decoration: what an unconfined attempt changes is reported."""
    attempt = next(a for a in CORPUS if a.id == name)
    _, damage = unguarded.attempt(attempt, "process")
    assert any(trace in line for line in damage), damage


def met(expect: Expectation, verdict: Verdict) -> bool:
    """Say whether *verdict* is one of the ends that *expect* allows."""
    if verdict.code in expect.code:
        return True
    match verdict.kind:
        case "value":
            return verdict.value == expect.value
        case "killed":
            return verdict.signal in expect.killed
        case "exit":
            return verdict.status == expect.status
    return verdict.errno in expect.denied or bool(set(verdict.exceptions) & set(expect.raises))


class TestCorpus:
    """The corpus itself."""

    def test_ids_are_unique(self) -> None:
        """A second attempt of the same name would hide the first."""
        assert len({attempt.id for attempt in CORPUS}) == len(CORPUS)

    def test_every_group_is_there(self) -> None:
        """Every axis is attacked, and every attack has a control beside it."""
        assert {attempt.group for attempt in CORPUS} == set(GROUPS)

    def test_every_attempt_expects_something(self) -> None:
        """An attempt that may end in any way proves nothing."""
        assert not [a.id for a in CORPUS if a.expect == Expectation()]

    def test_leaks_are_marked(self) -> None:
        """What `confined` does not hide stays a list that can be read; namespaces close most."""
        leaks = {a.id: a.isolated for a in CORPUS if a.note.startswith("leak:")}
        assert "read-stat" in leaks
        assert len(leaks) < 24
        assert [name for name, isolated in leaks.items() if isolated is None] == OPEN_LEAKS

    def test_corpus_of_others_is_complete(self) -> None:
        """Not one of the attempts that others wrote is left out."""
        assert len({attempt.id for attempt in GIVEN}) == 149

    def test_every_plan_is_one_of_a_plugin(self) -> None:
        """An attempt without a plugin would not be made."""
        assert {attempt.plan for attempt in CORPUS} == set(PLANS) - {"large"}

    def test_nobody_is_an_ordinary_user(self) -> None:
        """The unprivileged half really runs without privileges."""
        assert pwd.getpwuid(NOBODY).pw_uid != 0
