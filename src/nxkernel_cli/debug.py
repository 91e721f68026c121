"""``nxkernel plugins debug``: this terminal as that of a plugin's debugger."""

from __future__ import annotations

import codecs
import contextlib
import os
import select
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nxkernel_cli.failures import OK
from nxkernel_cli.output import note

if TYPE_CHECKING:
    import socket

__all__ = ["debug"]

#: Ctrl-], as in telnet: everything else belongs to the debugger.
_DETACH = b"\x1d"
_CHUNK = 4096
#: What a plugin may send to a terminal beside text: nothing that steers it.
_PLAIN = frozenset("\n\r\t\b")


@click.command(short_help="Attach to the debugger of a plugin.")
@click.argument("plugin", metavar="ID")
@click.argument("place", metavar="[DATA_DIR]", type=click.Path(path_type=Path), default=Path())
@click.option("--run", "run_id", metavar="ID", help="Run to attach to [default: the newest].")
def debug(plugin: str, place: Path, run_id: str | None) -> int:
    """Attach this terminal to plugin ID, which an application runs with Hosting(debug=ID).

    Ctrl-C interrupts the plugin, Ctrl-] detaches and leaves it as it is.
    """
    from nxkernel.kernel.debugging import attach

    with attach(place, plugin, run_id) as host:
        note(f"attached to {plugin}; Ctrl-] detaches")
        with _raw_terminal():
            _carry(host)
    note("detached")
    return OK


def _carry(host: socket.socket) -> None:
    """Carry bytes both ways until either end is closed, or somebody types Ctrl-]."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    ends = [host, sys.stdin.fileno()]
    while True:
        ready, _, _ = select.select(ends, [], [])
        if host in ready:
            data = host.recv(_CHUNK)
            if not data:
                return
            _show(decoder.decode(data))
        if sys.stdin.fileno() in ready:
            typed, detach, _ = os.read(sys.stdin.fileno(), _CHUNK).partition(_DETACH)
            if typed:
                host.sendall(typed)
            elif not detach:
                ends.remove(sys.stdin.fileno())  # a script has ended: show what is left to come
            if detach:
                return


def _show(text: str) -> None:
    shown = (c if c.isprintable() or c in _PLAIN else f"\\x{ord(c):02x}" for c in text)
    click.echo("".join(shown), nl=False)


@contextlib.contextmanager
def _raw_terminal() -> Iterator[None]:
    """Send each key as it is typed, and give the terminal back whatever happens."""
    import termios
    import tty

    stdin = sys.stdin.fileno()
    if not os.isatty(stdin):
        yield
        return
    before = termios.tcgetattr(stdin)
    endings = {number: signal.signal(number, _end) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        tty.setraw(stdin)
        yield
    finally:
        termios.tcsetattr(stdin, termios.TCSADRAIN, before)
        for number, handler in endings.items():
            signal.signal(number, handler)


def _end(number: int, _frame: Any) -> None:
    """Leave by the way that restores the terminal."""
    raise SystemExit(128 + number)
