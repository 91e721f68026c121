"""The order in which a person would read boxes of text: columns, then rows, then left to right.

A recursive X-Y cut (Nagy and Seth, 1984), with one addition: columns whose boxes stand in common
rows are the columns of a table and are read row by row.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence

#: x0, y0, x1, y1
Box = tuple[int, int, int, int]
#: A gutter is at least this many line heights wide.
GUTTER = 1.2
#: When more boxes than this share have a partner in the same row, two columns are one table.
TABLE = 0.65


def reading_order(boxes: Sequence[Box]) -> list[int]:
    """Return the indices of *boxes* in reading order."""
    if not boxes:
        return []
    height = statistics.median(box[3] - box[1] for box in boxes)
    return _order(boxes, sorted(range(len(boxes)), key=lambda i: (boxes[i], i)), height)


def _order(boxes: Sequence[Box], members: list[int], height: float) -> list[int]:
    if len(members) < 2:
        return members
    split = _columns(boxes, members, height) or _bands(boxes, members)
    if split is None:
        return _by_rows(boxes, members)
    first, second = split
    return _order(boxes, first, height) + _order(boxes, second, height)


def _columns(
    boxes: Sequence[Box], members: list[int], height: float
) -> tuple[list[int], list[int]] | None:
    """Cut at the widest gutter that does not run through a table."""
    for width, cut in sorted(_gaps(boxes, members, 0), reverse=True):
        left = [i for i in members if boxes[i][2] <= cut]
        right = [i for i in members if boxes[i][2] > cut]
        if width < GUTTER * height:
            return None
        if min(len(left), len(right)) > 1 and not _one_table(boxes, left, right):
            return left, right
    return None


def _bands(boxes: Sequence[Box], members: list[int]) -> tuple[list[int], list[int]] | None:
    """Cut at the tallest band without text."""
    gaps = _gaps(boxes, members, 1)
    if not gaps:
        return None
    cut = max(gaps)[1]
    above = [i for i in members if boxes[i][3] <= cut]
    return above, [i for i in members if boxes[i][3] > cut]


def _gaps(boxes: Sequence[Box], members: list[int], axis: int) -> list[tuple[int, int]]:
    """Width and start of each interval on *axis* (0: x, 1: y) that no box covers."""
    spans = sorted((boxes[i][axis], boxes[i][axis + 2]) for i in members)
    gaps, reach = [], spans[0][1]
    for start, end in spans[1:]:
        if start > reach:
            gaps.append((start - reach, reach))
        reach = max(reach, end)
    return gaps


def _one_table(boxes: Sequence[Box], left: list[int], right: list[int]) -> bool:
    few, many = sorted((left, right), key=len)
    partnered = sum(any(_same_row(boxes[i], boxes[j]) for j in many) for i in few)
    return partnered > TABLE * len(few)


def _same_row(a: Box, b: Box) -> bool:
    distance = abs(a[1] + a[3] - b[1] - b[3]) / 2
    return distance < 0.4 * min(a[3] - a[1], b[3] - b[1])


def _by_rows(boxes: Sequence[Box], members: list[int]) -> list[int]:
    rows: list[list[int]] = []
    for i in sorted(members, key=lambda i: (boxes[i][1] + boxes[i][3], boxes[i], i)):
        if rows and _same_row(boxes[rows[-1][-1]], boxes[i]):
            rows[-1].append(i)
        else:
            rows.append([i])
    return [i for row in rows for i in sorted(row, key=lambda i: (boxes[i], i))]
