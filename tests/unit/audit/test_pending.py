"""What is on record and not yet in the database, as a reader sees it."""

from __future__ import annotations

import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import attrs
import pytest

from nxkernel._sqlite import open_reader
from nxkernel.audit.draining import drain
from nxkernel.audit.log import AuditLog
from nxkernel.audit.pending import Pending
from nxkernel.audit.reader import AuditReader
from nxkernel.audit.schema import FORMAT
from nxkernel.audit.spool.folder import SpoolName
from nxkernel.audit.spool.remains import Chunk, read_chunk
from nxkernel.audit.writer import Writer
from nxkernel.dispatch.stack import Event
from nxkernel.errors import AuditError
from tests.unit.audit.logs import Ticks, boot_facts, facts_of, make_call, ok, opened


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit.db"


def make(log: AuditLog, call_id: str) -> None:
    """Make a call."""
    call = make_call(call_id)
    log.finish(log.intend(call), call, ok(call), 1)


def seen(reader: AuditReader) -> dict[str, Any]:
    """Return all that a reader shows, but for numbers and the clock of the rows."""
    return {
        "runs": [(run.run_id, run.status, run.calls) for run in reader.runs()],
        "plugins": [(row.plugin, row.tags, row.code_digest) for row in reader.plugins()],
        "calls": [
            (call.call_id, call.status, call.plugin, call.input_digest, call.seed)
            for call in reader.calls()
        ],
        "events": [(event.kind, event.data) for event in reader.events(kind="breaker.open")],
        "stream": [call.call_id for call in reader.stream()],
    }


def drain_now(path: Path) -> None:
    """Bring to the database what is there."""
    drain(path, Ticks(), lambda: True)


def test_it_makes_no_difference_whether_a_row_was_drained(path: Path) -> None:
    """Drained at any moment, a reader shows the same: runs, plugins, calls, events."""
    with opened(path) as log, AuditReader(path) as reader:
        log.plugin(facts_of())
        log.event(Event(kind="breaker.open", plugin="store", data={"failures": 5}))
        make(log, "1")
        log.intend(make_call("2"))
        before = seen(reader)
        drain_now(path)
        assert seen(reader) == before
        make(log, "3")
        then = seen(reader)
        drain_now(path)
        assert seen(reader) == then
    assert before["calls"][0][:3] == ("1", "ok", "ocr.rapid")
    assert [call[:2] for call in then["calls"]] == [("1", "ok"), ("2", "in_flight"), ("3", "ok")]
    assert then["runs"] == [("run-1", "running", 2)]


def test_a_reader_sees_a_call_of_another_thread_at_every_moment(path: Path) -> None:
    """In flight and then ended, never neither and never both; also while others drain."""
    log = AuditLog(path, Ticks(), writer=Writer(path, Ticks(), roll_bytes=2000))
    log.begin_run(boot_facts())
    done = threading.Event()

    def work() -> None:
        for number in range(300):
            make(log, str(number))
        done.set()

    def drain_on() -> None:
        while not done.is_set():
            drain_now(path)

    threads = [threading.Thread(target=work), threading.Thread(target=drain_on)]
    for thread in threads:
        thread.start()
    with AuditReader(path) as reader:
        shown = 0
        while not done.is_set():
            calls = [call.call_id for call in reader.calls()]
            assert calls == [str(number) for number in range(len(calls))]
            assert len(calls) >= shown
            shown = len(calls)
    for thread in threads:
        thread.join()
    log.end_run()
    log.close()
    with AuditReader(path) as reader:
        assert [call.call_id for call in reader.calls()] == [str(n) for n in range(300)]


def test_a_reader_begins_anew_for_as_long_as_files_go(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However often a drainer is faster; of what somebody else took away it waits for nothing.

    What came behind a file that went is not lost either, although nobody knows yet whose it is.
    """
    log = AuditLog(path, Ticks(), writer=Writer(path, Ticks(), roll_bytes=2000))
    log.begin_run(boot_facts())
    numbers, looking = iter(range(1000)), Pending._in_flight

    def overtaken(self: Pending, name: SpoolName) -> list[Any]:
        found = looking(self, name)
        if next(turns, None) is not None:
            some(20)
            drain_now(path)
            some(1)
        return found

    def some(count: int) -> None:
        for _ in range(count):
            made.append(str(next(numbers)))
            make(log, made[-1])

    monkeypatch.setattr(Pending, "_in_flight", overtaken)
    made: list[str] = []
    with AuditReader(path) as reader:
        for often in (1, 12):
            turns = iter(range(often))
            assert [call.call_id for call in reader.calls()] == made
            assert next(turns, None) is None
    log.close()


def test_the_connection_stays_a_readers(path: Path) -> None:
    """Tables of the database mean the database alone, and it still cannot write."""
    with opened(path) as log, closing(open_reader(path, FORMAT)) as connection:
        make(log, "1")
        pending = Pending(connection, path)
        for _ in range(2):
            with pending.snapshot():
                assert connection.execute("SELECT count(*) FROM every_calls").fetchone() == (1,)
                assert connection.execute("SELECT count(*) FROM calls").fetchone() == (0,)
                assert connection.execute("PRAGMA query_only").fetchone() == (1,)
            assert connection.execute("PRAGMA query_only").fetchone() == (1,)
            assert not connection.in_transaction


def test_a_query_that_fails_leaves_it_so_too(path: Path) -> None:
    """Whatever the body raises; and the next query sees everything once."""
    with opened(path) as log, closing(open_reader(path, FORMAT)) as connection:
        make(log, "1")
        pending = Pending(connection, path)
        with pytest.raises(KeyError), pending.snapshot():
            raise KeyError
        assert connection.execute("PRAGMA query_only").fetchone() == (1,)
        assert not connection.in_transaction
        with pending.snapshot():
            assert connection.execute("SELECT count(*) FROM every_calls").fetchone() == (1,)


def test_a_spool_that_cannot_be_read_once_is_read_anew(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error in the middle of reading leaves no row that is seen twice or never later."""
    with opened(path) as log, AuditReader(path) as reader:
        make(log, "1")
        assert [call.call_id for call in reader.calls()] == ["1"]
        make(log, "2")
        with monkeypatch.context() as broken:

            def fail(fd: int, offset: int) -> None:
                raise OSError(5, "Input/output error")

            broken.setattr("nxkernel.audit.pending.read_chunk", fail)
            with pytest.raises(AuditError, match="Input/output error"):
                reader.calls()
        assert [call.call_id for call in reader.calls()] == ["1", "2"]


def test_a_kept_reader_decodes_a_row_once(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each further query decodes what has come since, and nothing else."""
    decoded: list[int] = []

    def counting(fd: int, offset: int) -> Chunk:
        chunk = read_chunk(fd, offset)
        decoded.append(len(chunk.entries))
        return chunk

    monkeypatch.setattr("nxkernel.audit.pending.read_chunk", counting)
    with opened(path) as log, AuditReader(path) as reader:
        for number in range(50):
            make(log, str(number))
            assert len(reader.calls()) == number + 1
        reader.calls()
    assert sum(decoded) == 1 + 50  # the run's own row is the first


def test_a_row_of_another_process_that_is_torn_is_not_shown(path: Path) -> None:
    """What is no row is passed over; rows before it are there."""
    with opened(path) as log:
        make(log, "1")
        (segment,) = path.with_name("audit.db-spool").glob("*.spool")
        with segment.open("ab") as file:
            file.write(b"half a row")
        with AuditReader(path) as reader:
            assert [call.call_id for call in reader.calls()] == ["1"]


def test_a_row_that_the_database_will_not_take_is_not_shown(path: Path) -> None:
    """Others are, as later in the database."""
    with opened(path) as log, AuditReader(path) as reader:
        make(log, "1")
        for call_id, took, annotations in (("2", 2**63, {}), ("3", 1, {"seed": "no hex"})):
            call = make_call(call_id)
            odd = attrs.evolve(ok(call), annotations=annotations)
            log.finish(log.intend(call), call, odd, took)
        make(log, "4")
        assert [call.call_id for call in reader.calls()] == ["1", "4"]
        drain_now(path)
        assert [call.call_id for call in reader.calls()] == ["1", "4"]
