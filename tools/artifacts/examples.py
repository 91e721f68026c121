"""One example of each kind: of one small screen, and of what was done on it."""

from __future__ import annotations

from typing import Any

_FRAME = "sha256:" + "3b" * 32
_TOKENS = [
    {"token_id": "t1", "text": "Sum", "bbox": [10, 10, 40, 24], "confidence_bp": 9870},
    {"token_id": "t2", "text": "42.00", "bbox": [48, 10, 90, 24], "confidence_bp": 9900},
]
_LINE = {
    "line_id": "l1",
    "token_ids": ["t1", "t2"],
    "bbox": [10, 10, 90, 24],
    "text": "Sum 42.00",
}
_BLOCK = {"block_id": "b1", "line_ids": ["l1"], "bbox": [10, 10, 90, 24], "text": "Sum 42.00"}
_TABLE = {
    "table_id": "tb1",
    "bbox": [10, 10, 90, 24],
    "rows": 1,
    "cols": 2,
    "header": False,
    "row_y": [10, 24],
    "col_x": [10, 44, 90],
    "cells": [
        {"r": 0, "c": 0, "bbox": [10, 10, 40, 24], "text": "Sum", "token_ids": ["t1"]},
        {"r": 0, "c": 1, "bbox": [48, 10, 90, 24], "text": "42.00", "token_ids": ["t2"]},
    ],
}
_SHEET = {
    **_TABLE,
    "table_id": "sh1",
    "active_cell": {"r": 0, "c": 1},
    "formula_bar": "=21*2",
    "headers": ["A", "B"],
    "header_map": {"A": 0, "B": 1},
}
_CHART = {
    "chart_id": "c1",
    "bbox": [100, 10, 300, 200],
    "chart_type": "bar",
    "labels": ["2024", "2025"],
    "ticks_y": [{"text": "0", "at": 190}, {"text": "50", "at": 20}],
    "series": [{"name": "Sum", "values": ["40.50", "42.00"]}],
    "confidence_bp": 7200,
}
_CODE = {
    "code_id": "k1",
    "bbox": [10, 100, 90, 130],
    "language": "python",
    "text": "x = 6\ny = 7",
    "lines": ["x = 6", "y = 7"],
    "line_numbers": [1, 2],
    "caret": 11,
    "selection": {"start": 6, "end": 11},
    "confidence_bp": 9000,
}
_CURSOR = {"bbox": [60, 12, 72, 30], "type": "text", "confidence_bp": 8000}
_ELEMENTS = [
    {
        "element_id": "e1",
        "type": "window",
        "bbox": [0, 0, 320, 200],
        "label": "Accounts",
        "children_ids": ["e2"],
    },
    {
        "element_id": "e2",
        "type": "field",
        "bbox": [46, 8, 92, 26],
        "text_refs": ["t2"],
        "interactable": True,
        "state": {"focused": True},
        "parent_id": "e1",
    },
]
_STATE = {
    "state_id": "s2",
    "frame_id": _FRAME,
    "ts_ms": 1767225600000,
    "width": 320,
    "height": 200,
    "tokens": _TOKENS,
    "text_lines": [_LINE],
    "text_blocks": [_BLOCK],
    "tables": [_TABLE],
    "spreadsheets": [_SHEET],
    "code_blocks": [_CODE],
    "charts": [_CHART],
    "element_graph": {
        "elements": _ELEMENTS,
        "edges": [{"src": "e1", "dst": "e2", "kind": "tab_order"}],
    },
    "cursor": _CURSOR,
    "focus_element_id": "e2",
    "state_confidence_bp": 8800,
}
_CITATION = {"frame": _FRAME, "start": 0, "end": 2, "bbox": [10, 10, 90, 24], "quote": "Sum 42.00"}

EXAMPLES: dict[str, Any] = {
    "frame": {"frame_id": _FRAME, "name": "accounts.png", "width": 320, "height": 200},
    "token": _TOKENS[0],
    "line": _LINE,
    "block": _BLOCK,
    "table": _TABLE,
    "spreadsheet": _SHEET,
    "chart": _CHART,
    "code_block": _CODE,
    "cursor": _CURSOR,
    "element": _ELEMENTS[1],
    "state": _STATE,
    "delta": {
        "delta_id": "d1",
        "from_state_id": "s1",
        "to_state_id": "s2",
        "ts_ms": 1767225600000,
        "changes": [{"kind": "changed", "target_id": "t2", "detail": "41.00 became 42.00"}],
        "summary": "The sum changed.",
    },
    "action": {
        "action_id": "a1",
        "from_state_id": "s1",
        "to_state_id": "s2",
        "ts_ms": 1767225599500,
        "primary": {"kind": "type", "target_element_id": "e2", "confidence_bp": 8100},
        "alternatives": [{"kind": "unknown", "confidence_bp": 900}],
        "impact": {"created": [], "modified": ["t2"], "deleted": []},
    },
    "citation": _CITATION,
    "answer": {"claims": [{"text": "42.00", "citations": [_CITATION]}]},
}
