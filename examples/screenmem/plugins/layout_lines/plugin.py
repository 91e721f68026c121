"""Puts words together to lines, blocks and tables, from their boxes alone."""

from __future__ import annotations

from typing import Any

from layout_geometry import blocks_of, lines_of, rows_of
from layout_tables import tables_of

import nxkernel as nx

hookimpl = nx.HookimplMarker("screenmem")


class Plugin:
    @hookimpl
    def assemble_layout(
        self, frame: dict[str, Any], tokens: list[dict[str, Any]]
    ) -> dict[str, Any]:
        """Return the lines, blocks and tables of one frame, made of its *tokens*."""
        lines = lines_of(tokens)
        rows = rows_of(lines)
        return {
            "lines": [line.plain() for line in lines],
            "blocks": blocks_of(lines),
            "tables": tables_of(rows),
        }
