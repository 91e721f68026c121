"""The page of the wire protocol names the messages and fields that the wire has."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import msgspec
import pytest

from nxkernel import _wire
from nxkernel.settings import Hosting

PAGE = (Path(__file__).resolve().parents[2] / "docs/reference/wire-protocol.md").read_text("utf-8")
TABLES = PAGE.partition("\n## Order")[0].partition("| worker to host |")
ROWS = [
    {name: fields.split(", ") if fields else [] for name, fields in found}
    for found in (
        re.findall(r"^\| `(\w+)` \| ([\w, ]*?) ?\|", t, re.MULTILINE) for t in TABLES[::2]
    )
]


@pytest.mark.parametrize(
    ("rows", "messages"),
    [(ROWS[0], _wire.FromHost), (ROWS[1], _wire.FromWorker)],
    ids=["from the host", "from a worker"],
)
def test_messages_and_their_fields_are_documented(
    rows: dict[str, list[str]], messages: type
) -> None:
    """Every message of either direction has its row, with its fields in their order."""
    assert rows == {
        message.__name__: [field.name for field in msgspec.structs.fields(message)]
        for message in get_args(messages)
    }


def test_version_and_limit_are_documented() -> None:
    """The page is about this version of the protocol, and this limit."""
    assert f"\nVersion {_wire.VERSION}. " in PAGE
    assert f"`Hosting.max_frame` ({Hosting().max_frame // 2**20} MiB)" in PAGE
