"""No plugin code runs in the host: not to find, boot, call or check it, nor when it fails."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support import traps

ROOT = Path(__file__).resolve().parents[2]


def host(place: Path, mode: str) -> dict[str, Any]:
    """Run a wary host among the traps; return what it told."""
    marks = place / "marks"
    marks.touch()
    folder = traps.plugins(place / "plugins", marks)
    packages = place / "site"
    packages.mkdir()
    traps.distribution(packages, marks)
    arguments = [folder, packages, marks, place / "data"]
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.wary_host", *map(str, arguments), mode],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert done.returncode == 0, done.stderr
    facts: dict[str, Any] = json.loads(done.stdout)
    return facts


def test_a_run_executes_nothing_of_a_plugin(confinement: None, tmp_path: Path) -> None:
    """Discovery, boot, calls, failures, reload and close leave no mark, module or event."""
    facts = host(tmp_path, "run")
    assert (facts["marks"], facts["modules"], facts["seen"]) == ([], [], [])
    told = facts["told"]
    # They did run, in their workers: else there would be nothing to see here.
    assert told["plain"]["traps.sound"] == "ok"
    assert told["plain"]["traps.installed"] == "ok"
    assert told["plain"]["traps.editable"] == "ok"
    assert told["raise"]["traps.sound"] == "plugin.raised"
    assert told["odd"]["traps.sound"] == "contract.output"


def test_commands_execute_nothing_of_a_plugin(confinement: None, tmp_path: Path) -> None:
    """list, check, check --probe, info and lock neither, also from inside the plugin's folder."""
    facts = host(tmp_path, "commands")
    assert (facts["marks"], facts["modules"], facts["seen"]) == ([], [], [])
    assert facts["told"] == {
        "list": 0,
        "check": 1,
        "probe": 0,
        "info": 0,
        "settings": 0,
        "lock": 0,
    }


def test_the_watch_sees_what_must_never_happen(tmp_path: Path) -> None:
    """An import of a plugin in the host is seen by its marks, its module and its events."""
    facts = host(tmp_path, "control")
    assert {"plugin", "init", "act", "setup"} <= set(facts["marks"])
    assert "plugin" in facts["modules"]
    assert {"import", "exec"} <= {event for event, _ in facts["seen"]}


def test_odd_manifests_are_refused_at_once(confinement: None, tmp_path: Path) -> None:
    """A fifo, a device, a link, a huge file: each is an error of its own, and nobody waits."""
    found = host(tmp_path, "run")["told"]["found"]
    odd = {name: code for name, code in found.items() if name.startswith("odd_")}
    assert odd == dict.fromkeys(
        ("odd_device", "odd_fifo", "odd_huge", "odd_link", "odd_python"), "manifest.invalid"
    )


@pytest.mark.parametrize("mode", ["-m", "script"])
def test_command_line_does_not_import_from_the_folder_it_is_in(tmp_path: Path, mode: str) -> None:
    """`python -m nxkernel_cli` in a plugin's folder takes none of its modules for ours."""
    marks = tmp_path / "marks"
    marks.touch()
    folder = traps.plugins(tmp_path / "plugins", marks) / "sound"
    for shadow in ("nxkernel_cli", "nxkernel"):  # what -m itself looks for cannot be helped
        (folder / f"{shadow}.py").unlink()
    script = Path(sys.executable).with_name("nxkernel")
    command = [sys.executable, "-m", "nxkernel_cli"] if mode == "-m" else [sys.executable, script]
    done = subprocess.run(
        [*command, "plugins", "info", "traps.sound", "."],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert (done.returncode, marks.read_text()) == (0, "")
