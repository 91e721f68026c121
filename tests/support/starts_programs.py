"""A host whose plugin starts programs: prints what came of it and who is there, then waits.

`python -m tests.support.starts_programs FOLDER LEVEL`; to be killed, or to be run as another user.
"""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path

import nxkernel as nx
from nxkernel.host.watchdog import ProcGauge
from tests.support.interpreter import needed
from tests.support.zoo import Zoo, patient

#: What the application lets the plugin start.
GRANTS = {"runs": nx.Grant(exec=("/usr/bin/true", "/bin/sh"))}


def main() -> None:
    folder, level = sys.argv[1:]
    options = {"sandbox": nx.Sandbox(require=level), "grants": GRANTS}  # type: ignore[arg-type]
    with patient(Path(folder), "runs", environment=needed(), **options) as kernel:
        zoo = Zoo(kernel)
        shell = zoo.act("runs", ["run", "/bin/sh", "-c", "echo from a shell"])
        left = zoo.act("runs", ["daemon"])
        worker = kernel.plugins["runs"].pid or 0
        said = {
            "shell": shell.value if shell.ok else str(shell.error),
            "left": left.value if left.ok else str(left.error),
            "family": ProcGauge().family(worker),
            "error": str(kernel.plugins["runs"].error),
        }
        print(json.dumps(said), flush=True)
        signal.pause()


if __name__ == "__main__":
    main()
