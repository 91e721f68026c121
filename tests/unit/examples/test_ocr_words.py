"""Words get their boxes from the ink, and reading order from their columns."""

from __future__ import annotations

import numpy as np
import pytest

from tests.unit.examples.loading import load

order = load("ocr_rapid", "reading_order").reading_order
words = load("ocr_rapid", "ocr_words")


def page(*boxes: tuple[int, int, int, int], dark: bool = False) -> np.ndarray:
    """An image of 200 x 60 with solid *boxes* as its ink."""
    image = np.full((60, 200, 3), 20 if dark else 250, np.uint8)
    for x0, y0, x1, y1 in boxes:
        image[y0:y1, x0:x1] = 230 if dark else 10
    return image


def read(text: str, centres: tuple[float, ...], image: np.ndarray) -> list[tuple[str, list[int]]]:
    line = words.Line(text, 0.987, (5, 8, 190, 42), centres)
    return [(token["text"], token["bbox"]) for token in words.tokens_of([line], image)]


@pytest.mark.parametrize("dark", [False, True])
def test_boxes_fit_the_ink(dark: bool) -> None:
    """A word's box is the box of its ink, on light and on dark ground."""
    image = page((20, 15, 28, 30), (30, 15, 38, 30), (60, 15, 68, 30), dark=dark)
    assert read("ab c", (23.0, 35.0, 63.0), image) == [
        ("ab", [20, 15, 38, 30]),
        ("c", [60, 15, 68, 30]),
    ]


def test_a_lost_space_is_found() -> None:
    """A gap as wide as a space separates words that were read as one."""
    ink = [(x, 15, x + 6, 30) for x in (20, 28, 36, 60, 68)]
    assert [text for text, _ in read("abcde", (23, 31, 39, 63, 71), page(*ink))] == ["abc", "de"]


def test_letters_apart_are_one_word() -> None:
    """Wide but even gaps are the style of a word, not spaces."""
    ink = [(x, 15, x + 6, 30) for x in (20, 40, 60, 80)]
    assert [text for text, _ in read("WIDE", (23, 43, 63, 83), page(*ink))] == ["WIDE"]


def test_neighbouring_lines_do_not_count() -> None:
    """Ink that enters the box from the line above does not make the word taller."""
    image = page((20, 15, 38, 30), (20, 0, 30, 11))
    assert read("ab", (23.0, 35.0), image) == [("ab", [20, 15, 38, 30])]


def test_confidence_is_a_whole_percent() -> None:
    """Confidence is given in basis points without the float's last digits."""
    line = words.Line("a", 0.98765, (5, 8, 190, 42), (23.0,))
    (token,) = words.tokens_of([line], page((20, 15, 28, 30)))
    assert token["confidence_bp"] == 9900
    assert token["token_id"] == "t0"


@pytest.mark.parametrize(
    ("read_as", "meant"),
    [("ERR0R", "ERROR"), ("ZER0_0FFSET", "ZERO_OFFSET"), ("llse", "Ilse"), ("6.3℃", "6.3°C")],
)
def test_shapes_are_mended(read_as: str, meant: str) -> None:
    """What is confused by shape alone is put right."""
    assert words.mend(read_as) == meant


@pytest.mark.parametrize("word", ["INV-20417", "2026", "A0", "llama", "0x1F", "v0.1.0", "10"])
def test_numbers_stay_numbers(word: str) -> None:
    """Real digits and real double letters are left alone."""
    assert words.mend(word) == word


def test_rows_from_left_to_right() -> None:
    """Boxes in rows are read row by row."""
    boxes = [(100, 2, 150, 20), (0, 0, 50, 20), (0, 24, 50, 44)]
    assert order(boxes) == [1, 0, 2]


def test_a_side_bar_is_read_by_itself() -> None:
    """Columns whose lines do not stand in common rows are read one after the other."""
    bar = [(0, y, 60, y + 14) for y in (0, 31, 62)]
    text = [(200, y, 500, y + 14) for y in (10, 44, 78, 94)]
    assert order([*text, *bar]) == [4, 5, 6, 0, 1, 2, 3]


def test_a_table_is_read_by_rows() -> None:
    """Columns with common rows are one table."""
    cells = [(x, y, x + 60, y + 14) for y in (0, 40, 80) for x in (0, 200, 400)]
    assert order(cells) == list(range(9))


def test_order_is_a_permutation_of_nothing_too() -> None:
    """No boxes have no order."""
    assert order([]) == []
