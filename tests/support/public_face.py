"""Which classes an application meets: those that are exported or documented, and all they lead to.

Found by looking: from each function and method to what its annotation says that it returns, from
each value to the types of its fields. A class that is added anywhere there is found as well.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import nxkernel as nx
from nxkernel.audit.log import AuditLog
from nxkernel.schemas import CompiledSchema

API = Path(__file__).resolve().parents[2] / "docs" / "reference" / "api.md"
#: What is handed on to a kernel and asked by nobody else: layers of the stack, and tools of ours.
ASKED_BY_US = (
    nx.Audit,
    nx.Breaker,
    nx.Contracts,
    nx.Determinism,
    nx.PolicyGate,
    nx.Recording,
    nx.Settings,
    nx.Tracing,
    AuditLog,
    CompiledSchema,
)
#: Special methods that bring something to light.
OPENING = ("__enter__", "__iter__", "__getitem__", "__getattr__")


@cache
def modules() -> tuple[ModuleType, ...]:
    """Return every module of the package that this system can import."""
    found = [nx]
    for each in pkgutil.walk_packages(nx.__path__, "nxkernel."):
        try:
            found.append(importlib.import_module(each.name))
        except ImportError:  # of another system
            assert "_system" in each.name or "_linux" in each.name, each.name
    return tuple(found)


def documented() -> Iterator[Any]:
    """Yield what the page names under "Beside `nx`"."""
    table = API.read_text(encoding="utf-8").partition("## Beside `nx`")[2]
    for name, text in re.findall(r"^\| `(nxkernel[\w.]*)` \| (.*) \|$", table, re.MULTILINE):
        module = importlib.import_module(name)
        for word in sorted(set(re.findall(r"\b[A-Za-z_]\w+", text))):
            if word in module.__all__:
                yield getattr(module, word)


def classes() -> dict[type, str]:
    """Return the classes that an application meets, each with the name of what led to it."""
    found: dict[type, str] = {}
    waiting = [(each, "nxkernel") for each in (*map(vars_of_nx, nx.__all__), *documented())]
    while waiting:
        thing, whence = waiting.pop()
        if isinstance(thing, type):
            if thing in found or not ours(thing):
                continue
            found[thing] = whence
        waiting += [(each, getattr(thing, "__name__", "")) for each in led_to(thing)]
    return {each: whence for each, whence in found.items() if not is_protocol(each)}


def vars_of_nx(name: str) -> Any:
    """Return what is exported as *name*."""
    return getattr(nx, name)


def ours(cls: type) -> bool:
    """Whether the package defines *cls*."""
    return cls.__module__.partition(".")[0] == "nxkernel"


def is_protocol(cls: type) -> bool:
    """Whether *cls* only says what others have."""
    return bool(getattr(cls, "_is_protocol", False))


def led_to(thing: Any) -> Iterator[type]:
    """Yield the classes that *thing* returns, or has in its fields."""
    if inspect.isfunction(thing):
        yield from named(thing.__annotations__.get("return", ""), inspect.getmodule(thing))
    elif isinstance(thing, type) and thing not in ASKED_BY_US:
        for owner in filter(ours, thing.__mro__):
            home = home_of(owner)
            for field, kind in vars(owner).get("__annotations__", {}).items():
                yield from () if field.startswith("_") else named(kind, home)
            for name, member in vars(owner).items():
                if not name.startswith("_") or name in OPENING:
                    yield from returned(member, home)


def returned(member: Any, home: ModuleType) -> Iterator[type]:
    """Yield the classes that a method or property returns."""
    member = getattr(member, "fget", None) or getattr(member, "__func__", member)
    if inspect.isfunction(member):
        yield from named(member.__annotations__.get("return", ""), home)


def home_of(cls: type) -> ModuleType:
    """Return the module in which *cls* is defined, whatever it says in messages."""
    homes = [each for each in modules() if vars(each).get(cls.__name__) is cls]
    return next((each for each in homes if each.__name__ == cls.__module__), homes[-1])


@cache
def everywhere() -> dict[str, set[type]]:
    """Return every class of the package by its name."""
    found: dict[str, set[type]] = {}
    for module in modules():
        for name, value in vars(module).items():
            if isinstance(value, type) and ours(value):
                found.setdefault(name, set()).add(value)
    return found


def named(annotation: Any, home: ModuleType | None) -> Iterator[type]:
    """Yield the classes of ours that *annotation* names, as it is read in the module *home*."""
    text = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", "")
    for word in re.findall(r"[A-Za-z_]\w*", text):
        value = vars(home).get(word) if home else None
        if value is None:  # imported for type checkers alone
            anywhere = everywhere().get(word, set())
            assert len(anywhere) < 2, f"{word} is ambiguous"
            value = next(iter(anywhere), None)
        if isinstance(value, type) and ours(value):
            yield value
