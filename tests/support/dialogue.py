"""A program on a terminal of its own, talked to like a person would: wait for text, type."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import subprocess
import sys
import termios
import time
from types import TracebackType
from typing import Self

__all__ = ["Dialogue"]

#: A fence against hangs; no test waits for it to pass.
PATIENCE_S = 60.0


class Dialogue:
    """Runs *words* with Python on a pty, as the terminal's foreground program."""

    def __init__(self, *words: object) -> None:
        self._words = [str(word) for word in words]

    def __enter__(self) -> Self:
        self._master, self.slave = pty.openpty()
        #: The terminal's settings before the program came.
        self.before = termios.tcgetattr(self.slave)
        self.process = subprocess.Popen(
            [sys.executable, *self._words],
            stdin=self.slave,
            stdout=self.slave,
            stderr=self.slave,
            start_new_session=True,
            preexec_fn=_take_terminal,
        )
        self._unread = ""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._master)
        os.close(self.slave)

    def expect(self, *texts: str) -> str:
        """Wait until each of *texts* was shown, in order; return what stood before the last."""
        before = ""
        for text in texts:
            until = time.monotonic() + PATIENCE_S
            while text not in self._unread:
                assert time.monotonic() < until, f"no {text!r} came, but {self._unread!r}"
                self._read()
            before, _, self._unread = self._unread.partition(text)
        return before

    def _read(self) -> None:
        ready, _, _ = select.select([self._master], [], [], 0.1)
        if ready:
            self._unread += os.read(self._master, 1 << 16).decode()

    def type(self, text: str) -> None:
        """Type *text*; a newline is the Enter key."""
        os.write(self._master, text.replace("\n", "\r").encode())

    def ask(self, command: str, prompt: str = "(Pdb) ") -> str:
        """Type a command and return what was shown up to the next prompt, without the echo."""
        self.type(f"{command}\n")
        return self.expect(f"{command}\r\n", prompt)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the program."""
        self.process.send_signal(number)

    def end(self) -> int:
        """Wait for the program's end, reading on; return its exit status."""
        until = time.monotonic() + PATIENCE_S
        while self.process.poll() is None:
            assert time.monotonic() < until, f"it does not end: {self._unread!r}"
            self._read()
        return self.process.returncode

    def is_restored(self) -> bool:
        """Whether the terminal is set as it was before."""
        return termios.tcgetattr(self.slave) == self.before


def _take_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
