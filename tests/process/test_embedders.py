"""A kernel works, and ends, in whatever surroundings its embedder gives it.

Each in a program of its own, whose orphans become children of the one that watches it.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import pytest

from nxkernel.audit.reader import AuditReader
from nxkernel.audit.verification import verify
from tests.support import interpreter
from tests.support.zoo import PATIENCE_S, eventually

pytestmark = pytest.mark.usefixtures("confinement")

#: What a tour through a kernel finds, wherever it is made.
TOUR = {
    "answered": 7,
    "clings": 7,
    "dies": "plugin.crashed",
    "late": "plugin.timeout",
    "next": True,
    "signal": 9,
}
MODES = [
    "child-signals-ignored",
    "child-signals-stolen",
    "few-files",
    "many-files",
    "signals-blocked",
    "streams-closed",
    "subreaper",
    "without-user-namespaces",
]


def start(mode: str, place: Path) -> subprocess.Popen[bytes]:
    python = interpreter.own()
    module = [*python.command("tests.support.odd_embedder"), mode]
    return subprocess.Popen(
        [*module, str(place / "data"), str(place / "said")],
        env={**os.environ, **python.environment},
        stderr=subprocess.PIPE,
    )


def run(mode: str, place: Path) -> dict[str, Any]:
    """Run a program to its end and return what came of it."""
    with start(mode, place) as program:
        _, complaint = program.communicate(timeout=2 * PATIENCE_S)
    assert program.returncode == 0, complaint.decode()
    return json.loads((place / "said").read_text())


def statuses(place: Path) -> list[str]:
    """How the runs in the data directory ended, after a look at the whole chain."""
    log = place / "data" / "audit" / "audit.db"
    report = verify(log)
    assert report.ok, report
    with AuditReader(log) as reader:
        return [each.status for each in reader.runs()]


def processes_of(place: Path) -> list[int]:
    """Living processes that have a file or their working directory below *place*."""
    found = []
    for pid in filter(str.isdecimal, os.listdir("/proc")):
        try:
            folder = os.readlink(f"/proc/{pid}/cwd")
        except OSError:
            continue
        if folder.startswith(str(place)):
            found.append(int(pid))
    return found


@pytest.mark.parametrize("mode", MODES)
def test_surroundings_do_not_matter(mode: str, tmp_path: Path) -> None:
    """Calls are answered, deaths and their signals heard of, late workers ended; all is closed."""
    found = run(mode, tmp_path)
    assert found.pop("left", []) == []
    assert found == TOUR
    assert statuses(tmp_path) == ["completed"]
    assert processes_of(tmp_path) == []


def test_child_watchers_of_asyncio(tmp_path: Path) -> None:
    """Whichever of them waits for the program's own children: both sides hear of theirs."""
    found = run("child-watchers", tmp_path)
    expected = [3, [[n] for n in range(5)], ["plugin.crashed"]]
    assert found == dict.fromkeys(found, expected)
    assert len(found) == 4


def test_program_that_forgets_to_close(tmp_path: Path) -> None:
    """Its kernel is closed at its end: the run is over, and no worker outlives it."""
    assert run("left-open", tmp_path) == {"answered": 7}
    assert statuses(tmp_path) == ["completed"]
    assert processes_of(tmp_path) == []


def test_exception_in_the_body(tmp_path: Path) -> None:
    """It passes through, and the kernel is closed all the same."""
    assert run("raises", tmp_path) == {"answered": 7}
    assert statuses(tmp_path) == ["completed"]


@pytest.mark.parametrize("number", range(4))
def test_interrupt_at_any_moment(number: int, tmp_path: Path) -> None:
    """Ctrl-C while booting, calling or closing ends the program and all that it started."""
    dice = random.Random(number)
    with start("opens-and-closes", tmp_path) as program:
        audit = tmp_path / "data" / "audit" / "audit.db"
        eventually(audit.with_name("audit.db-spool").exists, "the first run is on record")
        time.sleep(dice.uniform(0, 1))  # not a wait: the moment is what is drawn
        program.send_signal(signal.SIGINT)
        program.communicate(timeout=PATIENCE_S)
    assert program.returncode not in (0, None)
    eventually(lambda: not processes_of(tmp_path), "every worker has ended")
    assert verify(audit).ok


def test_kernels_in_the_workers_of_xdist(tmp_path: Path) -> None:
    """An application's tests run with `-n 2`: kernels in both processes, on one data directory."""
    (tmp_path / "test_app.py").write_text(
        textwrap.dedent(
            """
            import pytest

            from tests.support.zoo import Zoo, patient

            @pytest.mark.parametrize("number", range(6))
            def test_answers(number, tmp_path_factory):
                shared = tmp_path_factory.getbasetemp().parent / "data"
                with patient(shared, "prints", "dies") as kernel:
                    assert Zoo(kernel).act("prints", number).value == number
                    assert not Zoo(kernel).act("dies", "kill").ok
            """
        )
    )
    root = Path(__file__).resolve().parents[2]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST")}
    paths = [str(root), *filter(None, [environment.get("PYTHONPATH")])]
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-n", "2", "-p", "no:cacheprovider"),
            *("--basetemp", str(tmp_path / "base"), str(tmp_path / "test_app.py")),
        ],
        cwd=tmp_path,
        env={**environment, "PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        timeout=3 * PATIENCE_S,
    )
    assert done.returncode == 0, done.stdout
    assert "6 passed" in done.stdout
    log = tmp_path / "base" / "data" / "audit" / "audit.db"
    assert verify(log).ok
    with AuditReader(log) as reader:
        assert len({each.run_id for each in reader.runs()}) == 6
