"""What happens to the audit's files under a kernel at work: taken away, replaced, stopped, refused.

Every time: the promised error and its code, no call on record that was not, nothing lost that the
files still hold, and a log that verifies afterwards.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from nxkernel._clock import SystemClock
from nxkernel.audit.draining import drain
from nxkernel.audit.reader import verify
from nxkernel.audit.whole import AuditReader
from nxkernel.errors import AuditError

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
import json, logging, os, shutil, signal, subprocess, sys, threading, time
from pathlib import Path
from nxkernel._clock import SystemClock
from nxkernel.audit import rotation, starting, watch
from nxkernel.audit.draining import drain
from nxkernel.audit.log import AuditLog
from nxkernel.audit.reader import verify
from nxkernel.audit.starting import Starter
from nxkernel.audit.whole import AuditReader
from nxkernel.audit.writer import Writer
from nxkernel.errors import AuditError
from nxkernel.middleware.audit import Audit
from tests.unit.audit.logs import boot_facts, make_call, ok

logging.getLogger("nxkernel.audit").addHandler(logging.NullHandler())
watch.MOMENT_S = 0.01
path, on_error = Path(sys.argv[1]), sys.argv[2]
clock = SystemClock()
drained = lambda: drain(path, clock, lambda: True)


class Nobody:
    def start(self): pass
    def stop(self): pass


def new_log(roll_bytes=8 << 20, drainer=None, **options):
    writer = Writer(path, clock, drainer=drainer or Nobody(), roll_bytes=roll_bytes, **options)
    return AuditLog(path, clock, writer=writer)


def kernel(run_id="run-1", **options):
    log = new_log(**options)
    audit = Audit(log, on_error)
    audit.boot(boot_facts(run_id, clock=clock))
    return log, audit


def make(audit, call_id):
    # What the caller is told, and whether the call was made.
    call, made = make_call(call_id), False
    layer = audit.around(call)
    try:
        next(layer)
        made = True
        layer.send(ok(call))
    except StopIteration as stop:
        error = stop.value.error
        return [error.code if error else "ok", made, error.message if error else ""]


def refused(step, *arguments):
    try:
        step(*arguments)
    except AuditError as error:
        return [error.code, error.message]
    return ["done", ""]


def until(holds):
    end = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.01)


def say(found):
    os.write(1, json.dumps(found).encode())
"""


def ran(path: Path, script: str, on_error: str = "fail", *before: str) -> Any:
    """Run a kernel in a process of its own; return what it said."""
    command = [*before, sys.executable, "-c", PROGRAM + script, str(path), on_error]
    places = os.pathsep.join([str(ROOT), *filter(None, sys.path)])
    done = subprocess.run(
        command,
        env={**os.environ, "PYTHONPATH": places},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


def calls(path: Path) -> Counter[tuple[str, str, str]]:
    """Return run, number and status of every call."""
    with AuditReader(path) as reader:
        return Counter((call.run_id, call.call_id, call.status) for call in reader.stream())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit" / "audit.db"


@pytest.mark.parametrize("what", ["spool", "folder"])
@pytest.mark.parametrize("on_error", ["fail", "halt", "warn"])
def test_a_spool_that_is_removed_is_noticed(path: Path, what: str, on_error: str) -> None:
    """No call is acknowledged any more for which a row would be found nowhere.

    ``warn`` makes calls all the same. What is left is no log that verifies with an error.
    """
    script = f"""
log, audit = kernel()
first = make(audit, "before")
shutil.rmtree(path.parent if {what == "folder"} else f"{{path}}-spool")
until(lambda: log._writer._spool._slots.is_fenced)
found = [first, make(audit, "after"), refused(audit.close)]
log.close()
log, audit = kernel("run-2")
found.append(make(audit, "again"))
audit.close()
log.close()
say(found)
"""
    first, after, end, again = ran(path, script, on_error)
    assert (first[:2], again[:2]) == (["ok", True], ["ok", True])
    if on_error == "warn":
        assert after[:2] == ["ok", True]
        assert end[0] == "done"
    else:
        assert after[:2] == ["audit.failed", False]
        assert "its files are gone; keep the audit's folder as it is" in after[2]
        assert end[0] == "audit.failed"
    assert ("run-2", "again", "ok") in calls(path)
    assert ("run-1", "after", "ok") not in calls(path)
    assert verify(path).ok


def test_a_database_that_is_removed_takes_no_rows_with_it(path: Path) -> None:
    """They are in the spool until a database has them that is there, which is the next one."""
    script = """
log, audit = kernel()
found = [make(audit, str(number)) for number in range(20)]
for rest in ("", "-wal", "-shm"):
    Path(f"{path}{rest}").unlink()
found += [make(audit, str(number)) for number in range(20, 30)]
audit.close()
log.close()
say([each[:2] for each in found])
"""
    assert ran(path, script) == [["ok", True]] * 30
    assert calls(path) == Counter(("run-1", str(number), "ok") for number in range(30))
    assert verify(path).ok


@pytest.mark.parametrize("drains", [False, True])
def test_a_database_that_is_replaced_gets_what_the_other_had_not(path: Path, drains: bool) -> None:
    """By another log, as a restore from a backup would: no row goes into a file without a name."""
    script = f"""
log, audit = kernel("older")
make(audit, "old")
audit.close()
log.close()
shutil.copy(path, f"{{path}}-copy")
log, audit = kernel(roll_bytes=3000)
found = [make(audit, str(number)) for number in range(20)]
if {drains}:
    drained()
for rest in ("", "-wal", "-shm"):
    Path(f"{{path}}{{rest}}").unlink(missing_ok=True)
os.rename(f"{{path}}-copy", path)
found += [make(audit, str(number)) for number in range(20, 40)]
audit.close()
log.close()
say([each[:2] for each in found])
"""
    assert ran(path, script) == [["ok", True]] * 40
    there = calls(path)
    assert there["older", "old", "ok"] == 1
    numbers = range(20, 40) if drains else range(40)
    with AuditReader(path) as reader:
        rows = reader._drained("SELECT call_id FROM calls")
    assert {str(number) for number in numbers} <= {row[0] for row in rows}
    assert max(Counter(row[0] for row in rows).values()) == 1
    assert verify(path).ok


def test_a_drainer_whose_database_is_replaced_stops(path: Path) -> None:
    """Between two transactions: it says so, and what it has not taken stays in the spool."""
    script = """
from nxkernel.audit import ledger
log, audit = kernel(roll_bytes=3000)
for number in range(40):
    make(audit, str(number))
taken = iter(range(3))

def go_on():
    if next(taken, None) is None and path.exists():
        for rest in ("", "-wal", "-shm"):
            Path(f"{path}{rest}").unlink()
    return True

found = []
try:
    drain(path, clock, go_on)
except OSError as error:
    found.append(error.strerror)
audit.close()
log.close()
say(found)
"""
    assert ran(path, script) == ["its file was removed or replaced"]
    with AuditReader(path) as reader:
        rows = Counter(row[0] for row in reader._drained("SELECT call_id FROM calls"))
    assert set(rows.values()) == {1}
    assert len(rows) > 20
    assert verify(path).ok


@pytest.mark.parametrize("on_error", ["fail", "halt", "warn"])
def test_a_disk_that_may_only_be_read_begins_no_run(path: Path, on_error: str) -> None:
    """Whatever was chosen for calls; reading and verifying go on, and so do runs afterwards."""
    path.parent.mkdir()
    mount = f"mount -t tmpfs -o size=4m none '{path.parent}'"
    tried = subprocess.run(["unshare", "-m", "sh", "-c", mount], capture_output=True, check=False)
    if tried.returncode:
        pytest.skip("no small disk can be mounted here")
    script = """
def remount(how):
    subprocess.run(["mount", "-o", f"remount,{how}", str(path.parent)], check=True)

log, audit = kernel()
make(audit, "before")
audit.close()
log.close()
remount("ro")
found = []
log = new_log()
found.append(refused(Audit(log, on_error).boot, boot_facts("run-2", clock=clock)))
log.close()
found.append(refused(rotation.rotate, path, clock))
with AuditReader(path) as reader:
    found.append([call.call_id for call in reader.calls()])
found.append(verify(path).ok)
remount("rw")
log, audit = kernel("run-3")
found.append(make(audit, "after")[:2])
audit.close()
log.close()
with AuditReader(path) as reader:
    found.append([call.call_id for call in reader.calls()])
found.append(verify(path).ok)
say(found)
"""
    begins, rotates, *rest = ran(
        path, script, on_error, "unshare", "-m", "sh", "-c", f'{mount} && exec "$@"', "sh"
    )
    assert begins[0] == rotates[0] == "audit.failed"
    assert "Read-only file system; give the kernel's user write access" in begins[1]
    assert rest == [["before"], True, ["ok", True], ["before", "after"], True]


@pytest.mark.parametrize("on_error", ["fail", "halt", "warn"])
def test_a_folder_that_may_not_be_written_to_any_more(path: Path, on_error: str) -> None:
    """What is open goes on; the next file of a spool cannot be made, until it may be again."""
    if os.getuid():
        pytest.skip("needs uid 0; run the suite as root")
    script = """
log, audit = kernel(roll_bytes=2000)
spool = Path(f"{path}-spool")
found = [make(audit, "before")]
os.chown(spool, 65534, 65534)
os.chmod(spool, 0o500)
os.setresuid(65534, 65534, 0)  # which may not write there either, and root's rights are gone
found += [make(audit, str(number)) for number in range(40)]
os.setresuid(0, 0, 0)
os.chmod(spool, 0o700)
found.append(make(audit, "after"))
end = refused(audit.close)
log.close()
say([found, end])
"""
    found, end = ran(path, script, on_error)
    codes = [each[0] for each in found]
    assert codes[0] == "ok"
    assert "ok" in codes[1:5]
    there = calls(path)
    acknowledged = Counter(code for code, *_ in found)["ok"]
    if on_error == "warn":
        assert set(codes) == {"ok"}
        with AuditReader(path) as reader:
            (gap,) = reader.events(kind="audit.gap")
        assert sum(status == "ok" for *_, status in there.elements()) < acknowledged
        assert gap.data["rows"] > 0
    else:
        message = next(each[2] for each in found if each[0] != "ok")
        assert "Permission denied; give the kernel's user write access" in message
        assert sum(status == "ok" for *_, status in there.elements()) == acknowledged
        assert codes[-1] == ("ok" if on_error == "fail" else "audit.failed")
    assert end[0] == ("audit.failed" if on_error == "halt" else "done")
    assert verify(path).ok


def test_a_drainer_that_was_stopped_holds_up_no_call(path: Path) -> None:
    """Nor the end of the kernel, for longer than a transaction may take: then it is killed."""
    script = """
starting._BOOT = (
    "import os, signal, sys; sys.path[:0] = sys.argv[3:]; "
    "os.kill(os.getpid(), signal.SIGSTOP); os._exit(0)"
)
starting._PATIENCE_S = 0.2
log, audit = kernel(roll_bytes=3000, drainer=Starter(path))
found = [make(audit, str(number))[:2] for number in range(60)]
stopped = log._writer._drainer
until(lambda: stopped._child is not None)
child = stopped._child
audit.close()
log.close()
say([found, child.poll()])
"""
    found, status = ran(path, script)
    assert found == [["ok", True]] * 60
    assert status == -9
    assert calls(path) == Counter(("run-1", str(number), "ok") for number in range(60))
    assert verify(path).ok


def test_who_is_stopped_with_the_writers_lock_holds_up_no_call(path: Path) -> None:
    """The end of a run says whom it waits for; its rows are safe, and the next run takes them."""
    script = """
from nxkernel import _sqlite
_sqlite._PAUSES = (0.01,) * 20
log, audit = kernel()
holder = subprocess.Popen(
    [sys.executable, "-c",
     "import fcntl, os, signal, sys; fd = os.open(sys.argv[1], os.O_RDWR); "
     "fcntl.flock(fd, fcntl.LOCK_EX); print('held', flush=True); "
     "os.kill(os.getpid(), signal.SIGSTOP)", f"{path}-writer"], stdout=subprocess.PIPE)
holder.stdout.readline()
found = [make(audit, str(number))[:2] for number in range(30)]
end = refused(audit.close)
log.close()
holder.kill()
holder.wait()
log, audit = kernel("run-2")
audit.close()
log.close()
say([found, end])
"""
    found, end = ran(path, script)
    assert found == [["ok", True]] * 30
    assert end[0] == "audit.failed"
    assert "another process keeps it locked; stop the program that holds the database" in end[1]
    assert calls(path) == Counter(("run-1", str(number), "ok") for number in range(30))
    with AuditReader(path) as reader:
        assert [run.status for run in reader.runs()] == ["completed", "completed"]
    assert verify(path).ok


def test_a_clock_may_jump(path: Path) -> None:
    """Backwards by a year in mid-run, and to where another run began: rows stay in order."""
    script = """
class Jumping(SystemClock):
    now = 1_700_000_000_000_000_000

    def wall_ns(self):
        Jumping.now += 1
        return Jumping.now

clock = Jumping()
found = []
for _ in range(3):
    Jumping.now = 1_700_000_000_000_000_000  # each run begins when the one before did
    log, audit = kernel("run-1", roll_bytes=3000)
    found += [make(audit, str(number))[:2] for number in range(15)]
    Jumping.now -= 365 * 86_400 * 10**9
    found += [make(audit, str(number))[:2] for number in range(15, 30)]
    audit.close()
    log.close()
say(found)
"""
    assert ran(path, script) == [["ok", True]] * 90
    there = calls(path)
    assert there == Counter({("run-1", str(number), "ok"): 3 for number in range(30)})
    with AuditReader(path) as reader:
        assert [run.calls for run in reader.runs()] == [30] * 3
        assert [call.call_id for call in reader.latest(limit=2)] == ["28", "29"]
    assert verify(path).ok


def test_kernels_of_one_log_may_have_different_settings(path: Path) -> None:
    """One that survives the loss of power and one that does not, one that rotates and one not."""
    script = """
one, two = new_log(durability="power", roll_bytes=20_000), new_log(rotate_bytes=250_000)
audits = [Audit(log, on_error) for log in (one, two)]
for number, audit in enumerate(audits):
    audit.boot(boot_facts(f"run-{number}", clock=clock))
found = [make(audits[number % 2], str(number))[:2] for number in range(1000)]
audits[1].close()
two.close()
found.append(make(audits[0], "last")[:2])
audits[0].close()
one.close()
log, audit = kernel("run-2", rotate_bytes=250_000)
audit.close()
log.close()
say(found)
"""
    assert ran(path, script) == [["ok", True]] * 1001
    there = calls(path)
    assert set(there.values()) == {1}
    assert len(there) == 1001
    assert list(path.with_name("segments").glob("*.db"))
    assert verify(path).ok


@pytest.mark.parametrize("how", ["drain", "rotate"])
def test_a_sealing_that_was_killed_in_its_transaction_is_undone(path: Path, how: str) -> None:
    """Some of its pages are in the file by then: nobody takes it for sealed, and no row is lost."""
    script = """
import sqlite3
log, audit = kernel()
found = [make(audit, str(number))[:2] for number in range(20)]
audit.close()
log.close()
connection = sqlite3.connect(path, isolation_level=None)
for setting in ("journal_mode=DELETE", "cache_size=1"):
    connection.execute(f"PRAGMA {setting}")
connection.execute("BEGIN IMMEDIATE")
for number in range(1000001, 1003000):
    connection.execute("INSERT INTO names VALUES (?, ?)", (number, "x" * 200))
connection.execute("INSERT INTO seals VALUES (2000000, 1)")
connection.execute("SELECT sum(length(name)) FROM names").fetchall()  # which needs the cache
assert Path(f"{path}-journal").stat().st_size
say(found)
os._exit(0)
"""
    assert ran(path, script) == [["ok", True]] * 20
    journal = path.with_name("audit.db-journal")
    assert journal.exists()
    with pytest.raises(AuditError, match="cannot read"):
        AuditReader(path)
    if how == "drain":
        drain(path, SystemClock(), lambda: True)
    else:
        command = [sys.executable, "-m", "nxkernel_cli", "audit", "rotate", str(path)]
        subprocess.run(command, check=True, capture_output=True)
    assert not journal.exists()
    assert list(path.parent.glob("segments/*.db")) == (
        [] if how == "drain" else [path.parent / "segments" / "000000000001.db"]
    )
    assert calls(path) == Counter(("run-1", str(number), "ok") for number in range(20))
    assert verify(path).ok
