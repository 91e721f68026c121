"""Accepted patterns match as they should, in a number of steps that grows with the text."""

from __future__ import annotations

import re
from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from nxkernel.schemas._expression import Alt, Chars, Node, Repeat, Seq, parse
from nxkernel.schemas.patterns import PatternRefused, to_python

ATOMS = st.sampled_from(["a", "b", "[ab]", "[^a]", ".", r"\w", r"\d", "-"])


def compose(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Return larger patterns out of *inner* ones."""
    quantifier = st.sampled_from(["*", "+", "?", "{2}", "{1,3}", "{0,2}", "{2,}"])
    return st.one_of(
        st.lists(inner, min_size=1, max_size=4).map("".join),
        st.lists(inner, min_size=2, max_size=3).map(lambda options: f"({'|'.join(options)})"),
        st.tuples(inner, quantifier).map(lambda pair: f"({pair[0]}){pair[1]}"),
    )


BODIES = st.recursive(ATOMS, compose, max_leaves=6)
PATTERNS = st.builds(lambda start, body, end: start + body + end, *[st.sampled_from(["^", ""])],
                     BODIES, st.sampled_from(["$", ""]))  # fmt: skip
TEXTS = st.text(alphabet="ab-1", max_size=12)


@given(PATTERNS, TEXTS)
def test_accepted_patterns_match_what_python_matches(pattern: str, text: str) -> None:
    """Over ASCII texts without line ends, both readings of the subset agree."""
    try:
        rewritten = to_python(pattern)
    except PatternRefused:
        return
    assert bool(re.search(rewritten, text)) == bool(re.search(pattern, text, re.ASCII))


class Steps:
    """A backtracking matcher that counts; gives up beyond a limit."""

    def __init__(self, text: str, limit: int) -> None:
        self.text = text
        self.left = limit

    def ends(self, node: Node, at: int) -> Iterator[int]:
        """Yield every place where *node*, begun at *at*, can end, in the order of ``re``."""
        self.left -= 1
        if self.left < 0:
            raise OverflowError
        if isinstance(node, Chars):
            if at < len(self.text) and node.overlaps(Chars(((ord(self.text[at]),) * 2,))):
                yield at + 1
        elif isinstance(node, Seq):
            yield from self.sequence(node.items, at)
        elif isinstance(node, Alt):
            for option in node.options:
                yield from self.ends(option, at)
        else:
            yield from self.repeated(node, at, 0)

    def sequence(self, items: tuple[Node, ...], at: int) -> Iterator[int]:
        if not items:
            yield at
            return
        for middle in self.ends(items[0], at):
            yield from self.sequence(items[1:], middle)

    def repeated(self, node: Repeat, at: int, count: int) -> Iterator[int]:
        if node.most is None or count < node.most:
            for middle in self.ends(node.body, at):
                if middle > at:
                    yield from self.repeated(node, middle, count + 1)
        if count >= node.least:
            yield at


def exhausts(body: Node, text: str, limit: int) -> bool:
    """Whether trying every way to match *body* at the start takes more than *limit* steps."""
    try:
        for _ in Steps(text, limit).ends(body, 0):
            pass
    except OverflowError:
        return True
    return False


@given(BODIES, st.text(alphabet="ab", min_size=1, max_size=3))
def test_steps_grow_with_the_text_and_not_with_its_square(body: str, word: str) -> None:
    """For an accepted pattern, all ways to read a long text are a few times its length."""
    try:
        to_python("^" + body)
    except PatternRefused:
        return
    text = (word * 40)[:60]
    assert not exhausts(parse("^" + body).body, text, 60 * 400)


def test_the_count_of_steps_finds_what_is_refused() -> None:
    """The measure of the test above is sharp enough to see the textbook cases."""
    for pattern in ("^(a+)+", "^(a|a)*", "^a*a*a*a*"):
        assert exhausts(parse(pattern).body, "a" * 60, 60 * 400)
