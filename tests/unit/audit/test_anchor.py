"""Checkpoints are signed and kept elsewhere as the embedder says."""

from __future__ import annotations

from pathlib import Path

import pytest

from nxkernel.audit.anchor import Anchor
from nxkernel.audit.checkpoint import Checkpoint
from nxkernel.audit.note import Signer
from nxkernel.errors import AuditError
from tests.unit.audit.test_note import pem, signer

POINT = Checkpoint.of("nxkernel.audit.v2/0123456789abcdef", 12, bytes(32))


def test_without_a_key_a_checkpoint_is_three_lines() -> None:
    """Nothing is signed that nobody asked to sign."""
    assert Anchor().note(POINT) == POINT.text()


@pytest.mark.parametrize("name", [None, "example.com/audit"])
def test_a_key_signs_in_the_name_that_was_given(tmp_path: Path, name: str | None) -> None:
    """Without one it is the name of the log."""
    file = tmp_path / "audit.pem"
    file.write_bytes(pem(signer()._key))
    note = Anchor(key_file=file, name=name).note(POINT)
    assert Signer.load(name or POINT.origin, file).verifier.check(note)
    assert Checkpoint.parse(note) == POINT


def test_each_checkpoint_is_appended(tmp_path: Path) -> None:
    """Those from before stay; a blank line stands between them."""
    file = tmp_path / "kept"
    anchor = Anchor(append_to=file)
    for _ in range(2):
        anchor.keep(POINT.text())
    Anchor().keep("nowhere")
    assert file.read_text() == f"{POINT.text()}\n" * 2


def test_a_place_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    """The error names the file and carries the whole path."""
    file = tmp_path / "none" / "kept"
    with pytest.raises(AuditError, match="cannot append the checkpoint to kept") as caught:
        Anchor(append_to=file).keep("x")
    assert caught.value.details == {"path": str(file)}
