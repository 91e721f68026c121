"""The plugin that ``Hosting(debug=)`` names: a terminal for its workers, said loudly."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import attrs

from nxkernel._temporary import Held
from nxkernel.errors import KernelConfigError, SandboxUnavailable, StorageError
from nxkernel.host.launch import Launch
from nxkernel.host.supervisor import Report
from nxkernel.host.terminal import Own, Terminal
from nxkernel.kernel.logs import run_folder
from nxkernel.settings import Hosting
from nxkernel.types import PluginId

__all__ = ["Debugging", "attach", "socket_path", "sockets"]


def socket_path(run_dir: Path, plugin: str) -> Path:
    """Return where a person attaches to the debugger of *plugin*."""
    return sockets(run_dir.parents[1]) / run_dir.name / f"{plugin}.sock"


def sockets(data_dir: Path) -> Path:
    """Return what holds a folder for each run that is debugged, while its host lives."""
    return data_dir / "debug"


def attach(data_dir: Path | str, plugin: str, run: str | None = None) -> socket.socket:
    """Connect to the debugger of *plugin* in the run *run* of *data_dir*, or in its newest run.

    Raises:
        StorageError: when nobody debugs it there, or the host belongs to another user.
    """
    path = socket_path(run_folder(data_dir, run), plugin)
    peer = socket.socket(socket.AF_UNIX)
    try:
        # By the folder's descriptor, as the host has bound it: an address holds 107 bytes.
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            peer.connect(f"/proc/self/fd/{folder}/{path.name}")
        finally:
            os.close(folder)
    except OSError:
        peer.close()
        raise StorageError(
            f"nobody debugs {plugin!r} in run {path.parent.name}: compose its kernel with "
            f"Hosting(debug={plugin!r}) and keep it running"
        ) from None
    return peer


class Debugging:
    """At most one plugin with a terminal."""

    def __init__(
        self,
        run_dir: Path,
        report: Report,
        hosting: Hosting,
    ) -> None:
        self._run_dir = run_dir
        self._hosting = hosting
        self._report = report
        self._terminal: Terminal | None = None
        self._folder: Held | None = None

    def open(self, plugin: PluginId, plan: Callable[[], Launch]) -> Callable[[], Launch]:
        """Open the terminal of *plugin*; returns its *plan* with it.

        Raises:
            KernelConfigError: where workers cannot have one.
            SandboxUnavailable: when no terminal can be had.
        """
        if self._terminal is None:
            self._terminal = self._opened(plugin)
            self._announce(plugin)
        slave = self._terminal.slave
        return lambda: attrs.evolve(plan(), terminal_fd=slave)

    def _opened(self, plugin: PluginId) -> Terminal:
        if sys.platform != "linux" or self._hosting.launcher == "spawn":
            raise KernelConfigError(
                "Hosting(debug=) needs Linux and its zygote; use Hosting(inproc_allowlist=)"
            )
        own = Own.terminal() if self._hosting.debug_here else None
        path = socket_path(self._run_dir, plugin)
        self._folder = _held(path.parent)
        return Terminal(path, own)

    def _announce(self, plugin: PluginId) -> None:
        suspended = ["cpu_seconds_per_call", "deadline", "ping", "start_timeout_s"]
        self._report("hosting.debug", plugin, {"suspended": suspended})
        command = f"nxkernel plugins debug {plugin} {self._run_dir.parent.parent}"
        how = f"attach with: {command}"
        if self._hosting.debug_here:
            how = "its debugger speaks here"
        elif sys.stdin is not None and sys.stdin.isatty():
            how += ", or have it here with Hosting(debug_here=True)"
        sys.stderr.write(
            f"nxkernel: DEBUGGING {plugin}: no deadline and no limit of time applies to it.\n"
            f"nxkernel: {how}\n"
        )
        sys.stderr.flush()

    def close(self) -> None:
        """Hang up."""
        if self._terminal is not None:
            self._terminal.close()
        if self._folder is not None:
            self._folder.remove()


def _held(folder: Path) -> Held:
    try:
        return Held(lambda: _made(folder))
    except OSError as error:
        raise SandboxUnavailable(
            f"no folder for a debugger's socket: {error.strerror}", details={"errno": error.errno}
        ) from None


def _made(folder: Path) -> Path:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder
