"""The position automaton of a pattern, and how ambiguous it is."""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from nxkernel.schemas._components import components
from nxkernel.schemas._expression import Alt, Chars, Node, PatternRefused, Repeat, Seq

__all__ = ["Automaton"]

#: Largest automaton, in positions.
MAX_POSITIONS = 1000
#: Most pairs or triples of positions that one check may look at.
MAX_STEPS = 50_000
#: Most positions after which more than one way is open, where no loop multiplies them.
MAX_CHOICES = 8
_AMBIGUOUS = "can read the same text in many ways: a repetition inside or beside another one"
_COMPLEX = "is too complex to be checked"


@attrs.frozen
class _Part:
    """What a subexpression contributes: may it be empty, where it begins, where it ends."""

    empty: bool
    first: tuple[int, ...]
    last: tuple[int, ...]


_NOTHING = _Part(True, (), ())


@attrs.define
class Automaton:
    """Positions (one for each character class written or counted) and which may follow which."""

    chars: list[Chars] = attrs.field(factory=list)
    follow: list[list[int]] = attrs.field(factory=list)
    first: tuple[int, ...] = ()

    @classmethod
    def build(cls, node: Node) -> Automaton:
        """Build the automaton of *node*.

        Raises:
            PatternRefused: when it is too large, repeats what can be empty, or links two positions
                in two ways, as ``(a+)+`` does.
        """
        automaton = cls()
        automaton.first = automaton._part(node).first
        return automaton

    def check(self) -> None:
        """Refuse ambiguity that grows with the text.

        Raises:
            PatternRefused: with the reason.
        """
        cycles = [c for c in components(range(len(self.chars)), self._next) if self._loops(c)]
        for cycle in cycles:
            self._check_exponential(cycle)
        self._check_polynomial(cycles)
        if sum(map(self._branches, [self.first, *self.follow])) > MAX_CHOICES:
            raise PatternRefused(f"leaves more than {MAX_CHOICES} choices open while it reads")

    def _part(self, node: Node) -> _Part:
        if isinstance(node, Chars):
            return self._position(node)
        if isinstance(node, Seq):
            return self._sequence(self._part(item) for item in node.items)
        if isinstance(node, Alt):
            parts = [self._part(option) for option in node.options]
            if sum(part.empty for part in parts) > 1:
                raise PatternRefused("can be empty in more than one way")
            return _Part(
                any(part.empty for part in parts),
                tuple(p for part in parts for p in part.first),
                tuple(p for part in parts for p in part.last),
            )
        return self._repeat(node)

    def _position(self, chars: Chars) -> _Part:
        if len(self.chars) >= MAX_POSITIONS:
            raise PatternRefused(f"has more than {MAX_POSITIONS} positions, counts included")
        self.chars.append(chars)
        self.follow.append([])
        here = (len(self.chars) - 1,)
        return _Part(False, here, here)

    def _sequence(self, parts: Iterable[_Part]) -> _Part:
        whole = _NOTHING
        for part in parts:
            self._link(whole.last, part.first)
            whole = _Part(
                whole.empty and part.empty,
                whole.first + part.first if whole.empty else whole.first,
                whole.last + part.last if part.empty else part.last,
            )
        return whole

    def _repeat(self, node: Repeat) -> _Part:
        # A range {m,n} is taken for a loop after m copies: that can only make it look more
        # ambiguous than it is, and large counts are as slow as loops.
        copies = [self._part(node.body) for _ in range(max(node.least, 1))]
        if copies[-1].empty:
            raise PatternRefused("repeats something that can be empty")
        if node.most is None or node.most > max(node.least, 1):
            self._link(copies[-1].last, copies[-1].first)
        whole = self._sequence(copies)
        return attrs.evolve(whole, empty=whole.empty or node.least == 0)

    def _link(self, sources: tuple[int, ...], targets: tuple[int, ...]) -> None:
        for source in sources:
            for target in targets:
                if target in self.follow[source]:
                    raise PatternRefused(_AMBIGUOUS)
                self.follow[source].append(target)

    def _next(self, position: int) -> list[int]:
        return self.follow[position]

    def _loops(self, component: list[int]) -> bool:
        return len(component) > 1 or component[0] in self.follow[component[0]]

    def _branches(self, ways: Iterable[int]) -> bool:
        ways = list(ways)
        return any(
            self.chars[a].overlaps(self.chars[b]) for i, a in enumerate(ways) for b in ways[:i]
        )

    def _check_exponential(self, cycle: list[int]) -> None:
        """A cycle can be gone round in two ways: (q, q) reaches (p, p') and comes back."""
        inside = set(cycle)
        budget = _Budget()

        def successors(pair: tuple[int, int]) -> list[tuple[int, int]]:
            budget.spend(len(self.follow[pair[0]]) * len(self.follow[pair[1]]))
            return [
                (a, b)
                for a in self.follow[pair[0]]
                for b in self.follow[pair[1]]
                if a in inside and b in inside and self.chars[a].overlaps(self.chars[b])
            ]

        for component in components([(p, p) for p in cycle], successors):
            if len({a == b for a, b in component}) == 2:
                raise PatternRefused(_AMBIGUOUS)

    def _check_polynomial(self, cycles: list[list[int]]) -> None:
        """Two loops can share a text: p → p, p → q and q → q by the same characters."""
        budget = _Budget()
        home = {p: set(cycle) for cycle in cycles for p in cycle}
        for p in sorted(home):
            for q in sorted(home):
                if q not in home[p] and self._shares(p, q, home, budget):
                    raise PatternRefused(_AMBIGUOUS)

    def _shares(self, p: int, q: int, home: dict[int, set[int]], budget: _Budget) -> bool:
        seen = {(p, p, q)}
        todo = [(p, p, q)]
        while todo:
            a, b, c = todo.pop()
            for x in home[p].intersection(self.follow[a]):
                for y in self.follow[b]:
                    for z in home[q].intersection(self.follow[c]):
                        budget.spend(1)
                        step = (x, y, z)
                        if step not in seen and self._common(step):
                            if step == (p, q, q):
                                return True
                            seen.add(step)
                            todo.append(step)
        return False

    def _common(self, positions: tuple[int, int, int]) -> bool:
        """Whether one character can be read at all three positions."""
        first, second, third = (self.chars[p].ranges for p in positions)
        return any(
            max(a, c, e) <= min(b, d, f) for a, b in first for c, d in second for e, f in third
        )


@attrs.define
class _Budget:
    left: int = MAX_STEPS

    def spend(self, steps: int) -> None:
        self.left -= steps
        if self.left < 0:
            raise PatternRefused(_COMPLEX)
