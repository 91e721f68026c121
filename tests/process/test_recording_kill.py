"""A recording survives the death of its host: what was acknowledged is in it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from nxkernel.recording.pack import Pack

WRITER = """
import sys
from pathlib import Path
from nxkernel.recording.frames import frame
from nxkernel.recording.pack import PackWriter

writer = PackWriter(Path(sys.argv[1]))
number = 0
while True:
    name = number.to_bytes(32, "big")
    writer.append(frame("c", name), values={name: bytes(number % 5000)})
    sys.stdout.write(f"{number}\\n")
    sys.stdout.flush()
    number += 1
"""


def test_what_was_acknowledged_survives_a_sigkill(tmp_path: Path) -> None:
    """Killed at whatever it was doing: every record that its host heard of is there, in order."""
    for trial in range(3):
        path = tmp_path / f"{trial}.pack"
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True
        ) as host:
            assert host.stdout is not None
            for _ in range(20 * trial + 1):
                host.stdout.readline()
            host.kill()
            heard = 20 * trial + 1 + host.stdout.read().count("\n")
        pack = Pack.open(path)
        found = [int.from_bytes(pack.body(each), "big") for each in pack.records]
        pack.close()
        assert found == list(range(len(found)))
        assert len(found) >= heard
