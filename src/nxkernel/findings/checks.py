"""The rules of all kinds, brought together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from nxkernel.errors import SchemaInvalid
from nxkernel.findings.boxes import check_boxes
from nxkernel.findings.charts import check_charts
from nxkernel.findings.citations import check_citations
from nxkernel.findings.code_blocks import check_code_blocks
from nxkernel.findings.elements import check_elements
from nxkernel.findings.flaws import Flaw
from nxkernel.findings.plans import Group, Plan
from nxkernel.findings.references import check_ids, check_provider, check_references
from nxkernel.findings.sight import Sight
from nxkernel.findings.states import check_actions, check_deltas, check_states
from nxkernel.findings.tables import check_spreadsheets, check_tables
from nxkernel.schemas import CompiledSchema, SchemaIssue, SchemaRegistry
from nxkernel.schemas.published import named

__all__ = ["KINDS", "check", "flaws"]

Check = Callable[[Group, Sight], Iterator[Flaw]]
#: What holds for every kind that has the fields.
COMMON: tuple[Check, ...] = (check_ids, check_references, check_provider, check_boxes)
#: What holds for one kind alone.
OWN: Mapping[str, Check] = {
    "action": check_actions,
    "chart": check_charts,
    "citation": check_citations,
    "code_block": check_code_blocks,
    "delta": check_deltas,
    "element": check_elements,
    "spreadsheet": check_spreadsheets,
    "state": check_states,
    "table": check_tables,
}
#: Schemas are compiled once, whoever asks.
_REGISTRY = SchemaRegistry()
#: Every kind of artifact that is known here.
KINDS = frozenset(
    "action answer block chart citation code_block cursor delta element frame line spreadsheet "
    "state table token".split()
)


def flaws(groups: Iterable[Group], given: Iterable[Group] = (), provider: str = "") -> list[Flaw]:
    """Return what is wrong with the artifacts of *groups*, sorted; those of *given* are not judged.

    *provider* is the plugin whose result they are.
    """
    own = list(groups)
    sight = Sight([*own, *given], provider)
    return sorted({flaw for group in own for flaw in _of(group, sight)}, key=_place)


def _of(group: Group, sight: Sight) -> Iterator[Flaw]:
    for common in COMMON:
        yield from common(group, sight)
    if group.kind in OWN:
        yield from OWN[group.kind](group, sight)


def _place(flaw: Flaw) -> Any:
    # Indices in the order of numbers, and apart from keys: the two do not compare.
    parts = [(0, p, "") if isinstance(p, int) else (1, 0, p) for p in flaw.path]
    return parts, flaw.code, flaw.message


def check(
    schema: Any, value: Any, *, given: Mapping[str, tuple[Any, Any]] | None = None
) -> list[SchemaIssue]:
    """Return what is wrong with *value*: under *schema*, and then by the rules of its kinds.

    *schema* is one, or the name of a published one. *given* are values that it may refer to, by
    any name, each with its schema: ``{"frame": ("urn:nxkernel:sst:frame:1", frame)}``.

    Raises:
        SchemaInvalid: for a schema that is malformed, or a given value that it forbids.
    """
    compiled, plan = _planned(schema)
    issues = compiled.validate(value)
    if issues:
        return issues
    others = [group for name in sorted(given or {}) for group in _given(name, *(given or {})[name])]
    return [flaw.issue() for flaw in flaws(plan.groups(value), others)]


def _given(name: str, schema: Any, value: Any) -> list[Group]:
    compiled, plan = _planned(schema)
    if issues := compiled.validate(value):
        raise SchemaInvalid(f"given {name!r}: {issues[0]}")
    return plan.groups(value, given=True)


def _planned(schema: Any) -> tuple[CompiledSchema, Plan]:
    compiled = _REGISTRY.compile(named(schema))
    return compiled, _plan(compiled)


@lru_cache(maxsize=256)
def _plan(compiled: CompiledSchema) -> Plan:
    return Plan(compiled.schema)
