"""What stands in for random functions is put there before the fork, and is not seen by others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import nxkernel as nx
from tests.support import zoo

pytestmark = pytest.mark.usefixtures("confinement")

MANIFEST = """schema_version = 1
id = "{name}"
version = "1"
entrypoint = "plugin"
hooks = ["act"]
"""
#: What a plugin finds of the functions that draw, and whether it draws the same with a seed.
PLUGIN = """
import os, random, secrets, uuid
import nxkernel as nx

hookimpl = nx.HookimplMarker("zoo")
FOUND = [random.random, random.seed, random._urandom, os.urandom, secrets.choice, uuid.uuid4]
KINDS = [type(function).__name__ for function in FOUND]
OWN = [random.Random.seed.__code__.co_filename.rpartition("/")[2], *vars(random.Random())]

@hookimpl
def act(value):
    random.seed(value)
    return [KINDS, OWN, random.random(), random.Random(value).random()]
"""


def kinds(folder: Path, *names: str, **options: Any) -> dict[str, Any]:
    """What each plugin found, in a kernel whose guard has *options*."""
    for name in names:
        (folder / "plugins" / name).mkdir(parents=True)
        (folder / "plugins" / name / "plugin.toml").write_text(MANIFEST.format(name=name))
        (folder / "plugins" / name / "plugin.py").write_text(PLUGIN)
    run = nx.Run.create(folder / "data", seed=7)
    with nx.Kernel(
        "zoo",
        specs=[zoo.Hooks],
        run=run,
        plugins=nx.discover(folder / "plugins"),
        middleware=[nx.Determinism(**options)] if options else [],
    ) as kernel:
        return {o.plugin: o.value for o in kernel.call("act", value=3)}


def test_each_plugin_has_the_guard_that_is_its_own(tmp_path: Path) -> None:
    """Beside guarded ones, a plugin without guard finds what Python itself has there."""
    found = kinds(tmp_path, "a", "b", guard="warn", plugins={"a": "off"})
    alone = kinds(tmp_path / "alone", "a")
    assert found["a"] == alone["a"]
    assert found["a"][0] == [
        *("builtin_function_or_method", "method", "builtin_function_or_method"),
        *("builtin_function_or_method", "method", "function"),
    ]
    assert found["b"][0] == ["Guarded", "Seeding", "Entropy", "Entropy", "Guarded", "Guarded"]
    assert found["a"][1] == ["random.py", "gauss_next"]
    assert found["b"][1] == ["standard.py", "gauss_next", "random", "getrandbits"]
    assert found["a"][2:] == found["b"][2:]


def test_a_guard_of_one_plugin_alone_is_put_up_by_its_worker(tmp_path: Path) -> None:
    """Where most plugins have none, nothing is made ready, and it sees as much."""
    found = kinds(tmp_path, "a", "b", guard="off", plugins={"b": "warn"})
    ahead = kinds(tmp_path / "ahead", "b", guard="warn")
    assert found["b"] == ahead["b"]
    assert found["a"] != found["b"]
