"""A program whose system calls are made to fail: it writes an audit log, drains or rotates one.

``write LOG`` makes a run of calls and says of each step what it was told; ``leave LOG`` does so and
dies before the run's end; ``drain LOG`` takes what is there, ``part LOG`` some of it; ``rotate
LOG`` seals its file. What is traced is one thread, so that a system call has the same number in
every run. An error that is no AuditError ends it with a status that is none of the expected ones.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from nxkernel._clock import SystemClock
from nxkernel.audit.draining import drain
from nxkernel.audit.ledger import FAILURES
from nxkernel.audit.log import AuditLog
from nxkernel.audit.rotation import rotate
from nxkernel.audit.writer import Writer
from nxkernel.errors import AuditError
from tests.unit.audit.logs import boot_facts, make_call, ok

#: So small that a run has several segments.
ROLL_BYTES = 900
CALLS = 4
#: How often a drainer goes on that takes only some of it: into the middle of the spool.
PART = 3


def say(*words: object) -> None:
    """Tell whoever reads standard output, in one system call."""
    os.write(1, f"{' '.join(map(str, words))}\n".encode())


def attempt(what: str, step: object, *arguments: object) -> object:
    """Take a step, and say how it went."""
    try:
        result = step(*arguments)  # type: ignore[operator]
    except AuditError:
        say("refused", what)
        return None
    say("done", what)
    return result


def write(log: Path, *, to_the_end: bool) -> None:
    """Make a run of calls; the last one is left in flight."""
    clock = SystemClock()
    audit = AuditLog(log, clock, writer=Writer(log, clock, roll_bytes=ROLL_BYTES))
    attempt("begin", audit.begin_run, boot_facts("run-1"))
    for number in range(CALLS):
        call = make_call(str(number))
        intent = attempt(f"intent {number}", audit.intend, call)
        if intent is not None and number < CALLS - 1:
            attempt(f"call {number}", audit.finish, intent, call, ok(call), 1)
    if not to_the_end:
        os._exit(0)
    attempt("end", audit.end_run)
    audit.close()


def main(what: str, place: str) -> None:
    """Write or drain the log at *place*."""
    log, clock = Path(place), SystemClock()
    if what in ("write", "leave"):
        write(log, to_the_end=what == "write")
        return
    some = iter([True] * PART)
    try:
        if what == "rotate":
            say("sealed", rotate(log, clock).path.name)
        else:
            say("drained", drain(log, clock, lambda: what == "drain" or next(some, False)))
    except (AuditError, *FAILURES) as error:
        say("failed", type(error).__name__)


if __name__ == "__main__":
    main(*sys.argv[1:])
