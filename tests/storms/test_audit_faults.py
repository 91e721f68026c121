"""Each system call of writer, drainer and rotation fails once, or is the last before a SIGKILL."""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import attrs
import pytest

from nxkernel._clock import SystemClock
from nxkernel.audit.draining import drain
from nxkernel.audit.reader import verify
from nxkernel.audit.rotation import is_there
from nxkernel.audit.whole import AuditReader
from tests.support.storms import Storm

ROOT = Path(__file__).resolve().parents[2]
FAULTS = ("error=EIO", "error=ENOSPC", "signal=SIGKILL")
_CALL = re.compile(r"(\w+)\(")
#: How the programs may end: by themselves, or killed where that is the fault.
KILLED = {0, 137, -9}


@functools.cache
def _can_trace() -> bool:
    """Whether strace is here and may trace: a container may forbid it."""
    try:
        return subprocess.run(["strace", "-o", os.devnull, "true"], check=False).returncode == 0
    except OSError:
        return False


@pytest.fixture(autouse=True)
def _strace() -> None:
    if not _can_trace():
        pytest.skip("no strace that may trace is here")


@attrs.frozen
class Place:
    """One system call of a program, by its name and how many of that name came before it."""

    name: str
    number: int


def traced(what: str, log: Path, output: Path, *options: str) -> tuple[int, list[str]]:
    """Run a program under strace; return its exit status and what it said."""
    command = [
        *("strace", "-y", "-o", str(output), "-e", "trace=%file,%desc", *options),
        *(sys.executable, "-B", "-m", "tests.support.audit_faults", what, str(log)),
    ]
    path = os.pathsep.join([str(ROOT), *filter(None, sys.path)])
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False,
        env={"PATH": os.environ.get("PATH", ""), "PYTHONPATH": path, "PYTHONHASHSEED": "0"},
        cwd=ROOT,
    )  # fmt: skip
    return done.returncode, done.stdout.splitlines()


def places(output: Path, folder: Path) -> list[Place]:
    """Return the system calls of a trace that have to do with *folder*."""
    counted: Counter[str] = Counter()
    found = []
    for line in output.read_text(errors="replace").splitlines():
        if match := _CALL.match(line):
            counted[match[1]] += 1
            if str(folder) in line:
                found.append(Place(match[1], counted[match[1]]))
    return found


def leftovers(log: Path) -> list[str]:
    """Drain what is left and return what should not be there after that."""
    drain(log, SystemClock(), lambda: True)
    folder = log.with_name("audit.db-spool")
    names = [path.name for path in folder.iterdir()] if folder.exists() else []
    return [name for name in names if not name.endswith(".torn")]


def held(log: Path, said: list[str]) -> list[str]:
    """Return every way in which the log does not agree with what its writer was told."""
    if not is_there(log):
        return [line for line in said if line.startswith(("done call", "done intent"))]
    problems = leftovers(log) + [problem.message for problem in verify(log).problems]
    with AuditReader(log) as reader:
        rows = Counter((call.status, call.call_id) for call in reader.calls())
    ids = Counter(call_id for _, call_id in rows.elements())
    problems += [f"{call_id} has {n} rows" for call_id, n in ids.items() if n > 1]
    for line in said:
        how, what, call_id = (*line.split(), "", "")[:3]
        if (how, what) == ("done", "call") and not rows["ok", call_id]:
            problems.append(f"{call_id} is lost")
        if (how, what) == ("done", "intent") and not ids[call_id]:
            problems.append(f"{call_id} began, and has no row")
    return problems


def picked(storm: Storm, found: list[Place], short: int) -> list[tuple[Place, str]]:
    """Return which faults are tried: all of them in a full storm."""
    faults = [(place, fault) for place in found for fault in FAULTS]
    return faults if storm.full else storm.dice().sample(faults, short)


def torment(
    storm: Storm, what: str, found: list[Place], template: Path, said: list[str]
) -> tuple[list[str], int]:
    """Let each of *found* fail under *what*, in a copy of *template*; return what was wrong.

    And how many of the copies have a sealed file.
    """
    wrong, failed, sealed, beside = [], 0, 0, template.parent
    for number, (place, fault) in enumerate(picked(storm, found, 9)):
        log = beside / f"{number:05d}" / "audit.db"  # as long as "clean": the same system calls
        shutil.copytree(template, log.parent)
        inject = f"inject={place.name}:{fault}:when={place.number}"
        status, told = traced(what, log, beside / "trace", "-e", inject)
        if status not in (KILLED if "KILL" in fault else {0}):
            wrong.append(f"{inject}: status {status}, said {told}")
        failed += any("failed" in line for line in told)
        wrong += [f"{inject}: {problem}" for problem in held(log, said)]
        sealed += (log.parent / "segments" / "000000000001.db").is_file()
        shutil.rmtree(log.parent)
    storm.tell(f"system calls of a {what}", len(found))
    storm.tell("of whose failures it has told", failed)
    return wrong, sealed


def test_no_failing_system_call_of_a_writer_loses_a_row(storm: Storm, tmp_path: Path) -> None:
    """Whoever was told that a row is on record finds it once, and the log verifies.

    What cannot be written is an AuditError, never another exception.
    """
    traced("write", tmp_path / "warm" / "audit.db", tmp_path / "trace")
    clean = tmp_path / "clean"
    status, said = traced("write", clean / "audit.db", tmp_path / "trace")
    assert (status, [line for line in said if "refused" in line]) == (0, [])
    assert held(clean / "audit.db", said) == []
    found = places(tmp_path / "trace", clean)
    wrong, refused = [], 0
    for number, (place, fault) in enumerate(picked(storm, found, 9)):
        log = tmp_path / f"{number:05d}" / "audit.db"  # as long as "clean": the same system calls
        inject = f"inject={place.name}:{fault}:when={place.number}"
        status, said = traced("write", log, tmp_path / "trace", "-e", inject)
        if status not in (KILLED if "KILL" in fault else {0}):
            wrong.append(f"{inject}: status {status}, said {said}")
        refused += any("refused" in line for line in said)
        wrong += [f"{inject}: {problem}" for problem in held(log, said)]
        shutil.rmtree(log.parent, ignore_errors=True)
    storm.tell("system calls of a writer", len(found))
    storm.tell("of whose failures it has told", refused)
    assert wrong == []


def test_no_failing_system_call_of_a_drainer_loses_a_row(storm: Storm, tmp_path: Path) -> None:
    """What it had not taken, the next one takes, and nothing twice."""
    template, clean = tmp_path / "left!", tmp_path / "clean"
    status, said = traced("leave", template / "audit.db", tmp_path / "trace")
    assert status == 0
    (torn, *_) = sorted(template.glob("audit.db-spool/*-000001.spool"))
    torn.write_bytes(torn.read_bytes() + b"half a row")
    shutil.copytree(template, clean)
    traced("drain", clean / "audit.db", tmp_path / "trace")
    found = places(tmp_path / "trace", clean)
    assert held(clean / "audit.db", said) == []
    wrong, _ = torment(storm, "drain", found, template, said)
    assert wrong == []


def test_no_failing_system_call_of_a_rotation_loses_a_row(storm: Storm, tmp_path: Path) -> None:
    """Of a file that has some of a spool: what it had not, the next one gets, and nothing twice.

    Whoever writes next finishes what was begun, or the file goes on as if nothing had been.
    """
    template, clean = tmp_path / "left!", tmp_path / "clean"
    status, said = traced("leave", template / "audit.db", tmp_path / "trace")
    assert status == 0
    traced("part", template / "audit.db", tmp_path / "trace")
    shutil.copytree(template, clean)
    status, told = traced("rotate", clean / "audit.db", tmp_path / "trace")
    assert (status, told) == (0, ["sealed 000000000001.db"])
    found = places(tmp_path / "trace", clean)
    assert held(clean / "audit.db", said) == []
    wrong, sealed = torment(storm, "rotate", found, template, said)
    storm.tell("that were over, or were finished by the next", sealed)
    assert wrong == []
