"""Proofs that one schema accepts no more than another, by the rules of ``narrowing``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any

import attrs

from nxkernel.schemas._disjoint import disjoint
from nxkernel.schemas._keywords import (
    ABOUT,
    ANNOTATIONS,
    AT_LEAST,
    AT_MOST,
    beside,
    constants_of,
    patterns_of,
    same,
    schemas_for,
    types_of,
)
from nxkernel.schemas._side import Side

__all__ = ["Open", "Proof"]

#: Deepest proof; schemas that mirror each other at growing depth end here.
MAX_DEPTH = 48

Path = tuple[str | int, ...]


class Open(Exception):
    """The proof fails here."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(path, reason)
        self.path, self.reason = path, reason


@attrs.define
class Proof:
    """A proof under way."""

    narrow: Side
    wide: Side
    #: How deep the proof is within which this one is made.
    depth: int = 0
    #: Pairs that are being proved: met again, they may be assumed.
    assumed: list[tuple[Any, Any]] = attrs.Factory(list)

    def included(self, narrow: Any, wide: Any, path: Path) -> None:
        """Raise `Open` unless *narrow* is included in *wide*."""
        narrow, wide = self.narrow.resolved(narrow), self.wide.resolved(wide)
        if (
            wide is True
            or narrow is False
            or any(n is narrow and w is wide for n, w in self.assumed)
        ):
            return
        if wide is False:
            raise Open(path, "nothing is allowed here")
        if self.depth + len(self.assumed) >= MAX_DEPTH:
            raise Open(path, "nested deeper than a proof goes")
        if not self.narrow.steps.take():
            raise Open(path, "takes more steps than a proof may")
        self.assumed.append((narrow, wide))
        try:
            self._by_cases({} if narrow is True else narrow, wide, path)
        finally:
            self.assumed.pop()

    def _by_cases(self, narrow: Mapping[str, Any], wide: Mapping[str, Any], path: Path) -> None:
        constants = constants_of(narrow)
        if constants is not None:
            for value in constants:
                unused = not self.narrow.may_accept(narrow, value)
                if not (unused or self.wide.surely_accepts(wide, value)):
                    raise Open(path, "one of its constants is not allowed")
            return
        # The type first: where it differs, it is what a reader wants to hear of.
        for keyword in sorted(wide.keys() - ANNOTATIONS, key=lambda name: (name != "type", name)):
            self._follows(narrow, wide, keyword, path)

    def _follows(
        self, narrow: Mapping[str, Any], wide: Mapping[str, Any], keyword: str, path: Path
    ) -> None:
        """Raise unless *keyword* of *wide* follows from *narrow* or from a part of it."""
        ways = [
            partial(self._rule, part, wide, keyword, path) for part in self.narrow.conjuncts(narrow)
        ]
        alone = {keyword: wide[keyword], **beside(wide, keyword)}
        for branches in self._alternatives(narrow):
            ways.append(partial(self._each, branches, alone, path))
        _one_of(ways)

    def _each(self, branches: Iterable[Any], wide: Any, path: Path) -> None:
        for branch in branches:
            self.included(branch, wide, path)

    def _alternatives(self, narrow: Mapping[str, Any]) -> Iterator[list[Any]]:
        for part in self.narrow.conjuncts(narrow):
            for keyword in ("anyOf", "oneOf"):
                if keyword in part:
                    yield part[keyword]

    # -- by keyword ------------------------------------------------------------------------

    def _rule(
        self, narrow: Mapping[str, Any], wide: Mapping[str, Any], keyword: str, path: Path
    ) -> None:
        about = ABOUT.get(keyword)
        if about is not None and not about & types_of(narrow):
            return
        rule = _RULES.get(keyword)
        if rule is not None:
            rule(self, narrow, wide, path)
        elif keyword in AT_LEAST | AT_MOST:
            _bound(narrow, wide, keyword, path)
        elif not same(narrow, wide, keyword):
            self._otherwise(narrow, wide, keyword, path)

    def _otherwise(
        self, narrow: Mapping[str, Any], wide: Mapping[str, Any], keyword: str, path: Path
    ) -> None:
        """Prove a keyword that the narrower schema does not simply repeat."""
        rule = _OTHERWISE.get(keyword)
        try:
            proved = rule is not None and rule(self, narrow, wide, path)
        except Open:
            proved = False
        if not proved:
            raise Open(path, f"{keyword!r} does not follow from what it says")

    def _type(self, narrow: Mapping[str, Any], wide: Mapping[str, Any], path: Path) -> None:
        extra = types_of(narrow) - types_of(wide)
        if extra:
            raise Open(path, f"allows {', '.join(sorted(extra))}")

    def _constant(self, narrow: Mapping[str, Any], wide: Mapping[str, Any], path: Path) -> None:
        few: dict[str, list[Any]] = {"boolean": [True, False], "null": [None]}
        types = types_of(narrow)
        values = [value for name in sorted(types & few.keys()) for value in few[name]]
        alone = {name: wide[name] for name in ("const", "enum") if name in wide}
        if not types <= few.keys() or not all(
            self.wide.surely_accepts(alone, each) for each in values
        ):
            raise Open(path, "allows more than the constants there")

    def _all_of(self, narrow: Mapping[str, Any], wide: Mapping[str, Any], path: Path) -> None:
        for part in wide["allOf"]:
            self.included(narrow, part, path)

    def _ref(self, narrow: Mapping[str, Any], wide: Mapping[str, Any], path: Path) -> None:
        self.included(narrow, self.wide.target(wide["$ref"]), path)

    def _any_of(self, narrow: Mapping[str, Any], wide: Mapping[str, Any], path: Path) -> None:
        try:
            _one_of([partial(self.included, narrow, part, path) for part in wide["anyOf"]])
        except Open:
            if not self._type_by_type(narrow, {"anyOf": wide["anyOf"]}, path):
                raise Open(path, "is in none of the alternatives for certain") from None

    def _type_by_type(self, narrow: Mapping[str, Any], wide: Any, path: Path) -> bool:
        """Prove it for each type that *narrow* names, if it names several."""
        named = narrow.get("type")
        if not isinstance(named, list) or len(named) < 2:
            return False
        for name in named:
            self.included({**narrow, "type": name}, wide, path)
        return True

    # -- what need not be repeated to the letter ---------------------------------------------

    def _one(self, narrow: Mapping[str, Any], wide: Mapping[str, Any], path: Path) -> bool:
        """In one alternative, and in none of the others."""
        branches = wide["oneOf"]
        for index, branch in enumerate(branches):
            others = branches[:index] + branches[index + 1 :]
            if self._within(narrow, branch, path) and all(
                disjoint(self.narrow, narrow, self.wide, other) for other in others
            ):
                return True
        return self._type_by_type(narrow, {"oneOf": branches}, path)

    def _within(self, narrow: Any, wide: Any, path: Path) -> bool:
        try:
            self.included(narrow, wide, path)
        except Open:
            return False
        return True

    def _not(self, narrow: Mapping[str, Any], wide: Mapping[str, Any], path: Path) -> bool:
        """Nothing in common with it, or all of it excluded already."""
        if disjoint(self.narrow, narrow, self.wide, wide["not"]):
            return True
        turned = Proof(self.wide, self.narrow, self.depth + len(self.assumed))
        return "not" in narrow and turned._within(wide["not"], narrow["not"], path)

    def _contains(self, narrow: Mapping[str, Any], wide: Mapping[str, Any], path: Path) -> bool:
        """At least as many, of what is among them."""
        if "contains" not in wide:
            return True  # a number of nothing
        if "contains" not in narrow or "maxContains" in wide:
            return False
        enough = narrow.get("minContains", 1) >= wide.get("minContains", 1)
        return enough and self._within(narrow["contains"], wide["contains"], (*path, "*"))

    def _names(self, narrow: Mapping[str, Any], wide: Mapping[str, Any], path: Path) -> bool:
        """By its own rule for names, or by the names that it allows alone."""
        names = wide["propertyNames"]
        if "propertyNames" in narrow:
            # A key is a text, whatever the schema says of other types.
            ours = narrow["propertyNames"]
            if self._within({"allOf": [{"type": "string"}, ours]}, names, path):
                return True
        closed = narrow.get("additionalProperties") is False and not patterns_of(narrow)
        known = narrow.get("properties", {})
        return closed and all(self.wide.surely_accepts(names, name) for name in known)

    def _beside(self, narrow: Mapping[str, Any], wide: Mapping[str, Any], path: Path) -> bool:
        """Each key brings the same ones along, or they are always there, or it never is."""
        ours = narrow.get("dependentRequired", {})
        always = set(narrow.get("required", ()))
        return all(
            set(needed) <= always | set(ours.get(key, ())) or False in schemas_for(narrow, key)
            for key, needed in wide["dependentRequired"].items()
        )

    def _if(self, narrow: Mapping[str, Any], wide: Mapping[str, Any], path: Path) -> bool:
        """By the branch that all of it takes, or by both."""
        if "if" not in wide:
            return True  # `then` and `else` mean nothing without it
        then, other = wide.get("then", True), wide.get("else", True)
        if disjoint(self.narrow, narrow, self.wide, wide["if"]):
            return self._within(narrow, other, path)
        both = self._within(narrow, other, path) or self._within(narrow, wide["if"], path)
        return both and self._within(narrow, then, path)

    def _items(self, narrow: Mapping[str, Any], wide: Mapping[str, Any], path: Path) -> None:
        ours, theirs = narrow.get("prefixItems", []), wide.get("prefixItems", [])
        most = narrow.get("maxItems")
        for index in range(max(len(ours), len(theirs))):
            if most is not None and index >= most:
                return
            mine = ours[index] if index < len(ours) else narrow.get("items", True)
            wanted = theirs[index] if index < len(theirs) else wide.get("items", True)
            self.included(mine, wanted, (*path, index))
        if most is None or most > max(len(ours), len(theirs)):
            self.included(narrow.get("items", True), wide.get("items", True), (*path, "*"))

    def _object(self, narrow: Mapping[str, Any], wide: Mapping[str, Any], path: Path) -> None:
        named = {*narrow.get("properties", {}), *wide.get("properties", {})}
        for name in sorted(named):
            self._key(narrow, wide, name, path)
        others = narrow.get("additionalProperties", True)
        if others is False and not patterns_of(narrow):
            return  # no other key than those
        if patterns_of(narrow) != patterns_of(wide):
            raise Open(path, "keys by pattern cannot be compared unless both have the same")
        for pattern in sorted(patterns_of(wide)):
            self.included(
                narrow["patternProperties"][pattern], wide["patternProperties"][pattern], path
            )
        self.included(others, wide.get("additionalProperties", True), (*path, "*"))

    def _key(
        self, narrow: Mapping[str, Any], wide: Mapping[str, Any], name: str, path: Path
    ) -> None:
        """Every schema that *wide* has for the key must follow from one that *narrow* has."""
        for wanted in schemas_for(wide, name):
            below = (*path, name)
            mine = schemas_for(narrow, name)
            _one_of([partial(self.included, each, wanted, below) for each in mine])

    def _required(self, narrow: Mapping[str, Any], wide: Mapping[str, Any], path: Path) -> None:
        missing = sorted(set(wide["required"]) - set(narrow.get("required", ())))
        if missing:
            raise Open((*path, missing[0]), "may be missing")

    def _unique(self, narrow: Mapping[str, Any], wide: Mapping[str, Any], path: Path) -> None:
        if wide["uniqueItems"] and not narrow.get("uniqueItems") and narrow.get("maxItems", 2) > 1:
            raise Open(path, "items may repeat")

    def _multiple(self, narrow: Mapping[str, Any], wide: Mapping[str, Any], path: Path) -> None:
        whole = types_of(narrow) & {"integer", "number"} == {"integer"}
        given = narrow.get("multipleOf", 1 if whole else None)
        if given is None or given % wide["multipleOf"]:
            raise Open(path, f"is not always a multiple of {wide['multipleOf']}")

    def _lower(self, narrow: Mapping[str, Any], wide: Mapping[str, Any], path: Path) -> None:
        """``minimum`` and ``exclusiveMinimum``, each of which may follow from the other."""
        _limit(narrow, wide, path, ("minimum", "exclusiveMinimum"), sign=1)

    def _upper(self, narrow: Mapping[str, Any], wide: Mapping[str, Any], path: Path) -> None:
        _limit(narrow, wide, path, ("maximum", "exclusiveMaximum"), sign=-1)


_RULES: Mapping[str, Any] = {
    "$ref": Proof._ref,
    "additionalProperties": Proof._object,
    "allOf": Proof._all_of,
    "anyOf": Proof._any_of,
    "const": Proof._constant,
    "enum": Proof._constant,
    "exclusiveMaximum": Proof._upper,
    "exclusiveMinimum": Proof._lower,
    "items": Proof._items,
    "maximum": Proof._upper,
    "minimum": Proof._lower,
    "multipleOf": Proof._multiple,
    "patternProperties": Proof._object,
    "prefixItems": Proof._items,
    "properties": Proof._object,
    "required": Proof._required,
    "type": Proof._type,
    "uniqueItems": Proof._unique,
}
#: Rules for what is not the same to the letter; each says whether it follows.
_OTHERWISE: Mapping[str, Any] = {
    "contains": Proof._contains,
    "dependentRequired": Proof._beside,
    "else": Proof._if,
    "if": Proof._if,
    "minContains": Proof._contains,
    "not": Proof._not,
    "oneOf": Proof._one,
    "propertyNames": Proof._names,
    "then": Proof._if,
}


def _one_of(ways: Iterable[Callable[[], None]]) -> None:
    """Take the first way that proves it, or raise why the first one does not."""
    problem: Open | None = None
    for way in ways:
        try:
            way()
        except Open as found:
            problem = problem or found
        else:
            return
    if problem is not None:
        raise problem


def _bound(narrow: Mapping[str, Any], wide: Mapping[str, Any], keyword: str, path: Path) -> None:
    limit, given = wide[keyword], narrow.get(keyword)
    holds = (given or 0) >= limit if keyword in AT_LEAST else given is not None and given <= limit
    if not holds:
        raise Open(path, f"{keyword} {limit} does not follow")


def _limit(
    narrow: Mapping[str, Any],
    wide: Mapping[str, Any],
    path: Path,
    names: tuple[str, str],
    sign: int,
) -> None:
    """Compare lower limits, or by *sign* -1 upper ones; an exclusive limit is the tighter one."""
    plain, exclusive = names
    ours = [(sign * narrow[plain], 0)] if plain in narrow else []
    ours += [(sign * narrow[exclusive], 1)] if exclusive in narrow else []
    theirs = [(sign * wide[plain], 0)] if plain in wide else []
    theirs += [(sign * wide[exclusive], 1)] if exclusive in wide else []
    if not ours or max(ours) < max(theirs):
        raise Open(path, f"{plain if plain in wide else exclusive} does not follow")
