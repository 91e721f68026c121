"""The rule that no plugin can skip: a claim without a citation that checks out is no claim.

There is no setting for it. An answer of which no claim is left says ``no_evidence``.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal

import attrs

from nxkernel.pipeline.citations import CitationProblem, Library, check_citation, read_citation
from nxkernel.types import Citation, Claim

__all__ = ["CheckedAnswer", "RejectedClaim", "check_answer", "sealed_answer"]

State = Literal["ok", "partial", "no_evidence"]
#: Punctuation that may differ around a word between a claim and its quote. A leading point, sign or
#: comparison is part of the word: ".5" is not "5".
_OPENING = "\"'([{“‘«"
_CLOSING = ".,;:!?\"')]}”’»…"


@attrs.frozen(kw_only=True)
class RejectedClaim:
    """A claim that was dropped."""

    #: Position in the plugin's answer.
    index: int
    #: Stable, for example ``citation.missing`` or ``quote.mismatch``.
    reason: str
    message: str
    code: str = "citation.invalid"


@attrs.frozen(kw_only=True)
class CheckedAnswer:
    """What is left of an answer once every citation was checked."""

    #: ``ok``: every claim holds; ``partial``: some were dropped; ``no_evidence``: none is left.
    state: State
    claims: tuple[Claim, ...] = ()
    rejected: tuple[RejectedClaim, ...] = ()
    #: How many citations were looked at, and how many of them check out.
    citations_checked: int = 0
    citations_valid: int = 0


@attrs.define
class _Tally:
    checked: int = 0
    valid: int = 0


def check_answer(answer: Mapping[str, Any] | None, library: Library) -> CheckedAnswer:
    """Keep the claims of *answer* whose citations all check out in *library*.

    *answer* is ``{"claims": [{"text", "citations"}]}`` as a plugin returned it, or None; a citation
    has the five fields of :class:`~nxkernel.types.Citation`. Whatever a plugin returned, this
    raises nothing: what is not a claim is rejected as ``claim.malformed``.
    """
    tally = _Tally()
    claims: list[Claim] = []
    rejected: list[RejectedClaim] = []
    for index, value in enumerate(_claims_of(answer)):
        try:
            claims.append(_check_claim(value, library, tally))
        except CitationProblem as problem:
            rejected.append(
                RejectedClaim(index=index, reason=problem.reason, message=problem.message)
            )
    return CheckedAnswer(
        state=_state(claims, rejected),
        claims=tuple(claims),
        rejected=tuple(rejected),
        citations_checked=tally.checked,
        citations_valid=tally.valid,
    )


def sealed_answer(
    answer: Any, library: Library, dropped: Mapping[int, str] = MappingProxyType({})
) -> dict[str, Any]:
    """Return *answer* as it may leave the kernel: plain data, with nothing in it but what holds.

    *dropped* are claims that its contract removed before: their places and what was wrong. They are
    among the ``rejected``, and every place is that of the claim in what the plugin returned.
    """
    checked = check_answer(answer, library)
    count = len(_claims_of(answer)) + len(dropped)
    places = [index for index in range(count) if index not in dropped]
    rejected = [attrs.evolve(each, index=places[each.index]) for each in checked.rejected]
    rejected += [
        RejectedClaim(index=index, reason="claim.malformed", message=dropped[index])
        for index in dropped
    ]
    return {
        "claims": [_plain(claim) for claim in checked.claims],
        "state": "partial" if dropped and checked.state == "ok" else checked.state,
        "rejected": [
            {"index": each.index, "reason": each.reason, "message": each.message}
            for each in sorted(rejected, key=lambda each: each.index)
        ],
        "citations": {"checked": checked.citations_checked, "valid": checked.citations_valid},
    }


def _plain(claim: Claim) -> dict[str, Any]:
    citations = [{**attrs.asdict(c), "bbox": list(c.bbox)} for c in claim.citations]
    return {"text": claim.text, "citations": citations}


def _claims_of(answer: Any) -> list[Any]:
    if answer is None:
        return []
    claims = answer.get("claims") if isinstance(answer, Mapping) else None
    return list(claims) if isinstance(claims, list | tuple) else [answer]


def _state(claims: list[Claim], rejected: list[RejectedClaim]) -> State:
    if not claims:
        return "no_evidence"
    return "partial" if rejected else "ok"


def _check_claim(value: Any, library: Library, tally: _Tally) -> Claim:
    if not isinstance(value, Mapping) or set(value) != {"text", "citations"}:
        raise CitationProblem("claim.malformed", "a claim has a text and citations, nothing else")
    text, listed = value["text"], value["citations"]
    if not isinstance(text, str) or not isinstance(listed, list | tuple):
        raise CitationProblem("claim.malformed", "text is no string or citations is no list")
    if not listed:
        raise CitationProblem("citation.missing", "the claim cites nothing")
    citations = tuple(_check_one(citation, library, tally) for citation in listed)
    if not any(_supports(citation.quote, text) for citation in citations):
        raise CitationProblem("claim.unsupported", "no cited quote says what the claim says")
    return Claim(text=text, citations=citations)


def _check_one(value: Any, library: Library, tally: _Tally) -> Citation:
    tally.checked += 1
    citation = read_citation(value)
    check_citation(citation, library)
    tally.valid += 1
    return citation


def _supports(quote: str, text: str) -> bool:
    """Whether *text* stands in *quote* word for word, but for case and outer punctuation.

    Whole words of one quote: "2" is not supported by "42", and words from several places do not
    add up to a sentence that stands nowhere.
    """
    said, claimed = _words(quote), _words(text)
    if not any(any(map(str.isalnum, word)) for word in claimed):
        return False
    size = len(claimed)
    return any(said[i : i + size] == claimed for i in range(len(said) - size + 1))


def _words(text: str) -> list[str]:
    return [word.lstrip(_OPENING).rstrip(_CLOSING) for word in text.casefold().split()]
