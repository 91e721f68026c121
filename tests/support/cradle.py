"""Starts programs that embed a kernel, kills them, and says what was left of each.

Run as ``python -m tests.support.cradle SEED COUNT DATA``: COUNT hosts, one after the other, each
killed at an instant that SEED decides, from its first moment to twice the time that a boot takes
here. One line of JSON for each.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

from tests.support.leftovers import become_reaper, gone_within, staying, traces

#: A fence: on a loaded machine the system itself may need longer to end a process.
FENCE_S = 20.0


def start(data: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.support.embedder", "busy", str(data)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )


def boot_takes(data: Path) -> float:
    """Seconds from the start of a host to the end of its boot."""
    began = time.monotonic()
    with start(data) as host:
        assert host.stdout is not None
        host.stdout.readline()
        took = time.monotonic() - began
        host.kill()
    gone_within(FENCE_S)
    return took


def strike(dice: random.Random, span: float, data: Path) -> dict[str, object]:
    """Start one host, kill it, and look around."""
    before = traces()
    host = start(data)
    assert host.stdout is not None
    instant = dice.uniform(0.0, span)
    time.sleep(instant)
    host.kill()
    host.wait()
    killed = time.monotonic()
    left = gone_within(FENCE_S)
    took = time.monotonic() - killed
    booted = b"booted" in host.stdout.read()
    host.stdout.close()
    return {
        "booted": booted,
        "instant": round(instant, 3),
        "left": left,
        "took": round(took, 4),
        "traces": staying(before, FENCE_S),
    }


def main(seed: int, count: int, data: Path) -> None:
    become_reaper()
    os.environ["TMPDIR"] = str(data)
    span = 2 * boot_takes(data / "data")
    for number in range(count):
        dice = random.Random(f"{seed}/{number}")
        print(json.dumps(strike(dice, span, data / "data")), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
