"""Many calls by many threads, while others read: what a call costs the caller stays the same."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from nxkernel._clock import SystemClock
from nxkernel.audit.log import AuditLog
from nxkernel.audit.reader import AuditReader, verify
from tests.support import interpreter
from tests.support.storms import Storm, in_threads
from tests.unit.audit.logs import boot_facts, make_call, ok

THREADS, READERS = 8, 3
#: How much more the last tenth of all calls may cost than the first; and bytes of a row.
FLAT, ROW_BYTES = 1.2, 200.0
#: Asks for the newest calls again and again, until its standard input ends, and then once more.
#: The calls of a thread are numbered, so that a row which is lost, doubled or late can be seen.
#:
#: What a query takes is counted in steps of SQLite and not in time, nor is the number of queries
#: held to anything: how often a reader has the processor is for the machine to say. There is room
#: for what is shown, and for each row that waits, comes or goes; three times what was counted, for
#: other editions of SQLite. Who puts all rows together takes as much for each of them.
READER = """
import select, sys
from nxkernel.audit.reader import AuditReader
from nxkernel.audit.waiting import Waiting

EACH, SHOWN, A_SHOWN, A_WAITING = 100, 200, 400, 200
steps = new = 0
known = set()
add = Waiting.add

def step():
    global steps
    steps += EACH

def added(self, entry, run, file):
    global new
    new += 1
    if entry.table == "calls":
        assert entry.number not in known, "a row that waits was read again"
        known.add(entry.number)
    return add(self, entry, run, file)

Waiting.add = added
queries = total = waiting = 0
newest = {}
with AuditReader(sys.argv[1]) as reader:
    reader._connection.set_progress_handler(step, EACH)
    while True:
        is_over = queries > 0 and bool(select.select([0], [], [], 0.01)[0])
        found = {}
        steps = new = 0
        latest = reader.latest(limit=SHOWN)
        had, waiting = waiting, reader.waiting()
        room = SHOWN * A_SHOWN + (had + new) * A_WAITING
        assert steps <= room, (queries, steps, had, waiting, new)
        for call in latest:
            thread, number = call.call_id.split(".")
            found.setdefault(thread, []).append(int(number))
        for thread, numbers in found.items():
            assert numbers == list(range(numbers[0], numbers[-1] + 1)), numbers
            assert numbers[-1] >= newest.get(thread, -1), numbers
            newest[thread] = numbers[-1]
        if queries % 20 == 0 or is_over:
            counted = reader.total()
            assert counted >= total, (counted, total)
            assert counted >= sum(each + 1 for each in newest.values())
            total = counted
        queries += 1
        if queries == 1:
            print("asked", flush=True)
        if is_over:
            break
print(queries, total)
"""


@contextmanager
def reading(log: Path, said: list[list[int]]) -> Iterator[None]:
    """Have a reader at work; at its end *said* has how often it has asked, and all that it saw."""
    python = interpreter.own()
    with subprocess.Popen(
        [python.executable, "-s", "-P", "-S", "-c", READER, str(log)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **python.environment},
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "asked\n"
        yield
        told, _ = child.communicate()
    assert child.returncode == 0, "a query failed"
    said.append([int(each) for each in told.split()])


def test_the_cost_of_a_call_is_flat(storm: Storm, tmp_path: Path) -> None:
    """The millionth row costs what the first one did, and every row is there once.

    Readers beside it see each row from the moment on when it was acknowledged, once, wherever it
    is. What a query takes them is for what is new and what waits, not for all that there is.
    """
    count = storm.size(short=4_000, full=1_000_000) // THREADS
    path = tmp_path / "audit.db"
    log = AuditLog(path, SystemClock())
    log.begin_run(boot_facts())
    marks: list[list[int]] = []
    said: list[list[int]] = []

    def work(thread: int) -> None:
        outcome = ok(make_call())
        took = []
        for number in range(count):
            call = make_call(f"{thread}.{number}")
            began = time.perf_counter_ns()
            log.finish(log.intend(call), call, outcome, 1)
            took.append(time.perf_counter_ns() - began)
        marks.append(took)

    with ExitStack() as stack:
        for _ in range(READERS):
            stack.enter_context(reading(path, said))
        in_threads([lambda thread=thread: work(thread) for thread in range(THREADS)])  # type: ignore[misc]
        log.end_run()
    log.close()
    total = count * THREADS
    assert [seen for _, seen in said] == [total] * READERS
    report = verify(path)
    assert report.ok
    with AuditReader(path) as reader:
        assert reader.total() == total
    tenth = max(1, count // 10)
    first = sorted(each for took in marks for each in took[:tenth])
    last = sorted(each for took in marks for each in took[-tenth:])
    ratio = last[len(last) // 2] / first[len(first) // 2]
    size = path.stat().st_size / total
    storm.tell("calls on record", total)
    storm.tell("median cost to the caller, first tenth, in µs", first[len(first) // 2] / 1000)
    storm.tell("... last tenth", last[len(last) // 2] / 1000)
    storm.tell("ratio of the two", round(ratio, 2))
    storm.tell("queries of the readers meanwhile", sum(queries for queries, _ in said))
    storm.tell("... of the one that made the fewest", min(queries for queries, _ in said))
    storm.tell("bytes of a row in the database", round(size))
    if storm.full:
        assert ratio <= FLAT
        assert size <= ROW_BYTES
