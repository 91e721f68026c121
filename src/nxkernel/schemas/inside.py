"""Documents from a folder: read without following links, parsed without guessing."""

from __future__ import annotations

import errno
import json
import os
import stat
import tomllib
from pathlib import Path
from typing import Any

from nxkernel import _canonical
from nxkernel._system import folders
from nxkernel._system.folders import Folder

__all__ = ["DocumentInvalid", "parse", "read_inside"]

#: Largest manifest or schema, in bytes.
MAX_BYTES = 256 * 1024
_BOM = b"\xef\xbb\xbf"
_REASONS = {
    errno.EACCES: "may not be read",
    errno.ELOOP: "is a symbolic link",
    errno.ENOENT: "does not exist",
    errno.ENOTDIR: "is not inside a folder, or a symbolic link is on the way",
    errno.ENXIO: "is not a regular file",
    errno.EISDIR: "is a folder",
}


class DocumentInvalid(Exception):
    """The document cannot be read or parsed; the text completes "the file ..."."""


def read_inside(folder: Path, relative: str, limit: int = MAX_BYTES) -> bytes:
    """Return the bytes of the file *relative* to *folder*, never leaving the folder.

    Raises:
        DocumentInvalid: for an absolute path, ``..``, a symbolic link anywhere below the folder,
            anything but a regular file, or more than *limit* bytes.
    """
    parts = relative.split("/")
    if not relative or "\0" in relative or "\\" in relative or {"", ".", ".."} & set(parts):
        raise DocumentInvalid("is not a plain path inside the folder")
    try:
        with folders.opened(folder) as root:
            return _read_below(root, parts, limit)
    except OSError as error:
        reason = _REASONS.get(error.errno or 0, "cannot be read")
        raise DocumentInvalid(reason) from None


def _read_below(at: Folder, parts: list[str], limit: int) -> bytes:
    if len(parts) > 1:
        with at.enter(parts[0]) as inner:
            return _read_below(inner, parts[1:], limit)
    with at.read(parts[0]) as descriptor:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise DocumentInvalid("is not a regular file")
        with os.fdopen(os.dup(descriptor), "rb") as file:
            data = file.read(limit + 1)
    if len(data) > limit:
        raise DocumentInvalid(f"is larger than {limit // 1024} KiB")
    return data


def parse(data: bytes, *, toml: bool) -> Any:
    """Parse TOML 1.0 or JSON (RFC 8259) into values that both can hold.

    Raises:
        DocumentInvalid: for a byte order mark, another encoding than UTF-8, a syntax error, a key
            given twice, a date or a number that JSON lacks.
    """
    text = _text(data)
    try:
        document = tomllib.loads(text) if toml else _json(text)
        _canonical.encode(document)
        _check_values(document, "")
    except tomllib.TOMLDecodeError as error:
        raise DocumentInvalid(f"is not valid TOML: {error}") from None
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise DocumentInvalid(f"is not valid JSON: {error.msg} (at {place})") from None
    except RecursionError:
        raise DocumentInvalid("is nested too deeply") from None
    except _canonical.NotCanonical:
        raise DocumentInvalid("holds text that is not Unicode or too large a number") from None
    except ValueError:
        raise DocumentInvalid("holds a number that is too long") from None
    return document


def _text(data: bytes) -> str:
    if data.startswith(_BOM):
        raise DocumentInvalid("begins with a byte order mark; save it as UTF-8 without one")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DocumentInvalid(f"is not UTF-8 at byte {error.start}; save it as UTF-8") from None


def _json(text: str) -> Any:
    return json.loads(text, object_pairs_hook=_once, parse_constant=_no_constant)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise DocumentInvalid(f"has the key {twice[:60]!r} twice in one object")
    return table


def _no_constant(name: str) -> Any:
    raise DocumentInvalid(f"holds {name}, which is no JSON number")


def _check_values(value: Any, place: str) -> None:
    if isinstance(value, dict):
        for key, item in value.items():
            _check_values(item, f"{place}.{key}" if place else key)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _check_values(item, f"{place}[{index}]")
    elif isinstance(value, float) and value - value != 0:
        raise DocumentInvalid(f"holds a number at {place} that is not finite")
    elif not isinstance(value, str | int | float | None):
        raise DocumentInvalid(f"holds a date or time at {place}; write it as a string")
