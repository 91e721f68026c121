"""Words taken out of what a plugin says, however it says them."""

from __future__ import annotations

import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nxkernel.host.logs import LogTail
from nxkernel.host.masking import NOTHING, Masking
from nxkernel.schemas.secrets import MASK
from nxkernel.types import CallError, Outcome
from tests.support.calls import a_call

WORD = "it's \"né\\\nzwei-3"


@pytest.mark.parametrize(
    "said",
    [WORD, repr(WORD), json.dumps(WORD), json.dumps(WORD, ensure_ascii=False), quote(WORD)],
)
def test_a_word_is_found_as_it_is_and_as_it_is_quoted(said: str) -> None:
    """A literal of Python's, of JSON's, a part of an address."""
    assert Masking([WORD]).text(f"<{said}>").strip("<>'\"") == MASK


def test_a_line_of_a_longer_secret_is_one_too() -> None:
    """A key of several lines is printed a line at a time."""
    assert Masking(["BEGIN\nabcdef\nEND"]).text("read: abcdef") == f"read: {MASK}"


def test_of_words_that_begin_alike_the_longest_is_masked() -> None:
    """Nothing of the longer one is left over."""
    assert Masking(["abcd", "abcdefgh"]).text("abcdefgh abcd") == f"{MASK} {MASK}"


def test_short_words_and_no_words_mask_nothing() -> None:
    """A secret of three characters would take half of a log with it."""
    assert Masking(["abc", ""]).text("abc") == "abc"
    assert NOTHING.value({"a": ["b"]}) == {"a": ["b"]}


def test_every_text_in_a_value_is_masked() -> None:
    """Keys too; what is no text stays what it is."""
    found = Masking(["hunter2"]).value({"hunter2": ["hunter2", 1, None], "a": {"b": "xhunter2x"}})
    assert found == {MASK: [MASK, 1, None], "a": {"b": f"x{MASK}x"}}


def test_an_error_is_masked_and_a_value_is_not() -> None:
    """What a plugin returns, it returns; what it says of a failure is for people."""
    masking, call = Masking(["hunter2"]), a_call()
    failed = Outcome.failed(call, "plugin.raised", "no hunter2", "plugin", details={"a": "hunter2"})
    error = masking.outcome(failed).error
    assert error == CallError(code="plugin.raised", message=f"no {MASK}", details={"a": MASK})


@given(
    st.lists(st.sampled_from(["hunter2", "hunt", "er2\n", "x", "né", "2hunter"]), max_size=12),
    st.lists(st.integers(1, 9), min_size=1, max_size=12),
)
def test_pieces_are_masked_as_the_whole(said: list[str], sizes: list[int]) -> None:
    """However a worker's output is cut, each word in it is masked, and nothing is lost."""
    masking, log = Masking(["hunter2", "né-x"]), LogTail(10_000)
    log.masking = masking
    data, start = "".join(said).encode(), 0
    while start < len(data):
        size = sizes[start % len(sizes)]
        log.feed(data[start : start + size])
        start += size
    log.ended(0)
    whole, held = masking.stream(b"", data)
    rest = MASK.encode() if len(held) >= 4 else held
    assert log.text() == (whole + rest).decode("utf-8", "replace")
    assert "hunter2" not in log.text()
    assert log.total == len(whole + rest)
