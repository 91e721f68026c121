"""Each keyword that a schema may use refuses an artifact, and the artifact alone is dropped."""

from __future__ import annotations

from typing import Any

import pytest

from nxkernel._canonical import digest, encode
from nxkernel.middleware.contracts import Contracts
from nxkernel.schemas import leading
from nxkernel.types import Outcome
from tests.support.calls import Boot, a_call, a_spec, answered, drive
from tests.support.keywords import CASES, DEFS, Case


def returned(schema: Any, value: Any, **changes: Any) -> Outcome:
    """Return what is left of *value* under an output contract *schema*."""
    contracts = Contracts({"read_tokens": {"output": schema}})
    contracts.boot(Boot(specs=[a_spec("read_tokens")]).facts())
    call = a_call(**changes)
    return drive(contracts, call, answered(call, value))


def each(schema: Any) -> Any:
    """A list of artifacts that stand for themselves."""
    return {"type": "array", "items": schema, "x-nx-each": "thing", "$defs": dict(DEFS)}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_a_keyword_drops_the_artifact_that_it_refuses(case: Case) -> None:
    """Code, place and words are those of the keyword's first issue; the neighbours stay."""
    outcome = returned(each(case.schema), [case.good, case.value, case.good])
    assert outcome.error is None
    assert outcome.value == [case.good, case.good]
    (found,) = outcome.diagnostics
    first = leading(sorted(case.issues))
    assert (found.path, found.kind, found.provider) == ("/1", "thing", "ocr.rapid")
    assert (found.code, found.message) == (first.code, str(first))
    assert outcome.lost == 1 / 3
    assert outcome.delivered_digest == digest(encode([case.good, case.good]))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_without_the_mark_it_refuses_the_whole(case: Case) -> None:
    """The same artifact in a list that was not marked is a violation of the contract."""
    schema = {key: value for key, value in each(case.schema).items() if key != "x-nx-each"}
    outcome = returned(schema, [case.good, case.value])
    assert outcome.error is not None
    assert (outcome.error.code, outcome.fault) == ("contract.output", "plugin")
    assert outcome.error.details["issues"][0]["instance_path"].startswith("/1")
    assert outcome.diagnostics == ()


def test_bytes_and_odd_keys_are_found_again() -> None:
    """What a validator sees under another name is dropped from where it really stands."""
    schema = {
        "type": "object",
        "additionalProperties": {
            "type": "array",
            "x-nx-each": "blob",
            "items": {"properties": {"$bytes": {"minimum": 3}}},
        },
    }
    outcome = returned(schema, {"$bytes": [b"abc", b"a"], "$$blob": [b""]})
    assert outcome.value == {"$bytes": [b"abc"], "$$blob": []}
    assert [found.path for found in outcome.diagnostics] == ["/$$$blob/0", "/$$bytes/1"]


def test_what_a_wrapper_passes_on_is_not_asked_again() -> None:
    """The value that it was given was judged already; only another one is new."""
    schema = each({"type": "integer"})
    call = a_call({"result": [["x"]]}, phase="teardown", input_digest=digest(encode([["x"]])))
    contracts = Contracts({"read_tokens": {"output": schema}})
    contracts.boot(Boot(specs=[a_spec("read_tokens")]).facts())
    same = answered(call, [["x"]], output_digest=digest(encode([["x"]])))
    other = answered(call, [["x", 1]], output_digest=digest(encode([["x", 1]])))
    assert drive(contracts, call, same) is same
    assert drive(contracts, call, other).value == [[1]]


def test_a_hostile_result_ends_in_bounded_work() -> None:
    """A list of twenty thousand invalid elements is refused after a thousand of them."""
    outcome = returned(each({"type": "integer"}), ["x"] * 20_000)
    assert outcome.error is not None
    assert outcome.error.message.endswith("more than 1000 elements are invalid")
