"""Answers a question with pieces of the evidence, or not at all."""

from __future__ import annotations

from typing import Any

from qa_facts import Frame, Span, read_frame
from qa_match import Scored, best_facts
from qa_question import read_question

import nxkernel as nx

hookimpl = nx.HookimplMarker("screenmem")


class Plugin:
    @hookimpl
    def answer(self, question: str, evidence: list[dict[str, Any]]) -> dict[str, Any] | None:
        """Return claims with citations, or None when the evidence does not say."""
        frames = [read_frame(value) for value in evidence]
        claims = [
            claim
            for scored in best_facts(read_question(question), frames)
            for claim in _claims(scored)
        ]
        unique = {claim["text"]: claim for claim in reversed(claims)}
        return {"claims": [c for c in claims if unique.get(c["text"]) is c]} if claims else None


def _claims(scored: Scored) -> list[dict[str, Any]]:
    frame, fact = scored.frame, scored.fact
    return [
        {
            "text": frame.text(answer).strip(' "“”'),
            "citations": [
                _citation(frame, span) for span in dict.fromkeys([answer, *fact.support])
            ],
        }
        for answer in (fact.answer, *fact.also)
    ]


def _citation(frame: Frame, span: Span) -> dict[str, Any]:
    boxes = frame.boxes[span.start : span.end]
    x0, y0, x1, y1 = zip(*boxes, strict=True)
    return {
        "frame": frame.digest,
        "start": span.start,
        "end": span.end,
        "bbox": [min(x0), min(y0), max(x1), max(y1)],
        "quote": frame.text(span),
    }
