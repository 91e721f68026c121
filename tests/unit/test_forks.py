"""What happens to the parts of this library in a forked child."""

from __future__ import annotations

import os

from nxkernel import _forks


class Part:
    """Says in the child that it was told to let go, and then may break."""

    def __init__(self, told: int, error: Exception | None = None) -> None:
        self.told, self.error = told, error

    def abandon(self) -> None:
        os.write(self.told, b".")
        if self.error is not None:
            raise self.error


def test_a_part_that_breaks_keeps_no_other_from_letting_go() -> None:
    """Each one is told, in whichever order; the error is reported as that of any fork hook."""
    hears, told = os.pipe()
    parts = [Part(told, error) for error in (None, ValueError("one"), None, OSError("two"), None)]
    for part in parts:
        _forks.register(part)
    child = os.fork()
    if child == 0:
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    os.close(told)
    with os.fdopen(hears, "rb") as pipe:
        assert pipe.read() == b"." * len(parts)
