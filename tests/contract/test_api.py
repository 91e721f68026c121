"""The API reference names what the code has: every field, argument and member, and nothing else."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import attrs
import pytest

import nxkernel as nx
from nxkernel.kernel.health import BreakerHealth, ExitHealth, Health, PluginHealth
from nxkernel.kernel.views import PluginView

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "reference" / "api.md").read_text(
    encoding="utf-8"
)
VALUES = [
    *(
        nx.Call,
        nx.CallError,
        nx.Citation,
        nx.Claim,
        nx.Decision,
        nx.Diagnostic,
        nx.HookResult,
        nx.Outcome,
    ),
    *(nx.Grant, nx.Hosting, nx.Limits, nx.Sandbox, nx.Rule, nx.SchemaIssue, nx.ProbeReport),
    *(nx.Anchor, nx.AuditReader, nx.CallFilter),
    *(nx.Run, PluginView, Health, PluginHealth, ExitHealth, BreakerHealth),
]
#: What `HookResult` has as a sequence.
OF_A_SEQUENCE = {"index", "count"}
#: Calls with parameters that the page gives as a signature.
SIGNATURES: list[tuple[str, Any]] = [
    ("discover", nx.discover),
    ("standard_stack", nx.standard_stack),
    ("probe", nx.probe),
    ("Audit", nx.Audit),
    ("PolicyGate", nx.PolicyGate),
    ("Breaker", nx.Breaker),
    ("Contracts", nx.Contracts),
    ("Determinism", nx.Determinism),
    ("Tracing", nx.Tracing),
    ("create", nx.Run.create),
]


def section(name: str) -> str:
    """Return the text below the heading of *name*."""
    found = re.search(rf"^### `{name}`\n(.*?)(?=^##|\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert found, f"no heading for {name}"
    return found[1]


def rows(name: str) -> dict[str, str]:
    """Return the tables of a section: what a row is about, and the whole row."""
    lines = re.findall(r"^\| (`.*) \|$", section(name), re.MULTILINE)
    return {re.split(r"\W", line, maxsplit=2)[1]: line for line in lines}


def members(cls: type) -> set[str]:
    """Return the public names that a class has of its own."""
    return {
        name
        for owner in cls.__mro__[:-1]
        for name in vars(owner)
        if not name.startswith("_") and owner.__module__.startswith("nxkernel")
    }


def fields(cls: type) -> set[str]:
    """Return the public fields of a value."""
    if not attrs.has(cls):
        return {"path"} if cls is nx.AuditReader else set()
    return {field.name for field in attrs.fields(cls) if not field.name.startswith("_")}


@pytest.mark.parametrize("cls", VALUES, ids=lambda cls: cls.__name__)
def test_values_are_documented_field_by_field(cls: type) -> None:
    """A field that is added, renamed or removed changes the page."""
    assert rows(cls.__name__).keys() == (members(cls) | fields(cls)) - OF_A_SEQUENCE


@pytest.mark.parametrize("cls", [nx.Hosting, nx.Limits, nx.Sandbox], ids=lambda cls: cls.__name__)
def test_defaults_are_documented(cls: type) -> None:
    """The page says which value counts when nothing is said."""
    for field in attrs.fields(cls):
        if not isinstance(field.default, attrs.Factory):
            shown = rows(cls.__name__)[field.name].split(" | ")[1].strip("`")
            assert shown == (
                f'"{field.default}"' if field.name == "require" else str(field.default)
            )


def test_arguments_and_members_of_the_kernel_are_documented() -> None:
    """Whatever an application can say to a kernel stands on the page."""
    arguments = set(inspect.signature(nx.Kernel).parameters)
    assert rows("Kernel").keys() == arguments | members(nx.Kernel)


def test_members_of_the_context_are_documented() -> None:
    """Whatever a plugin is handed stands on the page."""
    own = {"plugin_id", "settings", "run_dir", "log"}
    assert rows("PluginContext").keys() == members(nx.PluginContext) | own


def test_options_of_hookspecs_are_documented() -> None:
    """Every option of the marker is named; ours have a row."""
    options = set(inspect.signature(nx.HookspecMarker.__call__).parameters) - {"self", "function"}
    assert [name for name in sorted(options) if f"`{name}`" not in section("HookspecMarker")] == []


@pytest.mark.parametrize(("name", "call"), SIGNATURES, ids=[name for name, _ in SIGNATURES])
def test_signatures_are_documented(name: str, call: Any) -> None:
    """Parameters stand on the page in their order and with their defaults."""
    shown = []
    for parameter in inspect.signature(call).parameters.values():
        star = "*" if parameter.kind is parameter.VAR_POSITIONAL else ""
        default = "" if parameter.default is parameter.empty else f"={parameter.default!r}"
        shown.append(star + parameter.name + default.replace("'", '"'))
    text = re.search(rf"`{name}\(([^`]*)\)", PAGE)
    assert text
    assert text[1].replace("*, ", "") == ", ".join(shown)
