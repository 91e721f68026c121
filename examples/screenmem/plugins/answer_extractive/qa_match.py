"""Compares a question with facts and decides, or refuses."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import attrs
from qa_facts import Fact, Frame, Table, facts_of
from qa_kinds import fits, is_clock, is_day, number_in
from qa_language import parts, related, stem, stems
from qa_question import Question, Term

__all__ = ["Scored", "best_facts"]

#: Below this share of the question's weight nothing is an answer.
ENOUGH = 0.6
#: What names a thing must stand at least this near to the answer.
CLOSE = 0.5
#: A related word instead of the word itself.
RELATED = 0.9
#: Facts within this distance of the best are as good.
TIE = 1e-6
#: Most claims of one answer.
MOST = 8


@attrs.frozen
class Scored:
    """A fact with its frame and its score."""

    score: float
    frame: Frame
    fact: Fact


def best_facts(question: Question, frames: Sequence[Frame]) -> list[Scored]:
    """The best fact, with others of its group that are as good; none when nothing is good enough.

    *frames* come best first, as retrieved.
    """
    scored = [
        Scored(score - 0.02 * rank, frame, fact)
        for rank, frame in enumerate(frames)
        for fact in _candidates(question, frame)
        if (score := _score(question, frame, fact)) is not None
    ]
    if not scored:
        return []
    best = max(scored, key=lambda s: s.score)
    if not best.fact.group:
        return [best]
    return [
        s
        for s in scored
        if s.frame is best.frame and s.fact.group == best.fact.group and s.score > best.score - TIE
    ][:MOST]


def _candidates(question: Question, frame: Frame) -> Iterable[Fact]:
    facts = list(facts_of(frame))
    if question.superlative:
        extremes = [fact for table in frame.tables for fact in _extreme(question, table, facts)]
        extremes += _extreme_bar(question, frame, facts)
        if extremes:
            return extremes
    return facts


def _score(question: Question, frame: Frame, fact: Fact) -> float | None:
    """The score of *fact*, or None when it cannot be the answer."""
    text = frame.text(fact.answer)
    if fact.only and question.wants not in fact.only:
        return None
    if not _of_kind(question, fact, text) or _echoes(question, fact, text):
        return None
    known = fact.levels | _named_columns(question, fact)
    levels = [(term, _level(term, known, text)) for term in question.terms]
    total = sum(term.weight for term, _ in levels)
    if not total or any(_misses(term, level) for term, level in levels):
        return None
    coverage = sum(term.weight * level for term, level in levels) / total
    near = [level for term, level in levels if term.weight >= 1]
    enough, most = (0.45, 0.5) if _is_called(question, fact) else (ENOUGH, 0.51)
    # One word alone must be the word itself, not one that is related to it.
    called = any(_level(term, dict.fromkeys(fact.label, 1.0)) > RELATED for term in question.terms)
    solid = max(near, default=0.0) >= (RELATED if called or len(near) > 1 else 0.95)
    if coverage < enough or not solid or sum(n >= CLOSE for n in near) < most * len(near):
        return None
    if not _about_row(question, fact):
        return None
    named = (
        fact.levels if fact.kind in ("sentence", "speaker") else _own_levels(question, fact, text)
    )
    focused = [_level(term, named, text) for term in question.focus]
    if focused and (focused[-1] < CLOSE or sum(focused) / len(focused) < CLOSE):
        return None
    return coverage + _bonus(question, fact, text)


def _misses(term: Term, level: float) -> bool:
    """Whether a fact that has *term* at *level* is about something else."""
    return (term.hard and level < CLOSE) or (term.bound and term.weight >= 1 and not level)


def _named_columns(question: Question, fact: Fact) -> dict[str, float]:
    """The names of the columns in which the row has what *question* mentions."""
    asked = {alternative for term in question.terms for alternative in term.alternatives[:2]}
    return {
        stem: RELATED
        for cell, names in fact.columns
        if any(stems and cell.issuperset(stems) for stems in asked)
        for stem in names
    }


def _is_called(question: Question, fact: Fact) -> bool:
    """Whether the answer's whole label stands in *question*, which asks for more than a name."""
    asked = {stem for term in question.terms for stems in term.alternatives[:2] for stem in stems}
    label = [stem for stem in fact.label if stem.isalpha()]
    if fact.kind != "pair" or not label or not (question.focus or question.wants == "number"):
        return False
    return sum(stem in asked for stem in label) == len(label)


def _level(term: Term, levels: dict[str, float], text: str = "") -> float:
    """How surely *term* is about a fact with these levels and the answer *text*."""
    best = 0.8 if term.counts and any(map(str.isdigit, text)) else 0.0
    for i, alternative in enumerate(term.alternatives):
        level = min((levels.get(stem, 0.0) for stem in alternative), default=0.0)
        synonym = i > 0 and len(alternative) == 1
        best = max(best, level * RELATED if synonym else level)
    return best


def _own_levels(question: Question, fact: Fact, text: str) -> dict[str, float]:
    """What a structured answer is called: its label and its own words, not its neighbours."""
    counted = fact.keys if fact.kind == "cell" and _counting(question, fact) else None
    return dict.fromkeys([*fact.label, *stems(text), *(counted or ())], 1.0)


def _counting(question: Question, fact: Fact) -> bool:
    """Whether *fact* counts what its row is about: "how many cables" by a column "quantity"."""
    return question.wants == "number" and bool(_liked("number") & fact.label)


def _about_row(question: Question, fact: Fact) -> bool:
    if fact.keys is None:
        return True
    return any(
        all(stem in fact.keys for stem in alternative) and alternative
        for term in question.terms
        for alternative in term.alternatives
    )


def _of_kind(question: Question, fact: Fact, text: str) -> bool:
    if fact.kind == "speaker":
        return True
    if question.wants == "person" and fact.kind == "sentence":
        return _agent(question, text) or (fits("person", text) and _active(question, text))
    if question.wants == "place" and fact.kind in ("cell", "pair", "event"):
        return fits("place", text) and not is_clock(text) and not is_day(text)
    if question.wants == "number" and question.focus and fact.kind == "sentence":
        return _counts(question.focus[-1], text)
    return fits(question.wants, text)


def _counts(noun: Term, text: str) -> bool:
    """Whether a number stands right before *noun* in *text*: "two large groups" for "groups"."""
    words = text.split()
    for i, word in enumerate(words):
        levels = dict.fromkeys(parts(word), 1.0)
        if _level(noun, levels) and any(
            fits("number", before) for before in words[max(i - 3, 0) : i]
        ):
            return True
    return False


def _agent(question: Question, text: str) -> bool:
    """Whether *text* names who did what is asked: "refused by the archive"."""
    asked = {alternative for term in question.terms for alternative in term.alternatives}
    words = text.lower().split()
    return any(
        (stem(verb),) in asked and "by" in after
        for verb, *after in zip(words, words[1:], words[2:], strict=False)
    )


def _active(question: Question, text: str) -> bool:
    """Whether *text* says who did it: "the hut was built" does not, "... by Ada" does."""
    asked = {(question.verb,)} | {(other,) for other in related(question.verb)}
    words = text.lower().split()
    for i, word in enumerate(words[:-1]):
        passive = word in ("is", "was", "are", "were", "been", "be", "being")
        verb = next((w for w in words[i + 1 : i + 3] if (stem(w.strip(".,")),) in asked), None)
        if passive and verb is not None and verb.endswith(("ed", "en", "t", "n", "d")):
            return "by" in words[i:]
    return True


def _echoes(question: Question, fact: Fact, text: str) -> bool:
    """Whether *text* says nothing that the question did not say."""
    own = set(stems(text))
    return bool(own) and own <= question.words


_AFFINITY = {
    "person": "warden name owner author contact person speaker engineer driver teacher",
    "when": "open time date start due departure day hours opening arrival when",
    "clock": "time start departure opening closes hours",
    "day": "date day due departure",
    "place": "room place location venue where address platform",
    "number": "quantity qty count pieces pcs number",
    "duration": "duration time length",
}


def _liked(kind: str | None) -> set[str]:
    return {stem(word) for word in _AFFINITY.get(kind or "", "").split()}


def _bonus(question: Question, fact: Fact, text: str) -> float:
    bonus = 0.05 if fact.kind != "sentence" else 0.0
    bonus += 0.1 if question.wants else 0.0
    if question.focus and _level(question.focus[-1], dict.fromkeys(fact.label, 1.0)) >= RELATED:
        bonus += 0.1
    liked = _liked(question.wants)
    named = any(_level(term, dict.fromkeys(fact.label, 1.0)) for term in question.terms)
    if fact.kind == "cell" and not named:
        bonus += 0.02 if liked & fact.label else -0.25
    return bonus


# --- the highest and the lowest ----------------------------------------------------------------


def _extreme(question: Question, table: Table, facts: Sequence[Fact]) -> Iterable[Fact]:
    """The facts of the rows in which the column that *question* measures is extreme."""
    column = _measured(question, table)
    if column is None:
        return []
    values = {
        r: number
        for r in table.rows
        for cell in table.row(r)
        if cell.c == column and (number := number_in(cell.text)) is not None
    }
    if len(values) < 2:
        return []
    limit = (max if question.superlative > 0 else min)(values.values())
    chosen = [r for r, number in values.items() if number == limit]
    return [
        attrs.evolve(
            fact,
            keys=None,
            support=tuple(dict.fromkeys([*fact.support, *_value_span(table, r, column)])),
            levels=fact.levels | _column_levels(question, table, column),
        )
        for r in chosen
        for cell in table.row(r)
        if cell.c != column
        for fact in facts
        if fact.kind == "cell" and fact.answer == cell.span
    ]


def _value_span(table: Table, r: int, column: int) -> list:
    head = table.head(column)
    return [
        *(cell.span for cell in table.row(r) if cell.c == column),
        *([head.span] if head is not None else []),
    ]


def _column_levels(question: Question, table: Table, column: int) -> dict[str, float]:
    head = table.head(column)
    return dict.fromkeys(stems(head.text) if head is not None else [], 1.0)


def _measured(question: Question, table: Table) -> int | None:
    """The column whose numbers *question* compares."""
    wanted = {a for term in question.terms if term not in question.focus for a in term.alternatives}
    if question.measures is not None:
        measure = stem(question.measures)
        wanted = {(measure,)} | {(other,) for other in related(measure)}
    for cell in table.cells:
        if cell.r or not table.header:
            continue
        numeric = [number_in(c.text) for c in table.cells if c.c == cell.c and c.r]
        named = any((part,) in wanted for word in cell.text.split() for part in parts(word))
        if named and numeric and None not in numeric:
            return cell.c
    return None


def _extreme_bar(question: Question, frame: Frame, facts: Sequence[Fact]) -> list[Fact]:
    bars = [fact for fact in facts if fact.group[:1] == ("chart",)]
    values = [number_in(frame.text(fact.answer)) or 0.0 for fact in bars]
    if len(bars) < 2:
        return []
    limit = (max if question.superlative > 0 else min)(values)
    chosen = [fact for fact, value in zip(bars, values, strict=True) if value == limit]
    return [
        attrs.evolve(fact, answer=fact.support[0], support=(fact.answer,), keys=None)
        for fact in chosen
    ] + [attrs.evolve(fact, keys=None) for fact in chosen]
