"""The most used libraries with compiled parts do inside `confined` what they do outside."""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from nxkernel.kernel.profiles import worker_environment
from tests.support.zoo import Zoo, folder

ANIMALS = ("libraries",)
ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
LIBRARIES = sorted(
    re.split(r"[><=]", line)[0].lower() for line in PROJECT["dependency-groups"]["libraries"]
)


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What each use gives in an ordinary process with the same environment."""
    place = tmp_path_factory.mktemp("outside")
    environment = {**worker_environment(), "HOME": str(place), "TMPDIR": str(place)}
    command = [sys.executable, str(folder("libraries") / "uses.py")]
    done = subprocess.run(
        command, env=environment, cwd=place, stdout=subprocess.PIPE, check=True, timeout=100
    )
    results: dict[str, Any] = json.loads(done.stdout)
    return results


def test_there_are_thirty_of_them() -> None:
    """Each is named by the project's own files, and each has a use."""
    assert len(LIBRARIES) >= 30
    source = (folder("libraries") / "uses.py").read_text(encoding="utf-8")
    assert sorted(n.replace("_", "-") for n in re.findall(r"^def (\w+)", source, re.M)) == LIBRARIES


def test_each_has_compiled_parts() -> None:
    """A library of plain Python would show nothing."""
    for name in LIBRARIES:
        files = importlib.metadata.files(name) or []
        native = [file for file in files if file.suffix in (".so", ".abi3")]
        # The compiled part of some is a distribution of its own.
        assert native or name in ("psutil",), name


@pytest.mark.parametrize("name", LIBRARIES)
def test_it_works_unchanged(zoo: Zoo, outside: dict[str, Any], name: str) -> None:
    """The same result inside as outside; no grant, no environment variable, no patch."""
    outcome = zoo.act("libraries", name)
    assert outcome.error is None, outcome.error
    assert outcome.value == outside[name]


def test_in_any_order_in_one_worker(zoo: Zoo) -> None:
    """All of them share one worker, which lived through it."""
    assert zoo.answers("libraries")
    assert zoo.kernel.plugins["libraries"].starts == 1
    assert os.getpid() != zoo.kernel.plugins["libraries"].pid
