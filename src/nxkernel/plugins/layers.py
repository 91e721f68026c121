"""The application's settings for its plugins: what a file says, the environment, and its code."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from nxkernel._pickling import Rooted
from nxkernel.errors import KernelConfigError
from nxkernel.plugins.variables import Variables
from nxkernel.schemas.inside import DocumentInvalid, parse, read_inside
from nxkernel.settings import Source

__all__ = ["Layer", "Sealed", "Settings"]

#: Largest settings file, in bytes.
MAX_BYTES = 1024 * 1024
_PREFIX = re.compile(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)*")


class Sealed:
    """A value that is shown to nobody on its way: not printed, not compared, not pickled."""

    __slots__ = ("_value",)

    def __init__(self, value: Any) -> None:
        self._value = value

    def reveal(self) -> Any:
        """Return the value, for whom it is meant."""
        return self._value

    def __repr__(self) -> str:
        return "<sealed>"

    def __reduce__(self) -> Any:
        raise TypeError("a sealed value is not pickled")


@attrs.frozen(kw_only=True)
class Layer:
    """What one source says about one plugin."""

    source: Source
    values: Sealed
    #: Where it says so; by JSON Pointer where that differs from value to value.
    origin: str | Mapping[str, str] = ""


class Settings(Rooted):
    """The application's settings for its plugins.

    Args:
        values: what the application says in code, by plugin id; over everything else.
        file: a TOML or JSON file with a table for each plugin id; below the environment.
        table: where in that file these tables are: ``"tool.screenmem.plugins"``.
        environment: variables, ``os.environ`` as a rule; nothing is read from it by itself.
        prefix: how the names of those variables begin. ``SCREENMEM`` takes
            ``SCREENMEM__OCR_RAPID__NET__PORT`` for ``net.port`` of ``ocr.rapid``.

    It shows nobody what it holds.

    Raises:
        KernelConfigError: for a file that cannot be read, or arguments that do not go together.
    """

    _instead = "it may hold secrets; make it there, from the file and the environment"

    def __init__(
        self,
        values: Mapping[str, Mapping[str, Any]] | None = None,
        *,
        file: Path | str | None = None,
        table: str = "",
        environment: Mapping[str, str] | None = None,
        prefix: str = "",
    ) -> None:
        if not isinstance(values, Mapping | None):
            raise KernelConfigError(
                f"settings are a mapping of plugin ids to tables, not {type(values).__name__}"
            )
        if table and file is None:
            raise KernelConfigError("Settings(table=) names a table of a file; give file=")
        if (environment is None) != (not prefix):
            raise KernelConfigError("Settings() takes environment= and prefix= together")
        if prefix and not _PREFIX.fullmatch(prefix):
            raise KernelConfigError(
                f"Settings(prefix={prefix!r}): expected capitals, digits and single underscores"
            )
        self._values = Sealed(values or {})
        self._file = Path(file).name if file is not None else ""
        self._tables = Sealed(_read(Path(file), table) if file is not None else {})
        self._variables = Variables(environment or {}, prefix)

    @classmethod
    def of(cls, given: Settings | Mapping[str, Mapping[str, Any]] | None) -> Settings:
        """Return *given* as settings: a mapping is what the application says in code."""
        return given if isinstance(given, Settings) else cls(given)

    def layers(self, plugin: str, schema: Any) -> list[Layer]:
        """Return what is said about *plugin*, the strongest last.

        *schema* is the schema of its settings, compiled, or None if it has none.

        Raises:
            VariableInvalid: for a variable that names no setting, or that is not JSON.
        """
        found: list[Layer] = []
        if plugin in self._tables.reveal():
            table = Sealed(self._tables.reveal()[plugin])
            found.append(Layer(source="file", values=table, origin=self._file))
        values, origins = self._variables.of(plugin, schema)
        if origins:
            found.append(Layer(source="environment", values=Sealed(values), origin=origins))
        if plugin in self._values.reveal():
            found.append(Layer(source="application", values=Sealed(self._values.reveal()[plugin])))
        return found

    def unused(self, plugins: set[str]) -> list[str]:
        """Return what is said about nobody in *plugins*: ids and variables, sorted."""
        named = {*self._tables.reveal(), *self._values.reveal()} - plugins
        return sorted({*map(str, named), *self._variables.of_nobody(plugins)})

    def __repr__(self) -> str:
        return "<settings>"


def _read(path: Path, table: str) -> Any:
    # The application's own word, so it may be a link; but a pipe would hold the application up.
    place = Path(os.path.realpath(path))
    try:
        data = read_inside(place.parent, place.name, MAX_BYTES)
        document = parse(data, toml=path.suffix != ".json")
    except DocumentInvalid as error:
        raise KernelConfigError(f"settings file {path.name} {error}") from None
    for part in table.split(".") if table else ():
        document = document.get(part, {}) if isinstance(document, dict) else None
    if not isinstance(document, dict):
        what = f"its {table!r}" if table else "it"
        raise KernelConfigError(f"settings file {path.name}: {what} is no table of plugins")
    return document
