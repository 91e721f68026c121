"""Quarantines on disk: they outlive the kernel, and can be lifted from another process.

One small file for each plugin that is in quarantine, ``<data_dir>/quarantine/<id>.json``. Lifting
does not remove it: the kernel that honours it does, once it has put on record who lifted it.
"""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import Any

import attrs

from nxkernel._clock import Clock
from nxkernel.errors import StorageError

__all__ = ["Quarantine", "QuarantineRecord", "lift", "quarantines"]

_FOLDER = "quarantine"
_VERSION = 1


@attrs.frozen(kw_only=True)
class Quarantine:
    """A plugin that is not started for now, as its file has it."""

    plugin: str
    #: Digest of the code that died too often; other code is not held back.
    code_digest: str
    #: Wall nanoseconds since the epoch: when it began, and when a trial ends it; None is never.
    since_ns: int
    until_ns: int | None
    #: Who lifted it, or empty.
    lifted_by: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return plain data for ``--json``."""
        return attrs.asdict(self)

    def left_s(self, now_ns: int) -> float | None:
        """Seconds that are left of it; None is for ever. Never more than it had to begin with."""
        if self.until_ns is None:
            return None
        # The machine's clock may have been set back meanwhile.
        left = min(self.until_ns - now_ns, self.until_ns - self.since_ns)
        return max(0, left) / 1e9


def quarantines(data_dir: Path | str) -> list[Quarantine]:
    """Return the plugins that are in quarantine below *data_dir*, sorted by id."""
    files = sorted((Path(data_dir) / _FOLDER).glob("*.json"))
    found = [entry for entry in map(_read, files) if entry is not None and not entry.lifted_by]
    return sorted(found, key=lambda entry: entry.plugin)


def lift(data_dir: Path | str, plugin: str, by: str = "operator") -> bool:
    """Lift the quarantine of *plugin*; returns whether there was one.

    A kernel that runs on *data_dir* notices at the plugin's next call, and puts it on record.

    Raises:
        StorageError: when the file cannot be written.
    """
    for entry in quarantines(data_dir):
        if entry.plugin == plugin:
            path = Path(data_dir) / _FOLDER / f"{entry.plugin}.json"
            try:
                _write(path, attrs.evolve(entry, lifted_by=by))
            except OSError as error:
                raise StorageError(
                    f"the quarantine of {plugin!r} cannot be lifted: {path}: {error.strerror}"
                ) from None
            return True
    return False


class QuarantineRecord:
    """The file of one plugin, as the supervisor of its kernel uses it."""

    def __init__(self, data_dir: Path, plugin: str, code_digest: str, clock: Clock) -> None:
        self._path = data_dir / _FOLDER / f"{plugin}.json"
        self._plugin = plugin
        self._code_digest = code_digest
        self._clock = clock

    def write(self, seconds: float | None) -> None:
        """Keep that the plugin is in quarantine for *seconds* from now, or for ever.

        A disk that is full or read-only costs the memory of it, not the call: this kernel
        remembers by itself.
        """
        now = self._clock.wall_ns()
        entry = Quarantine(
            plugin=self._plugin,
            code_digest=self._code_digest,
            since_ns=now,
            until_ns=None if seconds is None else now + round(seconds * 1e9),
        )
        with contextlib.suppress(OSError):
            _write(self._path, entry)

    def remove(self) -> None:
        """Keep that it is not in quarantine."""
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)

    def lifted(self) -> str | None:
        """Who lifted the quarantine, or None; code that has changed lifts it by itself."""
        entry = _read(self._path)
        if entry is None:
            return None
        changed = entry.code_digest != self._code_digest
        return entry.lifted_by or ("changed code" if changed else None)

    def left(self) -> tuple[float | None] | None:
        """Seconds that are left of the quarantine in a tuple (None: for ever), or None: no such."""
        entry = _read(self._path)
        return None if entry is None else (entry.left_s(self._clock.wall_ns()),)


def _read(path: Path) -> Quarantine | None:
    """What the file says; one that is missing or broken says nothing."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        entry = Quarantine(**{k: v for k, v in data.items() if k != "schema_version"})
    except (OSError, ValueError, TypeError, AttributeError):
        return None
    return entry if data["schema_version"] == _VERSION and _sound(entry, path) else None


def _sound(entry: Quarantine, path: Path) -> bool:
    times = [entry.since_ns] + ([] if entry.until_ns is None else [entry.until_ns])
    texts = (entry.plugin, entry.code_digest, entry.lifted_by)
    return (
        all(type(t) is int for t in times)
        and all(type(t) is str for t in texts)
        and entry.plugin == path.name.removesuffix(".json")
    )


def _write(path: Path, entry: Quarantine) -> None:
    """Replace the file whole: a reader finds the old one or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    new = path.with_suffix(f".{os.getpid()}.tmp")
    text = json.dumps({"schema_version": _VERSION, **entry.to_json()}, sort_keys=True)
    try:
        new.write_text(text + "\n", encoding="utf-8")
        os.replace(new, path)
    finally:
        new.unlink(missing_ok=True)
