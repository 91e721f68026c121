"""The log tail: bounded, whatever a plugin writes."""

from __future__ import annotations

import threading

from hypothesis import given
from hypothesis import strategies as st

from nxkernel.host.logs import LogTail, escape


@given(st.lists(st.binary(max_size=40), max_size=30), st.integers(0, 50))
def test_the_tail_is_the_end_of_what_was_written(pieces: list[bytes], limit: int) -> None:
    """The last *limit* bytes are kept, cut at no other place; all are counted."""
    tail, whole = LogTail(limit), b"".join(pieces)
    for piece in pieces:
        tail.feed(piece)
    kept = whole[max(0, len(whole) - limit) :]
    assert tail.text() == escape(kept.decode("utf-8", "replace"))
    assert tail.total == len(whole)


@given(st.lists(st.binary(max_size=40), min_size=20, max_size=200))
def test_a_flood_is_held_in_bounded_memory(pieces: list[bytes]) -> None:
    """What is kept never exceeds the limit by more than one piece."""
    tail = LogTail(100)
    for piece in pieces:
        tail.feed(piece)
        assert sum(map(len, tail._chunks)) <= 100 + 40


def test_control_characters_are_shown_and_not_obeyed() -> None:
    """A log cannot steer the terminal of its reader; lines and tabs stay lines and tabs."""
    tail = LogTail(1000)
    tail.feed("\x1b[2J\x07\r\x00\x9b\u202e\n\tüñ漢".encode())
    assert tail.text() == "\\x1b[2J\\x07\\x0d\\x00\\x9b\\x202e\n\tüñ漢"


@given(st.text())
def test_no_text_gets_a_control_character_through(text: str) -> None:
    """Whatever comes, only printable characters, newlines and tabs go out."""
    assert all(c in "\n\t" or c.isprintable() for c in escape(text))


def test_bytes_that_are_no_text_are_marked() -> None:
    """Broken UTF-8 is replaced, never an error."""
    tail = LogTail(3)
    tail.feed("漢字".encode())
    assert tail.text() == "字"
    tail.feed(b"\xff")
    assert tail.text() == "\ufffd" * 3


def test_the_last_lines_are_asked_for_by_number() -> None:
    """Fewer than asked for are all there are; none is none."""
    tail = LogTail(1000)
    tail.feed(b"one\ntwo\nthree\n")
    assert [tail.last_lines(n) for n in (0, 2, 9)] == [
        [],
        ["two", "three"],
        ["one", "two", "three"],
    ]


def test_a_tail_of_nothing_keeps_nothing() -> None:
    """``log_tail=0`` is a limit like any other."""
    tail = LogTail(0)
    tail.feed(b"text")
    assert (tail.text(), tail.last_lines(3), tail.total) == ("", [], 4)


def test_reading_and_writing_threads_do_not_disturb_each_other() -> None:
    """Housekeeping feeds while an application reads."""
    tail = LogTail(64)
    writer = threading.Thread(target=lambda: [tail.feed(b"0123456789\n") for _ in range(2000)])
    writer.start()
    while writer.is_alive():
        assert len(tail.text()) <= 64
    writer.join()
    assert tail.total == 22000


def test_lines_of_an_earlier_worker_are_left_out() -> None:
    """What was there before a point in the stream is not told as what came after it."""
    tail = LogTail(100)
    tail.feed(b"of the first\n")
    before = tail.total
    assert tail.last_lines(5, before) == []
    tail.feed(b"of the second\n")
    assert tail.last_lines(5, before) == ["of the second"]
    assert tail.last_lines(5) == ["of the first", "of the second"]
