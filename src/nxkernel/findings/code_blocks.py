"""Program text: its lines are the text's, and every span lies inside it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from nxkernel.findings.flaws import Flaw, Path
from nxkernel.findings.plans import Group
from nxkernel.findings.sight import Sight

__all__ = ["check_code_blocks"]


def check_code_blocks(group: Group, _: Sight) -> Iterator[Flaw]:
    """Yield lines that are not those of the text, and spans that leave it."""
    for path, code in group.members():
        text, lines = code["text"], code["lines"]
        if lines != text.split("\n"):
            yield Flaw((*path, "lines"), "mismatch", "are not the lines of the text")
        numbers = code.get("line_numbers")
        if numbers is not None and len(numbers) != len(lines):
            place = (*path, "line_numbers")
            yield Flaw(place, "mismatch", f"expected one for each of {len(lines)} lines")
        if code.get("caret", 0) > len(text):
            yield Flaw((*path, "caret"), "outside", _text_of(text))
        if "selection" in code:
            yield from _span((*path, "selection"), code["selection"], text)
        for index, remark in enumerate(code.get("diagnostics", ())):
            yield from _span((*path, "diagnostics", index, "span"), remark["span"], text)


def _span(place: Path, span: Mapping[str, int], text: str) -> Iterator[Flaw]:
    if span["start"] > span["end"]:
        yield Flaw(place, "inverted", "the end lies before the start")
    elif span["end"] > len(text):
        yield Flaw(place, "outside", _text_of(text))


def _text_of(text: str) -> str:
    return f"leaves the text of {len(text)} characters"
