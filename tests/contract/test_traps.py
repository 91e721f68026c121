"""The page of traps promises tests; they exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "explanation" / "traps.md"
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE.read_text())))


def test_the_page_names_tests() -> None:
    """Every row of a trap ends in at least one test."""
    rows = [line for line in PAGE.read_text().splitlines() if line.startswith("| ")]
    claims = [row for row in rows if not row.startswith(("| What happened", "| Check", "| ---"))]
    assert len(claims) >= 25
    assert [row for row in claims if "::test_" not in row.rsplit(" | ", 1)[-1]] == []


@pytest.mark.parametrize(("file", "name"), NAMED, ids=[f"{name}" for _, name in NAMED])
def test_every_named_test_exists(file: str, name: str) -> None:
    """A test that the page names is a function of that file."""
    tree = ast.parse((ROOT / file).read_text())
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    assert name in {node.name for node in ast.walk(tree) if isinstance(node, functions)}
