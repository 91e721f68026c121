"""Citations: a span has something in it. Whether it is true is for the answers to find out."""

from __future__ import annotations

from collections.abc import Iterator

from nxkernel.findings.flaws import Flaw
from nxkernel.findings.plans import Group
from nxkernel.findings.sight import Sight

__all__ = ["check_citations"]


def check_citations(group: Group, _: Sight) -> Iterator[Flaw]:
    """Yield citations whose span is empty or the wrong way round."""
    for path, citation in group.members():
        if citation["start"] >= citation["end"]:
            yield Flaw((*path, "end"), "inverted", "the end does not lie after the start")
