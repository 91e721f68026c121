"""A checkpoint is the text that transparency logs use."""

from __future__ import annotations

import pytest

from nxkernel.audit.checkpoint import Checkpoint
from nxkernel.errors import AuditError
from tests.unit.audit.logs import STANDALONE

ROOT = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
TEXT = f"nxkernel.audit.v2/0123456789abcdef\n12\n{ROOT}\n"


def test_a_checkpoint_survives_its_text() -> None:
    """What a run writes to a file can be read back, also after a mail program had it."""
    checkpoint = Checkpoint("nxkernel.audit.v2/0123456789abcdef", 12, ROOT)
    assert checkpoint.text() == TEXT
    assert (
        Checkpoint.parse(TEXT)
        == checkpoint
        == Checkpoint.of(checkpoint.origin, 12, checkpoint.hash)
    )
    assert Checkpoint.parse(TEXT.replace("\n", "\r\n")) == checkpoint
    assert STANDALONE.parse_checkpoint(TEXT) == (checkpoint.origin, 12, ROOT)


@pytest.mark.parametrize(
    "rest",
    ["", "extension line\n", "\n— example.com/log x+/=\n", "ext\n\n— a AAAA\n— b BBBB\n"],
    ids=["plain", "extension", "signed", "both"],
)
def test_extensions_and_signatures_may_follow(rest: str) -> None:
    """The three lines are read from a signed note too, also of a log with a name of its own."""
    text = f"example.com/log\n1\n{ROOT}\n{rest}"
    assert Checkpoint.parse(text) == Checkpoint("example.com/log", 1, ROOT)
    assert STANDALONE.parse_checkpoint(text) == ("example.com/log", 1, ROOT)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        f"a b\n1\n{ROOT}\n",
        f"log\n-1\n{ROOT}\n",
        f"log\n01\n{ROOT}\n",
        f"log\n1\n{ROOT[:-4]}\n",
        f"log\n1\n{'ab' * 32}\n",
        f"log\n1\n{ROOT[:-2]}V=\n",
        f"log\n1\n{ROOT}",
        f"log\n1\n{ROOT}\nhalf a line",
        f"log\n1\n{ROOT}\n\nno signature\n",
        f"log\n1\n{ROOT}\n\n",
        f"log\n1\n{ROOT}\n\n— log half",
    ],
)
def test_anything_else_is_no_checkpoint(text: str) -> None:
    """A file that was edited or mixed up is refused with what was expected."""
    with pytest.raises(AuditError, match="expected three lines") as caught:
        Checkpoint.parse(text)
    assert caught.value.code == "audit.failed"
    with pytest.raises(STANDALONE.Unreadable):
        STANDALONE.parse_checkpoint(text)
