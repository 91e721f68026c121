"""Two runs beside each other."""

from __future__ import annotations

import random
from typing import Any

import pytest

from nxkernel.audit.comparison import compare
from tests.unit.audit.calls import failure, record


def test_equal_runs_have_no_difference() -> None:
    """Times, numbers of rows and run ids are no differences."""
    left = [record(str(n), input_digest=f"sha256:{n}") for n in range(5)]
    right = [
        record(str(n), run_id="run-2", input_digest=f"sha256:{n}", duration_us=n, started_ns=n)
        for n in range(5)
    ]
    found = compare(left, right)
    assert (found.equal, found.same) == (True, 5)


def test_the_order_of_the_calls_is_no_difference() -> None:
    """What threads did in another order, and so under other numbers, is paired by what it was."""
    left = [record(str(n), input_digest=f"sha256:{n % 7}", seed=f"{n:02}") for n in range(30)]
    order = list(range(30))
    random.Random(7).shuffle(order)
    right = [
        record(str(place), input_digest=f"sha256:{n % 7}", seed=f"{n:02}")
        for place, n in enumerate(order)
    ]
    assert compare(left, right).equal


@pytest.mark.parametrize(
    ("changes", "differs"),
    [
        ({"input_digest": "sha256:other"}, ("input",)),
        ({"output_digest": "sha256:other"}, ("output",)),
        ({"seed": "02"}, ("seed",)),
        ({"level": "process"}, ("level",)),
        ({"attempt": 2}, ("attempts",)),
        ({"error_code": "plugin.timeout", "status": "error", "fault": "plugin"}, ("error",)),
    ],
    ids=["input", "output", "seed", "level", "attempts", "error"],
)
def test_a_difference_is_named(changes: dict[str, Any], differs: tuple[str, ...]) -> None:
    """Whatever two calls differ in, the pair says it and nothing else."""
    found = compare([record(seed="01")], [record(**{"seed": "01", **changes})])
    assert [pair.differs for pair in found.differing] == [differs]
    assert (found.same, found.only_left, found.only_right) == (0, (), ())


def test_a_key_of_the_caller_names_a_call() -> None:
    """Runs of other seeds are compared by the keys that the application gave its calls."""
    left = [record(str(n), key=[f"doc-{n}"], seed=f"0{n}") for n in range(3)]
    right = [
        record(str(9 - n), key=[f"doc-{n}"], seed=f"1{n}", input_digest="sha256:new")
        for n in (2, 0, 1)
    ]
    found = compare(left, right)
    assert [pair.right.key for pair in found.differing] == [["doc-0"], ["doc-1"], ["doc-2"]]
    assert {pair.differs for pair in found.differing} == {("input", "seed")}


def test_a_call_that_one_run_lacks_is_found() -> None:
    """What only one of them did is on its side, and does not pair with something else."""
    left = [record("1"), record("2", plugin="store")]
    right = [record("1"), record("2", hook="answer")]
    found = compare(left, right)
    assert [call.plugin for call in found.only_left] == ["store"]
    assert [call.hook for call in found.only_right] == ["answer"]
    assert not found.equal


def test_the_last_attempt_counts() -> None:
    """A retried call is one call, that differs in how often it was tried."""
    left = [failure("1", attempt=1), record("1", attempt=2)]
    found = compare(left, [record("1")])
    assert [pair.differs for pair in found.differing] == [("attempts",)]
    assert found.only_left == ()


def test_equal_calls_are_paired_one_by_one() -> None:
    """Three equal calls beside two of them leave one over."""
    found = compare([record(str(n)) for n in range(3)], [record(str(n)) for n in range(2)])
    assert (found.same, len(found.only_left)) == (2, 1)
