"""Folders of schemas: an application's ``contracts/``, a plugin's own, one in a distribution."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs

from nxkernel.errors import SchemaInvalid
from nxkernel.schemas.documents import MAX_BYTES
from nxkernel.schemas.inside import DocumentInvalid, parse, read_inside

__all__ = ["SUFFIX", "SchemaFolder", "is_inside"]

#: How the files of a folder that are schemas end.
SUFFIX = ".schema.json"
#: Most files of one folder, and deepest nesting below it.
MAX_FILES, MAX_DEPTH = 1000, 8


@attrs.define
class SchemaFolder:
    """The schemas in a folder, by their path in it; each file is read once, and links never."""

    folder: Path
    _read: dict[str, Any] = attrs.field(factory=dict, repr=False)
    #: From ``$id`` to the name; filled when all files have been read.
    _ids: dict[str, str] = attrs.field(factory=dict, repr=False)

    def names(self) -> list[str]:
        """Return the paths of all schemas, sorted.

        Raises:
            SchemaInvalid: for a folder that is not there, or holds more than is looked at.
        """
        if not self.folder.is_dir():
            raise SchemaInvalid(f"{self.folder.name}: no such folder of schemas")
        found = sorted(_below(self.folder, "", MAX_DEPTH))
        if len(found) > MAX_FILES:
            raise SchemaInvalid(f"{self.folder.name}: holds more than {MAX_FILES} schemas")
        return found

    def document(self, name: str) -> Any:
        """Return the content of the file *name*.

        Raises:
            SchemaInvalid: for a file that cannot be read or parsed, or lies outside.
        """
        if name not in self._read:
            try:
                self._read[name] = parse(read_inside(self.folder, name, MAX_BYTES), toml=False)
            except DocumentInvalid as error:
                raise SchemaInvalid(f"{name}#: {error}", details={"schema": name}) from None
        return self._read[name]

    def all(self) -> dict[str, Any]:
        """Read every schema of the folder, so that it can be found by its ``$id``.

        Raises:
            SchemaInvalid: as above, and for an ``$id`` that two of them have.
        """
        documents = {name: self.document(name) for name in self.names()}
        for name, document in documents.items():
            id_ = document.get("$id") if isinstance(document, dict) else None
            if not isinstance(id_, str):
                continue
            if id_ in self._ids:
                raise SchemaInvalid(f"{name}#/$id: is that of {self._ids[id_]} too")
            self._ids[id_] = name
        return documents

    def find(self, place: str) -> tuple[str, Any] | None:
        """Return name and content of the schema at *place*, a path or an ``$id``, if it is here."""
        name = self._ids.get(place, place)
        if not is_inside(name):
            return None
        if name not in self._read and not os.path.lexists(self.folder / name):
            return None
        return name, self.document(name)


def is_inside(name: str) -> bool:
    """Whether *name* is that of a schema in a folder; nothing else is even looked for."""
    return name.endswith(SUFFIX) and ":" not in name and not name.startswith(("/", ".."))


def _below(folder: Path, lead: str, depth: int) -> Iterator[str]:
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        if entry.is_dir(follow_symlinks=False):
            if depth and not entry.name.startswith("."):
                yield from _below(Path(entry.path), f"{lead}{entry.name}/", depth - 1)
        elif entry.name.endswith(SUFFIX):
            yield lead + entry.name
