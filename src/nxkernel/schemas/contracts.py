"""The published schemas of this package, by file name."""

from __future__ import annotations

import json
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from nxkernel.errors import SchemaInvalid

__all__ = ["load_contract", "names_of_contracts"]

#: The folder of contracts that has a noun of its own.
_FOLDERS = ("", "sst/")


def load_contract(name: str) -> dict[str, Any]:
    """Return the contract in the file *name*: ``lockfile.schema.json``, ``sst/token.schema.json``.

    A wheel carries the contracts inside the package; a checkout has them in the folder
    ``contracts`` beside ``src``.

    Raises:
        SchemaInvalid: when there is no such contract.
    """
    contract: dict[str, Any] = json.loads(_text(name))
    return contract


@lru_cache(maxsize=64)
def _text(name: str) -> str:
    base = name.removeprefix("sst/")
    if base and not set(base) & set("/\\\0") and base not in (".", ".."):
        for folder in _places():
            if (folder / name).is_file():
                return (folder / name).read_text(encoding="utf-8")
    raise SchemaInvalid(f"{name!r} is none of the contracts of nxkernel; reinstall the package")


def names_of_contracts() -> list[str]:
    """Return the names of all schemas among the contracts, sorted."""
    return sorted(
        prefix + path.name
        for prefix in _FOLDERS
        for path in next(f / prefix for f in _places() if f.is_dir()).iterdir()
        if path.name.endswith(".schema.json")
    )


def _places() -> tuple[Any, Path]:
    """Where a wheel has the contracts, and where a checkout does."""
    package = files("nxkernel")
    return package / "contracts", Path(str(package)).parents[1] / "contracts"
