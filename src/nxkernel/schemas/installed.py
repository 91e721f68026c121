"""What installed distributions offer by entry points, found without importing any of them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path

from nxkernel.errors import SchemaInvalid
from nxkernel.schemas.folder import SUFFIX

__all__ = ["GROUP", "located", "offered"]

#: The entry-point group that names schemas.
GROUP = "nxkernel.contracts"
_RESOURCE = re.compile(r"([A-Za-z_]\w*(?:\.\w+)*):([\w-]+(?:[./][\w-]+)*)")


def offered(group: str) -> Iterator[tuple[str, Path, str]]:
    """Yield what the entry points of *group* name, by the entry points' names.

    Each is a name, the folder that holds the schemas, and one file of it, or ``""`` for all.

    Raises:
        SchemaInvalid: for an entry point that names no installed schema, and two of one name.
    """
    seen: dict[str, str] = {}
    for entry in sorted(entry_points(group=group), key=lambda each: (each.name, each.value)):
        if entry.name in seen and seen[entry.name] != entry.value:
            raise _wrong(entry, f"is named twice: {seen[entry.name]!r} too")
        if entry.name not in seen:
            seen[entry.name] = entry.value
            yield (entry.name, *_schemas(entry))


def _schemas(entry: EntryPoint) -> tuple[Path, str]:
    match = _RESOURCE.fullmatch(entry.value.replace(" ", ""))
    place = located(entry, match[1].split("."), match[2]) if match else None
    if place is None:
        raise _wrong(
            entry,
            "names no installed schema; write package:folder or package:file.schema.json and "
            "install these files with the package",
        )
    return (place, "") if place.is_dir() else (place.parent, place.name)


def _wrong(entry: EntryPoint, reason: str) -> SchemaInvalid:
    return SchemaInvalid(f"entry point {entry.name} = {entry.value!r} of {entry.group!r}: {reason}")


def located(entry: EntryPoint, package: list[str], name: str) -> Path | None:
    """Return where the file or folder *name* of *package* is installed, if it is."""
    for place in (*_recorded(entry, package, name), *_on_path(package, name)):
        if place.is_dir() or place.is_file():
            return place
    return None


def _recorded(entry: EntryPoint, package: list[str], name: str) -> Iterator[Path]:
    """The place by the distribution's own list of files."""
    wanted = "/".join([*package, name])
    for path in (entry.dist.files or ()) if entry.dist else ():
        found = path.as_posix()
        if found == wanted:
            yield Path(os.path.abspath(str(path.locate())))
        elif found.startswith(f"{wanted}/") and found.endswith(SUFFIX):
            depth = found.count("/") - wanted.count("/")
            yield Path(os.path.abspath(str(path.locate()))).parents[depth - 1]


def _on_path(package: list[str], name: str) -> Iterator[Path]:
    """The place by the import system, for an editable installation.

    Only the first part of the name is looked up: asking for ``a.b`` would import ``a``.
    """
    try:
        spec = find_spec(package[0])
    except (ImportError, ValueError):  # a module of that name is there that nobody can find
        return
    for location in (spec.submodule_search_locations or ()) if spec else ():
        yield Path(os.path.abspath(location)).joinpath(*package[1:], name)
