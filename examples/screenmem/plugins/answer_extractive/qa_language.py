"""English words as the matcher sees them: stems, synonyms, and what kind of thing a text names."""

from __future__ import annotations

import functools
import re

__all__ = ["GENERIC", "STOP", "is_stop", "parts", "related", "stem", "stems"]

STOP = frozenset(
    """a about according after all also am an and any are as at be been before being but by can
    could did do does doing done each ever every for from given had has have having he her him his
    how i if in into is it its itself just may me might mine more much must my no not now of off on
    once only onto or other our out own per please s shall she should show so some such tell than
    that the their them then there these they this those through to too up upon us very via was we
    were what when where whether which while who whom whose why will with within without would you
    your""".split()
)

#: Words that ask rather than describe: they help a little when they match and never block.
GENERIC = frozenset(
    """application appointment app calendar call called chat chart code come configuration config
    console contain conversation currently dashboard data detail document editor email entry event
    exist file find firstly form get give go happen image information kind letter list listed
    mail make manual mean mention message name named need note occur page panel picture place
    present record say screen screenshot see set setting shown sort state stated table take
    terminal text thing type under use used value web website window word work write
    invoice schedule scheduled plan planned happen hold held euro euros dollar dollars metre meter
    millimetre centimetre kilometre kilogram gram degree celsius percent unit units""".split()
)

_NUMBERS = {
    word: str(number)
    for number, word in enumerate(
        "zero _ two three four five six seven eight nine ten eleven twelve thirteen fourteen "
        "fifteen sixteen seventeen eighteen nineteen twenty".split()
    )
} | {"thirty": "30", "forty": "40", "fifty": "50", "sixty": "60", "hundred": "100"}

_IRREGULAR = {
    form: words[0]
    for words in (
        line.split()
        for line in """begin began begun
        break broke broken
        bring brought
        build built
        buy bought
        child children
        choose chose chosen
        come came
        do done
        drive drove driven
        eat ate eaten
        find found
        foot feet
        get got gotten
        give gave given
        go went gone
        hold held
        keep kept
        know knew known
        lead led
        leave left
        lend lent
        lose lost
        make made
        man men
        meet met
        pay paid
        person people
        ride rode ridden
        ring rang rung
        rise rose risen
        run ran
        say said
        see saw seen
        sell sold
        send sent
        show showed shown
        sleep slept
        speak spoke spoken
        spend spent
        stand stood
        take took taken
        teach taught
        tell told
        think thought
        wear wore worn
        win won
        woman women
        write wrote written""".splitlines()
    )
    for form in words[1:]
}

_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_MONTHS = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september",
    "october", "november", "december",
)  # fmt: skip
#: Abbreviations, and only where they are written with a capital: "sat" and "may" are verbs.
_CALENDAR = {name[:n]: name for name in (*_DAYS, *_MONTHS) for n in (3, 4)} | {
    name: name for name in (*_DAYS, *_MONTHS)
}

#: Words that ask for the same thing. General office and household English, nothing of one screen.
_SYNONYMS = [
    frozenset(group.split())
    for group in (
        "price cost costs fee charge rate amount expensive cheap pay",
        "amount sum total",
        "quantity qty count pieces pcs units order ordered buy bought purchase purchased",
        "date issue issued dated",
        "seat sit",
        "article item product goods",
        "number no nr num id",
        "warden keeper caretaker host manager look after",
        "person name contact",
        "open opening hours season",
        "room location place venue where",
        "hotel accommodation stay lodging",
        "departure depart leave departs",
        "arrival arrive arrives",
        "start begin starts",
        "end finish until stop",
        "weigh weight heavy mass kilogram kilograms kg",
        "temperature temp warm cold hot degrees",
        "speed fast",
        "remaining remain left free available",
        "error errors failure fail failed failing",
        "password passphrase passcode code pin",
        "email mail",
        "phone telephone mobile call",
        "address street",
        "customer client buyer bill",
        "supplier vendor seller from",
        "recipient to addressee",
        "sender from",
        "due deadline payable",
        "tax vat",
        "diameter wide width across",
        "height tall high",
        "length long",
        "battery charge",
        "firmware version release",
        "status state condition",
        "store save stored keep",
        "send deliver delivery ship shipping sent",
        "found establish create start founded",
        "replace change exchange swap",
        "reimburse refund repay pay pays",
        "schedule scheduled plan at",
        "train railway",
        "visitor guest",
        "pupil student child",
        "picture photo image",
        "last latest recent",
        "reject refuse deny decline",
        "commit revision",
        "user account login",
        "interval period every frequency sampling",
        "limit maximum max threshold",
        "minimum min",
        "seconds second sec",
        "language locale",
        "author writer",
        "engineer technician",
        "sea water ocean",
        "cancel cancelled cancellation",
        "reserve reserved reservation book booked booking",
        "pass passed succeed",
        "size big large",
        "folder directory",
        "line row",
        "task job",
        "team group",
        "lunch meal",
        "workshop course training",
        "discussion meeting talk",
        "return give",
        "bed beds sleep sleeps",
    )
]

_SPLIT = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_NUMERIC = re.compile(r"[+-]?\d[\d.,:/-]*\d|\d")
_EDGE = "\"'“”‘’`()[]{}<>«».,;:!?…*"


def parts(word: str) -> list[str]:
    """The stems of one written word: itself, and what it is put together from."""
    word = word.strip(_EDGE)
    if _NUMERIC.fullmatch(word):
        return [re.sub(r"^0(?=\d:)", "", word)]
    pieces = [piece for piece in _SPLIT.findall(word) if piece]
    found = [stem(piece) for piece in pieces]
    if len(pieces) > 1:
        found.append(stem("".join(pieces)))
    return list(dict.fromkeys(found))


def stems(text: str) -> list[str]:
    """The stems of *text*, without words that carry no meaning of their own."""
    return [part for word in text.split() if not is_stop(word) for part in parts(word)]


def is_stop(word: str) -> bool:
    """Whether *word* carries no meaning of its own; "May" and "no." (number) do."""
    bare = word.strip(_EDGE)
    return bare.lower() in STOP and bare != "May" and word.lower() != "no."


@functools.lru_cache(maxsize=20_000)
def stem(word: str) -> str:
    """Reduce one word to what its inflections have in common."""
    lower = re.sub(r"['’]s$", "", word.lower()).replace("’", "").replace("'", "")
    if word[:1].isupper() and lower in _CALENDAR:
        return _CALENDAR[lower]
    if lower in _DAYS or lower in _MONTHS:
        return lower
    if lower in _NUMBERS:
        return _NUMBERS[lower]
    if lower in _IRREGULAR:
        return _shorten(_IRREGULAR[lower])
    return _shorten(lower)


def _shorten(word: str) -> str:
    if len(word) < 4 or not word.isalpha():
        return word[:-1] if re.fullmatch(r"\d+s", word) else word
    word = _singular(word)
    if word.endswith("ied") and len(word) > 4:
        return word[:-3] + "y"
    for suffix, keep in (("ation", 3), ("ing", 3), ("ed", 3), ("ion", 5), ("ly", 5)):
        if word.endswith(suffix) and len(word) - len(suffix) >= keep:
            word = word[: -len(suffix)]
            if len(word) > 3 and word[-1] == word[-2] and word[-1] not in "ls":
                word = word[:-1]
            break
    word = word[:-1] if word.endswith("e") and len(word) > 3 else word
    return word[:-2] if word.endswith("at") and len(word) > 5 else word


def _singular(word: str) -> str:
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("sses", "ches", "shes", "xes", "zes")):
        return word[:-2]
    if word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    return word


@functools.lru_cache(maxsize=5_000)
def related(term: str) -> frozenset[str]:
    """Stems that ask for the same thing as *term*, without itself."""
    found: set[str] = set()
    for group in _STEMMED:
        if term in group:
            found |= group
    return frozenset(found - {term})


_STEMMED = [frozenset(stem(word) for word in group) for group in _SYNONYMS]
