"""Caches: what one data folder keeps from run to run, and no plugin may write."""

from __future__ import annotations

from pathlib import Path

import attrs

__all__ = ["Caches"]


@attrs.frozen
class Caches:
    """The folders below ``<data_dir>/cache``. Each can be deleted while no kernel runs there."""

    _data_dir: Path

    @property
    def code(self) -> Path:
        """Verified copies of the plugins' files."""
        return self._data_dir / "cache" / "code"

    @property
    def seen(self) -> Path:
        """What the files of plugins looked like when their bytes were last read."""
        return self._data_dir / "cache" / "seen"

    @property
    def bytecode(self) -> Path:
        """Byte code of the plugins' files, by files and interpreter."""
        return self._data_dir / "cache" / "bytecode"

    @property
    def impls(self) -> Path:
        """What plugins implement, by the digest of their code."""
        return self._data_dir / "cache" / "impls"

    @property
    def witness(self) -> Path:
        """What a probe worker has seen of a level here."""
        return self._data_dir / "cache" / "witness"

    @property
    def protected(self) -> tuple[Path, ...]:
        """All of them: boots believe what is there."""
        return self.bytecode, self.code, self.seen, self.impls, self.witness

    def of_plugin(self, plugin: str) -> Path:
        """Return the folder that *plugin* itself may be granted."""
        return self._data_dir / "cache" / "plugins" / plugin
