"""Every keyword of the profile, by the table that settings, arguments and results share."""

from __future__ import annotations

import pytest

from nxkernel.schemas import SchemaRegistry
from nxkernel.schemas.profile import KEYWORDS
from tests.support.keywords import ANNOTATIONS, CASES, DEFS, Case

#: Places, not judges: a document's name and dialect, and where references lead.
PLACES = frozenset({"$defs", "$id", "$schema"})


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_each_keyword_refuses_with_exactly_its_issues(case: Case) -> None:
    """Place, code and words of every issue are those of the table, and the good value passes."""
    schema = {"properties": {"value": case.schema}, "$defs": DEFS}
    compiled = SchemaRegistry().compile(schema)
    assert compiled.validate({"value": case.value}) == case.at("/value", "/properties/value")
    assert compiled.validate({"value": case.good}) == []


@pytest.mark.parametrize("keyword", ANNOTATIONS)
def test_an_annotation_refuses_nothing(keyword: str) -> None:
    """What only describes a value, formats included, never stops one."""
    argument, value = ANNOTATIONS[keyword]
    assert SchemaRegistry().validate(value, {keyword: argument}) == []


def test_the_table_has_every_keyword() -> None:
    """A keyword that the profile takes up gets a row, or is known to judge nothing."""
    rows = [case.keyword for case in CASES]
    assert rows == sorted(set(rows))
    assert {*rows, *ANNOTATIONS, *PLACES} == KEYWORDS
    assert all(case.issues for case in CASES)
