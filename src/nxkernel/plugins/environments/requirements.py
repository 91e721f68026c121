"""Requirements: which distributions a plugin asks for, and nothing about where they come from.

Accepted is what PEP 508 calls a requirement, with pip's ``--hash`` behind it. Options, paths and
addresses are refused: which index is asked is a matter of whoever installs, and a manifest must
not send an installer to a place of its own choosing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

__all__ = ["RequirementInvalid", "read_lines", "requirements"]

#: Most requirements of one plugin.
MAX_REQUIREMENTS = 256
_HASH = re.compile(r"\s--hash[= ]sha256:([0-9a-f]{64})(?=\s|$)")
_COMMENT = re.compile(r"(^|\s)#.*$")


class RequirementInvalid(Exception):
    """A requirement that is not accepted; the text says which and why."""


def requirements(lines: Iterable[str]) -> tuple[str, ...]:
    """Return *lines* in one spelling each, sorted; the same demands give the same tuple.

    Raises:
        RequirementInvalid: for the first line that is no requirement, or for too many.
    """
    found = sorted({_one(line) for line in lines})
    if len(found) > MAX_REQUIREMENTS:
        raise RequirementInvalid(f"more than {MAX_REQUIREMENTS} requirements")
    return tuple(found)


def read_lines(text: str) -> Iterator[str]:
    """Yield the requirements of a file in pip's format, without comments and line breaks."""
    for line in text.replace("\\\r\n", " ").replace("\\\n", " ").splitlines():
        if requirement := _COMMENT.sub("", line).strip():
            yield requirement


def _one(line: str) -> str:
    shown = " ".join(line.split())[:80]
    if line.lstrip().startswith("-"):
        raise RequirementInvalid(
            f"{shown!r} is an option; the index and the like are set by whoever installs"
        )
    hashes = sorted(set(_HASH.findall(line)))
    try:
        requirement = Requirement(_HASH.sub("", line).strip())
    except InvalidRequirement:
        raise RequirementInvalid(
            f"{shown!r} is no requirement as PEP 508 has it, for example attrs>=23"
        ) from None
    if requirement.url is not None:
        raise RequirementInvalid(f"{shown!r} names an address; name a version instead")
    requirement.name = canonicalize_name(requirement.name)
    return " ".join([str(requirement), *(f"--hash=sha256:{digits}" for digits in hashes)])
