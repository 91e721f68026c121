"""README says what is so: its commands, its example and its links."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from tests.support.demo import Demo

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"<!-- (\w+): (\S+) -->\n```\w*\n(.*?)```", re.DOTALL)
BLOCKS = {(kind, name): body for kind, name, body in BLOCK.findall(README)}
FILES = sorted(name for kind, name in BLOCKS if kind == "file")
#: The demo reads ten screenshots, which on a busy machine takes minutes.
pytestmark = pytest.mark.timeout(900)


@pytest.mark.parametrize(
    ("name", "ending"),
    [
        ("demo", ".venv/bin/nxkernel demo"),
        ("test", ".venv/bin/python -m pytest -n auto --dist worksteal"),
    ],
)
def test_a_fresh_machine_needs_one_line(name: str, ending: str) -> None:
    """Each promised command is one line that makes its own environment."""
    lines = BLOCKS["command", name].splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("python3 -m venv .venv && .venv/bin/pip install -e ")
    assert lines[0].endswith(ending)


def test_ci_runs_the_command_that_readme_names() -> None:
    """The gate finds README's test command by the marker that this file looks for."""
    gate = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    function = re.search(r"^readme_command\(\) \{.*?^\}", gate, re.MULTILINE | re.DOTALL)
    assert function
    script = f"{function[0]}\nreadme_command test"
    found = subprocess.run(
        ["bash", "-euc", script], cwd=ROOT, check=True, capture_output=True, text=True
    )
    assert found.stdout == BLOCKS["command", "test"]


def test_the_installed_command_exists() -> None:
    """`nxkernel demo` of the first command is a command of the installed program."""
    (entry,) = entry_points(group="console_scripts", name="nxkernel")
    assert "demo" in entry.load().commands


@pytest.mark.parametrize("name", FILES)
def test_example_is_the_one_in_the_repository(name: str) -> None:
    """What README shows is what `examples/hello` runs."""
    assert BLOCKS["file", name] == (ROOT / name).read_text(encoding="utf-8")


def test_example_prints_what_readme_says(tmp_path: Path) -> None:
    """The example runs for real: the greeting is there, the plugin that snoops fails alone."""
    app = "examples/hello/app.py"
    shown = subprocess.run(
        [sys.executable, ROOT / app, tmp_path / "data"],
        cwd=tmp_path,
        check=True,
        capture_output=True,
        text=True,
    )
    assert shown.stdout == BLOCKS["output", app]


def test_demo_prints_what_readme_shows(demo: Demo) -> None:
    """Questions, answers, boxes and sums are those of a real run, in their order.

    Of a row of the plugins' costs the times are left out: they are the machine's.
    """
    sample = BLOCKS["sample", "demo"].splitlines()
    printed = iter(untimed(line) for line in demo.lines)
    assert [line for line in sample if line != "…" and untimed(line) not in printed] == []
    assert len(sample) > 20


def untimed(line: str) -> str:
    """Return *line* without the two times at the end of a plugin's row, and without padding."""
    row = re.fullmatch(r"(\S+\.\S+ +\d+ +\d+) +[\d.]+ +\d+", line)
    return " ".join((row[1] if row else line).split())


def test_links_lead_somewhere() -> None:
    """Each relative link of README names a file of the repository."""
    targets = re.findall(r"\]\((?!https?:)([^)#]+)", README)
    assert targets
    assert [target for target in targets if not (ROOT / target).exists()] == []
