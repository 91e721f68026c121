"""The application keeps raw bytes first, shows only what checks out, and says what is missing."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image

from examples.screenmem import app
from nxkernel.hookspecs import collect_specs
from nxkernel.kernel.answers import Answers
from nxkernel.storage import BlobStore, blob_digest
from nxkernel.types import CallError, CallId, HookName, HookResult, Outcome, PluginId
from tests.unit.examples.documents import recorded, tokens
from tests.unit.examples.loading import SCREENMEM, Context, load

SPECS = collect_specs("screenmem", [app.hookspecs])
NAMES = ["chat.png", "huts.png", "invoice.png"]


class Clock:
    """A clock that stands still."""

    def monotonic(self) -> float:
        return 0.0

    def wall_ns(self) -> int:
        return 0


class Kernel:
    """Calls the plugins in this process; OCR is what was recorded. A hook may be replaced."""

    def __init__(self, folder: Path, **replaced: Callable[..., Any]) -> None:
        index = load("index_fts5").Plugin(Context(run_dir=folder))
        self.index = index
        names = {frame["digest"]: name for name, frame in recorded().items()}
        search = SimpleNamespace(call=lambda hook, **arguments: [index.search_index(**arguments)])
        hooks: dict[str, Callable[..., Any]] = {
            "list_frames": lambda: NAMES,
            "read_frame": lambda name: (SCREENMEM / "screens" / name).read_bytes(),
            "read_tokens": lambda frame: tokens(names[frame["frame_id"]]),
            "assemble_layout": load("layout_lines").Plugin().assemble_layout,
            "index_frame": index.index_frame,
            "retrieve": load("retrieve_bm25").Plugin(search).retrieve,
            "answer": load("answer_extractive").Plugin().answer,
        }
        self.hooks = hooks | replaced
        self.evidence = app.Shelf()

    def call(self, hook: str, **arguments: Any) -> HookResult:
        try:
            value, error = self.hooks[hook](**copy.deepcopy(arguments)), None
        except RuntimeError as raised:
            value, error = None, CallError(code="plugin.crashed", message=str(raised))
        outcome = Outcome(
            plugin=PluginId(f"some.{hook}"),
            impl=hook,
            hook=HookName(hook),
            call_id=CallId("1"),
            value=value,
            error=error,
            fault="plugin" if error else None,
        )
        result = HookResult(hook=HookName(hook), value=value, outcomes=(outcome,))
        return Answers(self.evidence).sealed(SPECS[hook], result)


@pytest.fixture
def open_memory(tmp_path: Path) -> Iterator[Callable[..., app.Memory]]:
    opened: list[Any] = []

    def build(folder: str = "data", **replaced: Callable[..., Any]) -> app.Memory:
        home = tmp_path / folder
        home.mkdir()
        kernel = Kernel(home, **replaced)
        memory = app.Memory(kernel, SimpleNamespace(data_dir=home, clock=Clock()))
        opened.extend([memory.__exit__, lambda: kernel.index._open().close()])
        memory.ingest()
        return memory

    yield build
    for close in opened:
        close()


Open = Callable[..., app.Memory]


def forget(*_: Any, **__: Any) -> Any:
    raise RuntimeError("killed by signal 9")


def test_a_cited_answer(open_memory: Open) -> None:
    """An answer names the file, box and quote of every citation, and nothing is missing."""
    answer = open_memory().ask("How many beds does the Razorbill hut have?")
    assert answer["state"] == "ok"
    assert [claim["text"] for claim in answer["claims"]] == ["52"]
    citation = answer["claims"][0]["citations"][0]
    assert (citation["name"], citation["quote"]) == ("huts.png", "52")
    assert answer["citations"]["checked"] == answer["citations"]["valid"] > 0
    assert (answer["missing"], answer["errors"], answer["rejected"]) == ([], [], [])


def test_an_unanswerable_question(open_memory: Open) -> None:
    """What no screenshot says is `no_evidence`, without a claim."""
    answer = open_memory().ask("Who is the warden of the Cormorant hut?")
    assert (answer["state"], answer["claims"]) == ("no_evidence", [])


def test_raw_first(open_memory: Open, tmp_path: Path) -> None:
    """The bytes of a screenshot are stored even if everything after that fails."""
    open_memory(read_tokens=forget)
    store = BlobStore(tmp_path / "data" / "store" / "blobs")
    for name in NAMES:
        assert store.has(blob_digest((SCREENMEM / "screens" / name).read_bytes()))


def test_a_lost_frame_is_named_and_the_rest_goes_on(open_memory: Open) -> None:
    """One crash of the OCR costs that frame; every answer says that it is missing."""

    def crash_on_chat(frame: dict[str, Any]) -> Any:
        return forget() if frame["name"] == "chat.png" else tokens(frame["name"])

    memory = open_memory(read_tokens=crash_on_chat)
    assert sorted(frame.name for frame in memory.frames.values()) == ["huts.png", "invoice.png"]
    answer = memory.ask("What is the invoice number?")
    assert [claim["text"] for claim in answer["claims"]] == ["INV-20417"]
    assert answer["missing"] == [
        {
            "name": "chat.png",
            "hook": "read_tokens",
            "plugin": "some.read_tokens",
            "code": "plugin.crashed",
            "message": "killed by signal 9",
        }
    ]
    assert memory.ask("Who will bring the projector?")["state"] == "no_evidence"


def test_what_is_no_png_is_missing(open_memory: Open) -> None:
    """A file that only has the right name is kept as bytes and reported."""
    memory = open_memory(read_frame=lambda name: b"GIF89a" + b"\0" * 40)
    assert memory.frames == {}
    assert {missing.code for missing in memory.missing} == {"frame.not_png"}


def test_a_failed_answer_is_an_error(open_memory: Open) -> None:
    """A crashed answering plugin is not mistaken for a lack of evidence."""
    answer = open_memory(answer=forget).ask("How many beds does the Razorbill hut have?")
    assert answer["state"] == "error"
    assert [error["code"] for error in answer["errors"]] == ["plugin.crashed"]


def test_a_forged_citation_is_dropped(open_memory: Open) -> None:
    """Whatever a plugin claims, the host shows only what the stored frame says."""

    def forge(question: str, evidence: list[dict[str, Any]]) -> dict[str, Any]:
        first = evidence[0]["tokens"][0]
        citation = {
            "frame": evidence[0]["frame"],
            "start": 0,
            "end": 1,
            "bbox": first["bbox"],
            "quote": "99",
        }
        return {"claims": [{"text": "99", "citations": [citation]}]}

    answer = open_memory(answer=forge).ask("How many beds does the Razorbill hut have?")
    assert (answer["state"], answer["claims"]) == ("no_evidence", [])
    assert [claim["reason"] for claim in answer["rejected"]] == ["quote.mismatch"]


def test_progress_counts_every_frame(open_memory: Open) -> None:
    """Progress is told after each frame, with its number and how many there are."""
    memory, seen = open_memory(), []
    memory.ingest(lambda name, number, total: seen.append((name, number, total)))
    assert seen == [(name, number, 3) for number, name in enumerate(NAMES, 1)]


def test_another_folder_the_same_answers(open_memory: Open) -> None:
    """Nothing in an answer depends on where the data is kept."""
    first, second = open_memory("one"), open_memory("two")
    for question in ("Who will bring the projector?", "What is the subtotal?"):
        assert first.ask(question) == second.ask(question)


def test_the_picture_has_the_boxes(open_memory: Open, tmp_path: Path) -> None:
    """All cited screenshots are in one PNG, which differs from them where boxes are drawn."""
    memory = open_memory()
    answers = [memory.ask("Who will bring the projector?"), memory.ask("What is the subtotal?")]
    target = app.annotate(memory, answers, tmp_path / "answers.png")
    assert target == tmp_path / "answers.png"
    with Image.open(target) as picture:
        assert picture.format == "PNG"
        colours = {colour for _, colour in picture.convert("RGB").getcolors(1 << 24) or ()}
    assert {app._COLOURS[1], app._COLOURS[2]} <= colours


def test_nothing_cited_nothing_drawn(open_memory: Open, tmp_path: Path) -> None:
    """Without a citation there is no picture."""
    memory = open_memory()
    assert app.annotate(memory, [memory.ask("Who won?")], tmp_path / "none.png") is None
    assert not (tmp_path / "none.png").exists()


def said(text: str, screen: str) -> dict[str, object]:
    """An answer of one claim that cites one screenshot."""
    return {"state": "ok", "claims": [{"text": text, "citations": [{"name": screen}]}]}


def test_evaluation_counts() -> None:
    """Right, refused and wrong are counted apart; the right words must cite their screenshot."""
    questions = [
        {"id": "a", "expected": {"contains": ["Room Kelp"]}, "screen": "calendar.png"},
        {"id": "b", "expected": {"no_evidence": True}},
        {"id": "c", "expected": {"contains": ["52"]}},
        {"id": "d", "expected": {"no_evidence": True}},
        {"id": "e", "expected": {"contains": ["22"]}, "screen": "terminal.png"},
    ]
    answers = [
        said("room kelp", "calendar.png"),
        {"state": "no_evidence", "claims": []},
        {"state": "no_evidence", "claims": []},
        {"state": "error", "claims": []},
        said("22", "invoice.png"),
    ]
    assert app.evaluate(questions, answers) == {
        "asked": 5,
        "answered": 2,
        "correct": 1,
        "no_evidence": 1,
        "wrong": ["c", "d", "e"],
    }


def test_shipped_questions_are_well_formed() -> None:
    """Each question has an id of its own and either an answer or none."""
    questions = json.loads(app.QUESTIONS.read_text(encoding="utf-8"))["questions"]
    assert len({question["id"] for question in questions}) == len(questions) >= 24
    for question in questions:
        assert set(question["expected"]) in ({"contains"}, {"no_evidence"})
