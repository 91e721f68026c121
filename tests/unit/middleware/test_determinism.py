"""The seed of a call follows from its name and from nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from nxkernel._seeds import call_key, run_key
from nxkernel.errors import KernelConfigError
from nxkernel.middleware.determinism import Determinism
from nxkernel.settings import Guard
from tests.support.calls import Boot, a_call, drive, failed, sent


def booted(seed: int | str = 7) -> Determinism:
    middleware = Determinism()
    middleware.boot(Boot(seed=seed).facts())
    return middleware


def test_seed_is_the_call_key() -> None:
    """The seed is the one that the seed tree gives for run, plugin, hook and key."""
    expected = call_key(run_key("run"), "ocr.rapid", "read_tokens", ("doc-1",))
    assert sent(booted("run"), a_call()).seed == expected


def test_only_the_seed_changes() -> None:
    """The rest of the call goes on as it came."""
    call = a_call({"frame": 1}, annotations={"a": 1})
    onward = sent(booted(), call)
    assert onward.seed is not None
    for name in call_fields() - {"seed"}:
        assert getattr(onward, name) is getattr(call, name)


def call_fields() -> set[str]:
    return {attribute.name for attribute in type(a_call()).__attrs_attrs__}


def test_outcome_names_the_seed() -> None:
    """The outcome carries the seed beside the annotations that it had, failed or not."""
    call = a_call()
    seed = sent(booted(), call).seed
    assert seed is not None
    assert drive(booted(), call).annotations == {"seed": seed.hex()}
    outcome = drive(booted(), call, failed(call))
    assert outcome.annotations["seed"] == seed.hex()
    assert outcome.error is not None


@pytest.mark.parametrize(
    "change",
    [
        {"call_id": "8.1"},
        {"attempt": 2},
        {"deadline": 2000.0},
        {"depth": 1, "caller": "other", "parent": "8"},
        {"run_id": "r2"},
        {"level": "process"},
        {"historic": True},
    ],
    ids=lambda change: next(iter(change)),
)
def test_circumstances_do_not_count(change: dict[str, Any]) -> None:
    """Order, attempt, time, parent and place leave the seed as it is."""
    assert sent(booted(), a_call(**change)).seed == sent(booted(), a_call()).seed


@pytest.mark.parametrize(
    "change",
    [{"plugin": "ocr.other"}, {"impl": "read_again"}, {"key": ("doc-2",)}, {"key": ("doc-1", 0)}],
    ids=str,
)
def test_names_count(change: dict[str, Any]) -> None:
    """Another plugin, hookimpl or key is another stream."""
    assert sent(booted(), a_call(**change)).seed != sent(booted(), a_call()).seed


def test_another_run_seed_is_another_stream() -> None:
    """The run's seed reaches every call; a number and its text differ."""
    seeds = {sent(booted(seed), a_call()).seed for seed in (7, 8, "7")}
    assert len(seeds) == 3


def test_the_guard_warns_of_randomness_unless_told_otherwise() -> None:
    """Clocks and environment are seen on demand: ordinary libraries ask for them all the time."""
    assert Determinism().guard_of("p") == Guard(chance="warn", clocks="off", environment="off")


def test_a_plugin_may_have_a_mode_of_its_own() -> None:
    """In the place of the application's for randomness; `off` is off for everything."""
    middleware = Determinism(
        guard="strict", clocks="warn", plugins={"legacy": "warn", "never": "off"}
    )
    assert middleware.guard_of("p") == Guard(chance="strict", clocks="warn")
    assert middleware.guard_of("legacy") == Guard(chance="warn", clocks="warn")
    assert middleware.guard_of("never") == Guard()


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"guard": "on"}, "Determinism(guard='on')"),
        ({"clocks": "strictly"}, "Determinism(clocks='strictly')"),
        ({"plugins": {"p": "no"}}, "Determinism(p='no')"),
    ],
    ids=["guard", "clocks", "plugin"],
)
def test_other_modes_are_refused(options: dict[str, Any], named: str) -> None:
    """Where the application is composed, with the modes that there are."""
    with pytest.raises(KernelConfigError) as caught:
        Determinism(**options)
    assert caught.value.message == f"{named}: expected one of off, warn, strict"
