"""Schemas and values that are meant to hurt end in a clear error, in bounded time and memory."""

from __future__ import annotations

import json
import os
import subprocess

import pytest

from nxkernel.schemas import SchemaRegistry, _reference
from tests.support import interpreter
from tests.support.hostile import (
    SCHEMAS,
    STEPS,
    VALUES,
    Hostile,
    chain,
    said_of_schema,
    said_of_value,
)

#: Most that the process may grow over what the values themselves take, in MiB.
MOST_MIB = 96


@pytest.mark.parametrize("case", SCHEMAS, ids=lambda case: case.id)
def test_a_hostile_schema_is_refused_when_it_is_loaded(case: Hostile) -> None:
    """Before any value is looked at, with the place and the reason, both short."""
    said = said_of_schema(case)
    assert said.startswith(case.said)
    assert len(said) < 300


@pytest.mark.parametrize("case", VALUES, ids=lambda case: case.id)
def test_a_hostile_value_is_an_issue(case: Hostile, monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends neither the process nor the patience of its caller, whatever the schema."""
    monkeypatch.setattr(_reference, "MAX_CHECKS", STEPS)
    assert case.said in said_of_value(case)


def test_what_is_hostile_takes_little_memory() -> None:
    """All that are large in one process: none is copied before its size is known."""
    python = interpreter.own()
    done = subprocess.run(
        python.command("tests.support.hostile"),
        stdout=subprocess.PIPE,
        env={**os.environ, **python.environment},
        check=True,
    )
    assert json.loads(done.stdout)["grew_mib"] < MOST_MIB


def test_the_steps_of_one_check_are_counted_and_not_its_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What a keyword walks over counts: half of the budget, and the other end is not reached."""
    schema = {"items": {"required": [f"k{n}" for n in range(160)]}}
    known = SchemaRegistry().compile(schema)
    value = [dict.fromkeys(schema["items"]["required"])] * 100
    for steps, issues in ((1300, 0), (1000, 1)):  # eleven for each object
        monkeypatch.setattr(_reference, "MAX_CHECKS", steps)
        assert len(known._issues(value)) == issues


def test_the_verdict_does_not_depend_on_the_callers_stack() -> None:
    """What is too deep for the rest of a stack is looked at from an empty one."""
    known = SchemaRegistry().compile(chain(60, {"type": "string"}))

    def deep(frames: int) -> object:
        return deep(frames - 1) if frames else [known._issues("x"), known._issues(1)]

    assert deep(0) == deep(700)
