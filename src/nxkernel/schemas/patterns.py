"""Regular expressions that cannot be made to run for ever.

A schema may come from a plugin, and the host runs its patterns. Python's ``re`` backtracks, so the
time of a match grows with the number of ways in which a text can be read. This module parses an
ECMA-262 subset, builds the position automaton (Glushkov, 1961) and refuses ambiguity that grows
with the text: exponential (a cycle that can be gone round in two ways) and polynomial (two loops
that can read the same text, one after the other). The criteria are those of Weber and Seidl, "On
the degree of ambiguity of finite automata" (1991). What is left matches in time linear in the text.

Accepted patterns are written anew for ``re`` with the meaning that JSON Schema gives them: ``$`` is
the end of the text and not also the place before a last newline, ``\\d`` and ``\\w`` are ASCII.
"""

from __future__ import annotations

import re
from functools import lru_cache

from nxkernel.schemas._automaton import Automaton
from nxkernel.schemas._expression import ANY, Node, PatternRefused, Repeat, Seq, parse, render

__all__ = ["PatternRefused", "to_python", "to_rust"]

#: Longest accepted pattern, in characters.
MAX_PATTERN = 1000


@lru_cache(maxsize=1024)
def to_python(pattern: str) -> str:
    """Return *pattern* in Python's syntax.

    Raises:
        PatternRefused: for syntax outside the subset, or ambiguity that grows with the text.
    """
    if len(pattern) > MAX_PATTERN:
        raise PatternRefused(f"is longer than {MAX_PATTERN} characters")
    parsed = parse(pattern)
    Automaton.build(parsed.body).check()
    if not parsed.start:
        _check_anywhere(parsed.body)
    source = ("\\A" if parsed.start else "") + render(parsed.body) + ("\\Z" if parsed.end else "")
    re.compile(source)
    return source


@lru_cache(maxsize=1024)
def to_rust(pattern: str) -> str:
    """Return an accepted *pattern* in the syntax of Rust's ``regex``.

    Its ``$`` is the end of the text alone, so no other anchor is needed.
    """
    parsed = parse(pattern)
    return ("^" if parsed.start else "") + render(parsed.body) + ("$" if parsed.end else "")


def _check_anywhere(body: Node) -> None:
    """Check a pattern without ``^``: tried at every place, as after a loop over anything."""
    try:
        Automaton.build(Seq((Repeat(ANY, 0, None), body))).check()
    except PatternRefused:
        raise PatternRefused(
            "repeats without end and may begin anywhere; begin it with ^"
        ) from None
