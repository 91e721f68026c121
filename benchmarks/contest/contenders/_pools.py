"""What both kinds of pool do: one worker for each plugin, because a plugin has its own state."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from benchmarks.contest import work

__all__ = ["CANNOT", "Pools"]

CANNOT = {"nested": "a worker cannot call back"}


def _echo(value: Any) -> Any:
    return value


class Pools:
    """An executor with one worker for each plugin."""

    def __init__(self, count: int, make: Callable[[], Any], dead: type[Exception]) -> None:
        self._make, self._dead = make, dead
        self._pools = [make() for _ in range(count)]

    def echo(self, value: Any) -> Any:
        return self._pools[0].submit(_echo, value).result()

    def pages(self, data: Any) -> int:
        return int(self._pools[0].submit(work.pages, data).result())

    def binary(self, data: bytes) -> Any:
        return data

    def everybody(self, value: Any) -> list[Any]:
        return [each.result() for each in [pool.submit(_echo, value) for pool in self._pools]]

    def victim(self) -> int:
        return int(self._pools[0].submit(os.getpid).result())

    def revive(self) -> None:
        try:
            while True:
                self._pools[0].submit(_echo, None).result()  # Until the death is noticed.
        except self._dead:
            self._pools[0].shutdown()
            self._pools[0] = self._make()

    def close(self) -> None:
        for pool in self._pools:
            pool.shutdown()
