"""Laws of artifacts: what holds passes, and one planted fault is found at its place."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nxkernel.findings import Plan, Sieve, Sifted
from nxkernel.findings.checks import flaws
from nxkernel.findings.flaws import CODES
from nxkernel.findings.regions import Regions
from nxkernel.findings.sieve import Contract, pruned
from nxkernel.schemas import SchemaRegistry
from nxkernel.types import PluginId
from tests.support.artifacts import FAULTS, PLAIN, STORY, Fault, stories

COMPILED = SchemaRegistry().compile(STORY)
PLAN = Plan(COMPILED.schema)
SIEVE = Sieve(Regions(SchemaRegistry()))
SLOW = settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))


def issues(story: Any) -> set[tuple[str, str]]:
    """Return where and by which code something is wrong with a story that its schema accepts."""
    assert COMPILED.validate(story) == []
    found = [flaw.issue() for flaw in flaws(PLAN.groups(story))]
    return {(issue.instance_path, issue.code) for issue in found}


def sifted(story: Any) -> Sifted:
    """Return what is dropped from a story."""
    return SIEVE.sift(story, [Contract("hook", COMPILED, PLAN)], list, PluginId("p"))


@SLOW
@given(story=stories())
def test_what_holds_passes(story: Any) -> None:
    """No rule speaks of artifacts that break none, and nothing of them is dropped."""
    assert issues(story) == set()
    assert sifted(story) == Sifted()


@pytest.mark.parametrize("fault", FAULTS, ids=[f"{i}-{f.code}" for i, f in enumerate(FAULTS)])
def test_one_fault_is_found_where_it_was_planted(fault: Fault) -> None:
    """Each rule finds its fault in a story that is otherwise in order."""
    assert (fault.path, fault.code) in issues(fault.planted(PLAIN))


@SLOW
@given(story=stories(), fault=st.sampled_from(FAULTS))
def test_one_fault_is_found_whatever_stands_around_it(story: Any, fault: Fault) -> None:
    """The path and the code of a fault do not depend on the rest of the story."""
    assert (fault.path, fault.code) in issues(fault.planted(story))


@SLOW
@given(story=stories(), chosen=st.lists(st.sampled_from(FAULTS), min_size=1, max_size=3))
def test_what_is_left_of_a_faulty_value_holds(story: Any, chosen: list[Fault]) -> None:
    """The elements with faults go, with what referred to them; the rest stays and is valid."""
    wrong = story
    for fault in chosen:
        wrong = fault.planted(wrong)
    before = copy.deepcopy(wrong)
    found = sifted(wrong)
    assert wrong == before
    assert found.refusal is None
    assert len(found.paths) == len(found.diagnostics) > 0
    assert {each.code for each in found.diagnostics} <= CODES.keys()
    assert 0 < found.lost <= 1
    left = pruned(wrong, found.paths)
    assert issues(left) == set()
    assert sifted(left) == Sifted()
    assert sifted(wrong) == found


def test_every_code_of_a_flaw_is_planted() -> None:
    """No code is documented that no fault leads to."""
    assert {fault.code for fault in FAULTS} == CODES.keys()
