"""Answers are sealed, and a kernel that could not seal them is not built."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import pytest

import nxkernel as nx
from nxkernel.errors import KernelConfigError
from nxkernel.hookspecs import ANSWER
from nxkernel.kernel.answers import Answers
from nxkernel.pipeline import Evidence
from nxkernel.types import Diagnostic, Digest, HookResult
from tests.support.answering import Asking
from tests.support.calls import a_call, a_spec, answered

FALSE = {"claims": [{"text": "x", "citations": []}]}


def spec(*, first: bool = True) -> Any:
    plain = a_spec("read_tokens")
    options = attrs.evolve(plain.options, returns=ANSWER)
    return attrs.evolve(plain, options=options, firstresult=first)


def result(value: Any, *outcomes: Any, **changes: Any) -> HookResult:
    return HookResult(hook="read_tokens", value=value, outcomes=outcomes, **changes)  # type: ignore[arg-type]


def test_a_kernel_without_evidence_is_not_built(tmp_path: Path) -> None:
    """The boot is too late to find out that nothing can be checked."""
    with pytest.raises(
        KernelConfigError, match=r"hook 'backed' returns answers.*Kernel\(evidence=\)"
    ):
        nx.Kernel("zoo", specs=[Asking], run=nx.Run.create(tmp_path), middleware=[])


def test_without_a_library_no_claim_holds() -> None:
    """What cannot be looked up is not believed."""
    assert Answers().sealed(spec(), result(FALSE)).value["state"] == "no_evidence"


def test_other_hooks_are_none_of_its_business() -> None:
    """A dict with claims in it is a dict where no answer was promised."""
    given = result(FALSE, answered(a_call(), FALSE))
    assert Answers().sealed(a_spec("read_tokens"), given) is given


def test_each_frame_is_looked_up_once_for_a_result() -> None:
    """Its bytes are hashed whenever it is, and two claims often cite the same one."""
    asked: list[Digest] = []

    class Library:
        def evidence(self, frame: Digest) -> Evidence | None:
            asked.append(frame)
            return None

    cited = {"frame": "sha256:1", "start": 0, "end": 1, "bbox": [0, 0, 1, 1], "quote": "x"}
    value = {"claims": [{"text": "x", "citations": [cited]}, {"text": "y", "citations": [cited]}]}
    outcome = answered(a_call(), value)
    Answers(Library()).sealed(spec(), result(value, outcome))
    assert asked == ["sha256:1"]


def test_a_list_is_several_answers_only_where_there_are_several() -> None:
    """Of a first result it is one answer, and a malformed one."""
    first = Answers().sealed(spec(), result([FALSE])).value
    assert (first["state"], first["rejected"][0]["reason"]) == ("no_evidence", "claim.malformed")
    several = Answers().sealed(spec(first=False), result([FALSE, None])).value
    assert [each and each["state"] for each in several] == ["no_evidence", None]


def test_claims_dropped_beneath_a_wrapper_leave_their_mark() -> None:
    """A value that a wrapper made anew is partial when the contract dropped a claim below it."""

    class Library:
        def evidence(self, frame: Digest) -> Evidence | None:
            from nxkernel.pipeline.citations import Token

            return Evidence(frame=frame, width=9, height=9, tokens=(Token("x", (0, 0, 1, 1)),))

    cited = {"frame": "sha256:1", "start": 0, "end": 1, "bbox": [0, 0, 1, 1], "quote": "x"}
    value = {"claims": [{"text": "x", "citations": [cited]}]}
    dropped = Diagnostic(code="missing", path="/claims/0", kind="claim", provider="p", message="m")  # type: ignore[arg-type]
    outcome = answered(a_call(), {"claims": []}, diagnostics=(dropped,))
    sealed = Answers(Library()).sealed(spec(), result(value, outcome))
    assert sealed.value["state"] == "partial"
    assert sealed[0].value["rejected"] == [
        {"index": 0, "reason": "claim.malformed", "message": "m"}
    ]


def test_an_error_stays_an_error() -> None:
    """A hook without a value has no answer to check."""
    failed = result(None, error=nx.CallError(code="plugin.raised", message="x"))
    assert Answers().sealed(spec(), failed) == failed
