"""Does a piece of text name a time, a person, a number ...?"""

from __future__ import annotations

import re
from collections.abc import Callable

__all__ = ["fits", "is_clock", "is_day", "number_in"]

_DAY = r"(?:mon|tues?|wed(?:nes)?|thu(?:rs)?|fri|sat(?:ur)?|sun)(?:day)?"
_MONTH = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?"
    r"|sep(?:t(?:ember)?)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)"
)
_WORD_NUMBER = (
    r"(?:two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|fifteen|twenty|thirty|forty"
    r"|fifty|hundred|thousand|half|one|once|twice|no)"
)
_UNIT = r"(?:milli)?(?:second|minute|min|hour|hr|day|night|week|weekend|month|year|decade)s?"

_CLOCK = re.compile(
    r"\b\d{1,2}:\d{2}\b|\b\d{1,2}\s?[ap]\.?m\b|o['’]clock|\bnoon\b|\bmidnight\b"
    r"|\b(?:half|quarter) (?:past|to)\b",
    re.I,
)
_DATE = re.compile(
    rf"\b{_DAY}\b|\b{_MONTH}\b|\b\d{{4}}-\d{{2}}-\d{{2}}\b|\b\d{{1,2}}[./]\d{{1,2}}[./]\d{{2,4}}\b"
    r"|\b(?:today|tomorrow|yesterday|weekend|daily)\b",
    re.I,
)
_YEAR = re.compile(r"\b(?:1[4-9]|20)\d{2}\b")
_SPAN = re.compile(rf"(?:\b\d[\d.,]*|\b{_WORD_NUMBER})[\s-]*{_UNIT}\b|\ball (?:year|day)\b", re.I)
_OFTEN = re.compile(
    rf"\b(?:every|each|once|twice|daily|weekly|monthly|yearly|hourly|nightly|annually|always|never)\b"
    rf"|\btimes\b|\b(?:per|a)\s+{_UNIT}\b|\b\d+\s?hz\b",
    re.I,
)
_NUMBER = re.compile(rf"\d|\b{_WORD_NUMBER}\b", re.I)
_NAME = re.compile(r"(?<![.!?]\s)(?<!^)\b[A-Z][a-zà-ÿ'’-]+\b")
_NAME_ONLY = re.compile(
    r"(?:(?:Dr|Mr|Mrs|Ms|Prof)\.?\s+)?[A-ZÀ-Þ][\w'’.-]*(?:\s+[A-ZÀ-Þ][\w'’.-]*){0,3}"
)
_ROLE = re.compile(
    r"\b(?:engineer|officer?|office|manager|director|team|staff|keeper|warden|teacher|school|bakery"
    r"|company|volunteers?|people|author|founder|captain|crew|customer|supplier|owner|everybody"
    r"|everyone|nobody)\b",
    re.I,
)
_PREPOSITION = re.compile(
    r"\b(?:in|at|on|behind|near|under|between|into|inside|outside|beside|along|above|below|to|from"
    r"|room|hall|street|road)\b",
    re.I,
)
_PERCENT = re.compile(r"\d\s?%|\bper ?cent\b", re.I)
_COLOUR = re.compile(
    r"\b(?:red|green|blue|yellow|black|white|pink|orange|purple|brown|gr[ae]y|violet|silver)\b",
    re.I,
)
_HEX = re.compile(r"\b(?=[0-9a-f]*\d)(?=[0-9a-f]*[a-f])[0-9a-f]{7,40}\b")


def is_clock(text: str) -> bool:
    return _CLOCK.search(text) is not None


def is_day(text: str) -> bool:
    return _DATE.search(text) is not None


def _when(text: str) -> bool:
    return bool(is_clock(text) or is_day(text) or _YEAR.search(text) or _SPAN.search(text))


def _person(text: str) -> bool:
    if re.search(r"\d", text) and len(text.split()) < 4:
        return False
    names = [name for name in _NAME.findall(text) if not is_day(name)]
    short = _NAME_ONLY.fullmatch(text.strip(" .,;:")) is not None and not is_day(text)
    return bool(short or names or _ROLE.search(text))


def _place(text: str) -> bool:
    if is_clock(text) and len(text.split()) < 5:
        return False
    return number_in(text) is None or _PREPOSITION.search(text) is not None


_KINDS: dict[str, Callable[[str], bool]] = {
    "person": _person,
    "when": _when,
    "clock": is_clock,
    "day": is_day,
    "month": lambda text: re.search(rf"\b{_MONTH}\b", text, re.I) is not None,
    "year": lambda text: _YEAR.search(text) is not None,
    "place": _place,
    "number": lambda text: _NUMBER.search(text) is not None,
    "duration": lambda text: _SPAN.search(text) is not None,
    "frequency": lambda text: _OFTEN.search(text) is not None,
    "percent": lambda text: _PERCENT.search(text) is not None,
    "colour": lambda text: _COLOUR.search(text) is not None,
    "hash": lambda text: _HEX.search(text) is not None,
}


def fits(kind: str | None, text: str) -> bool:
    """Whether *text* can answer a question for *kind*; None asks for nothing in particular."""
    return kind is None or _KINDS[kind](text)


def number_in(text: str) -> float | None:
    """The number that *text* amounts to, if it is little else: "31 km/h", "12,960", "1191.40"."""
    match = re.fullmatch(r"[€$£¥~≈]?\s?([+-]?\d[\d,]*(?:\.\d+)?)\s*[^\d\s]{0,6}", text.strip())
    if match is None:
        return None
    return float(match[1].replace(",", ""))
