"""The syntax of accepted patterns: an ECMA-262 subset as a tree."""

from __future__ import annotations

import attrs

__all__ = [
    "ANY",
    "Alt",
    "Chars",
    "Node",
    "Parsed",
    "PatternRefused",
    "Repeat",
    "Seq",
    "parse",
    "render",
]

Ranges = tuple[tuple[int, int], ...]
LAST = 0x10FFFF
#: Largest count in ``{m,n}``.
MAX_COUNT = 1000
#: Deepest nesting of groups.
MAX_GROUPS = 20


class PatternRefused(ValueError):
    """The pattern is outside the accepted subset; the text completes "the pattern ..."."""


@attrs.frozen
class Chars:
    """One character out of sorted, disjoint, inclusive ranges of code points."""

    ranges: Ranges

    def overlaps(self, other: Chars) -> bool:
        """Whether some character is in both."""
        return any(a <= d and c <= b for a, b in self.ranges for c, d in other.ranges)


@attrs.frozen
class Seq:
    """One after the other."""

    items: tuple[Node, ...]


@attrs.frozen
class Alt:
    """One of several."""

    options: tuple[Node, ...]


@attrs.frozen
class Repeat:
    """*body* from *least* to *most* times; None is without end."""

    body: Node
    least: int
    most: int | None


Node = Chars | Seq | Alt | Repeat


@attrs.frozen
class Parsed:
    """A whole pattern: whether it is held at the text's start and end, and what is between."""

    start: bool
    end: bool
    body: Node


def _negated(ranges: Ranges) -> Ranges:
    gaps, place = [], 0
    for low, high in ranges:
        if place < low:
            gaps.append((place, low - 1))
        place = high + 1
    if place <= LAST:
        gaps.append((place, LAST))
    return tuple(gaps)


def _merged(ranges: list[tuple[int, int]]) -> Ranges:
    merged: list[tuple[int, int]] = []
    for low, high in sorted(ranges):
        if merged and low <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
        else:
            merged.append((low, high))
    return tuple(merged)


ANY = Chars(((0, LAST),))
_DIGIT: Ranges = ((48, 57),)
_WORD: Ranges = ((48, 57), (65, 90), (95, 95), (97, 122))
_SPACE: Ranges = (
    *((9, 13), (32, 32), (0xA0, 0xA0), (0x1680, 0x1680), (0x2000, 0x200A), (0x2028, 0x2029)),
    *((0x202F, 0x202F), (0x205F, 0x205F), (0x3000, 0x3000), (0xFEFF, 0xFEFF)),
)
#: What ``.`` does not match.
_LINE_ENDS: Ranges = ((10, 10), (13, 13), (0x2028, 0x2029))
_CLASSES = {
    "d": _DIGIT,
    "D": _negated(_DIGIT),
    "w": _WORD,
    "W": _negated(_WORD),
    "s": _SPACE,
    "S": _negated(_SPACE),
}
_CONTROLS = {"t": 9, "n": 10, "v": 11, "f": 12, "r": 13}
_HEX = {"x": 2, "u": 4}
_QUANTIFIERS: dict[str, tuple[int, int | None]] = {"*": (0, None), "+": (1, None), "?": (0, 1)}


@attrs.define
class _Parser:
    text: str
    place: int = 0
    depth: int = 0

    def peek(self, count: int = 1) -> str:
        return self.text[self.place : self.place + count]

    def take(self) -> str:
        char = self.peek()
        if not char:
            raise PatternRefused("ends too early")
        self.place += 1
        return char

    def accept(self, text: str) -> bool:
        if self.peek(len(text)) != text:
            return False
        self.place += len(text)
        return True

    def alternatives(self) -> Node:
        options = [self.sequence()]
        while self.accept("|"):
            options.append(self.sequence())
        return options[0] if len(options) == 1 else Alt(tuple(options))

    def sequence(self) -> Node:
        items: list[Node] = []
        while self.peek() and self.peek() not in "|)":
            items.append(self.quantified(self.term()))
        return items[0] if len(items) == 1 else Seq(tuple(items))

    def term(self) -> Node:
        char = self.take()
        if char == "(":
            return self.group()
        if char == "[":
            return Chars(self.char_class())
        if char == "\\":
            return Chars(self.escape())
        if char == ".":
            return Chars(_negated(_LINE_ENDS))
        if char in "^$":
            raise PatternRefused(f"has {char!r} elsewhere than at its own start or end")
        if char in "*+?{}]":
            raise PatternRefused(f"has {char!r} without meaning; write \\{char}")
        return Chars(((ord(char), ord(char)),))

    def group(self) -> Node:
        if self.peek() == "?" and not self.accept("?:"):
            raise PatternRefused("has a group that is neither (...) nor (?:...)")
        self.depth += 1
        if self.depth > MAX_GROUPS:
            raise PatternRefused(f"nests more than {MAX_GROUPS} groups")
        body = self.alternatives()
        if not self.accept(")"):
            raise PatternRefused("has a group that is not closed")
        self.depth -= 1
        return Seq((body,))

    def quantified(self, body: Node) -> Node:
        counts = self.quantifier()
        if counts is None:
            return body
        self.accept("?")  # lazy or greedy: the same texts match
        if self.peek() and self.peek() in "*+?{":
            raise PatternRefused("has a quantifier on a quantifier")
        least, most = counts
        if most == 0 or (most is not None and most < least) or max(least, most or 0) > MAX_COUNT:
            raise PatternRefused(f"has a count that is empty or above {MAX_COUNT}")
        return Repeat(body, least, most)

    def quantifier(self) -> tuple[int, int | None] | None:
        if self.peek() in _QUANTIFIERS:
            return _QUANTIFIERS[self.take()]
        if not self.accept("{"):
            return None
        inside, closed, _ = self.text[self.place :].partition("}")
        least, comma, most = inside.partition(",")
        if not closed or not _is_count(least) or (most and not _is_count(most)):
            raise PatternRefused("has '{' that begins no count; write \\{")
        self.place += len(inside) + 1
        return int(least), (int(most) if most else None) if comma else int(least)

    def char_class(self) -> Ranges:
        negated = self.accept("^")
        ranges: list[tuple[int, int]] = []
        while not self.accept("]"):
            item = self.class_item()
            if self.peek() == "-" and self.peek(2) != "-]":
                self.take()
                item = _span(item, self.class_item())
            ranges += item
        if not ranges:
            raise PatternRefused("has an empty character class")
        merged = _merged(ranges)
        return _negated(merged) if negated else merged

    def class_item(self) -> Ranges:
        char = self.take()
        return self.escape() if char == "\\" else ((ord(char), ord(char)),)

    def escape(self) -> Ranges:
        char = self.take()
        if char in _CLASSES:
            return _CLASSES[char]
        if char in _HEX:
            code = self.hex_digits(_HEX[char])
        elif char in _CONTROLS:
            code = _CONTROLS[char]
        elif char.isalnum():
            raise PatternRefused(f"has the escape \\{char}, which is not accepted")
        else:
            code = ord(char)
        return ((code, code),)

    def hex_digits(self, count: int) -> int:
        digits = self.peek(count)
        if len(digits) != count or any(d not in "0123456789abcdefABCDEF" for d in digits):
            raise PatternRefused(f"has an escape without its {count} hexadecimal digits")
        self.place += count
        return int(digits, 16)


def _is_count(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 5


def _span(low: Ranges, high: Ranges) -> Ranges:
    (first, first_end), (last, last_end) = low[0], high[-1]
    if len(low) + len(high) != 2 or first != first_end or last != last_end or first > last:
        raise PatternRefused("has a range in a character class that makes no sense")
    return ((first, last),)


def parse(pattern: str) -> Parsed:
    """Parse *pattern*.

    Raises:
        PatternRefused: for anything outside the subset.
    """
    start = pattern.startswith("^")
    inner = pattern[1:] if start else pattern
    kept = inner.removesuffix("$")
    # The dollar is an anchor unless an odd number of backslashes stands before it.
    end = kept != inner and (len(kept) - len(kept.rstrip("\\"))) % 2 == 0
    parser = _Parser(kept if end else inner)
    body = parser.alternatives()
    if parser.peek():
        raise PatternRefused("closes a group that is not open")
    if isinstance(body, Alt) and (start or end):
        raise PatternRefused("mixes anchors with alternatives; write ^(a|b)$")
    return Parsed(start, end, body)


def _code(point: int) -> str:
    return f"\\U{point:08x}"


def render(node: Node) -> str:
    """Write *node* for Python's ``re``."""
    if isinstance(node, Chars):
        spans = (_code(a) if a == b else f"{_code(a)}-{_code(b)}" for a, b in node.ranges)
        return f"[{''.join(spans)}]"
    if isinstance(node, Seq):
        return "".join(render(item) for item in node.items)
    if isinstance(node, Alt):
        return f"(?:{'|'.join(render(option) for option in node.options)})"
    most = "" if node.most is None else str(node.most)
    return f"(?:{render(node.body)}){{{node.least},{most}}}"
