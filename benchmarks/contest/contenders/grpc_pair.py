"""A pair of gRPC services over unix sockets: what HashiCorp's go-plugin does, in Python.

A plugin is a process of its own with a service on a unix socket, whose address it says on its
standard output; the application has a service too, which plugins call back.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[3]))

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from benchmarks.contest import work

NAME = "gRPC over unix sockets"
NOTE = (
    "a server in a new interpreter for each plugin, messages of protobuf, as go-plugin has them; "
    "the plugin works on the message, the application makes dicts of it"
)
CANNOT: dict[str, str] = {}
_SERVICE = "bench.Plugin"
#: As go-plugin sets it: no message is too large.
_OPTIONS = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
_Field = descriptor_pb2.FieldDescriptorProto
_TYPES = {
    "text": _Field.TYPE_STRING,
    "number": _Field.TYPE_INT64,
    "data": _Field.TYPE_BYTES,
    "token": _Field.TYPE_MESSAGE,
}
#: message -> its fields; a star is for repeated ones.
_MESSAGES = {
    "Small": [("id", "text"), ("title", "text"), ("page", "number"), ("box", "number*")],
    "Token": [("text", "text"), ("confidence", "number"), ("box", "number*"), ("line", "number")],
    "Tokens": [("tokens", "token*")],
    "Data": [("data", "data")],
    "Count": [("pages", "number")],
}


def _classes() -> dict[str, Any]:
    """What protoc would have written."""
    file = descriptor_pb2.FileDescriptorProto(name="bench.proto", package="bench", syntax="proto3")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for number, (field, kind) in enumerate(fields, 1):
            made = message.field.add(name=field, number=number, type=_TYPES[kind.rstrip("*")])
            made.label = _Field.LABEL_REPEATED if kind[-1] == "*" else _Field.LABEL_OPTIONAL
            if kind == "token*":
                made.type_name = ".bench.Token"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"bench.{name}"))
        for name in _MESSAGES
    }


_made = _classes()
Small, Token, Tokens, Data, Count = (_made[name] for name in _MESSAGES)
#: method -> message asked with, message answered with.
_METHODS = {
    "Echo": (Small, Small),
    "EchoTokens": (Tokens, Tokens),
    "Pages": (Data, Count),
    "Nest": (Small, Small),
}


def _message(value: Any) -> Any:
    if isinstance(value, list):
        return Tokens(tokens=[Token(**each) for each in value])
    return Small(**value)


def _value(message: Any) -> Any:
    if isinstance(message, Tokens):
        return [
            {"text": t.text, "confidence": t.confidence, "box": list(t.box), "line": t.line}
            for t in message.tokens
        ]
    box = list(message.box)
    return {"id": message.id, "title": message.title, "page": message.page, "box": box}


def _server(address: str, methods: dict[str, Any], threads: int) -> Any:
    server = grpc.server(ThreadPoolExecutor(threads), options=_OPTIONS)
    handlers = {
        name: grpc.unary_unary_rpc_method_handler(
            function,
            request_deserializer=_METHODS[name][0].FromString,
            response_serializer=_METHODS[name][1].SerializeToString,
        )
        for name, function in methods.items()
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(_SERVICE, handlers),))
    server.add_insecure_port(address)
    server.start()
    return server


class Client:
    """The other end of a service."""

    def __init__(self, address: str) -> None:
        self._channel = grpc.insecure_channel(address, options=_OPTIONS)
        self.methods = {
            name: self._channel.unary_unary(
                f"/{_SERVICE}/{name}",
                request_serializer=request.SerializeToString,
                response_deserializer=response.FromString,
            )
            for name, (request, response) in _METHODS.items()
        }

    def close(self) -> None:
        self._channel.close()


class Fleet:
    """Servers and the application's own service."""

    def __init__(self, count: int, folder: Path) -> None:
        self._folder, self._started = folder, 0
        self._broker = _server(self._broker_address, {"Echo": self._asked}, 4)
        self._processes, self._clients = [], []
        for process in [self._start() for _ in range(count)]:
            self._processes.append(process)
            self._clients.append(_connected(process))

    @property
    def _broker_address(self) -> str:
        return f"unix:{self._folder / 'broker'}"

    def _asked(self, request: Any, _context: Any) -> Any:
        return self._clients[1].methods["Echo"](request)

    def _start(self) -> subprocess.Popen[str]:
        self._started += 1
        address = f"unix:{self._folder / str(self._started)}"
        module = "benchmarks.contest.contenders.grpc_pair"
        arguments = [sys.executable, "-m", module, address, self._broker_address]
        return subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def _call(self, name: str, message: Any) -> Any:
        return self._clients[0].methods[name](message)

    def echo(self, value: Any) -> Any:
        name = "EchoTokens" if isinstance(value, list) else "Echo"
        return _value(self._call(name, _message(value)))

    def pages(self, data: Any) -> int:
        return int(self._call("Pages", Data(data=data)).pages)

    def binary(self, data: bytes) -> Any:
        return data

    def everybody(self, value: Any) -> list[Any]:
        asked = [each.methods["Echo"].future(_message(value)) for each in self._clients]
        return [_value(each.result()) for each in asked]

    def nest(self, value: Any) -> Any:
        return _value(self._call("Nest", _message(value)))

    def victim(self) -> int:
        return self._processes[0].pid

    def revive(self) -> None:
        self._processes[0].wait()
        self._clients[0].close()
        _end(self._processes[0])
        self._processes[0] = self._start()
        self._clients[0] = _connected(self._processes[0])

    def close(self) -> None:
        for client in self._clients:
            client.close()
        for process in self._processes:
            _end(process)
        self._broker.stop(None).wait()


def _connected(process: subprocess.Popen[str]) -> Client:
    """Wait for the line with the address, as go-plugin does."""
    assert process.stdout is not None
    return Client(process.stdout.readline().strip())


def _end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        assert pipe is not None
        pipe.close()


@contextlib.contextmanager
def fleet(count: int) -> Iterator[Fleet]:
    """Start *count* servers."""
    with tempfile.TemporaryDirectory() as folder:
        made = Fleet(count, Path(folder))
        try:
            yield made
        finally:
            made.close()


def _serve(address: str, broker: str) -> None:
    """The plugin's side."""
    host = Client(broker)

    def same(request: Any, _context: Any) -> Any:
        return request

    methods = {
        "Echo": same,
        "EchoTokens": same,
        "Pages": lambda request, _context: Count(pages=work.pages(request.data)),
        "Nest": lambda request, _context: host.methods["Echo"](request),
    }
    server = _server(address, methods, 1)
    print(address, flush=True)
    sys.stdin.read()
    server.stop(None)
    os._exit(0)


if __name__ == "__main__":
    _serve(sys.argv[1], sys.argv[2])
