"""pdb in a worker, over the terminal that the host put in the place of its standard input.

For the one plugin that ``Hosting(debug=)`` names. The worker stays as confined as any other: the
terminal is a descriptor that it was given, and ends in the host, which nobody reaches through it.

Output of the plugin stays its log. The prompt, and what is typed, go over the terminal alone.
"""

from __future__ import annotations

import bdb
import io
import pdb
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from nxkernel._trail import short_name

__all__ = ["Debugger", "install"]

#: Modules whose lines are never stopped at: what runs between a frame and the plugin's function.
_SKIPPED = (
    *("nxkernel", "nxkernel.*", "pluggy", "pluggy.*", "asyncio", "asyncio.*", "selectors"),
    *("contextlib", "importlib", "importlib.*", "inspect"),
)


class Debugger(pdb.Pdb):
    """Stops at the plugin's first call, at breakpoints, at exceptions and at Ctrl-C."""

    def __init__(self, plugin: str, terminal: int) -> None:
        super().__init__(
            stdin=io.TextIOWrapper(io.FileIO(terminal, "r", closefd=False), "utf-8", "replace"),
            stdout=io.TextIOWrapper(
                io.FileIO(terminal, "w", closefd=False), "utf-8", "replace", line_buffering=True
            ),
            skip=_SKIPPED,
            nosigint=True,
            readrc=False,
        )
        self._plugin = plugin
        #: Stop at the first line of the next call.
        self._armed = True
        self._depth = 0

    @contextmanager
    def watched(self, call: bool) -> Iterator[None]:
        """Watch what is done inside: a *call*, or else the plugin's import, which does not stop."""
        outer = sys.gettrace()
        if call and (self._armed or self.breaks):
            self._trace(stop=self._armed)
        self._depth += 1
        try:
            yield
        except bdb.BdbQuit:
            raise
        except BaseException as error:
            sys.settrace(None)
            self._post_mortem(error)
            raise
        finally:
            self._depth -= 1
            sys.settrace(outer)

    def _trace(self, *, stop: bool) -> None:
        self.reset()
        if stop:
            self._armed = False
            self.message(f"plugin {self._plugin}: stopped at a call; `c` goes on, `h` helps")
        else:
            # As after `c`: only breakpoints stop. Without a bottom frame every line would.
            self.botframe = sys._getframe()
            self.set_continue()
        sys.settrace(self.trace_dispatch)

    def _post_mortem(self, error: BaseException) -> None:
        self.message(f"plugin {self._plugin}: post-mortem of {short_name(error)}; `c` goes on")
        self.reset()
        self.interaction(None, error.__traceback__)

    def stop_in(self, frame: FrameType) -> None:
        """Stop at the next line of *frame*."""
        sys.settrace(None)  # else it would find its own functions to stop in
        self.set_trace(frame)

    def interrupted(self, _number: int, frame: FrameType | None) -> None:
        """Ctrl-C: give the prompt back, or stop where the plugin is, or at its next call."""
        if getattr(self, "allow_kbdint", False):  # it reads a command
            raise KeyboardInterrupt
        if self._depth and frame is not None:
            self.stop_in(frame)
        else:
            self._armed = True
            self.message(f"plugin {self._plugin}: stops at its next call")

    def do_interact(self, arg: str) -> None:
        """interact: not available; the line editor needs a terminal of its own."""
        self.error("interact is not available in a worker")


def install(plugin: str, terminal: int) -> Debugger:
    """Have ``breakpoint()``, ``pdb.set_trace()`` and Ctrl-C stop in a debugger on *terminal*."""
    debugger = Debugger(plugin, terminal)

    def stop(*_: Any, **__: Any) -> None:
        debugger.stop_in(sys._getframe(1))

    sys.breakpointhook = stop
    pdb.set_trace = stop
    signal.signal(signal.SIGINT, debugger.interrupted)
    return debugger
