"""The shipped screenshots as the OCR plugin read them once: its tokens, recorded.

They let every test but those of the OCR itself run without models. `test_recorded.py` notices when
a screenshot was changed.
"""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

from nxkernel.pipeline.citations import Evidence, Token
from nxkernel.types import Digest
from tests.unit.examples.loading import load

RECORDED = Path(__file__).with_name("recorded.json")


@functools.cache
def recorded() -> dict[str, Any]:
    """Digest, size and tokens by file name; a token is text, x0, y0, x1, y1."""
    found: dict[str, Any] = json.loads(RECORDED.read_text(encoding="utf-8"))
    return found


def tokens(name: str) -> list[dict[str, Any]]:
    return [
        {"token_id": f"t{i}", "text": text, "bbox": box, "confidence_bp": 9900}
        for i, (text, *box) in enumerate(recorded()[name]["tokens"])
    ]


@functools.cache
def layout(name: str) -> dict[str, Any]:
    plugin = load("layout_lines").Plugin()
    result: dict[str, Any] = plugin.assemble_layout({"name": name}, tokens(name))
    return result


def document(name: str) -> dict[str, Any]:
    """One screenshot as evidence."""
    return {"frame": recorded()[name]["digest"], "tokens": tokens(name), "layout": layout(name)}


class Library:
    """The recorded screenshots, for the host's check of citations."""

    def evidence(self, frame: Digest) -> Evidence | None:
        for known in recorded().values():
            if known["digest"] == frame:
                return Evidence(
                    frame=frame,
                    width=known["width"],
                    height=known["height"],
                    tokens=tuple(Token(text, tuple(box)) for text, *box in known["tokens"]),
                )
        return None
