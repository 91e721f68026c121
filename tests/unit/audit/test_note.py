"""Signatures are those of signed notes: two implementations of Ed25519 agree on every one."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from nxkernel.audit.note import Signer, Verifier, split
from nxkernel.errors import AuditError
from tests.unit.audit.logs import STANDALONE

NAME = "example.com/audit"
TEXT = "example.com/audit\n12\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n"
#: RFC 8032, section 7.1: secret key, public key, message, signature.
RFC_8032 = [
    (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
        "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
        "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
        "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ),
]


def signer(seed: int = 1, name: str = NAME) -> Signer:
    """Return who signs with a fixed key."""
    return Signer(name, ed25519.Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32))


def is_good(note: str, verifier: Verifier) -> bool:
    """Ask both verifiers, which must agree."""
    ours = verifier.check(note)
    try:
        STANDALONE.check_signature(note, verifier.text())
    except STANDALONE.Unsigned:
        assert not ours
        return False
    assert ours
    return True


@pytest.mark.parametrize(("secret", "public", "message", "signature"), RFC_8032)
def test_vectors_of_rfc_8032(secret: str, public: str, message: str, signature: str) -> None:
    """The verifier's own Ed25519 takes the published signatures, and none with a bit flipped."""
    key, text, good = map(bytes.fromhex, (public, message, signature))
    private = ed25519.Ed25519PrivateKey.from_private_bytes(bytes.fromhex(secret))
    assert private.sign(text) == good
    assert STANDALONE.ed25519(key, text, good)
    for place in (0, 31, 32, 63):
        bad = bytearray(good)
        bad[place] ^= 1
        assert not STANDALONE.ed25519(key, text, bytes(bad))
    assert not STANDALONE.ed25519(key, text + b"x", good)
    assert not STANDALONE.ed25519(key, text, good[:-1])
    # The same scalar plus the order of the group: RFC 8032 has one signature, not two.
    scalar = int.from_bytes(good[32:], "little") + STANDALONE.L
    assert not STANDALONE.ed25519(key, text, good[:32] + scalar.to_bytes(32, "little"))


def test_a_note_carries_a_signature_that_both_verifiers_accept() -> None:
    """Text, blank line, signature line; the text can be had again."""
    note = signer().sign(TEXT)
    assert note.startswith(TEXT + "\n— example.com/audit ")
    assert split(note)[0] == TEXT
    assert is_good(note, signer().verifier)
    assert is_good(note.replace("\n", "\r\n"), signer().verifier)


def test_a_witness_may_sign_too() -> None:
    """Lines of other keys are passed over."""
    note = signer().sign(TEXT)
    both = note + signer(2, "witness.example").sign(TEXT).split("\n")[-2] + "\n"
    assert is_good(both, signer().verifier)
    assert is_good(both, signer(2, "witness.example").verifier)
    assert not is_good(note, signer(2, "witness.example").verifier)


def _other_line(note: str, line: str) -> str:
    text = note.rpartition("\n\n")[0]
    return f"{text}\n\n{line}\n"


BAD = {
    "unsigned": lambda note: TEXT,
    "other size": lambda note: note.replace("\n12\n", "\n13\n"),
    "other name": lambda note: note.replace("— example.com/audit", "— example.com/other"),
    "other key": lambda note: signer(2).sign(TEXT),
    "no base64": lambda note: _other_line(note, f"— {NAME} ?"),
    "short": lambda note: _other_line(note, f"— {NAME} " + base64.b64encode(bytes(68)).decode()),
    "extension": lambda note: note.replace("\n\n", "\nmore\n\n"),
}


@pytest.mark.parametrize("change", BAD)
def test_what_was_not_signed_is_refused(change: str) -> None:
    """Any other text, name or key."""
    note = BAD[change](signer().sign(TEXT))
    verifier = signer().verifier
    if change == "no base64":
        assert not verifier.check(note)
        with pytest.raises((STANDALONE.Unsigned, ValueError)):
            STANDALONE.check_signature(note, verifier.text())
    else:
        assert not is_good(note, verifier)


def test_a_verifier_key_survives_its_text() -> None:
    """It has name, number and key, as the tools of transparency logs write it."""
    verifier = signer().verifier
    name, number, data = verifier.text().split("+", 2)
    assert (name, len(number)) == (NAME, 8)
    assert base64.b64decode(data) == b"\x01" + verifier.key
    assert Verifier.parse(verifier.text() + "\n") == verifier


@pytest.mark.parametrize(
    "text",
    ["", "name", "name+00000000+AAAA", signer().verifier.text().replace("audit+", "other+")],
)
def test_anything_else_is_no_verifier_key(text: str) -> None:
    """A key that was cut or renamed is refused."""
    with pytest.raises(AuditError, match="no verifier key"):
        Verifier.parse(text)
    with pytest.raises((STANDALONE.Unreadable, ValueError)):
        STANDALONE.check_signature(signer().sign(TEXT), text)


def pem(key: object) -> bytes:
    """Return a private key as openssl writes it."""
    return key.private_bytes(  # type: ignore[attr-defined, no-any-return]
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def test_a_key_is_read_from_its_file(tmp_path: Path) -> None:
    """A PEM file as ``openssl genpkey -algorithm ed25519`` writes it."""
    file = tmp_path / "audit.pem"
    file.write_bytes(pem(ed25519.Ed25519PrivateKey.from_private_bytes(b"\1" * 32)))
    assert Signer.load(NAME, file).verifier == signer().verifier


def test_another_kind_of_key_is_refused(tmp_path: Path) -> None:
    """And the error says how to make one that is not."""
    file = tmp_path / "audit.pem"
    for content in (b"no key", pem(ec.generate_private_key(ec.SECP256R1()))):
        file.write_bytes(content)
        with pytest.raises(AuditError, match="openssl genpkey -algorithm ed25519"):
            Signer.load(NAME, file)
    with pytest.raises(AuditError, match=r"cannot read the key none\.pem"):
        Signer.load(NAME, tmp_path / "none.pem")


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\n"])
def test_a_name_can_stand_in_a_line(name: str) -> None:
    """Else the note could be read in two ways."""
    with pytest.raises(AuditError, match="cannot sign"):
        signer(name=name)
