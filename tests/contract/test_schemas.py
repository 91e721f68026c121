"""The reference page of schemas says what the code does, keyword by keyword."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from nxkernel.schemas import _reference, _spread, draft7, instance, issues, patterns, profile
from tests.support.keywords import ANNOTATIONS, CASES, Case

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "reference" / "schemas.md").read_text(
    encoding="utf-8"
)
ROWS = {
    name: cells
    for name, *cells in re.findall(
        r"^\| `(\S+)` \| (.+) \| `(\S+)` \| (.+) \|$", PAGE, re.MULTILINE
    )
}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_what_a_keyword_says_is_what_it_says(case: Case) -> None:
    """Code and words of the example are those that a value gets."""
    _, code, says = ROWS[case.keyword]
    assert (code, says) == (case.issues[0].code, case.issues[0].message)


def test_every_keyword_is_on_the_page() -> None:
    """Those that check, those that describe, and those that are refused with an advice."""
    assert list(ROWS) == [case.keyword for case in CASES]
    described = PAGE.partition("Described and never checked")[2].partition("\n## ")[0]
    for keyword in (*ANNOTATIONS, *profile.INSTEAD, "$defs", "$id", "$schema"):
        assert f"`{keyword}`" in described


def test_the_limits_are_real() -> None:
    """The tables have the numbers of the code."""
    for what, much in {
        "levels": profile.MAX_SCHEMA_DEPTH,
        "values": profile.MAX_SCHEMA_NODES,
        "bytes in canonical form": profile.MAX_SCHEMA_BYTES,
        "different patterns": profile.MAX_PATTERNS,
        "characters of a pattern": patterns.MAX_PATTERN,
        "steps of one check by the reference validator": _reference.MAX_CHECKS,
    }.items():
        assert f"| {what} | {much} |" in PAGE
    assert f"| levels | {instance.MAX_DEPTH} |" in PAGE
    assert f"| values | {instance.MAX_NODES} |" in PAGE
    assert f"| issues that are reported | {issues.MAX_ISSUES}, by place" in PAGE
    assert f"more than {_spread.MAX_HEIGHT} schemas within each other" in PAGE


def test_the_dialects_are_real() -> None:
    """Both addresses stand on the page, and what draft 7 calls otherwise."""
    assert f"`{profile.DIALECT}`" in PAGE
    assert f"`{draft7.DRAFT7}#`" in PAGE
    for keyword in sorted(draft7.KEYWORDS - profile.KEYWORDS):
        assert f"`{keyword}`" in PAGE.partition("## Keywords")[0]
