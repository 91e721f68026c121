"""How results look: one JSON object, or text and tables for people.

Data goes to standard output, everything else to standard error. Whatever comes from a plugin or a
file is made printable first: an escape sequence in a plugin's name must not reach a terminal.
"""

from __future__ import annotations

import datetime as dt
import itertools
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import click

if TYPE_CHECKING:
    from rich.console import Console

__all__ = [
    "SCHEMA_VERSION",
    "Styled",
    "emit",
    "json_option",
    "lower",
    "moment",
    "note",
    "pairs",
    "printable",
    "say",
    "stderr_console",
    "table",
]

#: Version of what ``--json`` prints.
SCHEMA_VERSION = 1
#: Columns where no terminal says how many there are: rows are for grep and are not folded.
_WIDE = 10_000
#: Between two columns, and before those that stand below others.
_GAP, _INDENT = 2, 4
#: Text and style of each cell.
_Row = Sequence[tuple[str, str]]

#: ``--json``, the same for every command.
json_option: Callable[[Any], Any] = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object."
)


class Styled(NamedTuple):
    """A cell with a style of rich, for terminals that have colours."""

    text: object
    style: str


def emit(data: Mapping[str, Any]) -> None:
    """Print *data* as one JSON object with ``schema_version``, to standard output."""
    document = {"schema_version": SCHEMA_VERSION, **data}
    click.echo(json.dumps(lower(document), indent=2))


def lower(value: Any) -> Any:
    """Return *value* in the types of JSON: records become objects, the rest of them texts."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Mapping):
        return {str(key): lower(item) for key, item in value.items()}
    if isinstance(value, Sequence | set | frozenset) and not isinstance(value, bytes | bytearray):
        items = value if isinstance(value, Sequence) else sorted(value, key=repr)
        return [lower(item) for item in items]
    return _lower_object(value)


def _lower_object(value: Any) -> Any:
    import nxkernel as nx

    if isinstance(value, bytes | bytearray):
        return value.hex()
    if isinstance(value, nx.Blob):
        return {"$blob": value.digest, "media": value.media, "size": value.size}
    if isinstance(value, dt.datetime | dt.date):
        return value.isoformat()
    fields = getattr(value, "__attrs_attrs__", None)
    names = [f.name for f in fields] if fields else list(getattr(value, "__dataclass_fields__", ()))
    if names:
        public = [name for name in names if not name.startswith("_")]
        return {name: lower(getattr(value, name)) for name in public}
    return lower(value.value) if hasattr(value, "value") else str(value)


def printable(text: object) -> str:
    """Return *text* on one line, with control characters written as ``\\x1b``."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(text))


def say(text: object = "") -> None:
    """Print a line of data to standard output."""
    click.echo(printable(text))


def note(text: object) -> None:
    """Print a line that is no data to standard error."""
    click.echo(printable(text), err=True)


def moment(ns: int | None) -> str:
    """Return nanoseconds since 1970 as a time in UTC, to the second."""
    if ns is None:
        return ""
    return dt.datetime.fromtimestamp(ns // 10**9, dt.UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def _console(*, stderr: bool) -> Console:
    from rich.console import Console

    console = Console(stderr=stderr, highlight=False, emoji=False, markup=False)
    if not console.is_terminal:
        console.width = _WIDE
    return console


def stderr_console() -> Console:
    """Return a console for progress and prompts."""
    return _console(stderr=True)


def table(
    columns: Iterable[str],
    rows: Iterable[Sequence[object]],
    *,
    right: Iterable[str] = (),
    prose: Iterable[str] = (),
) -> None:
    """Print *rows* below *columns*; those in *right* are aligned to the right.

    On a terminal the columns in *prose* are folded to fit. No other is: half an id is none. Where
    columns do not fit beside each other, those that are left over stand below, and are indented.
    """
    console, folded = _console(stderr=False), frozenset(prose)
    cells = [[_styled(cell) for cell in row] for row in rows]
    names, numbers = list(columns), frozenset(right)
    parts = [range(len(names))]
    if console.is_terminal and not folded:
        parts = _parts(names, cells, console.width)
    if not folded:
        console.width = _WIDE
    shown = [_lines(console, names, cells, part, numbers, folded) for part in parts]
    for together in itertools.zip_longest(*shown, fillvalue=""):
        for number, line in enumerate(together):
            if number == 0 or line.strip():
                # rich has decided on colours already
                click.echo(((_INDENT * " " if number else "") + line).rstrip(), color=True)


def _parts(names: Sequence[str], cells: Sequence[_Row], room: int) -> list[range]:
    """Split columns into runs of those that fit beside each other."""
    from rich.cells import cell_len

    parts, start, used = [], 0, 0
    for at, name in enumerate(names):
        width = max(map(cell_len, (name, *(row[at][0] for row in cells))))
        if at > start and used + width > room:
            parts.append(range(start, at))
            start, used = at, _INDENT
        used += width + _GAP
    return [*parts, range(start, len(names))]


def _lines(
    console: Console,
    names: Sequence[str],
    cells: Sequence[_Row],
    part: range,
    numbers: frozenset[str],
    folded: frozenset[str],
) -> list[str]:
    """Return the columns of *part* as lines, the first with their names."""
    from rich.table import Table
    from rich.text import Text

    shown = Table(box=None, pad_edge=False, header_style="bold")
    for name in (names[at] for at in part):
        justify: Any = "right" if name in numbers else "left"
        shown.add_column(name, justify=justify, no_wrap=name not in folded, overflow="fold")
    for row in cells:
        shown.add_row(*(Text(*row[at]) for at in part))
    with console.capture() as captured:
        console.print(shown)
    return captured.get().splitlines()


def _styled(cell: object) -> tuple[str, str]:
    text, style = cell if isinstance(cell, Styled) else (cell, "")
    return "" if text is None else printable(text), style


def pairs(rows: Iterable[tuple[str, object]]) -> None:
    """Print names and values, one pair on a line; empty values are left out."""
    shown = [(name, printable(value)) for name, value in rows if value not in (None, "")]
    width = max((len(name) for name, _ in shown), default=0)
    for name, value in shown:
        say(f"{name:<{width}}  {value}")
