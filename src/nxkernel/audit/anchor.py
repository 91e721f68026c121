"""Where checkpoints go beside the run's own folder, and who signs them."""

from __future__ import annotations

import os
from pathlib import Path

import attrs

from nxkernel.audit.checkpoint import Checkpoint
from nxkernel.audit.note import Signer
from nxkernel.errors import AuditError

__all__ = ["Anchor"]


@attrs.frozen(kw_only=True)
class Anchor:
    """How the checkpoints of a log are signed, and where else they are kept.

    A checkpoint shows a rewritten log only to somebody whose copy the writer of the log cannot
    reach. So *append_to* belongs on another disk, in a folder that is synchronised, or behind a
    device that only appends; a key that the kernel can read signs whatever the kernel's user wants.
    """

    #: An Ed25519 key in PEM, or None for checkpoints without a signature.
    key_file: Path | str | None = None
    #: In whose name it signs; None takes the name of the log.
    name: str | None = None
    #: A file to whose end each checkpoint is appended, or None.
    append_to: Path | str | None = None

    def note(self, checkpoint: Checkpoint) -> str:
        """Return the text of *checkpoint*, signed if there is a key.

        Raises:
            AuditError: when it cannot be signed.
        """
        if self.key_file is None:
            return checkpoint.text()
        name = self.name or checkpoint.origin
        return Signer.load(name, self.key_file).sign(checkpoint.text())

    def keep(self, note: str) -> None:
        """Append *note* and a blank line to the file, in one write that is on disk afterwards.

        Raises:
            AuditError: when it cannot be written.
        """
        if self.append_to is None:
            return
        path = Path(self.append_to)
        try:
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            try:
                data = f"{note}\n".encode()
                if os.write(fd, data) != len(data):
                    raise OSError(28, "no space left on device")
                os.fsync(fd)
            finally:
                os.close(fd)
        except OSError as error:
            raise AuditError(
                f"cannot append the checkpoint to {path.name}: {error.strerror}; check that its "
                "folder exists and that you may write there",
                details={"path": str(path)},
            ) from error
