"""What a probe worker has witnessed on this machine, kept for the boots that follow.

An entry is believed only where nothing has changed that the level rests on: machine, kernel, boot
options, switches, who runs, interpreter, and our own code. It carries a digest of itself and must
be a private file of this user, so that one that was edited, damaged or brought from elsewhere only
has the level probed again. Nothing rests on it alone: each worker still tries its walls itself.
"""

from __future__ import annotations

import contextlib
import functools
import os
import platform
import stat
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import nxkernel
from nxkernel._canonical import NotCanonical, decode, digest, encode
from nxkernel._linux import status_fields
from nxkernel._system import files
from nxkernel.types import Level

__all__ = ["WitnessCache", "grounds"]

_DOMAIN: Final = b"nx.witness.v1\0"
_MOST_BYTES: Final = 64 * 1024
#: What decides whether a mechanism can be had, as far as it can be read.
_SWITCHES: Final = (
    "/etc/machine-id",
    "/proc/cmdline",
    "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
    "/proc/sys/kernel/unprivileged_userns_clone",
    "/proc/sys/user/max_user_namespaces",
    "/sys/kernel/security/lsm",
)
#: Of /proc/self/status: privileges, and a filter that a container may have put on us.
_STANDING: Final = ("CapBnd", "CapEff", "Gid", "NoNewPrivs", "Seccomp", "Seccomp_filters", "Uid")
#: Our code that confines and that witnesses.
_CODE: Final = ("_linux.py", "_namespaces.py", "worker", "host/sandbox/linux")


class WitnessCache:
    """The entries of one data directory."""

    def __init__(self, folder: Path, facts: Mapping[str, str]) -> None:
        self._folder = folder
        self._facts = dict(facts)

    def recall(self, level: Level) -> dict[str, str] | None:
        """Return what a probe met at *level* under the same facts: attempt -> errno, or None."""
        try:
            entry = decode(_read_private(self._path(level)))
        except (OSError, ValueError, NotCanonical):
            return None
        if not isinstance(entry, dict):
            return None
        claimed, content = entry.get("digest"), {k: v for k, v in entry.items() if k != "digest"}
        witnessed = content.get("witnessed")
        if claimed != self._digest(content) or content != self._content(level, witnessed):
            return None
        return witnessed if isinstance(witnessed, dict) and witnessed else None

    def keep(self, level: Level, witnessed: Mapping[str, str]) -> None:
        """Write down what a probe met; a folder that cannot be written costs the next boot a probe.

        An empty account is no testimony and is not kept.
        """
        if not witnessed:
            return
        content = self._content(level, dict(witnessed))
        path = self._path(level)
        with contextlib.suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            _write_private(path, encode({**content, "digest": self._digest(content)}))

    def _content(self, level: Level, witnessed: Any) -> dict[str, Any]:
        return {"facts": self._facts, "level": level, "witnessed": witnessed}

    def _digest(self, content: Mapping[str, Any]) -> str:
        return digest(encode(dict(content)), _DOMAIN)

    def _path(self, level: Level) -> Path:
        key = digest(encode({"facts": self._facts, "level": level}), _DOMAIN)
        return self._folder / key.removeprefix("sha256:")


def grounds(python: Path | str | None = None) -> dict[str, str]:
    """Return what a level rests on here: name -> text. A few file reads, no process.

    Args:
        python: the interpreter of workers; None is this one.
    """
    system = (platform.system(), platform.release(), platform.version(), platform.machine())
    facts = {
        "system": " ".join(system),
        "python": f"{os.path.realpath(python or sys.executable)} {sys.version}",
        "nxkernel": f"{nxkernel.__version__} {_code_digest()}",
    }
    facts |= {path: _text(path) for path in _SWITCHES}
    with contextlib.suppress(OSError):
        status = status_fields()
        facts |= {f"status {name}": status.get(name, "") for name in _STANDING}
    return facts


@functools.cache
def _code_digest() -> str:
    root = Path(nxkernel.__file__).parent
    return digest(b"".join(path.read_bytes() for path in _code_files(root)), _DOMAIN)


def _code_files(root: Path) -> Iterator[Path]:
    for name in _CODE:
        place = root / name
        yield from [place] if place.is_file() else sorted(place.glob("*.py"))


def _text(path: str) -> str:
    try:
        return Path(path).read_text("utf-8", "replace")
    except OSError as error:
        return f"unreadable: {error.errno}"


def _read_private(path: Path) -> bytes:
    """Read a small regular file of this user that nobody else may write, or raise OSError."""
    descriptor = os.open(path, os.O_RDONLY | files.NOFOLLOW | files.NONBLOCK | files.CLOEXEC)
    try:
        facts = os.fstat(descriptor)
        private = files.is_ours(facts) and not facts.st_mode & 0o022
        if not (stat.S_ISREG(facts.st_mode) and private and facts.st_size <= _MOST_BYTES):
            raise PermissionError(f"{path} is no private file")
        return os.read(descriptor, _MOST_BYTES)
    finally:
        os.close(descriptor)


def _write_private(path: Path, data: bytes) -> None:
    """Put the file in its place whole; another process may do the same."""
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | files.NOFOLLOW | files.CLOEXEC
    descriptor = os.open(draft, flags, 0o600)
    try:
        os.write(descriptor, data)
    finally:
        os.close(descriptor)
    os.replace(draft, path)
