"""A full-text index in SQLite's FTS5, in the plugin's own folder."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nxkernel as nx

hookimpl = nx.HookimplMarker("screenmem")

Unit = tuple[int, int, str]


class Plugin:
    def __init__(self, context: nx.PluginContext) -> None:
        self._context = context
        self._path = Path(context.run_dir) / "index.sqlite"
        self._database: sqlite3.Connection | None = None

    @hookimpl
    def index_frame(self, document: dict[str, Any]) -> int:
        """Index the lines and table rows of one frame; indexing it again replaces them."""
        units = list(_units(document))
        with self._open() as database:
            database.execute("DELETE FROM units WHERE frame = ?", (document["frame"],))
            database.executemany(
                "INSERT INTO units (frame, first, last, text) VALUES (?, ?, ?, ?)",
                [(document["frame"], *unit) for unit in units],
            )
        self._context.count(rows_written=len(units))
        return len(units)

    @hookimpl
    def search_index(self, query: str, limit: int) -> list[dict[str, Any]]:
        """Return the best units by bm25; units that score alike come in the order of their text."""
        words = re.findall(r"\w+", query)
        if not words:
            return []
        match = " OR ".join(f'"{word}"' for word in dict.fromkeys(words))
        found = self._open().execute(
            "SELECT frame, first, last, text, bm25(units) FROM units WHERE units MATCH ?"
            " ORDER BY bm25(units), frame, first, last LIMIT ?",
            (match, limit),
        )
        rows = found.fetchall()
        self._context.count(rows_read=len(rows))
        return [
            {"frame": frame, "start": first, "end": last, "text": text, "score": _whole(rank)}
            for frame, first, last, text, rank in rows
        ]

    def _open(self) -> sqlite3.Connection:
        if self._database is None:
            self._database = sqlite3.connect(self._path)
            self._database.execute(
                "CREATE VIRTUAL TABLE IF NOT EXISTS units USING fts5"
                "(frame UNINDEXED, first UNINDEXED, last UNINDEXED, text,"
                " tokenize = 'porter unicode61')"
            )
        return self._database


def _whole(rank: float) -> int:
    """bm25 as SQLite has it is lower for better matches; a score is a whole number and higher."""
    return max(0, round(-rank * 1000))


def _units(document: dict[str, Any]) -> Iterator[Unit]:
    layout = document["layout"]
    at = {token["token_id"]: index for index, token in enumerate(document["tokens"])}
    for line in layout["lines"]:
        yield *_span(at, line), line["text"]
    for table in layout["tables"]:
        yield from _rows(at, table)


def _span(at: dict[str, int], *parts: dict[str, Any]) -> tuple[int, int]:
    """Where the tokens of *parts* begin and end."""
    places = [at[name] for part in parts for name in part["token_ids"]]
    return min(places), max(places) + 1


def _rows(at: dict[str, int], table: dict[str, Any]) -> Iterator[Unit]:
    """Each row as one text, every cell after the header of its column."""
    heads = {
        cell["c"]: cell["text"] for cell in table["cells"] if table["header"] and not cell["r"]
    }
    for r in range(int(table["header"]), table["rows"]):
        cells = [cell for cell in table["cells"] if cell["r"] == r]
        if cells:
            text = "; ".join(f"{heads.get(cell['c'], '')} {cell['text']}".strip() for cell in cells)
            yield *_span(at, *cells), text
