"""The work: what crosses, and what a plugin does with it. Needs nothing but Python."""

from __future__ import annotations

from typing import Any

__all__ = ["MIB", "SMALL", "TASKS", "TOKENS", "pages"]

MIB = 1 << 20
#: About 100 bytes.
SMALL = {"id": "doc-0017", "title": "Invoice of March", "page": 3, "box": [10, 20, 300, 40]}
#: A page as an OCR finds it: 1,000 tokens with their boxes, 46 kB of MessagePack.
TOKENS = [
    {
        "text": f"word{number}",
        "confidence": 9000 + number % 1000,
        "box": [10 + number, 20, 90 + number, 40],
        "line": number // 12,
    }
    for number in range(1000)
]
#: task -> what it is.
TASKS = {
    "small": "a call that takes and returns a dict of four keys, about 100 bytes",
    "tokens": "a call that takes and returns 1,000 tokens with boxes, 46 kB of MessagePack",
    "1 MiB": "1 MiB of binary data, the same at every call; the plugin reads every page",
    "8 MiB": "8 MiB of binary data, the same at every call; the plugin reads every page",
    "8 MiB, new": "the same, other bytes at every call",
    "fan-out": "the small value to 8 plugins, and 8 answers",
    "nested": "a small call whose plugin calls another plugin and waits for its answer",
    "restart": "from the SIGKILL of a plugin to the answer of the next call",
    "boot": "50 plugins, from nothing until all have answered once",
    "memory": "what the processes of 50 idle plugins take together",
}


def pages(data: Any) -> int:
    """Read one byte of each page of *data* and return how many there are."""
    return len(memoryview(data)[::4096].tobytes())
