"""Reading the logs that plugins left in a data directory, also while they are being written.

A log is two files, see ``host.logfile``. A reader holds the file that it reads open: when the
writer turns to a new one, what is left in the old one can still be read to its end.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from nxkernel._loglines import LogLine, parse
from nxkernel.errors import StorageError

__all__ = ["LogLine", "PluginLog", "plugin_log", "run_folder"]

_CHUNK = 1 << 16


def plugin_log(data_dir: Path | str, plugin: str, run: str | None = None) -> PluginLog:
    """Return the log of *plugin* in the run *run* of *data_dir*, or in its newest run.

    Raises:
        StorageError: when there is no such run, or the plugin took no part in it.
    """
    folder = run_folder(data_dir, run)
    log = PluginLog(folder.name, plugin, folder / "logs" / f"{plugin}.log")
    seen = {*_names(folder / "plugins"), *(n.removesuffix(".log") for n in _names(folder / "logs"))}
    if plugin not in seen:
        known = ", ".join(sorted(name for name in seen if not name.endswith(".1"))) or "none"
        raise StorageError(f"plugin {plugin!r} was not started in run {folder.name}; were: {known}")
    return log


def run_folder(data_dir: Path | str, run: str | None = None) -> Path:
    """Return the folder of *run*, or of the newest run in *data_dir*.

    Raises:
        StorageError: when there is no such run.
    """
    runs = Path(data_dir) / "runs"
    found = sorted(_names(runs))
    if not found or (run is not None and run not in found):
        what = f"no run {run!r}" if found else "no run"
        raise StorageError(f"{what} in that data directory; `nxkernel audit runs DATA_DIR` lists")
    return runs / (run or max(found, key=lambda name: (len(name), name)))


def _names(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:  # not there, or not ours to look at
        return []


class PluginLog:
    """One plugin's log of one run."""

    def __init__(self, run: str, plugin: str, path: Path) -> None:
        self.run = run
        self.plugin = plugin
        self._path = path
        self._older = path.with_name(path.name + ".1")

    def tail(self, count: int) -> list[LogLine]:
        """Return the last *count* lines that are on disk now."""
        with self.reader() as reader:
            return list(deque(reader.lines(whole=False), maxlen=count))

    def reader(self) -> LogReader:
        """Return a reader that begins with the oldest line."""
        return LogReader(self._path, self._older)


class LogReader:
    """Reads a log from its beginning, and goes on where it stopped. A context manager."""

    def __init__(self, path: Path, older: Path) -> None:
        self._path = path
        self._older = older
        self._file: BinaryIO | None = None
        self._rest = b""

    def __enter__(self) -> LogReader:
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self._file is not None:
            self._file.close()

    def lines(self, *, whole: bool = True) -> Iterator[LogLine]:
        """Yield the lines that came since the last call.

        *whole*: keep a line that is not ended yet for the next call.
        """
        if self._file is None:
            self._file = _opened(self._older) or _opened(self._path)
        while self._file is not None:
            yield from self._read(self._file)
            following = self._following(self._file)
            if following is None:
                break
            yield from self._read(self._file)  # what came before the writer turned away from it
            yield from self._ended()
            self._file.close()
            self._file = following
        if not whole:
            yield from self._ended()

    def _read(self, file: BinaryIO) -> Iterator[LogLine]:
        while data := file.read(_CHUNK):
            *ended, self._rest = (self._rest + data).split(b"\n")
            yield from (parse(line) for line in ended if line)

    def _ended(self) -> Iterator[LogLine]:
        rest, self._rest = self._rest, b""
        if rest:
            yield parse(rest)

    def _following(self, file: BinaryIO) -> BinaryIO | None:
        """Return the file after *file*, or None if that is the one being written."""
        older, newer = _opened(self._older), _opened(self._path)
        following = _after(file, older, newer)
        for each in (older, newer):
            if each is not None and each is not following:
                each.close()
        return following


def _after(file: BinaryIO, older: BinaryIO | None, newer: BinaryIO | None) -> BinaryIO | None:
    if newer is not None and _same(file, newer):
        return None
    if older is None or _same(file, older):
        return newer
    # Neither: it was replaced more than once meanwhile, and what was between is gone.
    return older


def _same(one: BinaryIO, other: BinaryIO) -> bool:
    return os.path.sameopenfile(one.fileno(), other.fileno())


def _opened(path: Path) -> BinaryIO | None:
    try:
        return open(path, "rb", buffering=0)
    except FileNotFoundError:
        return None
