"""A host in the middle of calls to a plugin with fresh state: prints who is there, then waits.

`python -m tests.support.calls_fresh FOLDER LEVEL`; to be killed, or to be run as another user.
"""

from __future__ import annotations

import json
import sys
import threading
from pathlib import Path

import nxkernel as nx
from nxkernel.host.watchdog import ProcGauge
from tests.support.interpreter import needed
from tests.support.zoo import Zoo, eventually, patient

#: Calls that are under way.
CALLS = 3


def main() -> None:
    folder, level = sys.argv[1:]
    sandbox = nx.Sandbox(require=level)  # type: ignore[arg-type]
    # As another user it runs a copy of Python, and so do the workers: what that needs to find its
    # own library goes along. Without it, a system that has a Python of that series hides the lack.
    options = {"sandbox": sandbox, "environment": needed()}
    with patient(Path(folder), "forgets", **options) as kernel:
        zoo = Zoo(kernel)
        counts = [zoo.act("forgets", ["count"]) for _ in range(2)]
        crash = zoo.act("forgets", ["exit", 3])
        template = kernel.plugins["forgets"].pid or 0
        sleepers = [
            threading.Thread(target=zoo.act, args=("forgets", ["sleep", 3600]))
            for _ in range(CALLS)
        ]
        for each in sleepers:
            each.start()
        if all(each.ok for each in counts):
            eventually(lambda: len(ProcGauge().family(template)) > CALLS, "they run")
        said = {
            "counts": [each.value if each.ok else str(each.error) for each in counts],
            "crash": dict(crash.error.details) if crash.error else None,
            "family": ProcGauge().family(template),
        }
        print(json.dumps(said, default=list), flush=True)
        sleepers[0].join()


if __name__ == "__main__":
    main()
