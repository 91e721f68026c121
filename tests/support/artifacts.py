"""Valid artifacts drawn at random, and single faults planted in them.

A screen is drawn as numbers of words, lines and so on, and laid out on a grid, so that every box,
id and span of it holds. Each fault changes one place of a screen and names the place and the code
by which a check must find it.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import attrs
from hypothesis import strategies as st

Json = dict[str, Any]
WIDTH, HEIGHT = 640, 480


@attrs.frozen
class Fault:
    """One change of a valid story, and how it is found."""

    place: str
    to: Any
    path: str
    code: str

    def planted(self, story: Json) -> Json:
        """Return a copy of *story* with this fault."""
        faulty = copy.deepcopy(story)
        target: Any = faulty
        *way, last = self.place.split("/")[1:]
        for part in way:
            target = target[int(part)] if isinstance(target, list) else target[part]
        before = target.get(last)
        target[last] = self.to(before) if callable(self.to) else copy.deepcopy(self.to)
        return faulty

    def __str__(self) -> str:
        return f"{self.code} {self.path}"


def box(place: int) -> list[int]:
    """Return a box of its own for each number below 60."""
    x, y = 10 * (place % 60), 10 * (place // 60)
    return [x, y, x + 8, y + 8]


def frame() -> Json:
    """Return the frame of every screen."""
    return {"frame_id": "f1", "width": WIDTH, "height": HEIGHT, "name": "one.png"}


def token(number: int) -> Json:
    """Return a word."""
    return {
        "token_id": f"t{number}",
        "text": f"word{number}",
        "bbox": box(number),
        "confidence_bp": 9000 + number,
    }


def screen(
    name: str,
    ts_ms: int,
    *,
    words: int = 4,
    cut: int = 2,
    grid: tuple[int, int] = (2, 2),
    code: Sequence[str] = ("a = b", "b"),
    points: int = 2,
) -> Json:
    """Return a valid state with at least two of everything that a fault may need."""
    tokens = [token(number) for number in range(words)]
    lines = [_line(0, tokens[:cut]), _line(1, tokens[cut:])]
    rows, cols = grid
    return {
        "state_id": name,
        "frame_id": "f1",
        "ts_ms": ts_ms,
        "width": WIDTH,
        "height": HEIGHT,
        "tokens": tokens,
        "text_lines": lines,
        "text_blocks": [
            {"block_id": "b0", "line_ids": ["l0", "l1"], "bbox": [0, 0, 200, 20], "text": "all"}
        ],
        "tables": [_table("tb0", rows, cols, name), _table("tb1", rows, cols, name)],
        "spreadsheets": [_sheet("sh0", rows, cols, name)],
        "code_blocks": [_code(list(code), name)],
        "charts": [_chart(points, name)],
        "element_graph": {
            "elements": _elements(),
            "edges": [{"src": "e0", "dst": "e2", "kind": "k"}],
        },
        "cursor": {"bbox": box(7), "type": "arrow", "confidence_bp": 8000},
        "focus_element_id": "e2",
        "state_confidence_bp": 9000,
    }


@st.composite
def screens(draw: st.DrawFn, name: str = "s2", ts_ms: int = 2000) -> Json:
    """Draw a valid state."""
    words = draw(st.integers(4, 12))
    state = screen(
        name,
        ts_ms,
        words=words,
        cut=draw(st.integers(2, words - 2)),
        grid=(draw(st.integers(2, 4)), draw(st.integers(2, 4))),
        code=draw(st.lists(st.text("ab =\t", max_size=6), min_size=2, max_size=6)),
        points=draw(st.integers(1, 5)),
    )
    for key in draw(st.sets(st.sampled_from(("cursor", "focus_element_id")))):
        del state[key]
    return state


def _line(number: int, tokens: list[Json]) -> Json:
    return {
        "line_id": f"l{number}",
        "token_ids": [each["token_id"] for each in tokens],
        "bbox": [0, 10 * number, 200, 10 * number + 8],
        "text": " ".join(each["text"] for each in tokens),
    }


def _cells(rows: int, cols: int) -> list[Json]:
    return [
        {
            "r": r,
            "c": c,
            "text": f"{r},{c}",
            "bbox": [100 + 20 * c, 100 + 20 * r, 118 + 20 * c, 118 + 20 * r],
            "token_ids": ["t0"],
        }
        for r in range(rows)
        for c in range(cols)
        if (r, c) != (1, 1)
    ]


def _table(name: str, rows: int, cols: int, state: str) -> Json:
    return {
        "table_id": name,
        "state_id": state,
        "bbox": [100, 100, 100 + 20 * cols, 100 + 20 * rows],
        "rows": rows,
        "cols": cols,
        "row_y": [100 + 20 * r for r in range(rows + 1)],
        "col_x": [100 + 20 * c for c in range(cols + 1)],
        "merges": [{"r1": 1, "c1": 0, "r2": 1, "c2": 1}],
        "grid": [[f"{r},{c}" for c in range(cols)] for r in range(rows)],
        "cells": _cells(rows, cols),
    }


def _sheet(name: str, rows: int, cols: int, state: str) -> Json:
    headers = [f"h{c}" for c in range(cols)]
    return {
        **_table(name, rows, cols, state),
        "active_cell": {"r": rows - 1, "c": 0},
        "formula_bar": "=1",
        "headers": headers,
        "header_map": {name: c for c, name in enumerate(headers)},
        "top_row_cells": [{"r": 0, "c": c, "text": "x"} for c in range(cols)],
    }


def _code(lines: list[str], state: str) -> Json:
    text = "\n".join(lines)
    return {
        "code_id": "k0",
        "state_id": state,
        "bbox": [300, 300, 400, 400],
        "language": "python",
        "text": text,
        "lines": lines,
        "line_numbers": list(range(1, len(lines) + 1)),
        "caret": len(text),
        "selection": {"start": 0, "end": len(text)},
        "diagnostics": [{"span": {"start": 0, "end": 1}, "message": "odd", "severity": "hint"}],
        "confidence_bp": 8000,
    }


def _chart(points: int, state: str) -> Json:
    return {
        "chart_id": "c0",
        "state_id": state,
        "bbox": [400, 100, 600, 300],
        "chart_type": "bar",
        "labels": [f"p{n}" for n in range(points)],
        "ticks_x": [{"text": "0", "at": 400}],
        "ticks_y": [{"text": "0", "at": 300}, {"text": "9", "at": 100}],
        "series": [
            {"name": "a", "values": ["1"] * points},
            {"name": "b", "values": ["2"] * points},
        ],
        "evidence": ["t0", "t1"],
        "confidence_bp": 7000,
    }


def _elements() -> list[Json]:
    return [
        {
            "element_id": "e0",
            "type": "window",
            "bbox": [0, 0, 640, 480],
            "children_ids": ["e1", "e2"],
        },
        {"element_id": "e1", "type": "pane", "bbox": [0, 0, 99, 99], "parent_id": "e0"},
        {
            "element_id": "e2",
            "type": "field",
            "bbox": [9, 9, 20, 20],
            "parent_id": "e0",
            "text_refs": ["t0"],
        },
    ]


def story(before: Json, after: Json, acted_ms: int) -> Json:
    """Return two states with the delta and the action between them, all valid together."""
    return {
        "frame": frame(),
        "states": [before, after],
        "deltas": [
            {
                "delta_id": "d0",
                "from_state_id": "s1",
                "to_state_id": "s2",
                "ts_ms": 2000,
                "changes": [
                    {"kind": "changed", "target_id": "t0", "detail": "text"},
                    {"kind": "added", "target_id": "t1"},
                    {"kind": "removed", "target_id": "e1"},
                ],
            }
        ],
        "actions": [
            {
                "action_id": "a0",
                "from_state_id": "s1",
                "to_state_id": "s2",
                "ts_ms": acted_ms,
                "primary": {"kind": "click", "target_element_id": "e2", "confidence_bp": 9000},
                "alternatives": [
                    {"kind": "type", "confidence_bp": 500},
                    {"kind": "unknown", "confidence_bp": 500},
                ],
                "impact": {"created": ["t0"], "modified": ["t1"], "deleted": ["t2"]},
            }
        ],
    }


#: The plainest story that has a place for every fault.
PLAIN = story(screen("s1", 1000), screen("s2", 2000), 1500)


@st.composite
def stories(draw: st.DrawFn) -> Json:
    """Draw a valid story."""
    states = draw(screens("s1", 1000)), draw(screens("s2", 2000))
    return story(*states, draw(st.integers(1000, 2000)))


#: What a story looks like: states, deltas and actions stand for themselves.
STORY: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "frame": {"$ref": "urn:nxkernel:sst:frame:1"},
        "states": {
            "type": "array",
            "items": {"$ref": "urn:nxkernel:sst:state:1"},
            "x-nx-each": "state",
        },
        "deltas": {
            "type": "array",
            "items": {"$ref": "urn:nxkernel:sst:delta:1"},
            "x-nx-each": "delta",
        },
        "actions": {
            "type": "array",
            "items": {"$ref": "urn:nxkernel:sst:action:1"},
            "x-nx-each": "action",
        },
    },
}


def fault(code: str, place: str, to: Any, *, at: str = "", path: str = "") -> Fault:
    """Return the fault of *to* at *place*, found there, or *at* below it, or at *path*.

    *to* is a value, or what makes one of the value that stood there.
    """
    return Fault(place, to, path or place + at, code)


S = "/states/1"
TABLE, SHEET = S + "/tables/1", S + "/spreadsheets/0"
CODE, CHART, GRAPH = S + "/code_blocks/0", S + "/charts/0", S + "/element_graph"
_HAND = {"bbox": [0, 0, 999, 9], "type": "hand", "confidence_bp": 1}
_MERGE = {"r1": 0, "c1": 1, "r2": 1, "c2": 1}
#: One fault for each rule, in the second state of a story or between the two.
FAULTS = [
    fault("repeated_id", S + "/tokens/2/token_id", "t0"),
    fault("repeated_id", S + "/state_id", "s1"),
    fault("outside", S + "/tokens/0/bbox", [0, 0, WIDTH + 1, 9]),
    fault("outside", S + "/text_lines/0/bbox", [0, 0, 9, HEIGHT + 1]),
    fault("inverted", S + "/tokens/1/bbox", [9, 0, 8, 9]),
    fault("outside", S + "/cursor", _HAND, at="/bbox"),
    fault("unknown_id", S + "/tokens/0/line_id", "l9"),
    fault("unknown_id", S + "/text_lines/1/token_ids", ["t99"], at="/0"),
    fault("unknown_id", S + "/text_blocks/0/line_ids", ["l0", "l9"], at="/1"),
    fault("unknown_id", S + "/frame_id", "f2"),
    fault("mismatch", S + "/width", WIDTH + 1),
    fault("mismatch", TABLE + "/state_id", "s1"),
    fault("outside", TABLE + "/cells/0/r", 99, path="/states/1/tables/1/cells/0"),
    fault("overlap", TABLE + "/cells/1/c", 0, path="/states/1/tables/1/cells/1"),
    fault("outside", TABLE + "/cells/0/bbox", [0, 0, 9, 9]),
    fault("inverted", TABLE + "/cells/0/bbox", [110, 110, 105, 115]),
    fault("unknown_id", TABLE + "/cells/0/token_ids", ["t99"], at="/0"),
    fault("inverted", TABLE + "/merges/0/r2", 0, path="/states/1/tables/1/merges/0"),
    fault("outside", TABLE + "/merges/0/c2", 9, path="/states/1/tables/1/merges/0"),
    fault("overlap", TABLE + "/merges", lambda m: [*m, _MERGE], at="/1"),
    fault(
        "overlap",
        TABLE + "/merges",
        [{"r1": 0, "c1": 0, "r2": 0, "c2": 1}],
        path="/states/1/tables/1/cells/1",
    ),
    fault("mismatch", TABLE + "/row_y", lambda y: y[1:]),
    fault("disordered", TABLE + "/col_x", lambda x: x[::-1]),
    fault("mismatch", TABLE + "/grid", lambda g: g[1:]),
    fault("outside", SHEET + "/active_cell", {"r": 99, "c": 0}),
    fault("mismatch", SHEET + "/headers", ["h0"]),
    fault("outside", SHEET + "/header_map", {"h0": 0, "h1": 9}, at="/h1"),
    fault("mismatch", SHEET + "/top_row_cells/0/r", 1),
    fault("mismatch", CHART + "/series/1/values", lambda v: v[1:]),
    fault("outside", CHART + "/ticks_y/1/at", 99),
    fault("unknown_id", CHART + "/evidence", ["t99"], at="/0"),
    fault("mismatch", CODE + "/lines", lambda x: [*x[:-1], x[-1] + "z"]),
    fault("mismatch", CODE + "/line_numbers", []),
    fault("outside", CODE + "/caret", 999),
    fault("outside", CODE + "/selection", {"start": 0, "end": 999}),
    fault("inverted", CODE + "/selection", {"start": 1, "end": 0}),
    fault("outside", CODE + "/diagnostics/0/span", {"start": 0, "end": 999}),
    fault("unknown_id", GRAPH + "/elements/0/children_ids", ["e9", "e1", "e2"], at="/0"),
    fault(
        "mismatch",
        GRAPH + "/elements/0/children_ids",
        ["e1"],
        path="/states/1/element_graph/elements/2/parent_id",
    ),
    fault(
        "mismatch",
        GRAPH + "/elements/2/parent_id",
        "e1",
        path="/states/1/element_graph/elements/0/children_ids/1",
    ),
    fault("cycle", GRAPH + "/elements/0/parent_id", "e1"),
    fault("unknown_id", GRAPH + "/elements/2/text_refs", ["t99"], at="/0"),
    fault("unknown_id", GRAPH + "/edges/0/dst", "e9"),
    fault("unknown_id", S + "/focus_element_id", "e9"),
    fault("unknown_id", "/deltas/0/from_state_id", "s9"),
    fault("unknown_id", "/deltas/0/to_state_id", "s9"),
    fault("mismatch", "/deltas/0/ts_ms", 1500),
    fault("disordered", "/states/1/ts_ms", 999, path="/deltas/0/to_state_id"),
    fault("unknown_id", "/deltas/0/changes/0/target_id", "zz"),
    fault("unknown_id", "/deltas/0/changes/1/target_id", "zz"),
    fault("unknown_id", "/deltas/0/changes/2/target_id", "zz"),
    fault("unknown_id", "/actions/0/from_state_id", "s9"),
    fault("disordered", "/actions/0/ts_ms", 2001),
    fault("disordered", "/actions/0/ts_ms", 999),
    fault("unknown_id", "/actions/0/primary/target_element_id", "t0"),
    fault("disordered", "/actions/0/alternatives/1/confidence_bp", 501),
    fault("unknown_id", "/actions/0/impact/created", ["zz"], at="/0"),
    fault("unknown_id", "/actions/0/impact/modified", ["zz"], at="/0"),
    fault("unknown_id", "/actions/0/impact/deleted", ["zz"], at="/0"),
]
