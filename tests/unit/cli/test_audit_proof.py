"""``nxkernel audit proof``, ``key`` and ``verify --key``."""

from __future__ import annotations

from pathlib import Path

import pytest

from nxkernel.audit.proofs import Consistency, Inclusion
from tests.unit.audit.logs import STANDALONE, sample_rows, tampering, write_batches
from tests.unit.audit.test_note import NAME, pem, signer
from tests.unit.cli.conftest import run


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data directory; an old and the newest checkpoint beside it, the second one signed."""
    log = tmp_path / "data" / "audit" / "audit.db"
    points = write_batches(log, sample_rows(log), 5)
    (tmp_path / "old").write_text(points[0].text())
    (tmp_path / "new").write_text(signer().sign(points[-1].text()), encoding="utf-8")
    return tmp_path / "data"


def test_a_row_is_proved_to_who_has_a_checkpoint(data: Path, tmp_path: Path) -> None:
    """What is printed is a proof that the other verifier takes, with the signature in it."""
    shown = run("audit", "proof", data, "4", "--checkpoint", tmp_path / "new")
    assert shown.code == 0
    assert Inclusion.parse(shown.out).ok
    (tmp_path / "proof").write_text(shown.out, encoding="utf-8")
    arguments = ["--proof", str(tmp_path / "proof"), "--key", signer().verifier.text()]
    assert STANDALONE.main(arguments) == 0
    other = signer(2).verifier.text()
    assert STANDALONE.main([*arguments[:3], other]) == 4


def test_a_log_is_proved_to_continue_an_old_one(data: Path, tmp_path: Path) -> None:
    """The same for two states of the log, and as JSON."""
    shown = run("audit", "proof", data, "--since", tmp_path / "old", "--json")
    assert shown.code == 0
    assert Consistency.parse(shown.data["proof"]).ok
    assert shown.data["checkpoint"]["size"] > 5


def test_what_is_to_be_proved_has_to_be_said(data: Path, tmp_path: Path) -> None:
    """A row or an older checkpoint, not both and not neither."""
    for arguments in ((), ("4", "--since", tmp_path / "old")):
        assert run("audit", "proof", data, *arguments).code == 2


def test_a_bad_log_has_no_proofs(data: Path) -> None:
    """Exit code 4: the log does not add up."""
    with tampering(data / "audit" / "audit.db") as connection:
        connection.execute("UPDATE runs SET python = '2.7'")
    shown = run("audit", "proof", data, "4")
    assert shown.code == 4
    assert "was edited" in shown.err


def test_verify_takes_the_signature_of_a_checkpoint_into_account(
    data: Path, tmp_path: Path
) -> None:
    """A checkpoint that somebody else signed, or nobody, is worth nothing."""
    new = ("audit", "verify", data, "--checkpoint", tmp_path / "new", "--key")
    assert run(*new, signer().verifier.text()).code == 0
    wrong = run(*new, signer(2).verifier.text())
    assert wrong.code == 4
    assert f"no good signature of {NAME}" in wrong.err
    old = ("audit", "verify", data, "--checkpoint", tmp_path / "old", "--key")
    assert run(*old, signer().verifier.text()).code == 4
    assert run("audit", "verify", data, "--key", signer().verifier.text()).code == 2


def test_the_verifier_key_of_a_key_is_printed(tmp_path: Path) -> None:
    """For the one who publishes it, as text and as JSON."""
    file = tmp_path / "audit.pem"
    file.write_bytes(pem(signer()._key))
    assert run("audit", "key", file, NAME).out.strip() == signer().verifier.text()
    found = run("audit", "key", file, NAME, "--json").data
    assert (found["name"], found["verifier_key"]) == (NAME, signer().verifier.text())
