"""The kinds of artifact: what a screenshot is made into, from words to actions."""

from __future__ import annotations

from tools.artifacts.words import (
    LONG,
    Schema,
    choice,
    closed,
    each,
    flag,
    ids,
    many,
    ref,
    text,
    whole,
)

CONFIDENCE = {"confidence_bp": ref("confidence", "How sure the provider is.")}
BBOX = {"bbox": ref("bbox", "Where it is.")}
STATE = {"state_id": ref("id", "The state that it belongs to.")}
PROVIDER = {"provider_id": ref("id", "The plugin that made it; if given, that of the outcome.")}
#: Parts of a table, which a spreadsheet has too.
CELL = closed(
    {
        "r": whole("Its row, from 0."),
        "c": whole("Its column, from 0."),
        **BBOX,
        "text": text("What stands in it."),
        "norm_text": text("The same, normalised."),
        **CONFIDENCE,
        "token_ids": ids("The tokens that it is made of."),
    },
    "r c text",
    description="A cell of a table.",
)
MERGE = closed(
    {
        "r1": whole("First row."),
        "c1": whole("First column."),
        "r2": whole("Last row, inclusive."),
        "c2": whole("Last column, inclusive."),
    },
    "r1 c1 r2 c2",
    description="Cells that are one; it stands at the upper left of them.",
)
TABLE = {
    "table_id": ref("id", "Its id."),
    **STATE,
    **BBOX,
    "rows": whole("How many rows it has.", 0, 100_000),
    "cols": whole("How many columns it has.", 0, 100_000),
    "header": flag("Whether the first row names the columns."),
    "row_y": many("The edges of the rows: one more than there are rows, ascending.", whole("")),
    "col_x": many("The edges of the columns: one more than there are, ascending.", whole("")),
    "merges": many("Cells that are one.", MERGE),
    "cells": many("Its cells; an empty one may be left out.", ref("cell")),
    "csv": text("All of it as CSV."),
    "tsv": text("All of it with tabs."),
    "kind": text("What sort of table it is.", 100),
    "grid": many("The texts, row by row.", many("One row.", {"type": "string"})),
    **CONFIDENCE,
    **PROVIDER,
}
CHANGE = closed(
    {
        "kind": choice("What happened to it.", "added removed moved changed"),
        "target_id": ref("id", "The token, line, block, table, chart, code block or element."),
        "detail": text("In words.", 10_000),
    },
    "kind target_id",
    description="One difference between two states.",
)
GUESS = closed(
    {
        "kind": choice(
            "What was done.",
            "click double_click right_click type scroll drag key_shortcut unknown",
        ),
        "target_element_id": ref("id", "The element of the earlier state that it was done to."),
        **CONFIDENCE,
        "evidence": many("What speaks for it, in words.", {"type": "string"}, 100),
    },
    "kind confidence_bp",
    description="What a user may have done.",
)
FLAGS = closed(
    {
        name: flag(about)
        for name, about in (
            ("monospace_likely", "Set in a font of fixed width."),
            ("is_number", "Reads as a number."),
            ("invalid_text", "The text is not what stands there."),
            ("bbox_invalid", "The box is not where it stands."),
            ("low_confidence", "Below the provider's own bar."),
        )
    },
    "",
    description="What is known about a token.",
)

#: Kind: its title, and its schema but for the definitions that it refers to.
KINDS: dict[str, tuple[str, Schema]] = {
    "frame": (
        "A screenshot",
        closed(
            {
                "frame_id": ref("id", "Its id; the digest of its bytes where these are stored."),
                "width": whole("In pixels.", 1, 100_000),
                "height": whole("In pixels.", 1, 100_000),
                "name": text("What people call it.", 255, 1),
                "ts_ms": ref("milliseconds", "When it was taken."),
                "image": ref("bytes", "The image itself."),
                "image_sha256": ref("digest", "The digest of the image."),
                "phash": text("Its perceptual hash.", 64),
                "phash_distance": whole("Hamming distance from the frame before.", 0, 4096),
                "diff_score_bp": ref("confidence", "How much of it differs from the one before."),
                "boundary": flag("Whether a new segment begins with it."),
                "boundary_reason": text("Why.", 100),
                "downscaled": flag("Whether it is smaller than what was on the screen."),
            },
            "frame_id width height",
        ),
    ),
    "token": (
        "A word and where it stands",
        closed(
            {
                "token_id": ref("id", "Its id."),
                "text": text("The word as it was read.", 10_000, 1),
                "norm_text": text("The same, normalised.", 10_000),
                **BBOX,
                **CONFIDENCE,
                "source": text("What read it.", 100),
                "flags": FLAGS,
                **PROVIDER,
                "patch_id": ref("id", "The part of the frame in which it was read."),
                "line_id": ref("id", "The line that it stands in."),
                "block_id": ref("id", "The block that it stands in."),
            },
            "token_id text bbox confidence_bp",
        ),
    ),
    "line": (
        "A line of text",
        closed(
            {
                "line_id": ref("id", "Its id."),
                "token_ids": ids("Its tokens in reading order.", 1),
                **BBOX,
                "text": text("All of it.", LONG, 1),
                **CONFIDENCE,
                "block_id": ref("id", "The block that it stands in."),
            },
            "line_id token_ids bbox text",
        ),
    ),
    "block": (
        "Lines that belong together",
        closed(
            {
                "block_id": ref("id", "Its id."),
                "line_ids": ids("Its lines in reading order.", 1),
                **BBOX,
                "text": text("All of it.", LONG, 1),
                **CONFIDENCE,
            },
            "block_id line_ids bbox text",
        ),
    ),
    "table": ("A table", closed(TABLE, "table_id bbox rows cols cells")),
    "spreadsheet": (
        "A table of an application that computes",
        closed(
            {
                **TABLE,
                "active_cell": closed(
                    {"r": whole("Its row."), "c": whole("Its column.")},
                    "r c",
                    description="The cell that is selected.",
                ),
                "formula_bar": text("What stands in the formula bar.", 100_000),
                "headers": many("The names of the columns, one for each.", {"type": "string"}),
                "header_map": {
                    "description": "The column, from 0, of each name.",
                    "type": "object",
                    "additionalProperties": whole("The column."),
                    "maxProperties": 100_000,
                },
                "top_row_cells": many("The cells of the first row again.", ref("cell")),
            },
            "table_id bbox rows cols cells",
        ),
    ),
    "chart": (
        "A chart",
        closed(
            {
                "chart_id": ref("id", "Its id."),
                **STATE,
                **BBOX,
                "chart_type": text("Bar, line, pie or what it is.", 100, 1),
                "labels": many("The names of its points.", {"type": "string"}),
                "ticks_x": many("Along the horizontal axis.", ref("tick")),
                "ticks_y": many("Along the vertical axis.", ref("tick")),
                "series": many(
                    "What it shows.",
                    closed(
                        {
                            "name": text("Its name.", 1000),
                            "values": many(
                                "As they were read; as many as there are labels.",
                                {"type": "string"},
                            ),
                        },
                        "name values",
                        description="One row of values.",
                    ),
                    10_000,
                ),
                "evidence": ids("The tokens that it was read from."),
                **CONFIDENCE,
                **PROVIDER,
            },
            "chart_id bbox chart_type series confidence_bp",
        ),
    ),
    "code_block": (
        "Program text",
        closed(
            {
                "code_id": ref("id", "Its id."),
                **STATE,
                **BBOX,
                "language": text("Its language.", 100, 1),
                "text": text("All of it."),
                "lines": many("Its lines: the text, split at line feeds.", {"type": "string"}),
                "line_numbers": many("The number beside each line.", whole("")),
                "caret": whole("Offset of the caret in the text."),
                "selection": ref("span", "What is selected of the text."),
                "diagnostics": many(
                    "What the editor says about it.",
                    closed(
                        {
                            "span": ref("span", "What it is about."),
                            "message": text("What it says.", 10_000),
                            "severity": choice("How bad it is.", "error warning info hint"),
                        },
                        "span message",
                        description="One remark.",
                    ),
                ),
                **CONFIDENCE,
                **PROVIDER,
            },
            "code_id bbox language text lines confidence_bp",
        ),
    ),
    "cursor": (
        "The mouse pointer",
        closed(
            {
                **BBOX,
                "type": choice("What it looks like.", "arrow hand text wait resize cross other"),
                **CONFIDENCE,
            },
            "bbox type confidence_bp",
        ),
    ),
    "element": (
        "An element of a user interface",
        closed(
            {
                "element_id": ref("id", "Its id."),
                "type": text("Button, field, menu or what it is.", 100, 1),
                **BBOX,
                "text_refs": ids("The tokens that stand in it."),
                "label": text("What it is called.", 10_000),
                "interactable": flag("Whether a user can act on it."),
                "state": closed(
                    {
                        name: flag(f"Whether it is {name}.")
                        for name in "checked enabled expanded focused selected".split()
                    },
                    "",
                    description="How it stands.",
                ),
                "parent_id": ref("id", "The element around it."),
                "children_ids": ids("The elements in it, each with this one as its parent."),
                "z": whole("Its height in the stack of windows.", -1_000_000),
                "app_hint": text("The application that it belongs to.", 1000),
                **CONFIDENCE,
            },
            "element_id type bbox",
        ),
    ),
    "state": (
        "What was on the screen at one moment",
        closed(
            {
                "state_id": ref("id", "Its id."),
                "frame_id": ref("id", "The frame that it was read from."),
                "ts_ms": ref("milliseconds", "When it was so."),
                "phash": text("The frame's perceptual hash.", 64),
                "width": whole("Of the frame, in pixels.", 1, 100_000),
                "height": whole("Of the frame, in pixels.", 1, 100_000),
                "tokens": each("token", "Its words."),
                "tokens_raw": each("token", "Its words before any correction."),
                "text_lines": each("line", "Its lines."),
                "text_blocks": each("block", "Its blocks."),
                "tables": each("table", "Its tables.", 10_000),
                "spreadsheets": each("spreadsheet", "Its spreadsheets.", 1000),
                "code_blocks": each("code_block", "Its program texts.", 10_000),
                "charts": each("chart", "Its charts.", 10_000),
                "element_graph": ref("element_graph", "Its user interface."),
                "cursor": ref("cursor", "The mouse pointer."),
                "visible_apps": many("The applications in sight.", {"type": "string"}, 1000),
                "focus_element_id": ref("id", "The element that has the focus."),
                "state_confidence_bp": ref("confidence", "How sure the provider is of it all."),
                "diagnostics": many("What was amiss, in words.", {"type": "string"}, 1000),
            },
            "state_id frame_id ts_ms width height tokens",
        ),
    ),
    "delta": (
        "What changed from one state to another",
        closed(
            {
                "delta_id": ref("id", "Its id."),
                "from_state_id": ref("id", "The earlier state."),
                "to_state_id": ref("id", "The later state."),
                "ts_ms": ref("milliseconds", "When the later state was so."),
                "changes": many("Each difference.", CHANGE),
                "summary": text("All of it in words.", 10_000),
            },
            "delta_id from_state_id to_state_id ts_ms changes",
        ),
    ),
    "action": (
        "What the user did between two states",
        closed(
            {
                "action_id": ref("id", "Its id."),
                "from_state_id": ref("id", "The earlier state."),
                "to_state_id": ref("id", "The later state."),
                "ts_ms": ref("milliseconds", "When it was done."),
                "primary": ref("guess", "The best guess."),
                "alternatives": many("Other guesses, each less certain.", ref("guess"), 100),
                "impact": closed(
                    {
                        "created": ids("What is in the later state alone."),
                        "modified": ids("What is in both."),
                        "deleted": ids("What is in the earlier state alone."),
                    },
                    "created modified deleted",
                    description="What came of it, by id.",
                ),
            },
            "action_id from_state_id to_state_id ts_ms primary",
        ),
    ),
    "citation": (
        "The link from a claim to what it rests on",
        closed(
            {
                "frame": ref("digest", "The stored frame."),
                "start": whole("Index of the first token among the frame's recorded ones."),
                "end": whole("Index after the last token."),
                "bbox": ref("bbox", "The smallest box around those tokens."),
                "quote": text("Their texts, joined by single spaces.", 10_000, 1),
            },
            "frame start end bbox quote",
        ),
    ),
    "answer": (
        "Claims with what they cite",
        closed(
            {
                "claims": {
                    **many("What is claimed.", ref("claim"), 100),
                    "x-nx-each": "claim",
                },
                "state": choice(
                    "What is left of it; the kernel says so, whatever a provider says.",
                    "ok partial no_evidence",
                ),
                "rejected": many("What was removed; the kernel says so.", ref("rejected"), 1100),
                "citations": closed(
                    {
                        "checked": whole("How many the kernel has looked at."),
                        "valid": whole("How many of them check out."),
                    },
                    "checked valid",
                    description="A count; the kernel makes it.",
                ),
            },
            "claims",
        ),
    ),
}

#: Definitions that belong to one kind or two, beside those that all share.
PARTS: dict[str, Schema] = {
    "cell": CELL,
    "element_graph": closed(
        {
            "elements": each("element", "Its elements."),
            "edges": many(
                "What holds between them, beside who stands in whom.",
                closed(
                    {
                        "src": ref("id", "The element from which it leads."),
                        "dst": ref("id", "The element to which it leads."),
                        "kind": text("What it means.", 100, 1),
                    },
                    "src dst kind",
                    description="A relation of two elements.",
                ),
            ),
        },
        "elements edges",
        description="A user interface.",
    ),
    "guess": GUESS,
    "tick": closed(
        {"text": text("What stands at it.", 1000), "at": whole("Its pixel.", 0, 100_000)},
        "text at",
        description="A mark on an axis.",
    ),
    "claim": closed(
        {
            "text": text("What is claimed: words of one of the quotes.", 10_000, 1),
            # None at all is for the check of citations to name, with the reason that it gives.
            "citations": many("What it rests on.", ref("citation"), 100),
        },
        "text citations",
        description="One checkable statement.",
    ),
    "rejected": closed(
        {
            "index": whole("Its position among the claims that the provider gave."),
            "reason": text("A stable word, such as citation.missing.", 100, 1),
            "message": text("The same for people.", 10_000),
        },
        "index reason message",
        description="A claim that was removed.",
    ),
}
