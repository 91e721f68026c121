"""Run a few lines of Python in a process of its own, for what would change this one for good."""

from __future__ import annotations

import json
import subprocess
import textwrap
from collections.abc import Iterable
from typing import Any

from tests.support import interpreter

__all__ = ["run_child"]

_FRAME = """
import json, os, sys
out = None
try:
{body}
    report = {{"out": out}}
except BaseException as error:
    report = {{
        "error": type(error).__name__,
        "message": str(error),
        "errno": getattr(error, "errno", None),
        "details": dict(getattr(error, "details", {{}})),
    }}
sys.stdout.write(json.dumps(report))
sys.stdout.flush()
os._exit(0)
"""


def run_child(code: str, *, fds: Iterable[int] = (), **facts: Any) -> dict[str, Any]:
    """Run *code* with *facts* as names; return `{"out": out}`, or its error.

    Descriptors *fds* keep their numbers in the child.
    """
    names = "\n".join(f"{name} = {value!r}" for name, value in sorted(facts.items()))
    body = textwrap.indent(f"{names}\n{textwrap.dedent(code)}", "    ")
    python = interpreter.own()
    done = subprocess.run(
        [python.executable, "-s", "-P", "-S", "-c", _FRAME.format(body=body)],
        env=dict(python.environment),
        pass_fds=tuple(fds),
        capture_output=True,
        timeout=60,
        check=True,
    )
    report: dict[str, Any] = json.loads(done.stdout)
    return report
