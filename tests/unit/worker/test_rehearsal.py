"""The rehearsal: a whole start and a call, of which nothing is left."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from nxkernel.worker import rehearsal
from nxkernel.worker.runner import Runner

#: Says what a process is like before and after.
LIKE = """
import json, os, random, signal, sys, threading
from nxkernel.worker import outfit
from nxkernel.worker.rehearsal import rehearse

def like():
    return [
        sorted(os.environ.items()), sys.path, sys.argv, [str(hook) for hook in sys.path_hooks],
        [str(finder) for finder in sys.meta_path], sorted(sys.modules), str(os.open),
        [str(signal.getsignal(number)) for number in (signal.SIGINT, signal.SIGTERM)],
        threading.active_count(), hash(random.getstate()), sys.getrecursionlimit(), os.getcwd(),
        sorted(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else [],
    ]

outfit.put_on()
rehearse(1)
before = like()
rehearse(3)
print(json.dumps([before, like()]))
"""


def test_nothing_is_left() -> None:
    """Handlers, environment, ways of import, generators, files: all as before."""
    said = subprocess.run([sys.executable, "-c", LIKE], capture_output=True, check=True).stdout
    before, after = json.loads(said)
    assert after == before


def test_a_call_is_made_and_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    """As often as it is asked for, by the runner that serves plugins."""
    answered: list[Any] = []
    answer = Runner._answer

    def noted(self: Runner, frame: Any, *arguments: Any) -> None:
        answer(self, frame, *arguments)
        answered.append(frame.seq)

    monkeypatch.setattr(Runner, "_answer", noted)
    rehearsal.rehearse(3)
    assert answered == [1, 1, 1]
