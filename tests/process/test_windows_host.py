"""The host's side of level `process` on Windows, whole, with stand-ins for Windows itself.

No Windows has run it. What this shows: nothing on the way needs a module or a function that Windows
lacks, and the parts for Windows fit together.
"""

from __future__ import annotations

import json
import os
import subprocess
from typing import Any

import pytest

from tests.support import interpreter


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the program saw, run to its end."""
    python = interpreter.own()
    done = subprocess.run(
        [*python.command("tests.support.windows_host"), str(tmp_path_factory.mktemp("data"))],
        env={**os.environ, **python.environment},
        stdout=subprocess.PIPE,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_plugins_run_at_level_process(said: dict[str, Any]) -> None:
    """Calls, a crash, a timeout, an awaited call; the next call works each time."""
    assert said["system"] == "windows"
    assert said["value"] == "x"
    assert said["codes"] == ["plugin.crashed", "plugin.timeout", "ok"]
    assert said["answers"]


def test_confined_is_refused_with_the_next_step(said: dict[str, Any]) -> None:
    """It is demanded by default, and there is no wall for it."""
    assert "[sandbox.unavailable]" in said["refusal"]
    assert 'Sandbox(require="process")' in said["refusal"]


def test_each_worker_has_a_job_of_its_own(said: dict[str, Any]) -> None:
    """And none is left at the end, nor any process."""
    assert said["jobs"]
    assert set(said["jobs"]) == {1}
    assert said["left"] == []


def test_the_record_is_whole(said: dict[str, Any]) -> None:
    """The audit's locks and files are Windows' as well."""
    assert said["verified"]
