"""What a question asks for: its content words, the kind of answer, and the noun in focus."""

from __future__ import annotations

import re

import attrs
from qa_language import GENERIC, STOP, is_stop, parts, related, stem

__all__ = ["Question", "Term", "read_question"]

_EDGE = "\"'“”‘’`()[]{}<>«».,;:!?…"
_VERBS = frozenset(
    """is are was were be been do does did has have had can could will would shall should may must
    might""".split()
)
_IS = ("is", "are", "was", "were")
_PREPOSITIONS = frozenset("of for in on at from to with by during under near between".split())
_BREAKS = _VERBS | frozenset(
    """of for in on at from to with by during after before into about according that who which
    when if under per until without between behind near using while as the a an""".split()
)
#: Nouns in focus that a kind of text answers, whether or not the noun itself is there.
_KIND_OF = {
    "time": "clock", "hour": "clock", "day": "day", "weekday": "day", "date": "day",
    "month": "month", "year": "year", "person": "person", "who": "person", "colour": "colour",
    "color": "colour", "percentage": "percent", "percent": "percent", "commit": "hash",
    "revision": "hash", "hash": "hash", "place": "place", "location": "place",
    "interval": "duration", "duration": "duration", "frequency": "frequency",
}  # fmt: skip
_HOW = {
    "many": "number", "much": "number", "long": "duration", "often": "frequency",
    "frequently": "frequency", "old": "number", "tall": "number", "high": "number",
    "heavy": "number", "far": "number", "fast": "number", "big": "number", "large": "number",
    "wide": "number", "deep": "number", "full": "number", "hot": "number", "cold": "number",
    "warm": "number", "thick": "number", "strong": "number", "expensive": "number",
    "quickly": "duration", "soon": "when", "late": "clock", "early": "clock",
}  # fmt: skip
#: After "how" these say what is asked for and nothing about it.
_ADVERBS = frozenset("many much long often frequently quickly soon late early".split())
_SUPERLATIVES = {
    "most": 1, "highest": 1, "largest": 1, "biggest": 1, "longest": 1, "maximum": 1, "latest": 1,
    "greatest": 1, "tallest": 1, "warmest": 1, "newest": 1, "priciest": 1, "heaviest": 1,
    "least": -1, "fewest": -1, "lowest": -1, "smallest": -1, "cheapest": -1, "shortest": -1,
    "minimum": -1, "earliest": -1, "coldest": -1, "oldest": -1, "lightest": -1,
}  # fmt: skip
#: What an adjective measures, where it does not say so itself.
_MEASURES = {
    "cheapest": "price", "priciest": "price", "expensive": "price", "heaviest": "weight",
    "lightest": "weight", "warmest": "temperature", "coldest": "temperature",
}  # fmt: skip


@attrs.frozen
class Term:
    """One content word of the question."""

    #: Each alternative is a set of stems that must all be found.
    alternatives: tuple[tuple[str, ...], ...]
    weight: float
    #: A name, number or identifier: an answer about something else would be wrong.
    hard: bool
    #: Behind a preposition ("of the hotel"): the frame must at least have heard of it.
    bound: bool = False
    #: "number", "code": any text with a digit is one.
    counts: bool = False


@attrs.frozen
class Question:
    """A question, ready to be compared with facts."""

    terms: tuple[Term, ...]
    #: A kind of :mod:`qa_kinds`, or None.
    wants: str | None
    #: Terms of the noun in focus ("unit price" in "what is the unit price of ..."); the last one
    #: is its head.
    focus: tuple[Term, ...]
    #: 1 for "highest", -1 for "lowest", else 0.
    superlative: int
    #: What the superlative measures, when only the adjective says so.
    measures: str | None
    #: The stem of what is done in a question for a person: "founded" in "who founded ...".
    verb: str
    #: All its words, to tell an answer from an echo.
    words: frozenset[str]


def read_question(text: str) -> Question:
    """Analyse the English question *text*."""
    words = [word for word in (raw.strip(_EDGE) for raw in text.split()) if word]
    lower = [word.lower() for word in words]
    at = next((i for i, w in enumerate(lower) if w in _ASKS), None)
    wants, phrase = (None, []) if at is None else _ASKS[lower[at]](lower, words, at)
    names = [word for word in phrase if word.lower() not in STOP]
    terms = (_term(word, False) for word in names if word.lower() not in _SUPERLATIVES)
    # A count is a count of something in particular, however general the noun.
    focus = tuple(term for term in terms if term.weight >= 1 or wants == "number")
    head = names[-1].lower() if names else ""
    if wants is None and head:
        wants = _KIND_OF.get(_plain(head))
        focus = () if wants else focus
    return Question(
        terms=tuple(_terms(words, lower, wants)),
        wants=wants,
        focus=focus,
        superlative=next((_SUPERLATIVES[w] for w in lower if w in _SUPERLATIVES), 0),
        measures=next((_MEASURES[w] for w in lower if w in _MEASURES), None),
        verb=next((stem(w) for w in words[(at or 0) + 1 :] if not is_stop(w)), ""),
        words=frozenset(part for word in words for part in parts(word)),
    )


def _plain(word: str) -> str:
    return word[:-1] if word.endswith("s") and word[:-1] in _KIND_OF else word


def _asks_which(lower: list[str], words: list[str], at: int) -> tuple[str | None, list[str]]:
    """``which NOUN PHRASE verb``, ``what is the NOUN PHRASE of``."""
    rest = at + 1
    if lower[rest : rest + 1] and lower[rest] in _IS:
        rest += 1
        noun = _skip_article(lower, rest)
        participle = noun == rest and lower[rest : rest + 1] and lower[rest].endswith("ed")
        return None, [] if participle else _phrase(lower, words, noun)
    if lower[rest : rest + 1] and lower[rest] in _VERBS:
        return None, []
    phrase = _phrase(lower, words, rest)
    # "which hut opens in May": a later word in -s or -ed is rather the verb than the noun.
    verb = next((i for i, w in enumerate(phrase) if i and w.endswith(("s", "ed"))), len(phrase))
    return None, phrase[:verb]


def _phrase(lower: list[str], words: list[str], start: int) -> list[str]:
    end = start
    while end < len(words) and lower[end] not in _BREAKS:
        end += 1
    return words[start:end]


def _asks_who(lower: list[str], words: list[str], at: int) -> tuple[str | None, list[str]]:
    """``who is the NOUN PHRASE of`` has a noun in focus, ``who wrote`` has none."""
    noun = _skip_article(lower, at + 2)
    named = lower[at + 1 : at + 2] and lower[at + 1] in _IS and noun > at + 2
    return "person", _phrase(lower, words, noun) if named else []


def _asks_how(lower: list[str], words: list[str], at: int) -> tuple[str | None, list[str]]:
    adjective = lower[at + 1] if at + 1 < len(lower) else ""
    if adjective == "many":
        return "number", _phrase(lower, words, at + 2)
    return _HOW.get(adjective), []


_ASKS = {
    "which": _asks_which,
    "what": _asks_which,
    "what's": lambda lower, words, at: (None, _phrase(lower, words, _skip_article(lower, at + 1))),
    "who": _asks_who,
    "whom": lambda *_: ("person", []),
    "whose": lambda *_: ("person", []),
    "when": lambda *_: ("when", []),
    "where": lambda *_: ("place", []),
    "how": _asks_how,
}


def _skip_article(lower: list[str], at: int) -> int:
    articles = ("the", "a", "an", "my", "our", "their")
    return at + 1 if lower[at : at + 1] and lower[at] in articles else at


def _terms(words: list[str], lower: list[str], wants: str | None) -> list[Term]:
    terms = []
    bound = helped = False
    for i, word in enumerate(words):
        plain = lower[i]
        helped = helped or plain in _VERBS
        bound = plain in _PREPOSITIONS or (bound and plain not in _VERBS and plain != "that")
        if is_stop(word) or plain in _SUPERLATIVES:
            continue
        measured = plain in _ADVERBS and i > 0 and lower[i - 1] == "how"
        if measured or (wants is not None and _KIND_OF.get(_plain(plain)) == wants):
            continue
        # "when does the train to Karlsby depart": the verb of a helped question stands last.
        last = helped and i == len(words) - 1 and lower[i - 1] not in (*_PREPOSITIONS, "the", "a")
        terms.append(attrs.evolve(_term(word, i > 0), bound=bound and not last))
    return terms


_FILE = re.compile(r"[\w-]+\.[a-z]{1,5}")
_IDENTIFIER = re.compile(r".*[\w]_[\w].*|.*\d.*")


def _term(word: str, inside: bool) -> Term:
    bare = re.sub(r"['’]s$", "", word)
    found = parts(bare)
    alternatives = [tuple(found[-1:])]
    if len(found) > 1:
        alternatives.append(tuple(found[:-1]))
    alternatives += [(other,) for other in sorted(related(found[-1]))] if found else []
    file = _FILE.fullmatch(word) is not None
    generic = file or stem(bare) in _GENERIC
    hard = not generic and bool((inside and word[:1].isupper()) or _IDENTIFIER.fullmatch(word))
    weight = 0.35 if generic else 1.3 if hard else 1.0
    return Term(tuple(alternatives), weight, hard, counts=stem(bare) in _COUNTED)


_COUNTED = frozenset(stem(word) for word in ("number", "code", "id"))
_GENERIC = frozenset(stem(word) for word in GENERIC)
