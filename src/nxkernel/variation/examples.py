"""Examples: calls that a plugin's author gives beside the manifest, in a folder ``examples``.

Each file ``*.json`` in it is a call, or a list of them (``contracts/plugin_examples.schema.json``).
They are made in the order of the files' names. ``settings.json`` holds the settings that they need.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import attrs

from nxkernel._blob import Blob
from nxkernel.errors import ManifestInvalid
from nxkernel.schemas import CompiledSchema, leading, load_contract, shared
from nxkernel.schemas.inside import DocumentInvalid, parse, read_inside

__all__ = ["FOLDER", "HERE", "Example", "Examples", "read_examples"]

FOLDER: Final = "examples"
CONTRACT: Final = "plugin_examples.schema.json"
_SETTINGS: Final = "settings.json"
#: Stands for the examples' folder, in settings and permissions.
HERE: Final = "{media_dir}"
#: Largest file that an argument may stand for, in bytes.
_LARGEST: Final = 8 * 1024 * 1024


@attrs.frozen(kw_only=True)
class Canned:
    """What a plugin is told when it calls a hook."""

    arguments: tuple[str, ...]
    value: Any


@attrs.frozen(kw_only=True)
class Example:
    """One call."""

    #: The file's name without its suffix; of the third call in a list ``name[2]``.
    name: str
    hook: str
    arguments: Mapping[str, Any]
    key: str | int | None = None
    answers: Mapping[str, Canned] = attrs.field(factory=dict)


@attrs.frozen(kw_only=True)
class Examples:
    """All examples of one plugin."""

    #: Where their files are.
    folder: Path
    calls: tuple[Example, ...] = ()
    settings: Mapping[str, Any] = attrs.field(factory=dict)


def read_examples(plugin: Path) -> Examples:
    """Read the examples of the plugin in the folder *plugin*; there may be none.

    Raises:
        ManifestInvalid: ``manifest.examples``, for a file that is none.
    """
    folder = plugin / FOLDER
    names = sorted(path.name for path in folder.glob("*.json")) if folder.is_dir() else []
    calls = [call for name in names if name != _SETTINGS for call in _calls(folder, name)]
    settings = _document(folder, _SETTINGS) if _SETTINGS in names else {}
    return Examples(folder=folder, calls=tuple(calls), settings=_placed(settings, folder))


def _calls(folder: Path, name: str) -> Iterator[Example]:
    document, stem = _document(folder, name), name.removesuffix(".json")
    listed = document if isinstance(document, list) else [document]
    issues = _contract().validate(listed)
    if issues:
        first = leading(issues)
        raise _invalid(folder, name, f"{first.where or 'it'}: {first.message}")
    for number, each in enumerate(listed):
        yield _example(folder, name, stem if listed is not document else f"{stem}[{number}]", each)


@lru_cache(maxsize=1)
def _contract() -> CompiledSchema:
    return shared().compile(load_contract(CONTRACT), name=CONTRACT)


def _example(folder: Path, file: str, name: str, given: Mapping[str, Any]) -> Example:
    answers = given.get("answers", {})
    return Example(
        name=name,
        hook=given["hook"],
        arguments=_filled(folder, file, given.get("arguments", {})),
        key=given.get("key"),
        answers={
            hook: Canned(
                arguments=tuple(answers[hook]["arguments"]),
                value=_filled(folder, file, answers[hook]["value"]),
            )
            for hook in sorted(answers)
        },
    )


def _document(folder: Path, name: str) -> Any:
    try:
        return parse(read_inside(folder, name), toml=False)
    except DocumentInvalid as error:
        raise _invalid(folder, name, str(error)) from None


def _filled(folder: Path, file: str, value: Any) -> Any:
    """Put the bytes of files in the place of ``{"$file": NAME}`` and ``{"$blob": NAME}``."""
    if isinstance(value, list):
        return [_filled(folder, file, each) for each in value]
    if not isinstance(value, dict):
        return value
    if set(value) == {"$file"}:
        return _bytes(folder, file, str(value["$file"]))
    if "$blob" in value and set(value) <= {"$blob", "media"}:
        data = _bytes(folder, file, str(value["$blob"]))
        return Blob(data, str(value.get("media", "application/octet-stream")))
    return {name: _filled(folder, file, each) for name, each in value.items()}


def _bytes(folder: Path, file: str, name: str) -> bytes:
    try:
        return read_inside(folder, name, _LARGEST)
    except DocumentInvalid as error:
        raise _invalid(folder, file, f"its file {name!r} {error}") from None


def _placed(settings: Any, folder: Path) -> Any:
    if isinstance(settings, dict):
        return {name: _placed(each, folder) for name, each in settings.items()}
    if isinstance(settings, list):
        return [_placed(each, folder) for each in settings]
    return settings.replace(HERE, str(folder)) if isinstance(settings, str) else settings


def _invalid(folder: Path, name: str, reason: str) -> ManifestInvalid:
    return ManifestInvalid(
        f"{folder.parent.name}/{FOLDER}/{name}: {reason}",
        code="manifest.examples",
        details={"file": str(folder / name)},
    )
