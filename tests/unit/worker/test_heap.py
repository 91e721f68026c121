"""Filling the heap's holes: what is made next lies together."""

from __future__ import annotations

import subprocess
import sys

import pytest

#: Makes holes of one size, fills the heap or not, and says how many pages the next objects touch.
PAGES = """
import gc
from nxkernel.worker import heap

size = {size}
many = [bytes(size - 33) for _ in range(3_000)]
kept, many[::7] = many, [None] * len(many[::7])
gc.disable()
{fill}
made = [bytes(size - 33) for _ in range(64)]
print(len({{id(each) // 4096 for each in made}}))
"""


def pages(size: int, fill: str) -> int:
    code = PAGES.format(size=size, fill=fill)
    return int(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout)


@pytest.mark.parametrize("size", [48, 112, 256])
def test_what_is_made_next_lies_together(size: int) -> None:
    """Sixty-four objects touch the pages that they need; in the holes they would touch more."""
    needed = -(-64 * size // 4096)
    assert pages(size, "heap.fill()") <= needed + 2
    assert pages(size, "") > needed + 2
