"""The transport of the system that nxkernel replaces, made again from its description.

One new interpreter for each plugin; requests and answers as lines of JSON over standard input and
output; binary data in base64; a thread of the application reads each plugin's answers into a queue
and serves the calls that the plugin makes back. One lock of the whole process is held around each
call, because the folder of temporary files was set in the application's environment.
"""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[3]))

from benchmarks.contest import work

NAME = "the first system's transport"
NOTE = (
    "JSON lines over standard input and output, base64, a reader thread for each plugin and a lock "
    "around each call; without that system's own imports in each process, its audit and its checks"
)
CANNOT = {"nested": "deadlocks: the reader thread waits for the lock that the caller holds"}
#: The original gave up after 10 s.
TIMEOUT_S = 60.0
#: Held around each call to a plugin.
_environment = threading.RLock()


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return {"__bytes__": base64.b64encode(value).decode("ascii")}
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value


def _lifted(value: Any) -> Any:
    if isinstance(value, dict):
        if set(value) == {"__bytes__"}:
            return base64.b64decode(value["__bytes__"])
        return {key: _lifted(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_lifted(each) for each in value]
    return value


class Host:
    """A plugin's process, as the application sees it."""

    def __init__(self, broker: Any) -> None:
        self._broker = broker
        self._ids = itertools.count(1)
        self._answers: queue.Queue[dict[str, Any]] = queue.Queue()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.contest.contenders.json_lines"],
            cwd=Path(__file__).parents[3],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._send({"config": {}, "allowed_capabilities": ["work"], "rng": {"seed": 1}})
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self._wait({"id": next(self._ids), "method": "capabilities"})

    def call(self, function: str, value: Any) -> Any:
        request = {
            "id": next(self._ids),
            "method": "call",
            "capability": "work",
            "function": function,
            "args": [_plain(value)],
            "kwargs": {},
        }
        with _environment:
            return _lifted(self._wait(request)["result"])

    def _wait(self, request: dict[str, Any]) -> dict[str, Any]:
        self._send(request)
        while True:
            answer = self._answers.get(timeout=TIMEOUT_S)
            if answer.get("closed"):
                raise BrokenPipeError("plugin host closed")
            if answer["id"] == request["id"]:
                return answer

    def _send(self, message: dict[str, Any]) -> None:
        pipe = self.process.stdin
        assert pipe is not None
        pipe.write(json.dumps(message) + "\n")
        pipe.flush()

    def _read(self) -> None:
        pipe = self.process.stdout
        assert pipe is not None
        for line in pipe:
            message = json.loads(line)
            if message.get("method") == "cap_call":
                with contextlib.suppress(OSError, ValueError):  # It has ended in the meantime.
                    self._send(self._brokered(message))
            else:
                self._answers.put(message)
        self._answers.put({"closed": True})

    def _brokered(self, message: dict[str, Any]) -> dict[str, Any]:
        answer: dict[str, Any] = {"id": message["id"], "response_to": "cap_call"}
        try:
            result = self._broker(message["function"], _lifted(message["args"][0]))
        except Exception as error:
            return {**answer, "ok": False, "error": str(error)}
        return {**answer, "ok": True, "result": _plain(result)}

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self._reader.join()
        for pipe in (self.process.stdin, self.process.stdout):
            with contextlib.suppress(OSError):
                pipe.close()  # type: ignore[union-attr]


class Fleet:
    """Hosts of plugins."""

    def __init__(self, count: int) -> None:
        self._hosts = [Host(self._broker) for _ in range(count)]

    def _broker(self, function: str, value: Any) -> Any:
        return self._hosts[1].call(function, value)

    def echo(self, value: Any) -> Any:
        return self._hosts[0].call("echo", value)

    def pages(self, data: Any) -> int:
        return int(self._hosts[0].call("pages", data))

    def binary(self, data: bytes) -> Any:
        return data

    def everybody(self, value: Any) -> list[Any]:
        return [each.call("echo", value) for each in self._hosts]

    def nest(self, value: Any) -> Any:
        return self._hosts[0].call("nest", value)

    def victim(self) -> int:
        return self._hosts[0].process.pid

    def revive(self) -> None:
        self._hosts[0].close()
        self._hosts[0] = Host(self._broker)

    def close(self) -> None:
        for each in self._hosts:
            each.close()


@contextlib.contextmanager
def fleet(count: int) -> Iterator[Fleet]:
    """Start *count* hosts."""
    made = Fleet(count)
    try:
        yield made
    finally:
        made.close()


def _serve() -> None:
    """The plugin's side."""
    sys.stdin.readline()
    for line in sys.stdin:
        request = json.loads(line)
        result: Any = ["work"]
        if request["method"] == "call":
            result = _run(request["function"], _lifted(request["args"][0]))
        print(json.dumps({"id": request["id"], "ok": True, "result": _plain(result)}), flush=True)


def _run(function: str, value: Any) -> Any:
    if function == "pages":
        return work.pages(value)
    if function == "nest":
        ask = {"id": 1, "method": "cap_call", "function": "echo", "args": [_plain(value)]}
        print(json.dumps(ask), flush=True)
        answer = json.loads(sys.stdin.readline())
        return _lifted(answer["result"]) if answer["ok"] else answer["error"]
    return value


if __name__ == "__main__":
    _serve()
