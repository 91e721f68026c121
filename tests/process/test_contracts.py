"""Contracts between real processes: every keyword, both directions, and values meant to hurt."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

import nxkernel as nx
from tests.support.canary import Canary, canary
from tests.support.hostile import tower
from tests.support.keywords import CASES, DEFS, Case
from tests.support.zoo import Zoo, code_of, copies, patient

__all__ = ["canary"]

KEYWORDS = {"properties": {case.keyword: case.schema for case in CASES}}
#: `act` is held to all keywords in its arguments, `echo` in its result.
HOOKS: dict[str, dict[str, Any]] = {
    "act": {"input": {"properties": {"value": KEYWORDS}, "$defs": DEFS}},
    "echo": {"output": {**KEYWORDS, "$defs": DEFS}},
}


@pytest.fixture(scope="module")
def held(confinement: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Zoo]:
    """A kernel whose hooks have every keyword of the profile in their contracts."""
    with checked(tmp_path_factory.mktemp("held"), "prints", hooks=HOOKS) as kernel:
        yield Zoo(kernel)


def checked(data: Any, *animals: str, hooks: Any) -> nx.Kernel:
    """A kernel over *animals* with no middleware but the contracts *hooks*."""
    return patient(data, *animals, middleware=[nx.Contracts(hooks)])


def issues(outcome: nx.Outcome) -> Any:
    assert outcome.error is not None
    return outcome.error.details["issues"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_arguments_that_a_keyword_refuses_do_not_cross(held: Zoo, case: Case) -> None:
    """The caller hears place, code and words of exactly what is wrong; the good value crosses."""
    refused = held.act("prints", {case.keyword: case.value})
    assert (code_of(refused), refused.fault) == ("contract.input", "caller")
    inside = f"/properties/value/properties/{case.keyword.replace('/', '~1')}"
    expected = case.at(f"/value/{case.keyword}", inside)
    assert issues(refused) == list(map(attrs.asdict, expected))
    assert refused.error is not None
    assert refused.error.message.startswith("arguments of hook 'act' are outside the hook's contr")
    assert held.act("prints", {case.keyword: case.good}).value == {case.keyword: case.good}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_a_result_that_a_keyword_refuses_is_withheld(held: Zoo, case: Case) -> None:
    """Nobody sees the value, and the plugin is told apart as the one at fault."""
    refused = held.ask("prints", "echo", value={case.keyword: case.value})
    assert (code_of(refused), refused.fault, refused.value) == ("contract.output", "plugin", None)
    expected = case.at(f"/{case.keyword}", f"/properties/{case.keyword}")
    assert issues(refused) == list(map(attrs.asdict, expected))
    assert refused.output_digest is not None
    good = held.ask("prints", "echo", value={case.keyword: case.good})
    assert good.value == {case.keyword: case.good}


# -- what is meant to hurt, across the wire --------------------------------------------------------

#: Contracts that a long, deep or wide value keeps busy.
BUSY: dict[str, Any] = {
    "properties": {
        "deep": {"items": {"type": "array"}},
        "wide": {"properties": {"known": True}, "additionalProperties": False},
        "many": {"items": {"type": "string"}},
        "long": {"pattern": "^a+$"},
        "address": {"properties": {"$ref": {"type": "integer"}}},
    }
}


@pytest.fixture(scope="module")
def busy(confinement: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Zoo]:
    """A kernel that checks results which real workers make to be a burden."""
    with checked(tmp_path_factory.mktemp("busy"), "prints", hooks={"echo": {"output": BUSY}}) as k:
        yield Zoo(k)


def test_a_result_that_is_a_burden_is_told_in_few_words(busy: Zoo, canary: Canary) -> None:
    """The issues are few and short, whatever came; the worker lives and answers the next call."""
    heavy = {
        "deep": (tower(150), "is nested deeper than 100"),
        "wide": (dict.fromkeys(map(str, range(50_000))), "unknown key; known: known"),
        "many": ([0] * 100_000, "expected string, got integer"),
        "long": ("a" * 1_000_000 + "!", "expected text that matches ^a+$"),
        "address": ({"$ref": canary.url, "$schema": canary.url}, "expected integer, got string"),
    }
    for name, (value, said) in heavy.items():
        outcome = busy.ask("prints", "echo", value={name: value})
        assert (code_of(outcome), outcome.fault) == ("contract.output", "plugin")
        assert 0 < len(issues(outcome)) <= 20
        assert issues(outcome)[0]["message"] == said
        assert busy.answers("prints")
    assert busy.kernel.plugins["prints"].starts == 1
    assert canary.hits() == 0


HURTS = {
    "remote": ('{ "$ref" = "URL" }', "only references inside the document"),
    "dialect": ('{ "$schema" = "URL" }', "the accepted dialects are"),
    "file": ('{ "$ref" = "file:///etc/passwd" }', "only references inside the document"),
    "slow": ('{ pattern = "^(a+)+$" }', "the pattern can read the same text in many ways"),
    "loop": ('{ "$ref" = "#" }', "applies itself to the same value without end"),
    "number": ("{ maximum = nan }", "holds a number at contracts.echo.output.maximum that is not"),
    "deep": ('{ "not" = ' * 80 + "{}" + "}" * 80, "nested deeper than 64"),
}


def test_a_manifest_cannot_make_the_host_fetch_or_toil(
    confinement: None, tmp_path: Path, canary: Canary
) -> None:
    """A plugin whose contract is meant to hurt is disabled with the reason; the others answer."""
    for name, (schema, _) in HURTS.items():
        (made,) = copies(tmp_path / "guests", "prints", [name])
        with (made / "plugin.toml").open("a") as manifest:
            manifest.write(f"\n[contracts.echo]\noutput = {schema.replace('URL', canary.url)}\n")
    folders = [tmp_path / "guests" / name for name in HURTS]
    stack = [nx.Contracts({})]
    with patient(tmp_path / "data", "prints", folders=folders, middleware=stack) as kernel:
        zoo = Zoo(kernel)
        for name, (_, reason) in HURTS.items():
            view = kernel.plugins[name]
            assert view.state == "disabled"
            assert reason in str(view.error)
        assert zoo.answers("prints")
    assert canary.hits() == 0
