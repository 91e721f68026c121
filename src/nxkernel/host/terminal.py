"""The terminal of a worker that is being debugged, and the socket on which a person attaches to it.

```
nxkernel plugins debug ──socket (0600, same uid)──▶ host: Terminal ──pty──▶ worker's standard input
```

The pty is the host's: its slave goes to the workers of that plugin alone, as the descriptor of
their standard input, and outlives each of them. Its line discipline edits, echoes, and makes an
interrupt of Ctrl-C, so that the other end of the socket only has to carry bytes.
"""

from __future__ import annotations

import codecs
import contextlib
import os
import selectors
import socket
import struct
import threading
from pathlib import Path
from typing import Protocol, Self

from nxkernel import _forks
from nxkernel.errors import KernelConfigError, SandboxUnavailable
from nxkernel.host.logs import escape

__all__ = ["Own", "Terminal"]

#: What a newcomer is shown of what came before it, in bytes.
_KEPT = 16 * 1024
_CHUNK = 4096
_UCRED = struct.Struct("iII")


class Client(Protocol):
    """Who is attached: a socket, or the host's own terminal."""

    def fileno(self) -> int: ...
    def recv(self, size: int, /) -> bytes: ...
    def send(self, data: bytes, /) -> int: ...
    def close(self) -> None: ...


class Own:
    """The host's own terminal, line by line: it edits and echoes, so the pty does not."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    @classmethod
    def terminal(cls) -> Self:
        """Open it.

        Raises:
            KernelConfigError: when this process has none.
        """
        try:
            return cls(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC))
        except OSError:
            raise KernelConfigError(
                "Hosting(debug_here=True): this process has no terminal; leave it out, and attach "
                "with `nxkernel plugins debug`"
            ) from None

    def fileno(self) -> int:
        """What to wait for."""
        return self._fd

    def recv(self, size: int, /) -> bytes:
        """Read a line that was typed."""
        return os.read(self._fd, size)

    def send(self, data: bytes, /) -> int:
        """Show what came, with control characters shown and not obeyed."""
        text = escape(self._decoder.decode(data).replace("\r\n", "\n"))
        return os.write(self._fd, text.encode())

    def close(self) -> None:
        """Let go of it."""
        os.close(self._fd)


class Terminal:
    """A pty for one plugin, and a thread that bridges it to whoever attaches."""

    def __init__(self, path: Path, own: Own | None = None) -> None:
        """Open the pty and listen at *path*; nothing of it can be reached by other users.

        *own*: the terminal that is attached from the beginning, if any.

        Raises:
            SandboxUnavailable: when this machine has no pty left, or no socket can be made there.
        """
        self.path = path
        try:
            self._master, self.slave = os.openpty()
            _prepare(self.slave, echo=own is None)
            os.set_blocking(self._master, False)
            self._listener = _listen(path)
        except OSError as error:
            raise SandboxUnavailable(
                f"no terminal for a debugger: {error.strerror}", details={"errno": error.errno}
            ) from None
        self._client: Client | None = own
        self._seen = bytearray()
        self._stop, self._stopper = os.pipe()
        self._thread = threading.Thread(target=self._run, name="nxkernel-debug", daemon=True)
        self._thread.start()
        _forks.register(self)

    def close(self) -> None:
        """End the thread, hang up, and remove the socket; safe to call twice."""
        if self._master < 0:
            return
        os.write(self._stopper, b"\0")
        self._thread.join()
        with contextlib.suppress(FileNotFoundError):
            self.path.unlink()
        self.abandon()

    def abandon(self) -> None:
        """In a forked child, which has no such thread: close what was inherited."""
        if self._master < 0:
            return
        if self._client is not None:
            self._client.close()
        self._listener.close()
        ends = (self._master, self.slave, self._stop, self._stopper)
        self._master = self.slave = self._stop = self._stopper = -1
        for fd in ends:
            os.close(fd)

    # -- the thread ----------------------------------------------------------------------------

    def _run(self) -> None:
        with selectors.DefaultSelector() as selector:
            for each in (self._stop, self._listener, self._master):
                selector.register(each, selectors.EVENT_READ)
            if self._client is not None:
                selector.register(self._client, selectors.EVENT_READ)
            while True:
                ready = {key.fileobj for key, _ in selector.select()}
                if self._stop in ready:
                    return
                if self._listener in ready:
                    self._accept(selector)
                if self._master in ready:
                    self._output()
                if self._client in ready:
                    self._input(selector)

    def _accept(self, selector: selectors.BaseSelector) -> None:
        newcomer, _ = self._listener.accept()
        if _uid_of(newcomer) != os.geteuid():
            newcomer.close()
        elif self._client is not None:
            with contextlib.suppress(OSError):
                newcomer.send(b"another terminal is attached\r\n")
            newcomer.close()
        else:
            # Never waits for it: a terminal that does not read loses bytes, and not the host time.
            newcomer.setblocking(False)
            self._client = newcomer
            selector.register(newcomer, selectors.EVENT_READ)
            self._show(bytes(self._seen))

    def _output(self) -> None:
        with contextlib.suppress(BlockingIOError, OSError):
            data = os.read(self._master, _CHUNK)
            self._seen += data
            del self._seen[:-_KEPT]
            self._show(data)

    def _show(self, data: bytes) -> None:
        if self._client is not None:
            with contextlib.suppress(OSError):
                self._client.send(data)

    def _input(self, selector: selectors.BaseSelector) -> None:
        client = self._client
        if client is None:
            return
        try:
            data = client.recv(_CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            with contextlib.suppress(BlockingIOError, OSError):
                os.write(self._master, data)
            return
        selector.unregister(client)
        client.close()
        self._client = None


def _prepare(slave: int, *, echo: bool) -> None:
    """Leave Ctrl-C, line editing and echo; take away what would end or stop the worker."""
    import termios

    mode = termios.tcgetattr(slave)
    for key in (termios.VQUIT, termios.VSUSP):
        mode[6][key] = b"\0"
    if not echo:
        mode[3] &= ~termios.ECHO
    termios.tcsetattr(slave, termios.TCSANOW, mode)


def _listen(path: Path) -> socket.socket:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
    listener = socket.socket(socket.AF_UNIX)
    # The mode is taken from the socket at bind: there is no moment in which others may connect.
    os.fchmod(listener.fileno(), 0o600)
    # By the folder's descriptor: the path may be longer than the 107 bytes that an address holds.
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        listener.bind(f"/proc/self/fd/{folder}/{path.name}")
    finally:
        os.close(folder)
    listener.listen(1)
    listener.setblocking(False)
    return listener


def _uid_of(peer: socket.socket) -> int:
    data = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
    _, uid, _ = _UCRED.unpack(data)
    return int(uid)
