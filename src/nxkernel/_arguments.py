"""The arguments of a call, as the stack may look at them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from nxkernel._canonical import read

__all__ = ["Arguments", "plain_of"]


class Arguments(Mapping[str, Any]):
    """Arguments by name, read-only: what their canonical bytes say, whatever was given.

    Most middleware never looks at them, so they are decoded for the first who does.
    """

    __slots__ = ("_data", "_plain")

    def __init__(self, data: bytes, plain: dict[str, Any] | None = None) -> None:
        """*data*: canonical bytes of the arguments; *plain*: what they say, if that is known."""
        self._data = data
        self._plain = plain

    @property
    def plain(self) -> dict[str, Any]:
        """The arguments as a dict, which is to be left as it is."""
        if self._plain is None:
            self._plain = read(self._data)
        return self._plain

    def __getitem__(self, name: str) -> Any:
        return self.plain[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.plain)

    def __len__(self) -> int:
        return len(self.plain)

    def __repr__(self) -> str:
        return f"Arguments({self.plain!r})"


def plain_of(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return *arguments* as a dict, which is to be left as it is."""
    return arguments.plain if type(arguments) is Arguments else dict(arguments)
