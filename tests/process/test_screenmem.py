"""The flagship example for real: screenshots in, cited answers out, every plugin confined."""

from __future__ import annotations

import json
import shutil
import threading
from pathlib import Path
from typing import Any

import attrs
import psutil
import pytest

import nxkernel as nx
from examples.screenmem import app
from nxkernel.audit.reader import AuditReader, verify
from nxkernel.testing import FakeClock
from tests.support import zoo
from tests.support.demo import Demo

QUESTIONS: list[dict[str, Any]] = json.loads(app.QUESTIONS.read_text())["questions"]
#: Reading screenshots takes minutes on a busy machine.
pytestmark = pytest.mark.timeout(900)


@attrs.frozen
class Session:
    """What a run over some of the screenshots left behind."""

    run: nx.Run
    answers: list[dict[str, Any]]


def remember(data: Path, screens: Path, questions: list[str], **options: Any) -> Session:
    """Ingest *screens*, ask *questions*, and return what came of it."""
    run = nx.Run.create(data, seed=7, clock=options.pop("clock", None))
    with app.build_kernel(run, screens, **options) as kernel, app.Memory(kernel, run) as memory:
        memory.ingest()
        answers = [memory.ask(question) for question in questions]
        return Session(run, answers)


def some_screens(place: Path, *names: str) -> Path:
    """Return a folder with copies of a few of the example's screenshots."""
    place.mkdir()
    for name in names:
        shutil.copy(app.SCREENS / name, place / name)
    return place


def test_answers_are_right_and_what_is_not_there_is_refused(demo: Demo) -> None:
    """At least 18 of 20 answerable questions are answered rightly, the others come back empty."""
    answerable = [q for q in QUESTIONS if "contains" in q["expected"]]
    result = app.evaluate(QUESTIONS, demo.answers)
    assert len(answerable) >= 20
    assert len(QUESTIONS) - len(answerable) >= 4
    assert result["correct"] >= 0.9 * len(answerable), result["wrong"]
    assert result["no_evidence"] == len(QUESTIONS) - len(answerable), result["wrong"]


def test_every_citation_checks_out(demo: Demo) -> None:
    """No answer is shown with a citation that does not hold, and every claim has one."""
    counts = [answer["citations"] for answer in demo.answers]
    assert sum(c["checked"] for c in counts) == sum(c["valid"] for c in counts) > 0
    assert all(claim["citations"] for answer in demo.answers for claim in answer["claims"])


def test_every_plugin_ran_in_a_confined_worker(demo: Demo) -> None:
    """Each plugin had a worker that witnessed its walls; every call is on record as confined."""
    assert len(demo.plugins) >= 6
    for view in demo.plugins.values():
        assert (view.starts, view.level, view.error) == (1, "confined", None)
        assert view.witnessed["list /"] == "EACCES"
    levels = {call.level for call in zoo.recorded(demo.run)}
    assert levels == {"confined"}


def test_the_audit_of_the_whole_run_verifies(demo: Demo) -> None:
    """Every call of the run is on record once, and the chain holds up to the run's checkpoint."""
    report = verify(demo.run.audit_log.path, demo.run.audit_log.checkpoint)
    assert report.ok, report.problems
    with AuditReader(demo.run.audit_log.path) as reader:
        (run,) = reader.runs()
        calls = reader.calls()
    assert run.status == "completed"
    assert {call.status for call in calls} == {"ok"}
    assert len({call.call_id for call in calls}) == len(calls)


def test_another_run_in_another_directory_gives_the_same_bytes(tmp_path: Path) -> None:
    """Answers and the digest of every result are the same in a second run elsewhere."""
    screens = some_screens(tmp_path / "screens", "config.png", "terminal.png")
    asked = [q["question"] for q in QUESTIONS if q.get("screen") in ("config.png", "terminal.png")]
    sessions = [
        remember(tmp_path / name, screens, asked, clock=FakeClock())
        for name in ("one", "two/deeper")
    ]
    one, two = (
        [(c.call_id, c.plugin, c.hook, c.output_digest, c.seed) for c in zoo.recorded(s.run)]
        for s in sessions
    )
    assert one == two
    assert sessions[0].answers == sessions[1].answers


def test_a_killed_reader_costs_its_call_and_no_other(tmp_path: Path) -> None:
    """SIGKILL of the OCR worker at work: the run ends, the audit has it, the answers say so."""
    names = ("chat.png", "config.png", "terminal.png")
    screens = some_screens(tmp_path / "screens", *names)
    run = nx.Run.create(tmp_path / "data", seed=7)
    with app.build_kernel(run, screens) as kernel, app.Memory(kernel, run) as memory:
        memory.ingest(_kill_after(kernel, "chat.png"))
        answer = memory.ask("Which port does the archive use?")
        other = memory.ask("How many tests failed?")
    assert [(m.name, m.code) for m in memory.missing] == [("config.png", "plugin.crashed")]
    assert answer["state"] == "no_evidence"
    assert [m["name"] for m in answer["missing"]] == ["config.png"]
    assert other["state"] == "ok"
    (failed,) = zoo.recorded(run, errors_only=True)
    assert (failed.plugin, failed.hook, failed.fault) == ("ocr.rapid", "read_tokens", "plugin")
    assert failed.error_code == "plugin.crashed"
    assert verify(run.audit_log.path, run.audit_log.checkpoint).ok


def _kill_after(kernel: nx.Kernel, name: str) -> app.Progress:
    """Return a progress callback that has the OCR worker die in the call after *name*."""

    def progress(done: str, number: int, total: int) -> None:
        pid = kernel.plugins["ocr.rapid"].pid
        if done == name and pid is not None:
            threading.Thread(target=_kill_at_work, args=(psutil.Process(pid),)).start()

    return progress


def _kill_at_work(worker: psutil.Process) -> None:
    """Wait until *worker* has been computing for a while, then kill it."""
    before = worker.cpu_times().user
    zoo.eventually(lambda: worker.cpu_times().user > before + 0.2, "the worker is at work")
    worker.kill()
