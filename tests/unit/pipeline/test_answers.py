"""Only claims whose citations check out are left of an answer."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nxkernel.errors import ERROR_CODES, StorageError
from nxkernel.pipeline.answers import check_answer
from nxkernel.pipeline.citations import Evidence, Token
from nxkernel.types import Claim, Digest

FRAME = Digest("sha256:" + "a" * 64)
TOKENS = (
    Token("Open", (10, 10, 50, 30)),
    Token("alarms:", (55, 11, 110, 31)),
    Token("42", (120, 9, 140, 29)),
    Token("of", (145, 10, 160, 30)),
    Token("45.", (165, 10, 190, 30)),
)


class Shelf:
    """A library with one frame of 200 x 100 pixels."""

    def __init__(self, tokens: tuple[Token, ...] = TOKENS) -> None:
        self.tokens = tokens

    def evidence(self, frame: Digest) -> Evidence | None:
        if frame != FRAME:
            return None
        return Evidence(frame=frame, width=200, height=100, tokens=self.tokens)


class Burnt:
    """A library whose bytes were changed."""

    def evidence(self, frame: Digest) -> Evidence | None:
        raise StorageError("the bytes of the blob do not match their name")


def citation(**changes: Any) -> dict[str, Any]:
    good = {"frame": FRAME, "start": 2, "end": 5, "bbox": [120, 9, 190, 30], "quote": "42 of 45."}
    return good | changes


def answer(text: str = "42 of 45", *citations: Any) -> dict[str, Any]:
    return {"claims": [{"text": text, "citations": list(citations or (citation(),))}]}


def reason(given_answer: Any, library: Any = None) -> str:
    checked = check_answer(given_answer, library or Shelf())
    assert checked.state == "no_evidence"
    assert checked.claims == ()
    (rejected,) = checked.rejected
    assert rejected.code in ERROR_CODES
    assert rejected.message
    return rejected.reason


def test_a_claim_that_checks_out_is_kept() -> None:
    """A good citation makes a claim, with the citation as a value."""
    checked = check_answer(answer(), Shelf())
    assert checked.state == "ok"
    (claim,) = checked.claims
    assert isinstance(claim, Claim)
    assert claim.citations[0].bbox == (120, 9, 190, 30)
    assert (checked.citations_checked, checked.citations_valid) == (1, 1)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"frame": "sha256:" + "b" * 64}, "frame.unknown"),
        ({"frame": "../../etc/passwd"}, "frame.unknown"),
        ({"start": -1}, "span.outside"),
        ({"end": 6}, "span.outside"),
        ({"start": 4, "end": 4}, "span.outside"),
        ({"start": 4, "end": 3}, "span.outside"),
        ({"bbox": [119, 9, 190, 30]}, "bbox.mismatch"),
        ({"bbox": [0, 0, 200, 100]}, "bbox.mismatch"),
        ({"quote": "42 of 46."}, "quote.mismatch"),
        ({"quote": "42  of 45."}, "quote.mismatch"),
        ({"quote": "42 of"}, "quote.mismatch"),
        ({"start": "2"}, "citation.malformed"),
        ({"start": True}, "citation.malformed"),
        ({"quote": b"42 of 45."}, "citation.malformed"),
        ({"bbox": [120, 9, 190]}, "citation.malformed"),
        ({"bbox": [120.0, 9, 190, 30]}, "citation.malformed"),
        ({"note": "more"}, "citation.malformed"),
    ],
)
def test_each_wrong_citation_has_its_reason(changes: dict[str, Any], expected: str) -> None:
    """Whatever is wrong with a citation rejects its claim under a stable reason."""
    assert reason(answer("42 of 45", citation(**changes))) == expected


@pytest.mark.parametrize(
    "text", ["42 of 46", "2", "4", "45 of 42", "alarms", "42 45", "", " ", "-"]
)
def test_a_claim_needs_words_of_its_quote(text: str) -> None:
    """A claim that its quote does not say word for word is unsupported."""
    assert reason(answer(text)) == "claim.unsupported"


@pytest.mark.parametrize("text", ["42", "42 OF  45", "(45)", "of 45!"])
def test_case_space_and_outer_punctuation_do_not_matter(text: str) -> None:
    """A claim may differ from its quote in case, white space and punctuation around words."""
    assert check_answer(answer(text), Shelf()).state == "ok"


def test_words_of_several_quotes_do_not_add_up() -> None:
    """A sentence that stands in no single quote is unsupported, however many are cited."""
    alarms = citation(start=0, end=2, bbox=[10, 10, 110, 31], quote="Open alarms:")
    assert reason(answer("Open alarms 42 of 45", alarms, citation())) == "claim.unsupported"


def test_one_bad_citation_spoils_its_claim() -> None:
    """A claim holds only if each of its citations does."""
    bad = citation(quote="all is well")
    assert reason(answer("42 of 45", citation(), bad)) == "quote.mismatch"


def test_a_box_outside_the_frame_is_refused() -> None:
    """Recorded boxes that leave the stored image cannot be cited."""
    shelf = Shelf((Token("far", (190, 10, 210, 30)),))
    far = citation(start=0, end=1, bbox=[190, 10, 210, 30], quote="far")
    assert reason(answer("far", far), shelf) == "bbox.outside"


def test_changed_bytes_are_refused() -> None:
    """A frame whose stored bytes no longer match their digest proves nothing."""
    assert reason(answer(), Burnt()) == "frame.corrupt"


def test_a_claim_without_citation_is_refused() -> None:
    """There is no answer without evidence."""
    assert reason({"claims": [{"text": "42 of 45", "citations": []}]}) == "citation.missing"


@pytest.mark.parametrize(
    "value",
    [
        {"claims": ["42"]},
        {"claims": [{"text": "42"}]},
        {"claims": [{"text": 42, "citations": []}]},
        {"claims": [{"text": "42", "citations": "all"}]},
        {"claims": [{"text": "42", "citations": [], "sure": True}]},
        {"claims": "42"},
        {"text": "42"},
        "42",
        7,
    ],
)
def test_what_is_no_claim_is_malformed(value: Any) -> None:
    """A value of the wrong shape is rejected, not an exception."""
    assert reason(value) == "claim.malformed"


@pytest.mark.parametrize("value", [None, {"claims": []}])
def test_no_claim_is_no_evidence(value: Any) -> None:
    """An empty answer is `no_evidence`, with nothing to reject."""
    checked = check_answer(value, Shelf())
    assert (checked.state, checked.rejected) == ("no_evidence", ())


def test_some_claims_left_is_partial() -> None:
    """The good claims stay, the dropped ones are named by their position."""
    good = {"text": "42", "citations": [citation()]}
    bad = {"text": "43", "citations": [citation()]}
    checked = check_answer({"claims": [bad, good, bad]}, Shelf())
    assert checked.state == "partial"
    assert [claim.text for claim in checked.claims] == ["42"]
    assert [rejected.index for rejected in checked.rejected] == [0, 2]


def test_there_is_no_switch() -> None:
    """Nothing but the answer and the library goes in."""
    assert list(inspect.signature(check_answer).parameters) == ["answer", "library"]


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.binary(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["claims", "text", "citations", "frame"]), inner, max_size=3
        )
    ),
    max_leaves=12,
)


@given(plain)
def test_no_value_breaks_the_check(value: Any) -> None:
    """Whatever a plugin returns, the check answers and accepts nothing unproven."""
    checked = check_answer(value, Shelf())
    assert checked.state == "no_evidence"
    assert checked.claims == ()
