"""Whether one schema accepts no more than another: proved, or refused with the place.

Inclusion of schemas cannot be decided in general, so this looks for a proof by the rules below and
never says yes without one. What it cannot prove it names; whoever wrote the narrower schema can
then write it so that the proof is plain: with the same keywords and tighter values.

The rules, for "everything that *narrow* accepts, *wide* accepts":

* a reference is what it refers to; what refers to itself is assumed while it is being proved;
* constants (``const``, ``enum``) are tried under *wide*, one by one;
* a *narrow* of alternatives is included when each of them is;
* *wide* is taken keyword by keyword: each must follow from a keyword of *narrow*, or say nothing of
  the types that *narrow* allows;
* one of several (``oneOf``) is one that includes *narrow*, when *narrow* has nothing in common with
  the others: another type, other constants, another discriminator.

Both are schemas of the profile. Annotations (``title``, ``default``, ``format`` ...) count for
nothing.
"""

from __future__ import annotations

from typing import Any

import attrs

from nxkernel.schemas._copies import bare
from nxkernel.schemas._proof import Open, Proof
from nxkernel.schemas._side import Side, Steps
from nxkernel.schemas.profile import pointer

__all__ = ["Gap", "gap"]


@attrs.frozen
class Gap:
    """Where a proof fails: a place of the wider schema, as values have it, and why."""

    #: JSON Pointer to the value that the two schemas speak of; ``*`` is any item or other key.
    where: str
    reason: str

    def __str__(self) -> str:
        return f"{self.where or 'the value itself'}: {self.reason}"


def gap(narrow: Any, wide: Any) -> Gap | None:
    """Return None when everything that *narrow* accepts *wide* accepts, or where that is open.

    *narrow* and *wide* are compiled already, or would compile: this trusts their form. Keywords
    that begin with ``x-`` count for nothing.
    """
    narrow, wide = bare(narrow), bare(wide)
    try:
        steps = Steps()
        Proof(Side(narrow, steps), Side(wide, steps)).included(narrow, wide, ())
    except Open as found:
        return Gap(pointer(found.path), found.reason)
    except RecursionError:
        return Gap("", "nested deeper than a proof goes")
    return None
