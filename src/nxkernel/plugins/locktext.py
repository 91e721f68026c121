"""The text of a lockfile: one spelling for each lock, and a short way to read that spelling.

A lockfile of two hundred plugins has thousands of lines, and it is read at every boot. What
`render` wrote is read by splitting lines, and that reading counts only if rendering it gives the
same text again. Any other text, such as one edited by hand, is for a TOML parser.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from nxkernel.plugins.lockentry import KINDS, Lock, LockEntry

__all__ = ["document_in", "render"]

_HEADER = (
    "# Written by `nxkernel plugins lock`; review every change of it.",
    "# Only the files named here run, and with these grants.",
    "",
    "schema_version = 1",
)
_FLAGS = ("wrapper", "hookwrapper", "tryfirst", "trylast", "optionalhook")
#: Written where there are some: a lockfile of before does not have them.
_RARE = frozenset({"exec", "devices"})
_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_KEY = r'("(?:[^"\\\n]|\\.)*"|[A-Za-z0-9_-]+)'
_TABLE = re.compile(rf"\[plugins\.{_KEY}(?:\.([a-z]+))?\]")
_PAIR = re.compile(rf"^{_KEY} = (.+)$", re.MULTILINE)
_FILE = re.compile(rf'^{_KEY} = "(sha256:[0-9a-f]{{64}})"$', re.MULTILINE)
_IMPL = re.compile(r"^    (\{.*\}),$", re.MULTILINE)


# -- writing ---------------------------------------------------------------------------------------


def render(lock: Lock) -> str:
    """Return the text of the lockfile: the same for the same lock, sorted, and without a date."""
    tables = [_rows(plugin, lock.plugins[plugin]) for plugin in sorted(lock.plugins)]
    return "\n".join([*_HEADER, *_flat(tables or [["", "[plugins]"]]), ""])


def _flat(tables: Iterable[Iterable[str]]) -> Iterator[str]:
    for rows in tables:
        yield from rows


def _rows(plugin: str, entry: LockEntry) -> Iterator[str]:
    name = f"plugins.{_key(plugin)}"
    yield from ("", f"[{name}]")
    yield from _pairs(_scalars(entry))
    if entry.impls is not None:
        yield from _impls(entry)
    yield from ("", f"[{name}.grant]")
    for kind in KINDS:
        granted = sorted(set(getattr(entry.grant, kind)))
        if granted or kind not in _RARE:
            yield f"{kind} = {_value(granted)}"
    for part in ("limits", "hosting", "environments", "contracts"):
        if getattr(entry, part):
            yield from ("", f"[{name}.{part}]", *_pairs(getattr(entry, part)))
    yield from ("", f"[{name}.files]")
    yield from (f'{_key(path)} = "sha256:{entry.files[path]}"' for path in sorted(entry.files))


def _scalars(entry: LockEntry) -> dict[str, str]:
    given = {name: getattr(entry, name) for name in ("dependencies", "sandbox")}
    always = {"version": entry.version, "manifest": entry.manifest, "tree": entry.tree}
    return {**always, **{name: value for name, value in given.items() if value is not None}}


def _pairs(values: Mapping[str, Any]) -> Iterator[str]:
    names = values if "version" in values else sorted(values)
    return (f"{_key(name)} = {_value(values[name])}" for name in names)


def _impls(entry: LockEntry) -> Iterator[str]:
    if not entry.impls:
        yield "impls = []"
        return
    yield "impls = ["
    for impl in entry.impls:
        row: dict[str, Any] = {"hook": impl.hook, "impl": impl.impl}
        row |= {"args": list(impl.args), "kwargs": list(impl.kwargs)}
        row |= {flag: True for flag in _FLAGS if getattr(impl, flag)}
        yield f"    {{{', '.join(f'{key} = {_value(row[key])}' for key in row)}}},"
    yield "]"


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else _value(name)


def _value(value: Any) -> str:
    """Strings, numbers, flags and lists of them are spelled alike in JSON and in TOML, but one."""
    return _encode(value).replace("\x7f", "\\u007f")


# -- reading ---------------------------------------------------------------------------------------


def document_in(text: str) -> dict[str, Any] | None:
    """Return what may be in *text*, or None; right if, made a lock, it renders to *text* again."""
    head, _, rest = text.partition("\n\n[plugins")
    if not rest or head != "\n".join(_HEADER):
        return None
    plugins: dict[str, dict[str, Any]] = {}
    try:
        for table in f"[plugins{rest}".split("\n\n"):
            _read_table(table, plugins)
    except (ValueError, LookupError):
        return None
    return {"schema_version": 1, "plugins": plugins}


def _read_table(text: str, plugins: dict[str, dict[str, Any]]) -> None:
    """Add one table to the *plugins*.

    Raises:
        ValueError: when it has another form.
    """
    header, _, body = text.partition("\n")
    found = _TABLE.fullmatch(header)
    if found is None:
        raise ValueError(header)
    plugin, part = _name(found[1]), found[2]
    if part is None:
        plugins[plugin] = _read_entry(body)
    elif part == "files":
        plugins[plugin][part] = {_name(key): value for key, value in _FILE.findall(body)}
    else:
        plugins[plugin][part] = _read_pairs(body)


def _read_entry(body: str) -> dict[str, Any]:
    plain, there, rows = body.partition("impls = [\n")
    entry = _read_pairs(plain)
    if there:
        entry["impls"] = [json.loads(_as_json(row)) for row in _IMPL.findall(rows)]
    return entry


def _as_json(row: str) -> str:
    return re.sub(r"([a-z]+) = ", r'"\1": ', row)


def _read_pairs(body: str) -> dict[str, Any]:
    return {_name(key): json.loads(value) for key, value in _PAIR.findall(body)}


def _name(key: str) -> str:
    name: str = json.loads(key) if "\\" in key else key.strip('"')
    return name
