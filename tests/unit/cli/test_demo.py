"""``nxkernel demo`` around an example that plays its part from a script.

The example itself runs in ``tests/process``; this is what the command makes of good and bad runs.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

import attrs
import pytest

from nxkernel.run import Run
from nxkernel_cli import demo as command
from nxkernel_cli import example
from tests.unit.audit.logs import boot_facts, make_call, ok, tampering
from tests.unit.cli.conftest import run

KEYS = {"schema_version", "ok", "level", "plugins", "questions", "citations", "audit"}
QUESTIONS = [
    {"id": "q1", "question": "Who?", "expected": {"contains": ["Odalys"]}},
    {"id": "q2", "question": "Why?", "expected": {"no_evidence": True}},
]
CITATION = {"name": "chat.png", "bbox": [1, 2, 3, 4], "quote": "Odalys", "frame": "sha256:00"}
GOOD: dict[str, Any] = {
    "state": "ok",
    "claims": [{"text": "Odalys", "citations": [CITATION]}],
    "rejected": [],
    "citations": {"checked": 1, "valid": 1},
    "errors": [],
    "missing": [],
}
REFUSED = {
    **GOOD,
    "state": "no_evidence",
    "claims": [],
    "citations": {"checked": 0, "valid": 0},
}


@attrs.frozen
class Lost:
    """A screenshot that could not be read."""

    name: str = "mail.png"
    hook: str = "read_tokens"
    plugin: str = "ocr"
    code: str = "plugin.crashed"
    message: str = "it ended"


VIEW = SimpleNamespace(
    id="ocr.rapid", calls=2, errors=0, p50_us=1500, start_ms=12.5, level="confined"
)


@attrs.define
class FakeExample(AbstractContextManager["FakeExample"]):
    """Stands for the module ``screenmem.app``, its kernel and its memory in one."""

    QUESTIONS: Path
    SCREENS: Path
    answers: dict[str, Any]
    missing: list[Any] = attrs.field(factory=list)
    plugins: dict[str, Any] = attrs.field(factory=lambda: {"ocr.rapid": VIEW})
    #: What happens to the audit log after the run.
    afterwards: Callable[[Path], None] = lambda path: None
    run: Run | None = None
    media: Path | None = None
    asked: list[str] = attrs.field(factory=list)

    def build_kernel(self, run: Run, media: Path) -> FakeExample:
        self.run, self.media = run, media
        return self

    def Memory(self, kernel: Any, run: Run) -> FakeExample:
        return FakeMemory(self)

    def __enter__(self) -> Self:
        call = make_call("1")
        log = self.log
        log.begin_run(boot_facts(self.run.id))
        log.finish(log.intend(call), call, ok(call), 10)
        return self

    def __exit__(self, *_: object) -> None:
        self.log.end_run()
        self.log.close()
        self.afterwards(self.log.path)

    @property
    def log(self) -> Any:
        return self.run.audit_log

    def annotate(self, memory: Any, answers: Any, target: Path) -> Path:
        target.write_bytes(b"PNG")
        return target

    def evaluate(self, questions: Any, answers: Any) -> dict[str, Any]:
        wrong = [
            q["id"]
            for q, a in zip(questions, answers, strict=True)
            if bool(a["claims"]) == bool(q["expected"].get("no_evidence"))
        ]
        counts = {"asked": len(answers), "answered": 1, "correct": 1, "no_evidence": 1}
        return counts | {"wrong": wrong}


class FakeMemory(AbstractContextManager["FakeMemory"]):
    """One screenshot, and answers by question."""

    def __init__(self, example: FakeExample) -> None:
        self.example = example
        self.missing = example.missing
        self.frames = {"sha256:00": SimpleNamespace(name="chat.png")}

    def __exit__(self, *_: object) -> None:
        return None

    def ingest(self, progress: Any) -> None:
        assert progress is None

    def ask(self, question: str) -> dict[str, Any]:
        self.example.asked.append(question)
        return {"question": question, **self.example.answers.get(question, GOOD)}


@pytest.fixture
def screenmem(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeExample:
    """An example whose run goes well unless a test changes it."""
    questions = tmp_path / "questions.json"
    questions.write_text(json.dumps({"schema_version": 1, "questions": QUESTIONS}))
    fake = FakeExample(questions, tmp_path / "screens", {"Who?": GOOD, "Why?": REFUSED})
    monkeypatch.setattr(command, "load_screenmem", lambda: fake)
    return fake


def demo(tmp_path: Path, *words: str | Path) -> Any:
    """Run the command with its data below *tmp_path*."""
    return run("demo", "--out", tmp_path / "data", *words)


def test_json_has_the_promised_keys(screenmem: FakeExample, tmp_path: Path) -> None:
    """Programs find level, plugins, questions, citations and audit where they were promised."""
    shown = demo(tmp_path, "--json")
    assert shown.code == 0, shown.err
    data = shown.data
    assert data.keys() >= KEYS
    assert (data["schema_version"], data["ok"], data["level"]) == (1, True, "confined")
    assert data["plugins"] == [
        {"id": "ocr.rapid", "calls": 2, "errors": 0, "p50_us": 1500, "start_ms": 12.5}
    ]
    assert data["citations"] == {"checked": 1, "valid": 1}
    assert data["audit"] == {"calls": 1, "verified": True}
    counted = {"asked": 2, "answered": 1, "correct": 1, "no_evidence": 1}
    assert data["questions"].items() >= counted.items()
    assert Path(data["picture"]).read_bytes() == b"PNG"


def test_text_shows_answers_with_citations_and_costs(
    screenmem: FakeExample, tmp_path: Path
) -> None:
    """A reader sees what was said, where it stands, what it cost and where the picture is."""
    shown = demo(tmp_path)
    lines = [line.strip() for line in shown.out.splitlines()]
    assert lines[:5] == [
        "1  Who?",
        "Odalys",
        "chat.png [1,2,3,4] “Odalys”",
        "2  Why?",
        "no_evidence",
    ]
    assert "ocr.rapid      2       0       1.50        12" in lines
    assert "questions: 1 of 1 correct, 1 of 1 refused for lack of evidence" in lines
    assert "citations: 1 of 1 check out" in lines
    assert "audit:     1 calls on record, verified" in lines
    assert f"picture:   {tmp_path / 'data' / 'answers.png'}" in lines
    assert shown.err == ""


def test_the_weakest_level_counts(screenmem: FakeExample, tmp_path: Path) -> None:
    """One plugin that is held less well is not hidden by the others."""
    weak = SimpleNamespace(**{**vars(VIEW), "id": "z", "level": "process"})
    screenmem.plugins["z"] = weak
    assert demo(tmp_path, "--json").data["level"] == "process"


def test_the_seed_reaches_the_run(screenmem: FakeExample, tmp_path: Path) -> None:
    """Seven, unless somebody says otherwise."""
    assert demo(tmp_path, "--json").data["seed"] == 7
    assert demo(tmp_path, "--json", "--seed", "8").data["seed"] == 8


def test_a_question_of_ones_own_has_no_right_answer(screenmem: FakeExample, tmp_path: Path) -> None:
    """``--ask`` asks these alone, and ``correct`` is null."""
    data = demo(tmp_path, "--ask", "Who?", "--ask", "Why?", "--json").data
    assert screenmem.asked == ["Who?", "Why?"]
    assert data["ok"] is True
    assert data["questions"]["correct"] is None
    assert data["questions"]["no_evidence"] == 1
    shown = demo(tmp_path, "--ask", "Who?")
    assert "questions: 1 asked, 1 answered" in shown.out


def test_screenshots_of_ones_own(screenmem: FakeExample, tmp_path: Path) -> None:
    """``--data`` is what the kernel gets; the shipped questions are not asked of it."""
    shown = demo(tmp_path, "--data", tmp_path)
    assert screenmem.media == tmp_path
    assert screenmem.asked == []
    assert shown.code == 0
    assert 'add --ask "..."' in shown.err
    assert run("demo", "--data", tmp_path / "nowhere").code == 2


def test_without_out_the_place_is_told(
    screenmem: FakeExample, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new temporary folder each time, and its name is in the report."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    first, second = (Path(run("demo", "--json").data["data_dir"]) for _ in range(2))
    assert first != second
    assert first.parent == tmp_path
    assert (first / "audit" / "audit.db").is_file()


@pytest.mark.parametrize(
    ("answer", "shown"),
    [
        (REFUSED, "WRONG, expected: Odalys"),
        (
            {
                **GOOD,
                "citations": {"checked": 2, "valid": 1},
                "rejected": [{"reason": "quote.mismatch", "message": "other text"}],
            },
            "dropped a claim: [quote.mismatch] other text",
        ),
        (
            {
                **REFUSED,
                "state": "error",
                "errors": [{"plugin": "answer", "code": "plugin.timeout", "message": "slow"}],
            },
            "answer: [plugin.timeout] slow",
        ),
    ],
    ids=["wrong answer", "invalid citation", "failed plugin"],
)
def test_a_bad_answer_is_exit_code_one(
    screenmem: FakeExample, tmp_path: Path, answer: dict[str, Any], shown: str
) -> None:
    """It stands below its question, and the program does not say ok."""
    screenmem.answers["Who?"] = answer
    text = demo(tmp_path)
    assert text.code == 1
    assert shown in text.out
    assert demo(tmp_path, "--json").data["ok"] is False


def test_what_is_missing_is_named(screenmem: FakeExample, tmp_path: Path) -> None:
    """A screenshot that could not be read costs the exit code, and is named with its reason."""
    screenmem.missing = [Lost()]
    shown = demo(tmp_path)
    assert shown.code == 1
    assert "missing: mail.png: ocr read_tokens: [plugin.crashed] it ended" in shown.out
    assert demo(tmp_path, "--json").data["missing"][0]["code"] == "plugin.crashed"


def test_an_audit_that_does_not_verify_is_exit_code_four(
    screenmem: FakeExample, tmp_path: Path
) -> None:
    """An edited row outweighs right answers."""

    def edit(path: Path) -> None:
        with tampering(path) as connection:
            connection.execute("UPDATE calls SET duration_us = 10000000")

    screenmem.afterwards = edit
    shown = demo(tmp_path)
    assert shown.code == 4
    assert "DOES NOT VERIFY" in shown.out
    assert "edited: row " in shown.out
    data = demo(tmp_path, "--json").data
    assert (data["ok"], data["audit"]["verified"]) == (False, False)


def test_a_missing_extra_is_told_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who installed nxkernel alone learns what to install."""
    monkeypatch.setattr(example, "_NEEDED", ("json", "no_such_module_1", "no_such_module_2"))
    shown = run("demo")
    assert shown.code == 1
    assert "no_such_module_1, no_such_module_2, which are not installed" in shown.err
    assert 'python -m pip install "nxkernel[demo]"' in shown.err


def test_an_installation_without_the_example_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A broken package is named as one."""
    monkeypatch.setattr(example, "_NEEDED", ())
    monkeypatch.setattr(example, "_PLACES", (tmp_path,))
    shown = run("demo")
    assert shown.code == 1
    assert "this installation lacks its example" in shown.err


@pytest.mark.parametrize("found", [0, 1])
def test_the_example_is_found_in_wheel_and_checkout(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, found: int
) -> None:
    """Whichever of the two places has it is put on the import path."""
    places = (tmp_path / "wheel", tmp_path / "checkout")
    package = places[found] / f"screenmem{found}"
    package.mkdir(parents=True)
    (package / "app.py").write_text(f"PLACE = {found}\n")
    monkeypatch.setattr(example, "_NEEDED", ())
    monkeypatch.setattr(example, "_PLACES", places)
    monkeypatch.setattr(example, "PACKAGE", f"screenmem{found}")
    monkeypatch.setattr("sys.path", ["/usr/lib"])
    assert found == example.load_screenmem().PLACE
