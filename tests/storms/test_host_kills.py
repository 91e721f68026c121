"""Hosts are killed at random instants, boot included: nothing that they started outlives them."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from nxkernel.audit.reader import AuditReader
from nxkernel.audit.verification import verify
from tests.support import interpreter
from tests.support.storms import Storm

#: Seconds after the death of a host in which all that it started has ended. It is measured where
#: it is promised, in a full storm; a short one may share its machine with anything.
PROMPTLY_S = 1.0

pytestmark = pytest.mark.usefixtures("confinement")


def test_killed_hosts_leave_nothing(storm: Storm, tmp_path: Path) -> None:
    """No process, shared memory, control group or temporary folder; and a record that is whole.

    All hosts share one data directory: each boots on what those before it have left.
    """
    count = storm.size(short=8, full=200)
    python = interpreter.own()
    command = [*python.command("tests.support.cradle"), str(storm.seed), str(count), str(tmp_path)]
    done = subprocess.run(
        command, stdout=subprocess.PIPE, env={**os.environ, **python.environment}, check=True
    )
    strikes = [json.loads(line) for line in done.stdout.splitlines()]
    took = sorted(strike["took"] for strike in strikes)
    storm.tell("hosts killed", len(strikes))
    storm.tell("of them before the end of their boot", sum(not s["booted"] for s in strikes))
    storm.tell("until all their processes had ended, in ms: median", _ms(took[len(took) // 2]))
    storm.tell("... 95 of 100", _ms(took[len(took) * 95 // 100]))
    storm.tell("... slowest", _ms(took[-1]))
    assert len(strikes) == count
    assert [strike for strike in strikes if strike["left"] or strike["traces"]] == []
    assert not storm.full or took[-1] <= PROMPTLY_S
    log = tmp_path / "data" / "audit" / "audit.db"
    if log.exists():
        report = verify(log)
        assert report.ok, report
        with AuditReader(log) as reader:
            assert {run.status for run in reader.runs()} <= {"interrupted"}
        storm.tell("runs on record, all interrupted", report.runs)


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 1)
