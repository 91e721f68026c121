"""Kernels, drainers, rotations and recoveries on one audit log, each killed at a random instant.

``python -m tests.support.audit_kills SEED ROUNDS FOLDER`` prints one JSON object: what was killed,
and every way in which the log does not agree with what its writers were told.

It is one thread, and forks what it kills: an interpreter would take longer to start than it lives.
It never opens the database itself, so that nobody inherits it open.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import select
import signal
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from nxkernel._clock import SystemClock
from nxkernel.audit import segments, watch
from nxkernel.audit.draining import drain
from nxkernel.audit.log import AuditLog
from nxkernel.audit.reader import AuditReader, verify
from nxkernel.audit.records import CallRecord
from nxkernel.audit.rotation import rotate
from nxkernel.audit.segments import Segment, segments_of
from nxkernel.audit.starting import Starter
from nxkernel.audit.writer import Writer
from nxkernel.errors import AuditError
from tests.support.leftovers import become_reaper, descendants
from tests.unit.audit.logs import boot_facts, make_call, ok

#: Kernels at a time, on one data directory.
KERNELS = 4
#: Longest lives of what is killed, in seconds: one of each is drawn first. The shortest ones end
#: while the run begins.
KERNEL_S, DRAINER_S, RECOVERY_S = (0.03, 0.2, 0.6), (0.01, 0.05, 0.4), (0.005, 0.02, 0.1)
ROTATION_S = (0.05, 0.3, 1.2)
#: Small, so that segments come and go while kernels live.
ROLL_BYTES = 30_000
#: Small too: a drainer seals a file that is as large.
ROTATE_BYTES = 300_000
#: Seconds between two looks of a kernel at whether it should let go of the database.
MOMENT_S = 0.01
#: Rounds on one log: to verify a log takes as long as it is large.
ON_ONE_LOG = 10
#: Seconds until what lost its starter has ended, however busy the machine.
PATIENCE_S = 60.0


def forked(job: Callable[[], None]) -> int:
    """Run *job* in a child; return its process id."""
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        job()
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def kernel(log: Path, run_id: str, told: int) -> None:
    """Make calls in two threads until the end, and tell what is on record by now."""
    clock = SystemClock()
    watch.MOMENT_S = MOMENT_S
    starter = Starter(log, ROTATE_BYTES)
    writer = Writer(log, clock, drainer=starter, roll_bytes=ROLL_BYTES, rotate_bytes=ROTATE_BYTES)
    audit = AuditLog(log, clock, writer=writer)
    audit.begin_run(boot_facts(run_id))

    def work(thread: int) -> None:
        number = 0
        while True:
            calls = [make_call(f"{thread}.{number}.{depth}") for depth in range(1 + number % 3)]
            intents = []
            for call in calls:
                intents.append(audit.intend(call))
                os.write(told, f"I {call.call_id}\n".encode())
            for call, intent in reversed(list(zip(calls, intents, strict=True))):
                audit.finish(intent, call, ok(call), 1)
                os.write(told, f"F {call.call_id}\n".encode())
            number += 1

    for thread in range(2):
        threading.Thread(target=work, args=(thread,), daemon=True).start()
    signal.pause()


def drain_for_ever(log: Path) -> None:
    """Drain again and again."""
    while True:
        with contextlib.suppress(AuditError):  # the log is only just being made
            drain(log, SystemClock(), lambda: True, rotate_bytes=ROTATE_BYTES)
        time.sleep(0.005)


def rotate_for_ever(log: Path) -> None:
    """Seal a file as soon as it has any rows, again and again."""
    while True:
        with contextlib.suppress(AuditError):  # there is nothing to seal, or a drainer is at it
            rotate(log, SystemClock())
        time.sleep(0.001)


def _calls(files: list[Segment]) -> Iterator[CallRecord]:
    for file in files:
        with AuditReader(file.path) as reader:
            yield from reader.stream()


def _torn(files: list[Segment]) -> set[str]:
    """Return the names of files whose end is on record as no row."""
    query = "SELECT DISTINCT spool FROM batches WHERE ending LIKE 'torn:%'"
    names: set[str] = set()
    for file in files:
        with segments.opened(file) as connection:
            names.update(name for (name,) in connection.execute(query))
    return {name.replace(".spool", ".torn") for name in names}


def _drainable(folder: Path) -> Iterator[Path]:
    """Yield the files that are to be drained: of a write that was cut short the end is kept."""
    yield from (file for file in folder.iterdir() if file.suffix != ".torn")


class Storm:
    """One log after another, and what happened to them."""

    def __init__(self, seed: str, folder: Path) -> None:
        self._dice = random.Random(seed)
        self._folder = folder
        self.counted: Counter[str] = Counter()
        self.problems: list[str] = []
        self._told: dict[str, str] = {}
        self._log = folder

    def run(self, rounds: int) -> None:
        """Kill for so many rounds."""
        for number in range(rounds):
            if number % ON_ONE_LOG == 0:
                self._log = self._folder / str(number) / "audit.db"
                self._told.clear()
            self._round(number)
            if number % ON_ONE_LOG == ON_ONE_LOG - 1 or number == rounds - 1:
                self._check()
        self._wait_for_orphans()

    def _round(self, number: int) -> None:
        moments: list[tuple[float, int]] = []
        pipes: dict[int, str] = {}
        for each in range(KERNELS):
            run_id = f"{number}.{each}"
            reading, told = os.pipe()
            child = forked(lambda told=told, run_id=run_id: kernel(self._log, run_id, told))  # type: ignore[misc]
            os.close(told)
            pipes[reading] = run_id
            moments.append((self._moment(KERNEL_S), child))
        drainers = [forked(lambda: drain_for_ever(self._log)) for _ in range(KERNELS)]
        moments += [(self._moment(DRAINER_S), child) for child in drainers]
        rotations = [forked(lambda: rotate_for_ever(self._log)) for _ in range(KERNELS)]
        moments += [(self._moment(ROTATION_S), child) for child in rotations]
        self._kill(moments, pipes)
        self.counted["kernels killed"] += KERNELS
        self.counted["drainers killed"] += KERNELS
        self.counted["rotations killed"] += KERNELS
        for _ in range(KERNELS):
            child = forked(lambda: drain_for_ever(self._log))
            self._kill([(self._moment(RECOVERY_S), child)], {})
            self.counted["recoveries killed"] += 1

    def _moment(self, lives: tuple[float, ...]) -> float:
        return self._dice.uniform(0, self._dice.choice(lives))

    def _kill(self, moments: list[tuple[float, int]], pipes: dict[int, str]) -> None:
        began = time.monotonic()
        for moment, child in sorted(moments):
            while (left := began + moment - time.monotonic()) > 0:
                self._listen(pipes, left)
            os.kill(child, signal.SIGKILL)
        for _, child in moments:
            # A pipe that nobody empties would hold up a kernel, not its end.
            _, status = os.waitpid(child, 0)
            if not os.WIFSIGNALED(status):
                self.problems.append(f"a process ended by itself with {status}")
        while pipes:
            self._listen(pipes, None)

    def _listen(self, pipes: dict[int, str], seconds: float | None) -> None:
        readable, _, _ = select.select(list(pipes), [], [], seconds)
        for reading in readable:
            if data := os.read(reading, 1 << 16):
                run_id = pipes[reading]
                self._told[run_id] = self._told.get(run_id, "") + data.decode()
            else:
                os.close(reading)
                del pipes[reading]

    def _check(self) -> None:
        """Recover, verify, and hold the log against what was told, in a child."""
        reading, writing = os.pipe()
        child = forked(lambda: self._hold(writing))
        os.close(writing)
        with os.fdopen(reading) as pipe:
            found = json.loads(pipe.read() or "null")
        os.waitpid(child, 0)
        if found is None:
            self.problems.append("the log could not be checked")
            return
        self.counted.update(found["counted"])
        self.problems += found["problems"]

    def _hold(self, writing: int) -> None:
        folder = self._log.parent / "audit.db-spool"
        until = time.monotonic() + PATIENCE_S
        # A drainer that a killed kernel has started may hold the log's lock a little longer.
        while any(_drainable(folder)) and time.monotonic() < until:
            drain(self._log, SystemClock(), lambda: True)
        rotate(self._log, SystemClock())  # none of those that were killed stands in its way
        with os.fdopen(writing, "w") as pipe:
            json.dump(self._held(), pipe)

    def _held(self) -> dict[str, Any]:
        files = segments_of(self._log)
        left = {path.name for path in (self._log.parent / "audit.db-spool").iterdir()}
        # A write that a SIGKILL cut short, at the end of a page: no row that anybody was told of.
        torn = _torn(files)
        problems = [f"left behind: {name}" for name in left - torn]
        problems += [f"not kept: {name}" for name in torn - left]
        problems += [problem.message for problem in verify(self._log).problems]
        counted = Counter({"files sealed": len(files) - 1, "writes cut short": len(torn)})
        rows: dict[str, Counter[str]] = {}
        ended: dict[str, set[str]] = {}
        for call in _calls(files):
            rows.setdefault(call.run_id, Counter())[call.call_id] += 1
            counted[f"calls {call.status}"] += 1
            if call.status == "ok":
                ended.setdefault(call.run_id, set()).add(call.call_id)
            elif call.status != "interrupted":
                problems.append(f"{call.run_id} {call.call_id} is {call.status}")
        for run_id, text in self._told.items():
            said = [line.split() for line in text.splitlines()]
            begun = {call_id for what, call_id in said if what == "I"}
            finished = {call_id for what, call_id in said if what == "F"}
            there = rows.get(run_id, Counter())
            counted["acknowledged rows"] += len(finished)
            counted["calls in flight at the kill"] += len(begun - finished)
            problems += [f"{run_id} {c}: lost" for c in finished - ended.get(run_id, set())]
            problems += [f"{run_id} {c}: began, no row" for c in begun - set(there)]
            problems += [f"{run_id} {c}: {n} rows" for c, n in there.items() if n > 1]
            # A call whose intent was there when the kernel died, before anybody was told of it.
            if len(set(there) - begun) > 2:
                problems.append(f"{run_id}: rows of {sorted(set(there) - begun)} out of nowhere")
        return {"problems": problems[:20], "counted": counted}

    def _wait_for_orphans(self) -> None:
        until = time.monotonic() + PATIENCE_S
        while left := descendants():
            if time.monotonic() > until:
                self.problems.append(f"{len(left)} processes outlived their kernels")
                return
            time.sleep(0.05)


def main(seed: str, rounds: str, folder: str) -> None:
    """Run the storm and say what was found."""
    become_reaper()
    storm = Storm(seed, Path(folder))
    storm.run(int(rounds))
    print(json.dumps({"counted": storm.counted, "problems": storm.problems}))


if __name__ == "__main__":
    main(*sys.argv[1:])
