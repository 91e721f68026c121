"""Rules of a manifest that JSON Schema cannot say."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version

__all__ = ["PROTECTED", "TEMPLATES", "Problem", "check_path", "check_rules"]

#: What a path in ``permissions`` may begin with.
TEMPLATES = ("audit_db_path", "cache_dir", "media_dir", "metadata_db_path", "plugin_dir", "run_dir")
#: What no plugin may write: its own verified code, and what is on record.
PROTECTED = frozenset({"audit_db_path", "plugin_dir"})
_TEMPLATE = re.compile(r"\{([^{}]*)\}")


class Problem(Exception):
    """A key of a manifest, and what is wrong with it."""

    def __init__(self, where: str, reason: str) -> None:
        super().__init__(where, reason)
        self.where = where
        self.reason = reason


def check_rules(document: Mapping[str, Any]) -> None:
    """Check a manifest that already satisfies its schema.

    Raises:
        Problem: for the first rule that is broken.
    """
    for where, reason in _problems(document):
        raise Problem(where, reason)


def _problems(document: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if document.get("state") == "fresh" and document.get("permissions", {}).get("exec"):
        yield (
            "state",
            'a program that a call started would outlive it; write "warm", or remove '
            "permissions.exec",
        )
    yield from _versions(document)
    yield from _hooks(document)
    yield from _permissions(document.get("permissions", {}))
    for key in ("depends_on", "conflicts_with", "replaces"):
        if document["id"] in document.get(key, ()):
            yield key, "names the plugin itself"


def _versions(document: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    try:
        Version(document["version"])
    except InvalidVersion:
        yield "version", "expected a version as PEP 440 has it, for example 0.1.0"
    for key, specifier in sorted(document.get("compat", {}).items()):
        try:
            SpecifierSet(specifier)
        except InvalidSpecifier:
            yield f"compat.{key}", "expected version specifiers as PEP 440 has them: >=1,<2"


def _hooks(document: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    seen: set[tuple[str, str]] = set()
    for index, entry in enumerate(document["hooks"]):
        table = {"hook": entry} if isinstance(entry, str) else entry
        pair = (table["hook"], table.get("impl", table["hook"]))
        if pair in seen:
            yield f"hooks[{index}]", "names a hookimpl that is already in the list"
        if table.get("tryfirst") and table.get("trylast"):
            yield f"hooks[{index}]", "cannot be both tryfirst and trylast"
        seen.add(pair)
    hooks = sorted({hook for hook, _ in seen})
    for hook in sorted(document.get("contracts", {})):
        if hook not in hooks:
            near = get_close_matches(hook, hooks, 1)
            hint = f"did you mean {near[0]}?" if near else f"hooks has {', '.join(hooks)}"
            yield f"contracts.{hook}", f"names no hook of this plugin; {hint}"


def _permissions(permissions: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for kind in ("read", "write", "exec"):
        for index, path in enumerate(permissions.get(kind, ())):
            reason = check_path(path)
            if kind == "write" and PROTECTED.intersection(_TEMPLATE.findall(path)):
                reason = "no plugin may write there; keep files in {run_dir}"
            if reason:
                yield f"permissions.{kind}[{index}]", reason
    for index, entry in enumerate(permissions.get("network", ())):
        port = entry.partition(":")[2]
        if not 0 < int(port) < 65536 or port != str(int(port)):
            yield f"permissions.network[{index}]", "expected a port from 1 to 65535"


def check_path(path: str) -> str:
    """Return what is wrong with a path of a permission, or ``""``."""
    names = _TEMPLATE.findall(path)
    unknown = next((name for name in names if name not in TEMPLATES), None)
    if unknown is not None:
        return f"unknown template {{{unknown[:60]}}}; known: {_known()}"
    rest = _TEMPLATE.sub("", path, count=1) if path.startswith("{") else path
    if "{" in rest or "}" in rest:
        return "has a brace elsewhere than in one template at its start"
    if names and rest and not rest.startswith("/"):
        return "has text right after its template; write a / between them"
    if not names and not path.startswith("/"):
        return f"is relative; begin it with / or with one of {_known()}"
    if ".." in rest.split("/") or not rest.isprintable():
        return "has .. or a control character in it"
    return ""


def _known() -> str:
    return ", ".join(f"{{{name}}}" for name in TEMPLATES)
