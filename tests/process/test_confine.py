"""The worker's half: each step holds, and one that fails leaves no worker behind."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from nxkernel.host.sandbox.linux.bpf import ALLOW, RuleTable, compile_table
from nxkernel.host.sandbox.linux.policy import (
    Confinement,
    ConfinementPlan,
    build,
    default_read_paths,
)
from tests.support import interpreter
from tests.support.child import run_child

CONFINE = """
from nxkernel import _linux
from nxkernel.worker.confine import confine, drop_bounding_set, restrict, self_test
"""


@pytest.fixture
def walls() -> Iterator[Confinement]:
    built = build(ConfinementPlan(code=default_read_paths()))
    yield built
    built.close()


def confined(walls: Confinement, code: str, **changes: Any) -> dict[str, Any]:
    """Run *code* in a process that can call `confine(*args)` with these walls."""
    facts = {
        "ruleset": walls.ruleset_fd,
        "program": walls.program,
        "limits": dict(walls.limits),
        **changes,
    }
    head = CONFINE + "args = (ruleset, program, limits)\n"
    return run_child(head + code, fds=[walls.ruleset_fd], **facts)


class TestConfined:
    """After `confine`."""

    def test_self_test_reports_each_refusal(self, walls: Confinement) -> None:
        """Every wall has its witness."""
        report = confined(walls, "confine(*args); out = self_test()")
        assert report["out"] == {
            "list /": "EACCES",
            "socket": "EACCES",
            "fork": "EPERM",
            "chmod": "EPERM",
            "signal": "EPERM",
        }

    def test_parent_is_checked(self, walls: Confinement) -> None:
        """The pid of the real parent is accepted."""
        report = confined(walls, "confine(*args, parent=os.getppid()); out = 1")
        assert report["out"] == 1

    def test_status_shows_it(self, walls: Confinement) -> None:
        """No privileges, no way to new ones, and a filter."""
        code = """
drop_bounding_set()
status = open("/proc/self/status")
confine(*args)
out = dict(line.partition(":")[::2] for line in status)
"""
        fields = {k: v.strip() for k, v in confined(walls, code)["out"].items()}
        assert fields["NoNewPrivs"] == "1"
        assert fields["Seccomp"] == "2"
        assert int(fields["CapEff"], 16) == int(fields["CapPrm"], 16) == 0
        assert int(fields["CapInh"], 16) == int(fields["CapAmb"], 16) == 0
        if os.geteuid() == 0:
            assert int(fields["CapBnd"], 16) == 0

    def test_ruleset_descriptor_is_closed(self, walls: Confinement) -> None:
        """A plugin could not apply it anew, but it has no business with it."""
        code = """
confine(*args)
try:
    os.fstat(ruleset)
except OSError as error:
    out = error.errno
"""
        assert confined(walls, code)["out"] == errno.EBADF

    def test_memory_is_private(self, walls: Confinement) -> None:
        """Not dumpable, no core, and files for this user alone."""
        code = """
import resource
confine(*args)
out = [_linux.prctl(3), os.umask(0), resource.getrlimit(resource.RLIMIT_CORE)]
"""
        assert confined(walls, code)["out"] == [0, 0o077, [0, 0]]

    def test_lower_limits_stay(self, walls: Confinement) -> None:
        """A limit that the administrator set lower is not raised, also not by root."""
        code = """
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, (20, 30))
confine(*args)
out = resource.getrlimit(resource.RLIMIT_NOFILE)
"""
        assert confined(walls, code)["out"] == [20, 30]

    def test_unlimited_is_no_lower_limit(self, walls: Confinement) -> None:
        """RLIM_INFINITY is -1 in Python, and not the smallest number."""
        code = """
import resource
confine(*args)
out = resource.getrlimit(resource.RLIMIT_DATA)
"""
        assert resource.getrlimit(resource.RLIMIT_DATA)[1] == resource.RLIM_INFINITY
        assert confined(walls, code)["out"] == [512 << 20, 512 << 20]


class TestFailsClosed:
    """One step that fails is an error, with the step's name and its errno."""

    def failure(self, report: dict[str, Any], step: str) -> dict[str, Any]:
        assert report.get("error") == "SandboxUnavailable", report
        assert report["details"]["guarantee"] == step
        assert f"at step `{step}`" in report["message"]
        return report

    def test_second_thread(self, walls: Confinement) -> None:
        """A thread from before would be outside of the walls."""
        code = """
import threading
threading.Thread(target=threading.Event().wait, daemon=True).start()
confine(*args)
"""
        report = self.failure(confined(walls, code), "threads")
        assert "2 threads" in report["message"]

    def test_parent_is_gone(self, walls: Confinement) -> None:
        """A zygote that died in between takes its worker with it."""
        self.failure(confined(walls, "confine(*args, parent=1 << 21)"), "death signal")

    def test_no_ruleset(self, walls: Confinement) -> None:
        """-1 is no ruleset and no way to do without one."""
        report = self.failure(confined(walls, "confine(-1, program, limits)"), "landlock")
        assert report["details"]["errno"] == errno.EBADF

    def test_something_else_than_a_ruleset(self, walls: Confinement) -> None:
        """Any other descriptor is refused by the kernel."""
        self.failure(confined(walls, "confine(1, program, limits)"), "landlock")

    @pytest.mark.parametrize("program", [b"", b"\x06\x00\x00\x00\x00\x00\xff\x7f"])
    def test_filter_without_a_place_for_the_pid(self, walls: Confinement, program: bytes) -> None:
        """An empty filter, or one that allows everything, is not ours."""
        report = self.failure(confined(walls, "confine(*args)", program=program), "seccomp")
        assert "no place for the pid" in report["message"]

    def test_filter_that_the_kernel_refuses(self, walls: Confinement) -> None:
        """A cut program is refused at loading."""
        code = "confine(ruleset, program[:-8], limits)"
        report = self.failure(confined(walls, code), "seccomp")
        assert report["details"]["errno"] == errno.EINVAL

    def test_unknown_machine(self, walls: Confinement) -> None:
        """Numbers of x86_64 are not used elsewhere."""
        code = """
_linux.unsupported_machine = lambda: "no table of system calls"
confine(*args)
"""
        self.failure(confined(walls, code), "machine")

    def test_soft_limit_above_hard(self, walls: Confinement) -> None:
        """The hard limit is the ceiling of the soft one."""
        code = "import resource; restrict({'NOFILE': (64, 32)}); out = resource.getrlimit(7)"
        assert confined(walls, code)["out"] == [32, 32]


class TestSelfTest:
    """The self-test believes nothing."""

    def test_unconfined(self) -> None:
        """Without any wall the first attempt goes through, and that is an error."""
        report = run_child(CONFINE + "self_test()")
        assert report["error"] == "SandboxUnavailable"
        assert "`list /` went through" in report["message"]

    def test_without_the_filter(self, walls: Confinement) -> None:
        """Landlock alone lets a socket through."""
        code = """
_linux.prctl(_linux.PR_SET_NO_NEW_PRIVS, 1)
_linux.syscall("landlock_restrict_self", ruleset, 0)
self_test()
"""
        assert "`socket` went through" in confined(walls, code)["message"]

    def test_without_landlock(self, walls: Confinement) -> None:
        """The filter alone lets "/" be listed."""
        code = """
_linux.prctl(_linux.PR_SET_NO_NEW_PRIVS, 1)
_linux.load_filter(_linux.patch_pid(program, os.getpid()))
self_test()
"""
        assert "`list /` went through" in confined(walls, code)["message"]

    def test_fork_that_works_leaves_no_child(self) -> None:
        """The witness of fork cleans up after itself."""
        code = """
from nxkernel.worker import confine as module
module._fork()
try:
    os.waitpid(-1, 0)
except ChildProcessError:
    out = "none"
"""
        assert run_child(CONFINE + code)["out"] == "none"

    def test_refusal_for_another_reason(self, walls: Confinement) -> None:
        """A refusal by something else than the wall is no witness of the wall."""
        everything_is_missing = compile_table(
            RuleTable({n: ALLOW for n in range(470) if n != 41}, default=0x00050026, unknown=0)
        )
        code = """
_linux.prctl(_linux.PR_SET_NO_NEW_PRIVS, 1)
_linux.syscall("landlock_restrict_self", ruleset, 0)
_linux.load_filter(program)
self_test()
"""
        report = confined(walls, code, program=everything_is_missing)
        assert "`socket` was refused for another reason" in report["message"]


def test_worker_dies_with_its_zygote() -> None:
    """SIGKILL of the zygote, which can say nothing to anybody, ends the worker."""
    code = """
import os, signal, sys
from nxkernel.worker.confine import restrict
zygote = os.getpid()
pid = os.fork()
if pid == 0:
    restrict({}, parent=zygote)
    sys.stdout.write("ready")
    sys.stdout.flush()
    signal.pause()
signal.pause()
"""
    python = interpreter.own()
    zygote = subprocess.Popen(
        [python.executable, "-s", "-P", "-S", "-c", code],
        env=dict(python.environment),
        stdout=subprocess.PIPE,
    )
    assert zygote.stdout is not None
    assert zygote.stdout.read(5) == b"ready"
    zygote.kill()
    zygote.wait()
    # The worker holds the other end: the end of file is its end.
    assert zygote.stdout.read() == b""
    zygote.stdout.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user has no bounding set to drop")
def test_bounding_set_is_emptied() -> None:
    """Done once in the zygote, for all of its workers."""
    code = "out = [drop_bounding_set(), _linux.status_fields()['CapBnd']]"
    assert run_child(CONFINE + code)["out"] == [True, "0000000000000000"]


def test_bounding_set_without_privilege() -> None:
    """Where it may not be dropped that is said, and is no error."""
    code = """
_linux.syscall("capset", b"\\x22\\x05\\x08\\x20" + bytes(4), bytes(24))
out = drop_bounding_set()
"""
    assert run_child(CONFINE + code)["out"] is False
