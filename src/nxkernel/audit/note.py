"""Signed notes (https://c2sp.org/signed-note): a checkpoint with the signature of who wrote it.

Signing and checking take the extra ``sign``. The verifier that stands alone checks signatures with
a few lines of its own, so that nobody has to trust this one.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from nxkernel._pickling import Rooted
from nxkernel.errors import AuditError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

__all__ = ["Signer", "Verifier"]

#: The kind of a key: Ed25519 over the text of the note.
_ED25519 = b"\x01"
_DASH = "— "


def _key_id(name: str, key: bytes) -> bytes:
    return hashlib.sha256(name.encode() + b"\n" + _ED25519 + key).digest()[:4]


def split(note: str) -> tuple[str, list[str]]:
    """Return the text of a note and the lines of its signatures."""
    text, blank, signatures = note.replace("\r\n", "\n").rpartition("\n\n")
    lines = signatures.split("\n")
    if not blank or not all(line.startswith(_DASH) for line in lines if line):
        return note, []
    return text + "\n", [line for line in lines if line]


@attrs.frozen
class Verifier:
    """A public key that notes can be checked with."""

    #: Who signs; for checkpoints of one's own log the name of the log is usual.
    name: str
    #: The 32 bytes of an Ed25519 public key.
    key: bytes

    def text(self) -> str:
        """Return the key as the tools of transparency logs write it: ``name+id+key``."""
        data = base64.b64encode(_ED25519 + self.key).decode()
        return f"{self.name}+{_key_id(self.name, self.key).hex()}+{data}"

    @classmethod
    def parse(cls, text: str) -> Verifier:
        """Read what :meth:`text` wrote.

        Raises:
            AuditError: when *text* is no such key.
        """
        name, _, rest = text.strip().partition("+")
        number, _, data = rest.partition("+")
        try:
            key = base64.b64decode(data, validate=True)
        except (binascii.Error, ValueError):
            key = b""
        if len(key) != 33 or key[:1] != _ED25519 or number != _key_id(name, key[1:]).hex():
            raise AuditError(
                "this is no verifier key: expected name+id+key on one line, as "
                "`nxkernel audit key` prints it"
            )
        return cls(name, key[1:])

    def check(self, note: str) -> bool:
        """Tell whether *note* carries a good signature of this key.

        Raises:
            AuditError: when the extra ``sign`` is not installed.
        """
        text, lines = split(note)
        own = f"{_DASH}{self.name} "
        found = [line[len(own) :] for line in lines if line.startswith(own)]
        return any(self._is_signed(text, each) for each in found)

    def _is_signed(self, text: str, signature: str) -> bool:
        try:
            data = base64.b64decode(signature, validate=True)
        except (binascii.Error, ValueError):
            return False
        if data[:4] != _key_id(self.name, self.key):
            return False
        try:
            from cryptography.exceptions import InvalidSignature
            from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
        except ImportError:
            raise _no_library() from None
        try:
            Ed25519PublicKey.from_public_bytes(self.key).verify(data[4:], text.encode())
        except InvalidSignature:
            return False
        return True


class Signer(Rooted):
    """Signs notes with a private key; *name* may have neither spaces nor ``+``."""

    _instead = "load the key there, from its file"

    def __init__(self, name: str, key: Ed25519PrivateKey) -> None:
        if not name or "+" in name or name.split() != [name]:
            raise AuditError(f"{name!r} cannot sign: a name has neither spaces nor +")
        self._key = key
        #: What others check with.
        self.verifier = Verifier(name, key.public_key().public_bytes_raw())

    @classmethod
    def load(cls, name: str, path: Path | str) -> Signer:
        """Read a key as ``openssl genpkey -algorithm ed25519`` writes it: PEM, not encrypted.

        Raises:
            AuditError: when it cannot be read, is another kind of key, or the extra ``sign`` is
                not installed.
        """
        try:
            from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
            from cryptography.hazmat.primitives.serialization import load_pem_private_key
        except ImportError:
            raise _no_library() from None
        path = Path(path)
        try:
            key = load_pem_private_key(path.read_bytes(), password=None)
        except OSError as error:
            raise AuditError(f"cannot read the key {path.name}: {error.strerror}") from error
        except (ValueError, TypeError):
            key = None
        if not isinstance(key, Ed25519PrivateKey):
            raise AuditError(
                f"{path.name} has no Ed25519 key in PEM without a password; make one with "
                "`openssl genpkey -algorithm ed25519 -out FILE`"
            )
        return cls(name, key)

    def sign(self, text: str) -> str:
        """Return the note: *text*, which ends with a line feed, a blank line and the signature."""
        who = self.verifier
        data = _key_id(who.name, who.key) + self._key.sign(text.encode())
        return f"{text}\n{_DASH}{who.name} {base64.b64encode(data).decode()}\n"


def _no_library() -> AuditError:
    return AuditError(
        'signatures take the library cryptography; install it with `pip install "nxkernel[sign]"`'
    )
