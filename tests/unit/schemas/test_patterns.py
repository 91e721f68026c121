"""Patterns that a plugin brings are safe to run, or refused with a reason."""

from __future__ import annotations

import re

import pytest

from nxkernel.schemas.patterns import MAX_PATTERN, PatternRefused, to_python

SAFE = [
    "",
    "^$",
    "foo",
    r"\S",
    r"^x-",
    r"^\$$",
    r"\\$",
    r"^\d{4}-\d{2}-\d{2}$",
    r"^.*\.png$",
    r"^(mon|tue|wed|thu|fri)$",
    r"^(?:tcp|udp):\d{1,5}$",
    r"^(\d{1,3}\.){3}\d{1,3}$",
    r"^sha256:[0-9a-f]{64}$",
    r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$",
    r"^[a-z][a-z0-9]*([._-][a-z0-9]+)*$",
    r"^([a-z]{1,63}\.){0,5}[a-z]{2,}$",
    r"^(/[^/~]|~0|~1)*$",
    r"^[\w.+-]+@[\w-]+\.[\w.]+$",
    r"^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?$",
]
SLOW = {
    "^(a+)+$": "in many ways",
    "(a+)+": "in many ways",
    "^(a|a)*$": "in many ways",
    "^(a|ab|b)*$": "in many ways",
    "^(([a-z])+.)+[A-Z]([a-z])+$": "in many ways",
    "^a*a*$": "in many ways",
    r"^\s*(.*)\s*$": "in many ways",
    r"^.*foo.*$": "in many ways",
    "^(a*)*b": "can be empty",
    "^(a?){30}a{30}$": "can be empty",
    "^((a{0,30}){0,30})$": "can be empty",
    "^" + "(|)" * 30 + "x$": "empty in more than one way",
    "^" + "a?" * 30 + "a" * 30 + "$": "choices open",
    "[a-z]+X": r"begin it with \^",
    "[0-9]+$": r"begin it with \^",
}
REFUSED = {
    "(?=a)": r"neither \(...\) nor",
    "(?P<n>a)": r"neither \(...\) nor",
    r"(a)\1": "escape",
    r"\bword": "escape",
    r"\pL": "escape",
    r"\u12": "hexadecimal",
    "^a|b$": "alternatives",
    "a^b": "elsewhere",
    "a$b": "elsewhere",
    "a**": "quantifier on a quantifier",
    "*a": "without meaning",
    "a{x}": "begins no count",
    "a{2,1}": "count",
    "a{0}": "count",
    "a{1001}": "count",
    "^(a{900}b{900})$": "positions",
    "(": "not closed",
    "a)b": "not open",
    "[a": "too early",
    "[]": "empty character class",
    "[z-a]": "range",
    r"[a-\d]": "range",
    "\\": "too early",
    "(" * 30 + ")" * 30: "groups",
    "x" * (MAX_PATTERN + 1): "longer than",
}


@pytest.mark.parametrize("pattern", SAFE)
def test_ordinary_patterns_are_accepted(pattern: str) -> None:
    """What people write for ids, dates, ports and paths stays possible."""
    re.compile(to_python(pattern))


@pytest.mark.parametrize("pattern", SLOW)
def test_patterns_that_can_be_made_slow_are_refused(pattern: str) -> None:
    """Exponential and polynomial backtracking is found before the first match, with a reason."""
    with pytest.raises(PatternRefused, match=SLOW[pattern]):
        to_python(pattern)


@pytest.mark.parametrize("pattern", REFUSED)
def test_syntax_outside_the_subset_is_refused(pattern: str) -> None:
    """Whatever could mean something else elsewhere is named."""
    with pytest.raises(PatternRefused, match=REFUSED[pattern]):
        to_python(pattern)


@pytest.mark.parametrize(
    ("pattern", "text", "matches"),
    [
        ("^a$", "a", True),
        ("^a$", "a\n", False),
        (r"^\d$", "٣", False),
        (r"^\w$", "é", False),
        (r"^\D$", "٣", True),
        (r"^\s$", "\ufeff", True),
        (r"^\s$", "\x1c", False),
        ("^.$", "\n", False),
        ("^.$", "\u2028", False),
        ("^.$", "\x85", True),
        ("b", "abc", True),
        ("b", "ac", False),
        ("^[^a]$", "b", True),
        ("^[^a]$", "a", False),
        (r"^[\d-]+$", "1-2", True),
        (r"^\x41\u0042\t$", "AB\t", True),
        ("^a{2,}$", "aaa", True),
        ("^a{2,3}$", "aaaa", False),
        ("^a+?b$", "aab", True),
        (r"^a\$$", "a$", True),
        (r"^a\\$", "a\\", True),
        ("^(|a)b$", "b", True),
    ],
)
def test_patterns_mean_what_json_schema_says(pattern: str, text: str, matches: bool) -> None:
    """The end is the end, and classes are ASCII, whatever Python's own reading is."""
    assert bool(re.search(to_python(pattern), text)) is matches
