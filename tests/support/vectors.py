"""Values in the golden vectors of ``contracts/``: JSON, with a notation for what JSON lacks."""

from __future__ import annotations

from typing import Any

from nxkernel._blob import Blob


def value_of(notation: Any) -> Any:
    """Read a value from its notation in the vectors."""
    if isinstance(notation, list):
        return [value_of(item) for item in notation]
    if isinstance(notation, dict):
        if notation.keys() == {"$bytes"}:
            return bytes.fromhex(notation["$bytes"])
        if notation.keys() == {"$int"}:
            return int(notation["$int"])
        if notation.keys() == {"$blob", "media"}:
            return Blob(bytes.fromhex(notation["$blob"]), notation["media"])
        return {key: value_of(item) for key, item in notation.items()}
    return notation
