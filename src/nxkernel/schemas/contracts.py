"""The published schemas of this package, by file name."""

from __future__ import annotations

import json
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from nxkernel.errors import SchemaInvalid

__all__ = ["load_contract"]


def load_contract(name: str) -> dict[str, Any]:
    """Return the contract in the file *name*, for example ``plugin_manifest.schema.json``.

    A wheel carries the contracts inside the package; a checkout has them in the folder
    ``contracts`` beside ``src``.

    Raises:
        SchemaInvalid: when there is no such contract.
    """
    contract: dict[str, Any] = json.loads(_text(name))
    return contract


@lru_cache(maxsize=64)
def _text(name: str) -> str:
    package = files("nxkernel")
    checkout = Path(str(package)).parents[1] / "contracts"
    if name and not set(name) & set("/\\\0") and name not in (".", ".."):
        for folder in (package / "contracts", checkout):
            if (folder / name).is_file():
                return (folder / name).read_text(encoding="utf-8")
    raise SchemaInvalid(f"{name!r} is none of the contracts of nxkernel; reinstall the package")
