"""The ways of other operating systems to wait and wake, gone on this one.

Each is the table of a system and the level that can be had with it. None has a zygote.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import attrs
import pytest

import nxkernel as nx
from nxkernel import _system
from nxkernel._system import BSD, WINDOWS
from nxkernel._system.linux import LINUX
from tests.support import zoo

WAYS = {"linux": (LINUX, "confined"), "macos": (BSD, "process"), "windows": (WINDOWS, "process")}


@contextlib.contextmanager
def go(way: str) -> Iterator[None]:
    """Have every kernel that is built meanwhile go this way, at its level."""
    system, level = WAYS[way]
    spawning = attrs.evolve(system, zygote=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_system, "current", lambda: spawning)
        patch.setitem(zoo.DEFAULTS, "sandbox", nx.Sandbox(require=level))
        yield
