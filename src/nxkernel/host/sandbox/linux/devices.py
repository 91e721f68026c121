"""The device files of this machine that a kind of device has."""

from __future__ import annotations

import glob
import os
import stat
from typing import Final

from nxkernel.errors import SandboxUnavailable

__all__ = ["nodes_of"]

_PATTERNS: Final = {
    "gpu": ("/dev/dri/*", "/dev/nvidia*", "/dev/nvidia-caps/*", "/dev/kfd"),
    "raw_input": ("/dev/input/*",),
}


def nodes_of(kind: str, root: str = "/") -> tuple[str, ...]:
    """Return the character devices of *kind*, ``gpu`` or ``raw_input``, that exist below *root*.

    Raises:
        SandboxUnavailable: there is none.
    """
    patterns = [os.path.join(root, pattern.lstrip("/")) for pattern in _PATTERNS[kind]]
    found = {os.path.realpath(path) for pattern in patterns for path in glob.glob(pattern)}
    nodes = tuple(sorted(path for path in found if _is_device(path)))
    if not nodes:
        places = ", ".join(_PATTERNS[kind])
        raise SandboxUnavailable(
            f"cannot grant {kind}: this machine has none of {places}",
            details={"guarantee": kind, "errno": None},
        )
    return nodes


def _is_device(path: str) -> bool:
    try:
        return stat.S_ISCHR(os.stat(path).st_mode)
    except OSError:
        return False
