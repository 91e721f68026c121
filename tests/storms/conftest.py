"""Storms: much of everything at once, from fixed seeds, and a table of what was counted."""

from __future__ import annotations

import zlib

import pytest

from tests.process.conftest import confinement, open_zoo
from tests.support.storms import Storm

__all__ = ["confinement", "open_zoo"]

_STORMS = pytest.StashKey[list[Storm]]()
#: A fence for full storms, in seconds; no test depends on it.
_FENCE_S = 3600


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_STORMS] = []


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--storm") == "full":
        for item in items:
            if "/storms/" in str(item.path):
                item.add_marker(pytest.mark.timeout(_FENCE_S))


@pytest.fixture
def storm(request: pytest.FixtureRequest) -> Storm:
    """The storm of one test; its seed is made of the test's name and never changes."""
    name = request.node.name
    made = Storm(
        name=name,
        full=request.config.getoption("--storm") == "full",
        seed=zlib.crc32(name.encode()),
    )
    request.config.stash[_STORMS].append(made)
    print(f"storm {name}: seed {made.seed}")
    return made


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Say what a full storm has counted."""
    storms = [storm for storm in config.stash[_STORMS] if storm.told]
    if config.getoption("--storm") != "full" or not storms:
        return
    terminalreporter.section("storms")
    for storm in storms:
        terminalreporter.write_line(f"{storm.name} (seed {storm.seed})")
        for what, much in storm.told:
            shown = f"{much:,}" if isinstance(much, int) else str(much)
            terminalreporter.write_line(f"  {shown:>12}  {what}")
