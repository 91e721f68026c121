"""Lines, rows and blocks.

A line is a run of words without a wide gap, so a row of a table has several. Tokens must come in
reading order: a line is always a contiguous span of them.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from typing import Any

import attrs

Box = tuple[int, int, int, int]
#: Words stand apart by at most this many heights of their ink; wider gaps separate lines.
WORD_GAP = 1.15
#: Lines of a block stand apart by at most this many heights.
LINE_GAP = 0.95
#: Lines of a block start within this many heights of each other: code is indented.
INDENT = 4.0


@attrs.frozen
class Line:
    """Tokens beside each other on one base line, by their ids."""

    number: int
    tokens: tuple[str, ...]
    box: Box
    text: str

    @property
    def height(self) -> int:
        return self.box[3] - self.box[1]

    def plain(self) -> dict[str, Any]:
        """The line as it crosses to the host."""
        return {
            "line_id": f"l{self.number}",
            "token_ids": list(self.tokens),
            "bbox": list(self.box),
            "text": self.text,
        }


def union(boxes: Iterable[Box]) -> Box:
    """The smallest box around *boxes*."""
    x0, y0, x1, y1 = zip(*boxes, strict=True)
    return min(x0), min(y0), max(x1), max(y1)


def same_row(a: Box, b: Box) -> bool:
    """Whether two boxes share more than half of the lower one's height."""
    overlap = min(a[3], b[3]) - max(a[1], b[1])
    return overlap > 0.5 * min(a[3] - a[1], b[3] - b[1])


def lines_of(tokens: Sequence[dict[str, Any]]) -> list[Line]:
    """Group *tokens* to lines, keeping their order."""
    if not tokens:
        return []
    boxes: list[Box] = [tuple(token["bbox"]) for token in tokens]
    typical = statistics.median(box[3] - box[1] for box in boxes)
    starts = [0]
    for i in range(1, len(boxes)):
        if not _continues(boxes[i - 1], boxes[i], typical):
            starts.append(i)
    spans = zip(starts, [*starts[1:], len(boxes)], strict=True)
    return [
        Line(
            number,
            tuple(token["token_id"] for token in tokens[start:end]),
            union(boxes[start:end]),
            " ".join(token["text"] for token in tokens[start:end]),
        )
        for number, (start, end) in enumerate(spans)
    ]


def _continues(left: Box, right: Box, typical: float) -> bool:
    height = max(left[3] - left[1], right[3] - right[1], 0.8 * typical)
    gap = right[0] - left[2]
    return same_row(left, right) and -0.5 * height < gap < WORD_GAP * height


def rows_of(lines: Sequence[Line]) -> list[list[Line]]:
    """Group neighbouring lines that stand side by side, from left to right."""
    rows: list[list[Line]] = []
    for line in lines:
        last = rows[-1][-1] if rows else None
        if last is not None and same_row(last.box, line.box) and line.box[0] >= last.box[2]:
            rows[-1].append(line)
        else:
            rows.append([line])
    return rows


def blocks_of(lines: Sequence[Line]) -> list[dict[str, Any]]:
    """Group lines that follow each other closely downwards, as in a paragraph or a card."""
    blocks: list[list[Line]] = []
    typical = statistics.median(line.height for line in lines) if lines else 0
    for line in lines:
        home = next((b for b in reversed(blocks) if _follows(b[-1], line, typical)), None)
        if home is None:
            blocks.append([line])
        else:
            home.append(line)
    return [
        {
            "block_id": f"b{number}",
            "line_ids": [f"l{line.number}" for line in block],
            "bbox": list(union(line.box for line in block)),
            "text": "\n".join(line.text for line in block),
        }
        for number, block in enumerate(blocks)
    ]


def _follows(above: Line, below: Line, typical: float) -> bool:
    height = max(above.height, below.height, 0.9 * typical)
    gap = below.box[1] - above.box[3]
    overlap = min(above.box[2], below.box[2]) - max(above.box[0], below.box[0])
    near = abs(above.box[0] - below.box[0]) <= INDENT * height
    return overlap > 0 and near and -0.3 * height < gap <= LINE_GAP * height
