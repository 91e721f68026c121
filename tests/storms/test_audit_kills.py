"""Whoever writes, drains, rotates or recovers the audit's log is killed: no row is lost."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

from tests.support import interpreter
from tests.support.storms import Storm

#: Kernels, drainers, rotations and recoveries that are killed in a round, of each.
AT_ONCE = 4


def test_no_kill_loses_a_row(storm: Storm, tmp_path: Path) -> None:
    """Of kernels, drainers, rotations and recoveries, four at a time on one log.

    At random instants. Every row that a kernel was told of is there once, in one of the log's
    files, every call in flight is a row or interrupted, the log verifies, and no process is left
    behind. Nor is a file, but for those with the end of a write that was cut short, which the log
    names.
    """
    rounds = storm.size(short=3, full=500 // AT_ONCE)
    python = interpreter.own()
    command = python.command("tests.support.audit_kills")
    done = subprocess.run(
        [*command, str(storm.seed), str(rounds), str(tmp_path)],
        stdout=subprocess.PIPE,
        env={**os.environ, **python.environment},
        check=True,
    )
    found = json.loads(done.stdout)
    for what, much in found["counted"].items():
        storm.tell(what, much)
    assert found["problems"] == []
    assert found["counted"]["kernels killed"] == rounds * AT_ONCE
    assert found["counted"]["rotations killed"] == rounds * AT_ONCE
    assert found["counted"]["acknowledged rows"] > 0
    assert found["counted"]["files sealed"] > 0
