"""From recognised lines to words whose boxes fit their ink.

The recogniser knows roughly where each glyph stands and sometimes overlooks a space. The pixels
know exactly where there is no ink. Together they give words with tight boxes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import attrs
import numpy as np
from reading_order import Box, reading_order

#: A gap wider than this share of the ink's height separates words, whatever was recognised ...
LOST_SPACE = 0.55
#: ... if it is also this many times as wide as the line's usual gap between glyphs.
UNUSUAL = 2.5
#: A row or column of pixels that is inked almost throughout is a ruled line, not text.
RULE = 0.9


@attrs.frozen
class Line:
    """One recognised line."""

    text: str
    #: 0 to 1.
    score: float
    box: Box
    #: Horizontal centres of the glyphs of ``text`` without its spaces.
    centres: tuple[float, ...]

    @classmethod
    def read(cls, quad: Any, text: str, score: float, glyphs: Any) -> Line:
        """Read one line of the engine's output; *quad* has four corners."""
        xs, ys = [float(p[0]) for p in quad], [float(p[1]) for p in quad]
        box = (int(min(xs)), int(min(ys)), int(max(xs)), int(max(ys)))
        text = " ".join(text.split())
        count = len(text.replace(" ", ""))
        centres = tuple(float(np.mean([p[0] for p in glyph[2]])) for glyph in glyphs)
        if len(centres) != count or list(centres) != sorted(centres):
            centres = _spread(text, box)
        return cls(text, float(score), box, centres)


def _spread(text: str, box: Box) -> tuple[float, ...]:
    """Centres of glyphs of equal width: the fallback when the engine gives none that fit."""
    pitch = (box[2] - box[0]) / max(len(text), 1)
    return tuple(box[0] + (i + 0.5) * pitch for i, c in enumerate(text) if c != " ")


def tokens_of(lines: Sequence[Line], image: np.ndarray) -> list[dict[str, Any]]:
    """Return the words of *lines* in reading order, with boxes cut to their ink in *image*."""
    readable = [line for line in lines if line.centres]
    tokens = [
        {
            "text": mend(text),
            "bbox": list(box),
            # Whole percents: the last digits of a float are no evidence.
            "confidence_bp": round(line.score * 100) * 100,
        }
        for index in reading_order([line.box for line in readable])
        for line in (readable[index],)
        for text, box in _words(line, image)
    ]
    return [{"token_id": f"t{number}"} | token for number, token in enumerate(tokens)]


def _words(line: Line, image: np.ndarray) -> Iterator[tuple[str, Box]]:
    x0, y0, x1, y1 = _clip(line.box, image.shape)
    ink = _ink(image[y0:y1, x0:x1])
    if not ink.any():
        ink[:] = True
    top, bottom = _own_rows(ink.any(axis=1))
    # All rows, not only the line's own: an underscore may lie below them.
    columns = ink.any(axis=0)
    inked = np.flatnonzero(columns)
    left, last = int(inked[0]), int(inked[-1])
    centres = [min(max(c - x0, left), last) for c in line.centres]
    for text, right, start in _cuts(line.text, centres, columns, bottom - top):
        yield text, (x0 + left, y0 + top, x0 + max(right, left + 1), y0 + bottom)
        left = start


def _own_rows(rows: np.ndarray) -> tuple[int, int]:
    """First and last row of the line itself.

    What touches the edge of the box apart from the tallest run of rows belongs to a neighbour.
    """
    runs = _runs(rows)
    tallest = max(runs, key=lambda run: run[1] - run[0])
    own = [run for run in runs if run == tallest or (run[0] > 0 and run[1] < len(rows))]
    return own[0][0], own[-1][1]


def _runs(flags: np.ndarray) -> list[tuple[int, int]]:
    """Start and end of each run of true values."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], flags.astype(np.int8), [0]))))
    return [(int(start), int(end)) for start, end in edges.reshape(-1, 2)]


def _cuts(
    text: str, centres: Sequence[float], columns: np.ndarray, height: int
) -> Iterator[tuple[str, int, int]]:
    """Yield each word with the column after its last ink and the first column of the next word."""
    gaps = [_gap(columns, int(a), int(b)) for a, b in pairwise(centres)]
    usual = float(np.median([end - start for start, end in gaps])) if gaps else 0.0
    wide = max(LOST_SPACE * height, UNUSUAL * usual)
    word = ""
    glyphs = [(character, text[i + 1 : i + 2] == " ") for i, character in enumerate(text)]
    shown = [glyph for glyph in glyphs if glyph[0] != " "]
    for (character, spaced), (start, end) in zip(shown, gaps, strict=False):
        word += character
        if spaced or end - start > wide:
            yield word, start, end
            word = ""
    yield word + shown[-1][0], int(np.flatnonzero(columns)[-1]) + 1, len(columns)


def _gap(columns: np.ndarray, left: int, right: int) -> tuple[int, int]:
    """The widest run of columns without ink between two glyph centres, or their middle."""
    blanks = _runs(~columns[left : right + 1])
    if not blanks:
        return ((left + right + 1) // 2,) * 2
    start, end = max(blanks, key=lambda run: run[1] - run[0])
    return left + start, left + end


def _ink(region: np.ndarray) -> np.ndarray:
    """Where *region* differs from its most frequent colour in any channel, without ruled lines."""
    gray = region.mean(axis=2).astype(np.uint8)
    common = gray == np.bincount(gray.ravel(), minlength=256).argmax()
    background = np.median(region[common], axis=0)
    difference = np.abs(region - background).max(axis=2)
    ink: np.ndarray = difference > max(30.0, 0.35 * float(difference.max()))
    ink[ink.mean(axis=1) > RULE, :] = False
    ink[:, ink.mean(axis=0) > RULE] = False
    return ink


def _clip(box: Box, shape: tuple[int, ...]) -> Box:
    height, width = shape[:2]
    x0, y0 = min(max(box[0], 0), width - 1), min(max(box[1], 0), height - 1)
    return x0, y0, min(max(box[2], x0 + 1), width), min(max(box[3], y0 + 1), height)


_SHOUTED = re.compile(r"(?=(?:.*[A-Z]){2})[^a-z1-9]*")
#: No English word starts with a double l before a consonant, but many names start with Il.
_DOUBLE_L = re.compile(r"\bll(?=[bcdfghjkmnpqrstvwxz])")


def mend(word: str) -> str:
    """Undo what the recogniser confuses by shape alone: 0 in a capitalised word, l for I."""
    if _SHOUTED.fullmatch(word):
        word = word.replace("0", "O")
    return _DOUBLE_L.sub("Il", word).replace("℃", "°C").replace("℉", "°F")
