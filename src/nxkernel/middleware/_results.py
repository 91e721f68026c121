"""Results under their contracts: kept, kept but for what was dropped, or withheld."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import attrs

from nxkernel._canonical import digest, encode
from nxkernel._shape import Shape
from nxkernel.findings import Group, Sieve, Sifted
from nxkernel.findings.checks import flaws
from nxkernel.findings.regions import Regions
from nxkernel.findings.sieve import Contract, Refusal, groups_of, pruned
from nxkernel.middleware._plain_json import as_json, bare, escaped, holds
from nxkernel.schemas import SchemaIssue, SchemaRegistry
from nxkernel.types import Call, CallError, Diagnostic, Outcome

__all__ = ["Results", "details", "summary"]

Given = Callable[[], Iterable[Group]]
#: Nothing was dropped, and nothing refused.
_WHOLE = Sifted()


class Results:
    """Holds what providers and wrappers return to their contracts."""

    def __init__(self, registry: SchemaRegistry) -> None:
        self._sieve = Sieve(Regions(registry))

    def of_provider(
        self, call: Call, outcome: Outcome, contracts: Sequence[Contract], given: Given
    ) -> Outcome:
        """Return *outcome* with what its *contracts* leave of its value."""
        sifted = self._sifted(call, outcome.value, outcome.shape, contracts, given)
        if sifted is _WHOLE:
            return outcome
        if sifted.refusal is not None:
            return _withheld(call, outcome, sifted.refusal)
        if not sifted.paths:
            return outcome
        left = pruned(outcome.value, sifted.paths, escaped)
        return _delivered(outcome, left, sifted.diagnostics, sifted.lost)

    def of_wrapper(self, call: Call, outcome: Outcome, contract: Contract) -> Outcome:
        """Return *outcome* of a wrapper around a fan-out: each of the results in its value.

        Something else than a list is what the wrapper made of the results, and has no contract.
        """
        if type(outcome.value) is not list:
            return outcome
        kept: list[Any] = []
        diagnostics: list[Diagnostic] = []
        lost = 0.0
        for index, value in enumerate(outcome.value):
            sifted = self._sifted(call, value, None, [contract], tuple)
            if sifted.refusal is not None:
                return _withheld(call, outcome, _within(index, sifted.refusal))
            kept.append(pruned(value, sifted.paths, escaped) if sifted.paths else value)
            diagnostics += [_moved(index, each) for each in sifted.diagnostics]
            lost = max(lost, sifted.lost)
        return _delivered(outcome, kept, tuple(diagnostics), lost) if diagnostics else outcome

    def _sifted(
        self,
        call: Call,
        value: Any,
        shape: Shape | None,
        contracts: Sequence[Contract],
        given: Given,
    ) -> Sifted:
        """Look at *value* as it is; only one with something wrong in it is taken apart."""
        if value is None:
            return _WHOLE
        seen = bare(value, shape)
        for each in contracts:
            if not holds(each.compiled, value, seen):
                break
        else:
            groups = groups_of(contracts, value)
            if not groups or not flaws(groups, given(), call.plugin):
                return _WHOLE
        return self._sieve.sift(as_json(value), contracts, given, call.plugin)


def _delivered(
    outcome: Outcome, value: Any, diagnostics: tuple[Diagnostic, ...], lost: float
) -> Outcome:
    return attrs.evolve(
        outcome,
        value=value,
        shape=None,
        diagnostics=diagnostics,
        lost=lost,
        delivered_digest=digest(encode(value)),
    )


def _moved(index: int, each: Diagnostic) -> Diagnostic:
    return attrs.evolve(each, path=f"/{index}{each.path}")


def _within(index: int, refusal: Refusal) -> Refusal:
    moved = [
        attrs.evolve(issue, instance_path=f"/{index}{issue.instance_path}")
        for issue in refusal.issues
    ]
    return attrs.evolve(refusal, issues=tuple(moved))


def _withheld(call: Call, outcome: Outcome, refusal: Refusal) -> Outcome:
    whose = "the hook's contract" if refusal.whose == "hook" else "the plugin's own contract"
    message = f"result of {call.plugin!r} for hook {call.hook!r} is outside {whose}: "
    error = CallError(
        code="contract.output",
        message=message + summary(refusal.issues),
        details=details(refusal.whose, refusal.issues),
    )
    return attrs.evolve(outcome, value=None, error=error, fault="plugin")


def summary(issues: Sequence[SchemaIssue]) -> str:
    """Return the first of *issues*, and how many more there are."""
    more = len(issues) - 1
    return f"{issues[0]}" + (f" (and {more} more)" if more else "")


def details(contract: str, issues: Iterable[SchemaIssue]) -> Mapping[str, Any]:
    """Return *issues* as the details of an error; *contract* says whose was violated."""
    return {"contract": contract, "issues": [attrs.asdict(issue) for issue in issues]}
