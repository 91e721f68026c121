"""Tables: rows below each other whose cells keep to common columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from layout_geometry import Line, union

#: Rows of one table follow each other within this many heights.
ROW_PITCH = 3.4
#: Two rows beside each other may be chance.
MIN_ROWS = 2

Row = Sequence[Line]
#: Start and end on the x axis.
Column = tuple[int, int]


def tables_of(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Return the tables that *rows* form, from top to bottom."""
    tables, run = [], list[Row]()
    for row in [*rows, ()]:
        if run and not _extends(run, row):
            tables += _table(len(tables), run)
            run = []
        if len(row) > 1:
            run.append(row)
    return tables


def _extends(run: Sequence[Row], row: Row) -> bool:
    if len(row) < 2:
        return False
    above, below = union(line.box for line in run[-1]), union(line.box for line in row)
    height = max(line.height for each in [*run, row] for line in each)
    # A column that is new to the table may stand in a gap, but no cell may span two columns.
    return 0 < below[1] - above[1] <= ROW_PITCH * height and _columns([*run, row]) is not None


def _columns(run: Sequence[Row]) -> list[Column] | None:
    """The columns that *run* keeps to, or None when two cells of a row fall into one."""
    merged: list[Column] = []
    for x0, x1 in sorted((line.box[0], line.box[2]) for row in run for line in row):
        if merged and x0 < merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], x1))
        else:
            merged.append((x0, x1))
    for row in run:
        taken = [_column(line, merged) for line in row]
        if len(set(taken)) < len(taken):
            return None
    return merged


def _column(line: Line, columns: Sequence[Column]) -> int:
    return next(c for c, (x0, x1) in enumerate(columns) if x0 <= line.box[0] < x1)


def _table(number: int, run: Sequence[Row]) -> list[dict[str, Any]]:
    columns = _columns(run)
    if len(run) < MIN_ROWS or columns is None:
        return []
    return [
        {
            "table_id": f"tb{number}",
            "bbox": list(union(line.box for row in run for line in row)),
            "rows": len(run),
            "cols": len(columns),
            "header": _has_header(run),
            "cells": [
                {
                    "r": r,
                    "c": _column(line, columns),
                    "bbox": list(line.box),
                    "text": line.text,
                    "token_ids": list(line.tokens),
                }
                for r, row in enumerate(run)
                for line in row
            ],
        }
    ]


def _has_header(run: Sequence[Row]) -> bool:
    """The first row names columns: it has no numbers, and it is as full as any other row."""
    first = run[0]
    widest = max(len(row) for row in run)
    named = not any(line.text[-1:] in ":=" or _is_number(line.text) for line in first)
    # Two columns are rather names with values than a table, unless a column has numbers alone.
    numbers = len(run) > 2 and all(_is_number(row[-1].text) for row in run[1:])
    return named and len(first) == widest and (widest > 2 or numbers)


def _is_number(text: str) -> bool:
    digits = sum(character.isdigit() for character in text)
    return digits > 0 and digits * 2 >= len(text.replace(" ", ""))
