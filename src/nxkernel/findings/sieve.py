"""Drops what is invalid from where its schema allows it, and keeps the rest.

A list marked with ``x-nx-each`` has elements that stand for themselves. The innermost marked list
around a fault decides what is dropped; a fault outside of any refuses the whole value. What is left
is judged again, because others may have referred to what is gone.

Only the hook's own contract can allow it: a plugin cannot give itself leave.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import attrs

from nxkernel.findings.checks import flaws
from nxkernel.findings.flaws import Flaw, Path
from nxkernel.findings.plans import EachList, Group, Plan
from nxkernel.findings.regions import Regions
from nxkernel.schemas import CompiledSchema, SchemaIssue, leading
from nxkernel.schemas.instance import shape_of
from nxkernel.schemas.profile import pointer
from nxkernel.types import Diagnostic, PluginId

__all__ = ["Contract", "Refusal", "Sieve", "Sifted", "groups_of", "pruned"]

#: Most elements that are dropped from one value, and most times that what is left is judged.
MAX_DROPPED, MAX_ROUNDS = 1000, 64
#: Most elements that are looked at, counted anew each time; and most values in invalid elements,
#: for each of which the reference says what is wrong.
MAX_JUDGED, MAX_INVALID = 100_000, 20_000


@attrs.frozen(eq=False)
class Contract:
    """One schema that a value is held to, and whose it is."""

    #: ``hook`` or ``plugin``.
    whose: str
    compiled: CompiledSchema
    plan: Plan


@attrs.frozen
class Refusal:
    """Why a value as a whole is not accepted."""

    whose: str
    issues: tuple[SchemaIssue, ...]


@attrs.frozen
class Sifted:
    """What became of a value: refused, or kept but for what was dropped."""

    refusal: Refusal | None = None
    #: In the order of their paths, by which :func:`pruned` takes them out.
    paths: tuple[Path, ...] = ()
    diagnostics: tuple[Diagnostic, ...] = ()
    #: How much of what could be dropped was, from 0.0 to 1.0.
    lost: float = 0.0


@attrs.frozen
class _Bad:
    """One element to drop: where, and the reason."""

    path: Path
    kind: str
    issue: SchemaIssue


class Sieve:
    """Sifts values; it keeps the schemas of elements that it has compiled."""

    def __init__(self, regions: Regions) -> None:
        self._regions = regions

    def sift(
        self,
        value: Any,
        contracts: Sequence[Contract],
        given: Callable[[], Iterable[Group]],
        provider: PluginId,
    ) -> Sifted:
        """Judge *value*, plain as a validator needs it, under all *contracts*.

        *given* returns what the value may refer to; it is asked only where that matters.
        """
        others = list(given()) if any(each.plan.artifacts for each in contracts) else []
        dropped: dict[Path, Diagnostic] = {}
        left, kept = value, _Kept()
        size = sum(each.size for each in _lists(contracts, value))
        for _ in range(max(6, min(MAX_ROUNDS, MAX_JUDGED // (size + 1)))):
            found = self._judged(left, contracts, others, provider)
            if isinstance(found, Refusal):
                return Sifted(kept.refusal(found))
            if not found:
                return _sifted(contracts, value, dropped)
            dropped |= {kept.path(bad.path): _diagnostic(kept, bad, provider) for bad in found}
            if len(dropped) > MAX_DROPPED:
                return Sifted(_limit(f"more than {MAX_DROPPED} elements are invalid"))
            left, kept = _without(value, dropped)
        return Sifted(_limit("what is left keeps referring to what was dropped"))

    def _judged(
        self, value: Any, contracts: Sequence[Contract], given: list[Group], provider: PluginId
    ) -> list[_Bad] | Refusal:
        for contract in contracts:
            found = self._violations(contract, _lists(contracts, value), value)
            if found:
                return found
        wrong = flaws(groups_of(contracts, value), given, provider)
        return _misfits(contracts, value, wrong) if wrong else []

    def _violations(
        self, contract: Contract, lists: list[EachList], value: Any
    ) -> list[_Bad] | Refusal:
        """What the schema forbids; [] is nothing.

        The reference is asked about the whole last: of a long list with one bad element it would
        look at every other one first.
        """
        compiled = contract.compiled
        issues = [] if compiled.quick else compiled.validate(value)
        if compiled.holds(value) or not (compiled.quick or issues):
            return []
        if issues and issues[0].code == "limit":
            return Refusal(contract.whose, tuple(issues))
        try:
            found = self._invalid(contract, lists, value) if lists else []
        except _TooMuch:
            return _limit("more of it is invalid than is looked at")
        return found or _refused(contract, issues or compiled.validate(value))

    def _invalid(self, contract: Contract, lists: list[EachList], value: Any) -> list[_Bad]:
        """The elements that their own schema forbids; of one inside another, the inner one."""
        found: dict[Path, _Bad] = {}
        left = MAX_INVALID
        for each in sorted(lists, key=lambda each: -len(each.path)):
            schema = self._regions.element(contract.compiled, each.path)
            for index, element in enumerate(_at(value, each.path) if schema else ()):
                path = (*each.path, index)
                if schema is None or schema.holds(element):
                    continue
                left -= _parts(element)
                if left < 0 and schema.quick:
                    raise _TooMuch
                issues = schema.validate(element)
                if issues and not any(inner[: len(path)] == path for inner in found):
                    found[path] = _Bad(path, each.kind, leading(issues))
                if len(found) > MAX_DROPPED:
                    return list(found.values())
        return list(found.values())


class _TooMuch(Exception):
    """Invalid elements hold more than the reference is asked about."""


def _parts(value: Any) -> int:
    shape = shape_of(value)
    return MAX_INVALID if shape is None else shape.counted().parts


def groups_of(contracts: Sequence[Contract], value: Any) -> list[Group]:
    """Return the artifacts of *value*, as the first contract that marks any does."""
    for each in contracts:
        if each.plan.artifacts:
            return each.plan.groups(value)
    return []


def _lists(contracts: Sequence[Contract], value: Any) -> list[EachList]:
    """The lists that the hook's own contract lets elements be dropped from."""
    return contracts[0].plan.lists(value) if contracts[0].whose == "hook" else []


def _misfits(contracts: Sequence[Contract], value: Any, wrong: list[Flaw]) -> list[_Bad] | Refusal:
    """Lay each flaw at the door of the innermost element around it."""
    lists = sorted(_lists(contracts, value), key=lambda each: -len(each.path))
    found: dict[Path, _Bad] = {}
    for flaw in wrong:
        size = len(flaw.path)
        around = [e for e in lists if len(e.path) < size and flaw.path[: len(e.path)] == e.path]
        if not around:
            alone = [each.issue() for each in wrong]
            return Refusal(contracts[0].whose, tuple(alone[:20]))
        path = flaw.path[: len(around[0].path) + 1]
        issue = attrs.evolve(flaw, path=flaw.path[len(path) :]).issue()
        found.setdefault(path, _Bad(path, around[0].kind, issue))
    return list(found.values())


def _diagnostic(kept: _Kept, bad: _Bad, provider: PluginId) -> Diagnostic:
    return Diagnostic(
        code=bad.issue.code,
        path=pointer(kept.path(bad.path)),
        kind=bad.kind,
        provider=provider,
        message=str(bad.issue),
    )


def _refused(contract: Contract, issues: list[SchemaIssue]) -> Refusal | list[_Bad]:
    return Refusal(contract.whose, tuple(issues)) if issues else []


def _limit(message: str) -> Refusal:
    issue = SchemaIssue(
        instance_path="", keyword="limit", schema_path="", code="limit", message=message
    )
    return Refusal("hook", (issue,))


def _sifted(contracts: Sequence[Contract], value: Any, dropped: Mapping[Path, Any]) -> Sifted:
    if not dropped:
        return Sifted()
    paths = sorted(dropped, key=lambda path: [(isinstance(p, str), p) for p in path])
    total = sum(each.size for each in contracts[0].plan.lists(value))
    return Sifted(
        paths=tuple(paths),
        diagnostics=tuple(dropped[path] for path in paths),
        lost=min(1.0, len(paths) / total),
    )


def _at(value: Any, path: Path) -> Any:
    for part in path:
        value = value[part]
    return value


@attrs.frozen
class _Kept:
    """Which elements of which lists are left: from places in what is left to the first places."""

    #: By the path of a list as it is now, in text: the former index of each element.
    indices: dict[tuple[str, ...], list[int]] = attrs.Factory(dict)

    def path(self, path: Path) -> Path:
        """Return where *path* led in the value from which nothing was dropped."""
        former: list[str | int] = []
        for depth, part in enumerate(path):
            indices = self.indices.get(tuple(map(str, path[:depth])))
            former.append(part if indices is None else indices[int(part)])
        return tuple(former)

    def refusal(self, refusal: Refusal) -> Refusal:
        """Return *refusal* with the paths of its issues as they led at first."""
        if not self.indices:
            return refusal
        return attrs.evolve(refusal, issues=tuple(map(self._issue, refusal.issues)))

    def _issue(self, issue: SchemaIssue) -> SchemaIssue:
        # Parts of a pointer stay escaped: only those that are indices change.
        parts = issue.instance_path.split("/")[1:]
        former = "".join(f"/{part}" for part in self.path(tuple(parts)))
        return attrs.evolve(issue, instance_path=former)


def pruned(value: Any, paths: Iterable[Path], named: Callable[[str], str] = str) -> Any:
    """Return a copy of *value* without the list elements at *paths*.

    *named* writes a key of *value* as it stands in the paths.
    """
    return _without(value, paths, named)[0]


def _without(
    value: Any, paths: Iterable[Path], named: Callable[[str], str] = str
) -> tuple[Any, _Kept]:
    gone = set(paths)
    #: Every place on the way to something that goes.
    above = {path[:depth] for path in gone for depth in range(len(path))}
    kept = _Kept()

    def copied(item: Any, was: Path, now: Path) -> Any:
        if was not in above:
            return item
        if isinstance(item, Mapping):
            return {key: copied(item[key], (*was, named(key)), (*now, named(key))) for key in item}
        left = [index for index in range(len(item)) if (*was, index) not in gone]
        kept.indices[tuple(map(str, now))] = left
        return [
            copied(item[index], (*was, index), (*now, place)) for place, index in enumerate(left)
        ]

    return copied(value, (), ()), kept
