"""``nxkernel contracts``: write down what an application's hooks are held to, and compare."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nxkernel_cli.app import app_option, load_app
from nxkernel_cli.failures import FAILED, OK
from nxkernel_cli.output import Styled, emit, json_option, note, say, table

if TYPE_CHECKING:
    from nxkernel.schemas.changes import Change

__all__ = ["contracts"]

_FILE = re.compile(r"(?P<hook>.+)\.(?P<side>input|output)\.schema\.json")
DIALECT = "https://json-schema.org/draft/2020-12/schema"


@click.group(short_help="Export and compare the contracts of hooks.")
def contracts() -> None:
    """Write down the contracts of an application's hooks, and compare two sets of them."""


@contracts.command(short_help="Write the JSON Schemas of an application's hooks.")
@app_option
@click.option(
    "--to",
    "folder",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write HOOK.SIDE.schema.json files there [default: print].",
)
@json_option
def export(app: str | None, folder: Path | None, as_json: bool) -> int:
    """Write the JSON Schemas that the hooks of an application are held to.

    They come from the annotations of its hookspecs, or from the schemas that it gives. Files of
    hooks that are gone are named and left.
    """
    found = _published(app)
    if folder is not None:
        written = _write(found, folder)
        for name in written:
            note(f"wrote {name}")
        for name in _others(folder, written):
            note(f"left   {name}, which belongs to no hook of this application")
    if as_json:
        emit({"ok": True, "contracts": found})
    elif folder is None:
        click.echo(json.dumps(found, indent=2))
    return OK


def _published(app: str | None) -> dict[str, dict[str, Any]]:
    """The contracts of the application; its kernel is built and not entered."""
    kernel: Any = load_app(app)
    if not hasattr(kernel, "contracts"):
        raise click.UsageError(f"{app} makes no Kernel by itself; name a factory that returns one")
    return {hook: dict(sides) for hook, sides in kernel.contracts().items()}


def _write(found: dict[str, dict[str, Any]], folder: Path) -> list[str]:
    folder.mkdir(parents=True, exist_ok=True)
    names = []
    for hook, sides in sorted(found.items()):
        for side, schema in sorted(sides.items()):
            name = f"{hook}.{side}.schema.json"
            document = {"$schema": DIALECT, **schema} if isinstance(schema, dict) else schema
            temporary = folder / f".{name}.new"
            text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
            temporary.write_text(text, encoding="utf-8", newline="\n")
            temporary.replace(folder / name)
            names.append(name)
    return names


def _others(folder: Path, written: list[str]) -> list[str]:
    names = sorted(path.name for path in folder.iterdir() if _FILE.fullmatch(path.name))
    return [name for name in names if name not in written]


@contracts.command(short_help="Tell which changes of contracts break whom.")
@click.argument("old", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("new", type=click.Path(exists=True, file_okay=False, path_type=Path))
@json_option
def diff(old: Path, new: Path, as_json: bool) -> int:
    """Compare the contracts in the folders OLD and NEW; exit with 1 if a change breaks somebody.

    Plugins implement hooks, callers call them: what is harmless to one may break the other. A
    change that cannot be shown to be harmless counts as breaking.
    """
    from nxkernel.schemas.changes import changes

    found = changes(_read(old), _read(new))
    breaking = any(change.breaking for change in found)
    if as_json:
        rows = [{**_row(change), "breaking": change.breaking} for change in found]
        emit({"ok": not breaking, "changes": rows})
    elif found:
        _print(found)
    else:
        say("no difference")
    return FAILED if breaking else OK


def _read(folder: Path) -> dict[str, dict[str, Any]]:
    """Read every contract of a folder.

    Raises:
        SchemaInvalid: for one that is no JSON, malformed or outside the profile, with its name.
    """
    from nxkernel.schemas import SchemaRegistry
    from nxkernel.schemas.documents import read_schema

    found: dict[str, dict[str, Any]] = {}
    for path in sorted(folder.iterdir()):
        match = _FILE.fullmatch(path.name)
        if match is None:
            continue
        schema = read_schema(path)
        compiled = SchemaRegistry().compile(schema, name=path.name)
        found.setdefault(match["hook"], {})[match["side"]] = compiled.schema
    return found


def _row(change: Change) -> dict[str, Any]:
    names = ("hook", "side", "what", "breaks_plugins", "breaks_callers")
    return {name: getattr(change, name) for name in names}


def _print(found: list[Change]) -> None:
    table(
        ("hook", "side", "", "plugins", "callers"),
        [
            (c.hook, c.side or "", c.what, _verdict(c.breaks_plugins), _verdict(c.breaks_callers))
            for c in found
        ],
    )


def _verdict(reason: str | None) -> Styled:
    return Styled("fine", "green") if reason is None else Styled(f"may break: {reason}", "bold red")
