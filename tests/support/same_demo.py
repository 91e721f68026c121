"""The flagship example under other conditions, in a host of its own: what each call gave.

Run as a program: ``same_demo.py DATA SCREENS JSON``. The JSON object says what is other than usual
for the workers (`nxkernel.Surroundings`), and in which order screenshots are read and questions
asked; what is other for the host itself is the caller's work. It prints a line for each call on
record that differs from the others: plugin, hook, digest of the input, digest of the output.
"""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path
from typing import Any

import nxkernel as nx
from examples.screenmem import app
from nxkernel.audit.reader import AuditReader
from nxkernel.testing import FakeClock

__all__ = ["ROOT", "conditions", "remembered"]

ROOT = Path(__file__).resolve().parents[2]
_ZONES = ("UTC", "America/Denver", "Asia/Kathmandu", "Pacific/Apia", "Europe/Berlin")
_LOCALES = ("C.UTF-8", "C", "POSIX")


def conditions(number: int, processors: list[int]) -> dict[str, Any]:
    """Return the conditions of run *number*; those of 0 are the usual ones."""
    if number == 0:
        return {"host": {}, "surroundings": {}, "order": 0, "processors": processors}
    threads = str(1 + number % 4)
    variables = {
        "PYTHONHASHSEED": str(number * 101),
        "TZ": _ZONES[number % len(_ZONES)],
        "LC_ALL": _LOCALES[number % len(_LOCALES)],
        "OMP_NUM_THREADS": threads,
        "OPENBLAS_NUM_THREADS": threads,
        "MKL_NUM_THREADS": threads,
    }
    some = processors[:1] if number % 2 else processors
    return {
        "host": variables,
        "surroundings": {
            "environment": variables,
            "listing": ("sorted", "reversed", "shuffled")[number % 3],
            "processors": some if number % 2 else [],
            "clock_s": number * 1_000_003,
            "addresses": ("fixed", "random")[number % 2],
            "swapped": bool(number % 2),
        },
        "order": number,
        "processors": some,
    }


class _Shuffled(app.Memory):
    """Reads its screenshots in another order."""

    order = 0

    def _names(self) -> list[str]:
        return _in_order(super()._names(), self.order)


def _in_order(items: list[str], order: int) -> list[str]:
    return random.Random(order).sample(items, len(items)) if order else items


def remembered(data: Path, screens: Path, given: dict[str, Any]) -> list[list[str]]:
    """Run the example as *given*; return what each call gave, sorted."""
    run = nx.Run.create(data, seed=7, clock=FakeClock())
    hosting = nx.Hosting(surroundings=nx.Surroundings(**given["surroundings"]))
    questions = [q["question"] for q in json.loads(app.QUESTIONS.read_text())["questions"]]
    with (
        app.build_kernel(run, screens, hosting=hosting) as kernel,
        _Shuffled(kernel, run) as memory,
    ):
        memory.order = given["order"]
        memory.ingest()
        for question in _in_order(questions, given["order"]):
            memory.ask(question)
        assert not memory.missing, memory.missing
    with AuditReader(run.audit_log.path) as reader:
        calls = reader.calls(run.id)
    return sorted({(c.plugin, c.hook, c.input_digest, str(c.output_digest)) for c in calls})


if __name__ == "__main__":
    print(json.dumps(remembered(Path(sys.argv[1]), Path(sys.argv[2]), json.loads(sys.argv[3]))))
