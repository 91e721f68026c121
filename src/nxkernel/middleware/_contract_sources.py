"""Where the contracts of hooks come from: a mapping, a folder of files, or the hookspecs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from nxkernel._values import hints_of, item_hint
from nxkernel.errors import KernelConfigError, SchemaInvalid
from nxkernel.hookspecs import HookSpec
from nxkernel.schemas.annotated import arguments_schema, schema_of
from nxkernel.schemas.documents import read_schema
from nxkernel.schemas.folder import SchemaFolder
from nxkernel.schemas.joined import joined
from nxkernel.schemas.published import named

__all__ = ["SIDES", "Named", "Schemas", "Side", "derived", "given_by"]

Side = Literal["input", "output"]
#: ``{hook: {"input": schema, "output": schema}}``
Schemas = Mapping[str, Mapping[str, Any]]
SIDES: tuple[Side, ...] = ("input", "output")
_FILE = re.compile(r"(?P<hook>.+)\.(?P<side>input|output)\.schema\.json")
#: Where a schema stands, what it is for, and the schema.
Named = tuple[str, tuple[str, Side], Any]


def given_by(given: Schemas | Path) -> Iterator[Named]:
    """Yield the contracts that the application gives, by hook.

    Raises:
        KernelConfigError: for a folder or file that cannot be read, or a side that is none.
    """
    return _from_folder(given) if isinstance(given, Path) else _from_mapping(given)


def derived(specs: Mapping[str, HookSpec]) -> dict[tuple[str, Side], Any]:
    """Return the contracts that the annotations of *specs* say, where they say anything."""
    found: dict[tuple[str, Side], Any] = {}
    for hook in sorted(specs):
        hints = hints_of(specs[hook].function)
        arguments = arguments_schema(specs[hook].function, hints)
        if any(arguments["properties"].values()):
            found[hook, "input"] = arguments
        returns = specs[hook].options.returns
        hint = hints.get("return", Any)
        if specs[hook].options.stream:
            hint = item_hint(hint)
        result = schema_of(hint) if returns is None else named(returns)
        if result:
            found[hook, "output"] = result
    return found


def _from_mapping(given: Schemas) -> Iterator[Named]:
    for hook in sorted(given):
        place, sides = f"Contracts(hooks)[{hook!r}]", _sides(given[hook])
        if wrong := sorted(sides.keys() - set(SIDES)):
            raise KernelConfigError(f"{place}: expected 'input' or 'output', got {wrong[0]!r}")
        for side in SIDES:
            if side in sides:
                yield f"{place}[{side!r}]", (hook, side), named(sides[side])


def _sides(schemas: Any) -> Mapping[str, Any]:
    """The schemas by side; what is no mapping at all has one side, and a wrong one."""
    return schemas if isinstance(schemas, Mapping) else {type(schemas).__name__: schemas}


def _from_folder(folder: Path) -> Iterator[Named]:
    if not folder.is_dir():
        raise KernelConfigError(f"Contracts({folder.name!r}): no such folder")
    schemas = SchemaFolder(folder)
    for path in sorted(folder.iterdir()):
        if match := _FILE.fullmatch(path.name):
            side: Side = "input" if match["side"] == "input" else "output"
            yield path.name, (match["hook"], side), _read(schemas, path)


def _read(schemas: SchemaFolder, path: Path) -> Any:
    """Return the schema in the file *path*, with those of the folder that it refers to."""
    try:
        return joined(path.name, read_schema(path), schemas.find).schema
    except SchemaInvalid as error:
        raise KernelConfigError(error.message) from None
