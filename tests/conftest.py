"""What holds for every test: no trace outside `tmp_path`, no deadline, no stray child."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from typing import TYPE_CHECKING

import hypothesis
import psutil
import pytest

if TYPE_CHECKING:
    from tests.support.demo import Demo

# No deadline: no test may depend on speed. No database: a test leaves nothing behind.
hypothesis.settings.register_profile("nxkernel", deadline=None, database=None, print_blob=True)
hypothesis.settings.load_profile("nxkernel")

#: How large the storms of ``tests/storms`` are.
STORMS = ("short", "full")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--storm``, which belongs here: options are read before a folder's own conftest."""
    text = "how large the storms are: short (part of every run) or full (the promised numbers)"
    parser.addoption("--storm", choices=STORMS, default="short", help=text)


#: Folders that a program may keep files in on behalf of its user.
USER_FOLDERS = ("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME")


@pytest.fixture(scope="session", autouse=True)
def private_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Give the whole run its own user folders, and no settings from outside."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        for name in USER_FOLDERS:
            patch.setenv(name, str(home))
        for name in [name for name in os.environ if name.startswith("NXKERNEL_")]:
            patch.delenv(name)
        yield


@pytest.fixture(scope="session", autouse=True)
def interruptible() -> None:
    """Take Ctrl-C as a terminal would: a shell's background job is started to ignore it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def no_orphans() -> Iterator[None]:
    """Fail the run when a child of a test is still alive at its end."""
    before = set(psutil.Process().children(recursive=True))
    yield
    children = set(psutil.Process().children(recursive=True)) - before
    # It is over when they have ended, so that only who has left one behind waits for all of it.
    _, alive = psutil.wait_procs(children, timeout=60)
    assert not alive, f"children left behind: {sorted(child.name() for child in alive)}"


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    """One run of the demo for all that look at it: README's words, the example's promises."""
    from tests.support.demo import play

    return play(tmp_path_factory.mktemp("demo"))
