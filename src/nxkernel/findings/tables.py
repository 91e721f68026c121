"""Tables: cells stand in the grid, one in each place, and edges ascend."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

from nxkernel.findings.boxes import flaw_of
from nxkernel.findings.flaws import Flaw, Path
from nxkernel.findings.plans import Group
from nxkernel.findings.sight import Sight

__all__ = ["check_spreadsheets", "check_tables"]

#: Most cells that the merges of one table may cover: each is looked at.
MAX_COVERED = 1_000_000


def check_tables(group: Group, _: Sight) -> Iterator[Flaw]:
    """Yield what is wrong with the grid of each table."""
    for path, table in group.members():
        merged: dict[tuple[int, int], tuple[int, int]] = {}
        yield from _merges(path, table, merged)
        yield from _cells(path, table, "cells", merged)
        yield from _edges((*path, "row_y"), table.get("row_y"), table["rows"], "rows")
        yield from _edges((*path, "col_x"), table.get("col_x"), table["cols"], "columns")
        yield from _grid((*path, "grid"), table)


def check_spreadsheets(group: Group, sight: Sight) -> Iterator[Flaw]:
    """Yield what is wrong with each spreadsheet: as a table, and beyond."""
    yield from check_tables(group, sight)
    for path, sheet in group.members():
        active = sheet.get("active_cell")
        if active is not None and not _inside(active["r"], active["c"], sheet):
            yield Flaw((*path, "active_cell"), "outside", _grid_of(sheet))
        headers = sheet.get("headers")
        if headers is not None and len(headers) != sheet["cols"]:
            text = f"expected one for each of {sheet['cols']} columns"
            yield Flaw((*path, "headers"), "mismatch", text)
        for name, column in sorted(sheet.get("header_map", {}).items()):
            if column >= sheet["cols"]:
                yield Flaw((*path, "header_map", name[:60]), "outside", _grid_of(sheet))
        yield from _cells(path, sheet, "top_row_cells", {})
        for index, cell in enumerate(sheet.get("top_row_cells", ())):
            if cell["r"]:
                place = (*path, "top_row_cells", index, "r")
                yield Flaw(place, "mismatch", "is not in the first row")


def _merges(
    path: Path, table: Mapping[str, Any], merged: dict[tuple[int, int], tuple[int, int]]
) -> Iterator[Flaw]:
    """Yield bad merges; *merged* gets every cell that a good one covers, with its first."""
    for index, merge in enumerate(table.get("merges", ())):
        place = (*path, "merges", index)
        r1, c1, r2, c2 = (merge[key] for key in ("r1", "c1", "r2", "c2"))
        if r1 > r2 or c1 > c2:
            yield Flaw(place, "inverted", "r2 lies before r1, or c2 before c1")
        elif not _inside(r2, c2, table):
            yield Flaw(place, "outside", _grid_of(table))
        elif len(merged) + (r2 - r1 + 1) * (c2 - c1 + 1) > MAX_COVERED:
            yield Flaw(place, "outside", f"merges cover more than {MAX_COVERED} cells")
        else:
            covered = {(r, c): (r1, c1) for r in range(r1, r2 + 1) for c in range(c1, c2 + 1)}
            if covered.keys() & merged.keys():
                yield Flaw(place, "overlap", "covers a cell of another merge")
            merged |= covered


def _cells(
    path: Path,
    table: Mapping[str, Any],
    key: str,
    merged: Mapping[tuple[int, int], tuple[int, int]],
) -> Iterator[Flaw]:
    taken: set[tuple[int, int]] = set()
    for index, cell in enumerate(table.get(key, ())):
        place, spot = (*path, key, index), (cell["r"], cell["c"])
        if not _inside(*spot, table):
            yield Flaw(place, "outside", _grid_of(table))
        elif spot in taken:
            yield Flaw(place, "overlap", "another cell stands in this place")
        elif merged.get(spot, spot) != spot:
            yield Flaw(place, "overlap", "a merge covers this place and begins elsewhere")
        taken.add(spot)
        yield from _box((*place, "bbox"), cell.get("bbox"), table["bbox"])


def _box(place: Path, box: Sequence[int] | None, around: Sequence[int]) -> Iterator[Flaw]:
    if box is None:
        return
    ordered = box[0] <= box[2] and box[1] <= box[3]
    within = around[0] <= box[0] and around[1] <= box[1]
    if not (ordered and within and box[2] <= around[2] and box[3] <= around[3]):
        yield flaw_of(place, box, around, "its table")


def _inside(r: int, c: int, table: Mapping[str, Any]) -> bool:
    return bool(r < table["rows"] and c < table["cols"])


def _grid_of(table: Mapping[str, Any]) -> str:
    return f"leaves the grid of {table['rows']} x {table['cols']}"


def _edges(place: Path, edges: Sequence[int] | None, count: int, noun: str) -> Iterator[Flaw]:
    if edges is None:
        return
    if len(edges) != count + 1:
        yield Flaw(place, "mismatch", f"expected {count + 1} edges of {count} {noun}")
    elif any(a > b for a, b in pairwise(edges)):
        yield Flaw(place, "disordered", "edges ascend")


def _grid(place: Path, table: Mapping[str, Any]) -> Iterator[Flaw]:
    grid = table.get("grid")
    if grid is None:
        return
    if len(grid) != table["rows"] or any(len(row) != table["cols"] for row in grid):
        yield Flaw(place, "mismatch", f"is no grid of {table['rows']} x {table['cols']}")
