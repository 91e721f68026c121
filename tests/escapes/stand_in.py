"""The process that plays the host: it serves attempts, named by id, over its standard streams.

Run as `python -m tests.escapes.stand_in FOLDER`, as any user. A line in is an attempt's id and the
level to make it at; a line out is a JSON object with the `verdict` and the `damage`.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import attrs

from nxkernel.host.sandbox.linux import probe
from tests.escapes.attempts import Attempt
from tests.escapes.corpus import CORPUS
from tests.escapes.victim import Victim
from tests.support.interpreter import needed


def main() -> None:
    """Serve until the input ends."""
    folder = Path(sys.argv[1])
    sys.path.append(str(folder / "private"))
    victim = Victim(folder, needed())
    attempts = {attempt.id: attempt for attempt in CORPUS}
    try:
        _answer({"uid": os.getuid(), "isolated": probe.namespaces_available().ok})
        for line in sys.stdin:
            name, level = line.split()
            _answer(_one(victim, attempts[name], level))
    finally:
        victim.close()


def _one(victim: Victim, attempt: Attempt, level: str) -> dict[str, Any]:
    arena = victim.arena(level)
    verdict = arena.run(attempt.at(level))
    return {"verdict": attrs.asdict(verdict), "damage": victim.damage()}


def _answer(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
