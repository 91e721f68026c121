"""The process that plays the host: it serves attempts, named by id, over its standard streams.

Run as `python -m tests.escapes.stand_in FOLDER`, as any user. A line in is an attempt's id and the
name of a plan; a line out is a JSON object with the `verdict` and the `damage`.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import attrs

from tests.escapes.attempts import ATTEMPTS, PRELUDE, Attempt
from tests.escapes.victim import Victim
from tests.support.interpreter import NEEDED, Interpreter


def main() -> None:
    """Serve until the input ends."""
    folder = Path(sys.argv[1])
    sys.path.append(str(folder / "private"))
    passed_on = [name for name in ("PYTHONPATH", *NEEDED) if name in os.environ]
    environment = {name: os.environ[name] for name in passed_on}
    victim = Victim(folder, Interpreter(sys.executable, environment))
    attempts = {attempt.id: attempt for attempt in ATTEMPTS}
    try:
        _answer({"uid": os.getuid(), "pid": os.getpid()})
        for line in sys.stdin:
            name, plan = line.split()
            _answer(_one(victim, attempts[name], plan))
    finally:
        victim.close()


def _one(victim: Victim, attempt: Attempt, plan: str) -> dict[str, Any]:
    verdict = victim.cage.run_confined(PRELUDE + attempt.code, victim.facts, plan)
    return {"verdict": attrs.asdict(verdict), "damage": victim.damage()}


def _answer(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
