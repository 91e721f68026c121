"""The audit log and its writers' deaths: SIGKILL, a full disk, a fork, several at once."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from nxkernel.audit.reader import AuditReader
from tests.unit.audit.logs import found, inspect, rows_of

ROOT = Path(__file__).resolve().parents[2]

#: What every writer begins with: a log, a run, and a way to write a call.
PREAMBLE = """
import os, resource, sys
from nxkernel.audit.log import AuditLog
from nxkernel.audit.reader import AuditReader
from nxkernel.errors import AuditError
from nxkernel.middleware.audit import Audit
from tests.unit.audit.logs import Ticks, boot_facts, make_call, ok

path, run_id = sys.argv[1], sys.argv[2]
log = AuditLog(path, Ticks())

def write(call_id):
    call = make_call(call_id)
    intent = log.intend(call)
    log.finish(intent, call, ok(call), 1)
    return call_id

def say(text):
    os.write(1, f"{text}\\n".encode())
"""


def environment() -> dict[str, str]:
    """Return an environment in which a child finds what this process imports."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)])}


@contextmanager
def writer(path: Path, script: str, run_id: str = "run-1") -> Iterator[subprocess.Popen[str]]:
    """Start a process that writes to the log; it is killed at the latest at the end."""
    command = [sys.executable, "-c", PREAMBLE + script, str(path), run_id]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment()
    ) as child:
        try:
            yield child
        finally:
            child.kill()


def lines(child: subprocess.Popen[str]) -> Iterator[str]:
    """Yield what the child says, line by line."""
    assert child.stdout is not None
    for line in child.stdout:
        yield line.rstrip("\n")


def finished(child: subprocess.Popen[str]) -> list[str]:
    """Wait for the child's end and return what it said."""
    said = list(lines(child))
    assert child.wait() == 0, said
    return said


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit" / "audit.db"


def test_a_killed_kernel_leaves_its_open_call_as_interrupted(path: Path) -> None:
    """The intent is in flight while the kernel lives and interrupted once it was killed."""
    script = """
log.begin_run(boot_facts(run_id))
for number in range(50):
    write(str(number))
log.intend(make_call("open"))
say("waiting")
sys.stdin.read()
"""
    with writer(path, script) as child:
        assert next(lines(child)) == "waiting"
        with AuditReader(path) as reader:
            assert [run.status for run in reader.runs()] == ["running"]
            assert reader.calls()[-1].status == "in_flight"
            assert reader.interrupted() == []
        child.send_signal(signal.SIGKILL)
        child.wait()
    assert found(path) == []
    with AuditReader(path) as reader:
        assert [run.status for run in reader.runs()] == ["interrupted"]
        assert [call.call_id for call in reader.interrupted()] == ["open"]
        assert len(reader.calls()) == 51


def test_a_kill_at_any_moment_loses_no_row(path: Path) -> None:
    """Whatever was written before the kill is there, and the next kernel goes on."""
    script = """
log.begin_run(boot_facts(run_id))
say("begun")
for number in range(100_000):
    say(write(str(number)))
"""
    moments = random.Random(5)
    for number in range(8):
        with writer(path, script, f"run-{number}") as child:
            said = lines(child)
            assert next(said) == "begun"
            acknowledged = [int(next(said)) for _ in range(moments.randrange(1, 400))]
            child.send_signal(signal.SIGKILL)
            acknowledged += [int(line) for line in said]
        with AuditReader(path) as reader:
            calls = reader.calls(f"run-{number}")
            recorded = {int(call.call_id) for call in calls if call.status == "ok"}
            assert set(acknowledged) <= recorded
            assert len(recorded) - len(acknowledged) <= 1
            assert [call.status for call in calls[:-1]] == ["ok"] * (len(calls) - 1)
            assert reader.runs()[-1].status == "interrupted"
        assert found(path) == []


def test_kernels_may_write_at_the_same_time(path: Path) -> None:
    """Three processes share one log: every row is there, in one tree."""
    script = """
log.begin_run(boot_facts(run_id))
say("begun")
sys.stdin.readline()
for number in range(200):
    write(str(number))
log.end_run()
log.close()
"""
    with (
        writer(path, script, "run-0") as first,
        writer(path, script, "run-1") as second,
        writer(path, script, "run-2") as third,
    ):
        children = (first, second, third)
        assert [next(lines(child)) for child in children] == ["begun"] * 3
        for child in children:
            assert child.stdin is not None
            child.stdin.write("go\n")
            child.stdin.flush()
        for child in children:
            assert finished(child) == []
    report = inspect(path)
    assert report.ok
    assert report.runs == 3
    assert len(rows_of(path)) == 3 * (1 + 200 + 1)
    with AuditReader(path) as reader:
        assert [(run.status, run.calls) for run in reader.runs()] == [("completed", 200)] * 3
        order = [call.run_id for call in reader.calls()]
    assert order != sorted(order), "the three did write at the same time"


#: Fills the "disk": no file may grow beyond what the log has and a little more.
FULL = """
def limit(size):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

def largest():
    folder = os.path.dirname(path)
    files = [os.path.join(folder, name) for name in os.listdir(folder)]
    return max(os.path.getsize(name) for name in files if os.path.isfile(name))

log.begin_run(boot_facts(run_id))
limit(largest() + 50_000)
"""


def test_a_full_disk_is_an_audit_error(path: Path) -> None:
    """The error says what to do; every row before it is there, and rows after it too."""
    script = (
        FULL
        + """
written = 0
try:
    for number in range(100_000):
        write(str(number))
        written += 1
except AuditError as error:
    say(error.message)
limit(resource.RLIM_INFINITY)
write("after")
say(written)
log.end_run()
log.close()
"""
    )
    with writer(path, script) as child:
        message, written = finished(child)
    assert message.startswith("cannot write audit/audit.db: ")
    assert "disk" in message
    assert 0 < int(written) < 1000
    assert found(path) == []
    with AuditReader(path) as reader:
        assert len([call for call in reader.calls() if call.status == "ok"]) == int(written) + 1


@pytest.mark.parametrize(
    ("on_error", "expected"),
    [
        ("fail", ["audit.failed, made", "audit.failed, not made", "ok, made", "0"]),
        ("halt", ["audit.failed, made", "audit.failed, not made", "audit.failed, not made", "0"]),
        ("warn", ["ok, made", "ok, made", "ok, made", "1"]),
    ],
)
def test_a_full_disk_is_met_as_the_embedder_chose(
    path: Path, on_error: str, expected: list[str]
) -> None:
    """Refuse, refuse for good, or go on and leave a gap that is on record.

    The call that finds the disk full has been made: what it has done cannot be undone, so its
    result is withheld. Those after it are not made.
    """
    script = (
        FULL
        + """
import logging
logging.getLogger("nxkernel.audit").addHandler(logging.NullHandler())
log.end_run()
audit = Audit(log, ON_ERROR)
audit.boot(boot_facts(run_id))

def make(call_id):
    call = make_call(call_id)
    layer = audit.around(call)
    made = False
    try:
        next(layer)
        made = True
        layer.send(ok(call))
    except StopIteration as stop:
        code = stop.value.error.code if stop.value.error else "ok"
        say(f"{code}, {'made' if made else 'not made'}")

limit(1)  # from here on no file takes another byte
make("full")
make("again")
limit(resource.RLIM_INFINITY)
make("after")
log.close()
with AuditReader(path) as reader:
    say(len(reader.events(kind="audit.gap")))
""".replace("ON_ERROR", repr(on_error))
    )
    with writer(path, script) as child:
        assert finished(child) == expected
    assert found(path) == []


def test_a_forked_child_leaves_its_parents_run_alone(path: Path) -> None:
    """It can neither write to that run nor end it, and its end does no harm."""
    script = """
log.begin_run(boot_facts(run_id))
write("before")
if (child := os.fork()) == 0:
    for attempt in (lambda: write("child"), log.end_run):
        try:
            attempt()
        except AuditError as error:
            say(error.message)
    log.close()
    os._exit(0)
os.waitpid(child, 0)
write("after")
with AuditReader(path) as reader:
    say(reader.runs()[0].status)
if os.fork() == 0:
    say("waiting")
sys.stdin.read()
"""
    with writer(path, script) as child:
        said = lines(child)
        assert next(said) == "no run has begun in audit/audit.db; begin one first"
        assert next(said) == "no run has begun in audit/audit.db; begin one first"
        assert next(said) == "running"
        assert next(said) == "waiting"
        child.kill()
        child.wait()
        # The second child still lives, with copies of what its parent held.
        with AuditReader(path) as reader:
            assert [run.status for run in reader.runs()] == ["interrupted"]
            assert [call.call_id for call in reader.calls()] == ["before", "after"]
    assert found(path) == []


def test_a_forked_child_writes_a_run_of_its_own(path: Path) -> None:
    """Parent and child write to one log at once, each to a spool that it opened."""
    script = """
log.begin_run(boot_facts(run_id))
write("before")
child = os.fork()
if child == 0:
    log.begin_run(boot_facts("child"))
for number in range(50):
    write(f"{'parent' if child else 'child'}-{number}")
log.end_run()
log.close()
if child == 0:
    os._exit(0)
os.waitpid(child, 0)
"""
    with writer(path, script) as child:
        child.wait()
    with AuditReader(path) as reader:
        assert [run.status for run in reader.runs()] == ["completed", "completed"]
        assert len(reader.calls("child")) == 50
        assert len(reader.calls()) == 101
    assert found(path) == []


def test_a_forked_child_is_refused_what_was_open(path: Path) -> None:
    """A reader's connection cannot be closed for the fork: the child leaves the file alone."""
    script = """
log.begin_run(boot_facts(run_id))
reader = AuditReader(path).__enter__()
if (child := os.fork()) == 0:
    try:
        log.open()
    except AuditError as error:
        say(error.message)
    os._exit(0)
os.waitpid(child, 0)
write("after")
say(len(reader.calls()))
"""
    with writer(path, script) as child:
        said = lines(child)
        assert next(said) == (
            "cannot open audit/audit.db: this process was forked from one that had it open; "
            "close it before the fork, or start the child as a new program"
        )
        assert next(said) == "1"
        child.wait()
    assert found(path) == []
