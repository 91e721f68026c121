"""Where memory lies: in mode strict at the same addresses, where the system lets it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psutil
import pytest

import nxkernel as nx
from nxkernel.audit.reader import AuditReader
from nxkernel.host.addresses import can_be_fixed, fixed
from nxkernel.kernel.vectors import pinned
from tests.support import zoo

_SHOW = "print(open('/proc/self/personality').read())"
_NO_RANDOMIZE = 0x0040000


def shown() -> int:
    """The personality of a process that this thread starts now."""
    done = subprocess.run([sys.executable, "-c", _SHOW], capture_output=True, check=True, text=True)
    return int(done.stdout, 16)


def test_a_process_started_meanwhile_is_laid_out_alike() -> None:
    """And no longer than that: neither this process nor what it starts later is changed."""
    before = shown()
    with fixed() as done:
        assert bool(shown() & _NO_RANDOMIZE) is done
    with fixed(False) as undone:
        assert undone is False
        assert shown() == before
    assert shown() == before


@pytest.mark.parametrize("mode", ["warn", "strict"])
def test_workers_have_fixed_addresses_in_mode_strict_alone(tmp_path: Path, mode: str) -> None:
    """The zygote has the personality, its workers inherit it, and the run's header says so."""
    run = nx.Run.create(tmp_path, seed=7)
    stack = [nx.Audit(run.audit_log), nx.Determinism(guard=mode)]  # type: ignore[arg-type]
    plugins = nx.discover(zoo.folder("plain.a"))
    with nx.Kernel("zoo", specs=[zoo.Hooks], run=run, plugins=plugins, middleware=stack) as kernel:
        kernel.hook.echo(value=1)
        pid = kernel.plugins["plain.a"].pid
        zygote = psutil.Process(pid).ppid()
        found = int(Path(f"/proc/{zygote}/personality").read_text(), 16)
    assert bool(found & _NO_RANDOMIZE) is (mode == "strict" and can_be_fixed())
    wanted = "fixed" if mode == "strict" and can_be_fixed() else "random"
    with AuditReader(run.audit_log.path) as reader:
        (recorded,) = reader.runs()
    assert recorded.environment["addresses"] == wanted
    assert recorded.environment["guard"]["chance"] == mode
    assert recorded.environment["OMP_NUM_THREADS"] == "1"
    cores = pinned() if mode == "strict" else {}
    assert recorded.environment.get("OPENBLAS_CORETYPE") == cores.get("OPENBLAS_CORETYPE")
