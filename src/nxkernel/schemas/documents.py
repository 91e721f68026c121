"""Schemas in files of the application: read with a bound, parsed without guessing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from nxkernel.errors import SchemaInvalid

__all__ = ["read_schema"]

#: Largest file that is read, in bytes.
MAX_BYTES = 1 << 21


def read_schema(path: Path) -> Any:
    """Return the JSON in the file *path*.

    Raises:
        SchemaInvalid: when it cannot be read, is larger than 2 MiB, or is no JSON; the message
            begins with the file's name.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise _Unfit(f"is larger than {MAX_BYTES >> 20} MiB")
        return json.loads(data, object_pairs_hook=_once)
    except OSError as error:
        raise SchemaInvalid(f"{path.name}: {error.strerror}") from None
    except RecursionError:
        raise SchemaInvalid(f"{path.name}: is nested too deeply") from None
    except ValueError as error:
        raise SchemaInvalid(f"{path.name}: {_words(error)}") from None


class _Unfit(ValueError):
    """What is wrong, in words."""


def _words(error: ValueError) -> str:
    if isinstance(error, _Unfit):
        return str(error)
    if isinstance(error, json.JSONDecodeError):
        return f"not JSON: {error.msg} (line {error.lineno}, column {error.colno})"
    if isinstance(error, UnicodeDecodeError):
        return f"not JSON: not UTF-8 at byte {error.start}"
    return "holds a number that is too long"


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) < len(pairs):
        raise _Unfit("has a key twice in one object")
    return table
