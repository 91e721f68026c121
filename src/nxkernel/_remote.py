"""The traceback of an exception that was raised in another process, as text.

What a worker tells of its exception is data: names, numbers and texts, which nobody needs to trust.
Here they become a traceback in Python's own form, which hangs on the error that the host raises, as
its cause; ``concurrent.futures`` and loky do the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

__all__ = ["RemoteTraceback", "render", "with_remote"]

E = TypeVar("E", bound=BaseException)
#: Bounds of the text, whatever the data: exceptions, lines of each, characters of a line.
_EXCEPTIONS, _LINES, _WIDTH = 64, 200, 2000
_CAUSE = "The above exception was the direct cause of the following exception:"
_CONTEXT = "During handling of the above exception, another exception occurred:"


class RemoteTraceback(Exception):
    """Stands where the plugin's exception would: no object of a plugin is in the host."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text

    def __str__(self) -> str:
        return f'\n"""\n{self.text}\n"""'


def with_remote(error: E, details: Mapping[str, Any]) -> E:
    """Hang the traceback in *details*, if there is one, on *error*; return *error*."""
    tree = details.get("traceback")
    if isinstance(tree, Mapping):
        error.__cause__ = RemoteTraceback(render(tree))
    return error


def render(tree: Mapping[str, Any]) -> str:
    """Return the text of the traceback that *tree* describes; see ``worker.trail``."""
    return "\n".join(_shown(line) for line in _tree(tree, [_EXCEPTIONS]))


def _tree(tree: Mapping[str, Any], budget: list[int]) -> Iterator[str]:
    budget[0] -= 1
    if budget[0] < 0:
        return
    for key, words in (("cause", _CAUSE), ("context", _CONTEXT)):
        before = tree.get(key)
        if isinstance(before, Mapping):
            yield from (*_tree(before, budget), "", words, "")
    yield from _own(tree)
    members = [each for each in _list(tree, "group") if isinstance(each, Mapping)]
    for number, member in enumerate(members, 1):
        yield f"  ---- {number} of {len(members)} ----"
        yield from (f"    {line}" for line in _tree(member, budget))
    left_out = tree.get("left_out")
    if type(left_out) is int and left_out > 0:
        yield f"  ({left_out} more left out)"


def _own(tree: Mapping[str, Any]) -> Iterator[str]:
    frames = [each for each in _list(tree, "frames") if isinstance(each, Mapping)]
    if frames:
        yield "Traceback (most recent call last):"
    for frame in frames:
        place = f'  File "{frame.get("file")}", line {frame.get("line")}'
        yield f"{place}, in {frame.get('function')}"
        if frame.get("source"):
            yield f"    {frame['source']}"
    name = str(tree.get("exception", "")).removeprefix("builtins.")
    text = tree.get("text")
    yield from (f"{name}: {text}" if text else name).split("\n")[:_LINES]
    for note in _list(tree, "notes"):
        yield from str(note).split("\n")[:_LINES]


def _list(tree: Mapping[str, Any], key: str) -> list[Any]:
    found = tree.get(key)
    return found[:_LINES] if isinstance(found, list) else []


def _shown(line: str) -> str:
    """One line, whatever a plugin put into it: nothing steers the reader's terminal."""
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode() for c in line[:_WIDTH]
    )
