"""Settings of plugins from variables of the environment, by names that the schemas give."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any

import attrs

from nxkernel.schemas.applied import Subschema, below, here
from nxkernel.schemas.inside import DocumentInvalid, parse
from nxkernel.schemas.profile import pointer

__all__ = ["VariableInvalid", "Variables"]

#: Deepest table that a variable can reach into.
MAX_DEPTH = 8
#: Most names that one schema is asked for.
MAX_NAMES = 10_000

Path = tuple[str, ...]


class VariableInvalid(Exception):
    """A variable that cannot be a setting; the text says why, and never what it holds."""


@attrs.frozen
class _Named:
    """A setting that a variable can give."""

    path: Path
    #: Whether the variable is the text itself; else it is JSON.
    text: bool


class Variables:
    """The variables whose names begin with a prefix and two underscores."""

    def __init__(self, environment: Mapping[str, str], prefix: str) -> None:
        self._lead = f"{prefix}__"
        begins = self._lead if prefix else "\0"
        self._held = {name: environment[name] for name in environment if name.startswith(begins)}

    def __repr__(self) -> str:
        return "<variables>"

    def of(self, plugin: str, schema: Any) -> tuple[dict[str, Any], dict[str, str]]:
        """Return the settings of *plugin* as a table, and by JSON Pointer the name of each.

        Raises:
            VariableInvalid: for a name that is no setting's, or is that of two.
        """
        lead = f"{self._lead}{_capitals(plugin)}__"
        names = sorted(name for name in self._held if name.startswith(lead))
        known = _names(schema, lead) if names and schema is not None else {}
        values: dict[str, Any] = {}
        origins: dict[str, str] = {}
        for name in names:
            setting = _meant(name, lead, known)
            _put(values, setting.path, _value(name, self._held[name], setting), name)
            origins[pointer(setting.path)] = name
        return values, origins

    def of_nobody(self, plugins: set[str]) -> list[str]:
        """Return the names that begin with none of *plugins*."""
        leads = tuple(f"{self._lead}{_capitals(plugin)}__" for plugin in sorted(plugins))
        return sorted(name for name in self._held if not name.startswith(leads))


def _capitals(word: str) -> str:
    return re.sub(r"[^A-Z0-9]+", "_", word.upper())


def _names(schema: Any, lead: str) -> dict[str, list[_Named]]:
    """Return the settings that each name stands for: one, if it is unambiguous."""
    found: dict[str, list[_Named]] = {}
    for count, (path, applied) in enumerate(_settings(schema, here(schema, [schema]), ())):
        if count >= MAX_NAMES:
            break
        name = lead + "__".join(map(_capitals, path))
        found.setdefault(name, []).append(_Named(path, _takes_text(applied)))
    return found


def _settings(
    schema: Any, applied: list[Subschema], path: Path
) -> Iterator[tuple[Path, list[Subschema]]]:
    if len(path) >= MAX_DEPTH:
        return
    for key in sorted({key for each in applied for key in each.get("properties", {})}):
        inner = here(schema, below(applied, key))
        yield (*path, key), inner
        yield from _settings(schema, inner, (*path, key))


def _takes_text(applied: list[Subschema]) -> bool:
    """Whether text may be what is meant; where no type is named, constants tell."""
    named = [each["type"] for each in applied if "type" in each]
    types = {name for each in named for name in ([each] if isinstance(each, str) else each)}
    if types:
        return "string" in types
    constants = [value for each in applied for value in _constants(each)]
    return not constants or any(isinstance(value, str) for value in constants)


def _constants(schema: Subschema) -> list[Any]:
    return [*schema.get("enum", ()), *([schema["const"]] if "const" in schema else ())]


def _meant(name: str, lead: str, known: Mapping[str, list[_Named]]) -> _Named:
    meant = known.get(name, [])
    if len(meant) == 1:
        return meant[0]
    if meant:
        paths = " and ".join(pointer(each.path) for each in meant)
        raise VariableInvalid(f"the variable {name} names {paths}; give them in a settings file")
    # What all of them begin with would make any two alike.
    near = get_close_matches(name[len(lead) :], [each[len(lead) :] for each in sorted(known)], 1)
    hint = f"; did you mean {lead}{near[0]}?" if near else ""
    raise VariableInvalid(f"the variable {name} names no setting{hint}")


def _value(name: str, held: str, setting: _Named) -> Any:
    if setting.text:
        return held
    try:
        return parse(held.encode(), toml=False)
    except (DocumentInvalid, UnicodeEncodeError):
        pass
    # What the parser says may quote the value.
    raise VariableInvalid(f"the variable {name} is not JSON, which this setting is read from")


def _put(values: dict[str, Any], path: Path, value: Any, name: str) -> None:
    for part in path[:-1]:
        values = values.setdefault(part, {})
        if not isinstance(values, dict):
            raise VariableInvalid(f"the variable {name} reaches into what another gives as a whole")
    values[path[-1]] = value
