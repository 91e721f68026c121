"""Answers, sealed: whatever way one leaves the kernel, nothing is left in it that is not cited.

A hookspec that ``returns`` an answer has every one of its values checked: each provider's, what a
wrapper made of them, a fallback, a builtin's. It is what the hook means, as its fallback is, and no
layer of the stack: there is no way to list it, to leave it out, or to get round it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import attrs

from nxkernel._canonical import digest, encode
from nxkernel.errors import KernelConfigError
from nxkernel.hookspecs import HookSpec
from nxkernel.pipeline import Evidence, Library, sealed_answer
from nxkernel.types import Diagnostic, Digest, HookResult, Outcome

__all__ = ["Answers", "check_evidence"]

#: Where the diagnostic of a claim stands: in an answer, or in one of the answers of a wrapper.
_CLAIM = re.compile(r"(?:/(?P<answer>\d+))?/claims/(?P<claim>\d+)")


class _Nothing:
    """The library of a kernel without evidence: no claim holds."""

    def evidence(self, frame: Digest) -> Evidence | None:
        return None


def check_evidence(specs: Mapping[str, HookSpec], evidence: Library | None) -> None:
    """See that answers can be checked.

    Raises:
        KernelConfigError: when a hook returns answers and there is nothing to hold them against.
    """
    hooks = sorted(name for name, spec in specs.items() if spec.options.answers)
    if hooks and evidence is None:
        raise KernelConfigError(
            f"hook {hooks[0]!r} returns answers, whose citations are checked against what is "
            "stored: pass Kernel(evidence=), such as a nxkernel.pipeline.StoredLibrary",
            hook=hooks[0],
        )


@attrs.frozen
class Answers:
    """Seals the results of hooks that return answers."""

    evidence: Library = attrs.Factory(_Nothing)
    #: Told of answers of which something was removed: kind, plugin, facts.
    report: Callable[[str, str, Mapping[str, Any]], None] = lambda kind, plugin, data: None

    def sealed(self, spec: HookSpec, result: HookResult) -> HookResult:
        """Return *result* with every answer in it checked; that of another hook as it is."""
        if not spec.options.answers:
            return result
        lost = bool(result.diagnostics)
        seal = _Seal(_Remembering(self.evidence), lost=lost, many=not spec.firstresult)
        outcomes = tuple(self._outcome(seal, outcome) for outcome in result.outcomes)
        return attrs.evolve(result, outcomes=outcomes, value=seal.value(result.value))

    def _outcome(self, seal: _Seal, outcome: Outcome) -> Outcome:
        if outcome.error is not None or outcome.value is None:
            return outcome
        value = seal.value(outcome.value, outcome.diagnostics)
        for each in value if isinstance(value, list) else [value]:
            self._tell(outcome, each)
        if value == outcome.value:
            return outcome
        delivered = digest(encode(value))
        return attrs.evolve(outcome, value=value, shape=None, delivered_digest=delivered)

    def _tell(self, outcome: Outcome, answer: Any) -> None:
        removed = answer["rejected"] if answer is not None else ()
        if not removed:
            return
        facts = {
            "call": outcome.call_id,
            "hook": outcome.hook,
            "claims": len(answer["claims"]),
            "rejected": len(removed),
            "reasons": [{"index": each["index"], "reason": each["reason"]} for each in removed],
            "state": answer["state"],
        }
        self.report("answer.rejected", outcome.plugin, facts)


@attrs.define
class _Seal:
    """The check of one result. What stands in two places of it is checked once."""

    library: Library
    #: Whether the contract has removed claims somewhere, perhaps beneath a wrapper.
    lost: bool
    #: Whether a list is several answers, and not one that is malformed.
    many: bool
    _done: dict[int, tuple[Any, Any]] = attrs.Factory(dict)

    def value(self, value: Any, diagnostics: tuple[Diagnostic, ...] = ()) -> Any:
        """Return *value*, an answer, a list of them or None, with each answer checked."""
        if value is None:
            return None
        if not (self.many and isinstance(value, list)):
            return self._answer(value, _dropped(diagnostics, None))
        return [
            None if each is None else self._answer(each, _dropped(diagnostics, index))
            for index, each in enumerate(value)
        ]

    def _answer(self, value: Any, dropped: Mapping[int, str]) -> Any:
        # The value is kept beside what it became, so that no other can get its identity.
        if id(value) not in self._done:
            answer = sealed_answer(value, self.library, dropped)
            if self.lost and answer["state"] == "ok":
                answer["state"] = "partial"
            self._done[id(value)] = (value, answer)
        return self._done[id(value)][1]


def _dropped(diagnostics: tuple[Diagnostic, ...], answer: int | None) -> dict[int, str]:
    """The claims that the contract removed from one answer, by their places."""
    found: dict[int, str] = {}
    wanted = None if answer is None else str(answer)
    for each in diagnostics:
        match = _CLAIM.fullmatch(each.path)
        if match and match["answer"] == wanted:
            found[int(match["claim"])] = each.message
    return found


@attrs.define
class _Remembering:
    """A library that looks up each frame once: its bytes are hashed whenever they are read."""

    _library: Library
    _known: dict[Digest, Evidence | None] = attrs.Factory(dict)

    def evidence(self, frame: Digest) -> Evidence | None:
        if frame not in self._known:
            self._known[frame] = self._library.evidence(frame)
        return self._known[frame]
