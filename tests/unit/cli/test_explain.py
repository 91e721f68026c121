"""``nxkernel plugins explain``: what the kernel says of a hook, for people and for programs."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from nxkernel.errors import CallRejected
from nxkernel.kernel.views import Explanation, ProviderView
from tests.unit.cli.conftest import run

FOUND = Explanation(
    hook="read",
    mode="all at once",
    providers=(
        ProviderView(plugin="ocr", impl="read", kind="plain", reason="priority 0, then by id"),
    ),
    stack=("audit",),
    level="confined",
)


@pytest.fixture(autouse=True)
def app(monkeypatch: pytest.MonkeyPatch) -> None:
    """An application whose kernel knows one hook."""

    def explain(hook: str) -> Any:
        if hook != "read":
            raise CallRejected(f"no hook {hook!r}", code="call.unknown_hook")
        return FOUND

    module = ModuleType("nx_explained")
    vars(module)["make"] = lambda: nullcontext(SimpleNamespace(explain=explain))
    monkeypatch.setitem(sys.modules, "nx_explained", module)


def test_people_read_it() -> None:
    """The same text as the kernel's own."""
    ran = run("plugins", "explain", "read", "--app", "nx_explained:make")
    assert (ran.code, ran.out.strip()) == (0, str(FOUND))


def test_programs_read_it() -> None:
    """One object, with every provider and its reason."""
    ran = run("plugins", "explain", "read", "--app", "nx_explained:make", "--json")
    assert ran.code == 0
    assert ran.data["explanation"]["providers"][0]["reason"] == "priority 0, then by id"


def test_a_hook_that_does_not_exist() -> None:
    """An error with its code, and no traceback."""
    ran = run("plugins", "explain", "rad", "--app", "nx_explained:make", "--json")
    assert ran.code == 1
    assert ran.data["error"]["code"] == "call.unknown_hook"
