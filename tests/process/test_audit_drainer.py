"""The drainer as a process: when it starts, what it loads, how it ends, and a disk that is full."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from nxkernel._system import files
from nxkernel.audit import starting
from nxkernel.audit.reader import AuditReader, verify
from nxkernel.audit.segments import segments_of
from tests.support.zoo import eventually

ROOT = Path(__file__).resolve().parents[2]

#: A kernel whose segments are small; it says which drainers it has started.
KERNEL = """
import os, sys
from pathlib import Path
from nxkernel._clock import SystemClock
from nxkernel.audit.log import AuditLog
from nxkernel.audit.starting import Starter
from nxkernel.audit.writer import Writer
from tests.unit.audit.logs import boot_facts, make_call, ok

path = sys.argv[1]
starter = Starter(Path(path))
clock = SystemClock()
log = AuditLog(path, clock, writer=Writer(Path(path), clock, drainer=starter, roll_bytes=20_000))
log.begin_run(boot_facts("run-1"))

def write(count):
    for number in range(count):
        call = make_call(str(number))
        log.finish(log.intend(call), call, ok(call), 1)

def say(text):
    os.write(1, f"{text}\\n".encode())
"""


@contextmanager
def kernel(
    path: Path, script: str, change: tuple[str, str] | None = None
) -> Iterator[subprocess.Popen[str]]:
    """Start a kernel in a process of its own."""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)]),
    }
    command = [sys.executable, "-c", KERNEL.replace(*(change or ("", ""))) + script, str(path)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as child:
        try:
            yield child
        finally:
            child.kill()


def said(child: subprocess.Popen[str]) -> str:
    """Return the next line of what a kernel says."""
    assert child.stdout is not None
    return child.stdout.readline().strip()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit" / "audit.db"


def segments(path: Path) -> list[Path]:
    """Return the files of finished calls that are left."""
    return list(path.with_name("audit.db-spool").glob("*.spool"))


def test_it_starts_when_a_segment_is_complete_and_ends_when_all_is_drained(path: Path) -> None:
    """The kernel goes on meanwhile; its complete segments go, and so does the drainer."""
    script = """
write(400)
say("written")
sys.stdin.read()
"""
    with kernel(path, script) as child:
        assert said(child) == "written"
        eventually(lambda: len(segments(path)) == 1, "complete segments are drained")
        me = psutil.Process(child.pid)
        eventually(lambda: me.children() == [], "the drainer ends")
        with AuditReader(path) as reader:
            assert len(reader.calls()) == 400
            assert reader.newest() > 0
    assert verify(path).ok


@pytest.mark.parametrize("ending", ["killed", "closed"])
def test_it_does_not_outlive_its_starter(path: Path, ending: str) -> None:
    """Whether that one is killed or closes its log: the drainer ends after its transaction."""
    script = """
import threading
from nxkernel.audit import starting
# A drainer that would go on for ever, but for the end of its input.
starting._BOOT = starting._BOOT.replace(
    "sys.exit(main(*sys.argv[1:3]))",
    "gone = __import__('nxkernel.audit.draining').audit.draining._watch_the_starter(); gone.wait()",
)
write(100)
while starter._child is None:
    pass
say(starter._child.pid)
sys.stdin.readline()
log.end_run()
log.close()
say("closed")
sys.stdin.read()
"""
    with kernel(path, script) as child:
        drainer = psutil.Process(int(said(child)))
        if ending == "killed":
            child.send_signal(signal.SIGKILL)
            child.wait()
        else:
            assert child.stdin is not None
            child.stdin.write("\n")
            child.stdin.flush()
            assert said(child) == "closed"
        eventually(
            lambda: not drainer.is_running() or drainer.status() == psutil.STATUS_ZOMBIE,
            "the drainer ends",
        )


def drained(path: Path, *before: str) -> subprocess.CompletedProcess[str]:
    """Run the drainer to its end; its standard input stays open meanwhile."""
    command = starting.command(path)
    place = command.index("-c") + 1
    command[place] = "; ".join([*before, command[place]])
    reading, writing = os.pipe()
    try:
        return subprocess.run(command, stdin=reading, capture_output=True, text=True, check=False)
    finally:
        os.close(reading)
        os.close(writing)


def dead_kernel(path: Path, calls: int = 20) -> None:
    """Have a kernel make some calls and die in the middle of one, before anything is drained."""
    script = f"""
write({calls})
log.intend(make_call("open"))
os._exit(0)
"""
    with kernel(path, script, ("drainer=starter", "drainer=None")) as child:
        child.wait()


def test_it_loads_nothing_of_the_application(path: Path) -> None:
    """No site directory, no pluggy, no kernel: this package's own modules and two that it needs."""
    dead_kernel(path)
    look = (
        "import atexit, json, sys; "
        "atexit.register(lambda: print(json.dumps([sorted(sys.modules), sys.path])))"
    )
    done = drained(path, look)
    assert done.returncode == 0, done.stderr
    modules, places = json.loads(done.stdout)
    strangers = {"pluggy", "jsonschema", "psutil", "site", "cattrs", "asyncio"}
    assert strangers & set(modules) == set()
    ours = {name.split(".")[1] for name in modules if name.startswith("nxkernel.")}
    assert ours & {"kernel", "host", "worker", "middleware", "plugins", "dispatch"} == set()
    assert "" not in places
    assert segments(path) == []


def test_one_at_a_time(path: Path) -> None:
    """A second one finds the log locked and ends at once, without taking anything."""
    dead_kernel(path)
    fd = os.open(f"{path}-drainer", os.O_RDWR | os.O_CREAT)
    try:
        assert files.try_lock(fd)
        assert drained(path).returncode == 0
        assert segments(path) != []
    finally:
        os.close(fd)
    assert drained(path).returncode == 0
    assert segments(path) == []
    with AuditReader(path) as reader:
        assert [call.call_id for call in reader.interrupted()] == ["open"]


def test_a_drainer_that_cannot_write_says_so_and_loses_nothing(path: Path) -> None:
    """The disk may be full for it alone: rows wait where they are."""
    dead_kernel(path, 2_000)
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))"
    done = drained(path, limit)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert done.stderr.strip()
    assert segments(path) != []
    assert drained(path).returncode == 0
    with AuditReader(path) as reader:
        assert len([call for call in reader.calls() if call.status == "ok"]) == 2_000
    assert verify(path).ok


def test_an_intact_log_is_left_by_a_kernel_that_dies_with_its_drainer(path: Path) -> None:
    """Both killed in the middle of their work, the next run brings it to its end."""
    script = """
write(400)
say("written")
write(10_000_000)
"""
    with kernel(path, script) as child:
        assert said(child) == "written"
        for process in psutil.Process(child.pid).children(recursive=True):
            with suppress(psutil.NoSuchProcess):  # it had drained all that there was, and ended
                process.kill()
        child.kill()
    with kernel(path, "write(1)\nlog.end_run()\nlog.close()") as child:
        assert child.wait() == 0
    assert [p.name for p in path.with_name("audit.db-spool").iterdir()] == []
    assert verify(path).ok
    with AuditReader(path) as reader:
        assert [run.status for run in reader.runs()] == ["interrupted", "completed"]
        assert len(reader.calls()) >= 401


def test_after_a_fork_the_child_has_no_drainer(path: Path) -> None:
    """It is the parent's, and its end is told by the parent's pipe alone."""
    script = """
from nxkernel.audit import starting
starting._BOOT = starting._BOOT.replace(
    "sys.exit(main(*sys.argv[1:3]))",
    "gone = __import__('nxkernel.audit.draining').audit.draining._watch_the_starter(); gone.wait()",
)
write(100)
while starter._child is None:
    pass
if os.fork() == 0:
    assert starter._child is None
    say("forked")
    __import__("signal").pause()
say(starter._child.pid)
sys.stdin.read()
"""
    with kernel(path, script) as child:
        lines = {said(child), said(child)}
        assert "forked" in lines
        (pid,) = (int(line) for line in lines - {"forked"})
        drainer = psutil.Process(pid)
        others = psutil.Process(child.pid).children()
        child.kill()
        child.wait()
        try:
            eventually(
                lambda: not drainer.is_running() or drainer.status() == psutil.STATUS_ZOMBIE,
                "the drainer ends though a forked child lives",
            )
        finally:
            for process in others:
                if process.pid != pid and process.is_running():
                    process.kill()


#: Runs on a disk of two mebibytes, and fills it.
FULL = """
from nxkernel.audit.reader import AuditReader, verify
from nxkernel.errors import AuditError

folder = Path(path).parent
filler = folder / "filler"
with filler.open("wb") as file:
    file.write(bytes(os.statvfs(folder).f_bavail * os.statvfs(folder).f_frsize - 30_000))
written, refusals = 0, []
while len(refusals) < 3:
    try:
        one(f"full.{written}.{len(refusals)}")
        written += 1
    except AuditError as error:
        refusals.append(error.message)
with AuditReader(path) as reader:
    assert len([call for call in reader.calls() if call.status == "ok"]) == written
try:
    log.end_run()
except AuditError as error:
    refusals.append(error.message)
filler.unlink()
log.close()
log.begin_run(boot_facts("run-2"))
one("after")
log.end_run()
log.close()
report = verify(path)
with AuditReader(path) as reader:
    ok_calls = len([call for call in reader.calls() if call.status == "ok"])
    flight = [call.call_id for call in reader.interrupted()]
left = [name for name in os.listdir(f"{path}-spool")]
say(__import__("json").dumps([written, refusals, ok_calls, flight, report.ok, left]))
"""


def test_a_disk_that_is_really_full_loses_no_row(path: Path) -> None:
    """Rows before it are there and rows after it; each that was refused says what to do."""
    path.parent.mkdir()
    mount = f"mount -t tmpfs -o size=2m none '{path.parent}'"
    tried = subprocess.run(["unshare", "-m", "sh", "-c", mount], capture_output=True, check=False)
    if tried.returncode:
        pytest.skip("no small disk can be mounted here")
    one = "def one(call_id):\n    call = make_call(call_id)\n"
    one += "    log.finish(log.intend(call), call, ok(call), 1)\n"
    command = [sys.executable, "-c", KERNEL + one + FULL, str(path)]
    places = os.pathsep.join([str(ROOT), *filter(None, sys.path)])
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", f'{mount} && exec "$@"', "sh", *command],
        env={**os.environ, "PYTHONPATH": places}, stdout=subprocess.PIPE, text=True, check=True,
    )  # fmt: skip
    written, refusals, calls, in_flight, sound, left = json.loads(done.stdout)
    assert written > 10
    assert calls == written + 1
    assert len(in_flight) == 1, "the call that found the disk full; those after it were not made"
    assert (sound, left) == (True, [])
    assert len(refusals) >= 3
    assert {message.partition("; ")[2] for message in refusals[:3]} == {"free some disk space"}


def rows_of(path: Path) -> list[tuple[str, str, str]]:
    """Return run, number and status of every call in all files of a log."""
    found = []
    for segment in segments_of(path):
        with AuditReader(segment.path) as reader:
            found += [(call.run_id, call.call_id, call.status) for call in reader.calls()]
    return found


def test_a_log_is_rotated_beside_living_kernels(path: Path) -> None:
    """Two of them, in processes of their own: they let go of the file, and go on in the next."""
    script = """
for word in iter(sys.stdin.readline, "end\\n"):
    write(50)
    say("written")
log.end_run()
log.close()
say("closed")
"""
    other = script.replace("write(50)", "write(20)")
    with kernel(path, script) as one, kernel(path, other) as two:
        for _ in range(3):
            for child in (one, two):
                tell(child, "more")
            assert run_cli("audit", "rotate", path).returncode == 0
        for child in (one, two):
            tell(child, "end")
    assert len(segments_of(path)) == 4
    found = Counter((call_id, status) for _, call_id, status in rows_of(path))
    assert set(found.values()) == {3, 6}
    assert sum(found.values()) == 3 * (50 + 20)
    assert verify(path).ok
    assert segments(path) == []


def tell(child: subprocess.Popen[str], word: str) -> None:
    """Say *word* to a kernel and wait for its answer."""
    assert child.stdin is not None
    child.stdin.write(f"{word}\n")
    child.stdin.flush()
    assert said(child) in ("written", "closed")


def run_cli(*words: object) -> subprocess.CompletedProcess[str]:
    """Run ``nxkernel`` in a process of its own."""
    command = [sys.executable, "-m", "nxkernel_cli", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_drainer_seals_what_has_grown_large(path: Path) -> None:
    """By itself, beside the kernel that has started it; all is there once."""
    script = """
write(9000)
say("written")
log.end_run()
log.close()
say("closed")
"""
    grown = "Starter(Path(path))", "Starter(Path(path), 1 << 20)"
    with kernel(path, script, grown) as child:
        assert said(child) == "written"
        eventually(lambda: len(segments_of(path)) > 1, "a file is sealed")
        assert said(child) == "closed"
    found = Counter(rows_of(path))
    assert found == Counter(("run-1", str(number), "ok") for number in range(9000))
    assert verify(path).ok


def test_a_stopped_kernel_holds_a_rotation_up(path: Path) -> None:
    """Nothing is sealed while it has the file open, the error says so, and nothing is lost."""
    script = """
write(30)
say("written")
sys.stdin.readline()
log.end_run()
log.close()
say("closed")
"""
    with kernel(path, script) as child:
        assert said(child) == "written"
        child.send_signal(signal.SIGSTOP)
        refused = run_cli("audit", "rotate", path)
        assert refused.returncode == 1
        assert "database is locked; stop the program that holds the database" in refused.stderr
        assert len(segments_of(path)) == 1
        child.send_signal(signal.SIGCONT)
        assert run_cli("audit", "rotate", path).returncode == 0
        tell(child, "")
    assert len(segments_of(path)) == 2
    assert Counter(rows_of(path)) == Counter(("run-1", str(n), "ok") for n in range(30))
    assert verify(path).ok
