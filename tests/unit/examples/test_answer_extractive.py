"""Answers come from the evidence, with citations that hold, or not at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from nxkernel.pipeline import check_answer
from tests.unit.examples.documents import Library, document, recorded
from tests.unit.examples.loading import SCREENMEM, load

plugin = load("answer_extractive")
language = load("answer_extractive", "qa_language")
kinds = load("answer_extractive", "qa_kinds")
questions = load("answer_extractive", "qa_question")

SHIPPED = json.loads((SCREENMEM / "questions.json").read_text(encoding="utf-8"))["questions"]
HELD_OUT = json.loads(Path(__file__).with_name("heldout.json").read_text("utf-8"))["questions"]
EVERYTHING = [document(name) for name in recorded()]


def ask(question: str, evidence: list[dict[str, Any]] | None = None) -> list[str]:
    answer = plugin.Plugin().answer(question, EVERYTHING if evidence is None else evidence)
    checked = check_answer(answer, Library())
    assert checked.rejected == ()
    assert checked.citations_checked == checked.citations_valid
    return [claim.text for claim in checked.claims]


@pytest.mark.parametrize("case", SHIPPED + HELD_OUT, ids=lambda case: case["id"])
def test_known_questions(case: dict[str, Any]) -> None:
    """A question is answered as expected with valid citations, or refused if nothing says it."""
    said = " ".join(ask(case["question"])).casefold()
    expected = case["expected"].get("contains")
    if expected is None:
        assert said == ""
    else:
        assert [text for text in expected if text.casefold() not in said] == []


@pytest.mark.parametrize("case", [c for c in SHIPPED + HELD_OUT if "contains" in c["expected"]])
def test_without_its_evidence_nothing_is_answered(case: dict[str, Any]) -> None:
    """Take the cited screenshots away, and the expected answer goes with them."""
    answer = plugin.Plugin().answer(case["question"], EVERYTHING)
    cited = {c["frame"] for claim in answer["claims"] for c in claim["citations"]}
    rest = [each for each in EVERYTHING if each["frame"] not in cited]
    said = " ".join(ask(case["question"], rest)).casefold()
    assert not all(text.casefold() in said for text in case["expected"]["contains"])


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("Which huts are open all year?", ["Old Customs House", "Beacon Hill"]),
        ("Which hut is the cheapest?", ["Sandpiper"]),
        ("Which hut has the most beds?", ["Razorbill"]),
        ("What is the most expensive item on the invoice?", ["Monitor, 27 inch, matte"]),
        ("On which day was the high water highest?", ["Fri"]),
        ("On which day is the job interview?", ["Thu 12"]),
        ("Which station is offline?", ["Eel Creek"]),
        ("What was the high water on Friday?", ["3.4"]),
    ],
)
def test_tables_charts_and_calendars(question: str, expected: list[str]) -> None:
    """Rows are found by their cells, columns by their names, extremes by their numbers."""
    assert ask(question) == expected


@pytest.mark.parametrize(
    "question",
    [
        "Who is the warden of North Mole?",
        "What is the firmware of Gull Point?",
        "When is the budget review on Friday?",
        "How many beds does the Lantern House have?",
        "What is the Wi-Fi password of the hotel?",
        "What is the value of MIN_DRIFT_MM?",
        "What is the email address of Tamsin Orrell?",
        "What is the wind direction?",
        "How many pages does the manual have?",
        "",
        "???",
        "the of and",
    ],
)
def test_near_misses_are_refused(question: str) -> None:
    """Known names in a relation that no screenshot states are no evidence."""
    assert ask(question) == []


def test_the_same_question_gives_the_same_answer() -> None:
    """Asking twice, with another instance, gives equal values."""
    question = SHIPPED[0]["question"]
    assert plugin.Plugin().answer(question, EVERYTHING) == plugin.Plugin().answer(
        question, EVERYTHING
    )


def test_no_evidence_no_answer() -> None:
    """Without documents there is nothing to say."""
    assert plugin.Plugin().answer("How many tests failed?", []) is None


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("deliver", "delivers"),
        ("city", "cities"),
        ("reserve", "reservation"),
        ("calibrate", "calibrations"),
        ("stop", "stopped"),
        ("notify", "notified"),
        ("found", "find"),
        ("Wednesday", "Wed"),
        ("twelve", "12"),
        ("box", "boxes"),
    ],
)
def test_inflections_share_a_stem(one: str, other: str) -> None:
    """Forms of one word are one stem."""
    assert language.stem(one) == language.stem(other)


@pytest.mark.parametrize(
    ("one", "other"), [("edition", "edit"), ("station", "state"), ("sat", "Saturday")]
)
def test_different_words_keep_apart(one: str, other: str) -> None:
    """What only looks alike is not one stem."""
    assert language.stem(one) != language.stem(other)


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        ("clock", "15:00 - 16:00", True),
        ("clock", "half past six", True),
        ("clock", "12 rolls", False),
        ("when", "14 March 2026", True),
        ("person", "Marek Dunlow", True),
        ("person", "52", False),
        ("duration", "72 hours", True),
        ("frequency", "every six weeks", True),
        ("number", "twelve people", True),
        ("number", "some people", False),
        ("hash", "87ac8fb", True),
        ("hash", "defaced", False),
        (None, "anything", True),
    ],
)
def test_kinds(kind: str | None, text: str, expected: bool) -> None:
    """A text is of a kind or it is not."""
    assert kinds.fits(kind, text) is expected


@pytest.mark.parametrize(
    ("text", "number"),
    [("31 km/h", 31), ("12,960", 12960), ("1191.40", 1191.4), ("FD-1190", None), ("none", None)],
)
def test_numbers(text: str, number: float | None) -> None:
    """A number with its unit counts as one, an article number does not."""
    assert kinds.number_in(text) == number


def test_what_a_question_is_about() -> None:
    """The noun in focus and the kind of answer are read off the question."""
    question = questions.read_question("What is the unit price of the USB-C dock?")
    assert [term.alternatives[0] for term in question.focus] == [("pric",)]
    assert questions.read_question("How long does the recorder run?").wants == "duration"
    assert questions.read_question("Which day is best?").wants == "day"
    assert questions.read_question("Which hut has the fewest beds?").superlative == -1
