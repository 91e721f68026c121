"""A small call written by hand: the work of a call, and nothing of what is promised beside it.

One loop in the caller, one in a forked process. Between them they do what a call with the standard
stack cannot do without: the arguments are looked through, encoded and hashed, decoded and checked
against a contract, the call gets its seed and is on record before it is sent, the answer is looked
through, hashed and checked, and its row is written. All of it with the same functions for the parts
that are parts of a library or of a file format, and in two functions of Python.

There is nobody else who may call, no layer that could be another one, no answer but a value, no
deadline that is kept, nothing that an interrupt would leave in order, no confinement, and the
process is lost if anything goes wrong. What is left between this and a call is what that costs.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import select
import struct
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from nxkernel._canonical import raw_digest, sealed, shown, surveyed
from nxkernel._seeds import call_keys, run_key
from nxkernel._wire import Invoke, Result
from nxkernel.audit.spool.folder import SpoolName
from nxkernel.audit.spool.spool import Spool
from nxkernel.schemas import shared

__all__ = ["by_hand"]

_HEAD = struct.Struct("<I")
_CHUNK = 1 << 16
_LOOK_S = 100e-6
_SCHEMA = {"type": "object", "properties": {"page": {"type": "integer"}}}
_encode = msgspec.msgpack.Encoder(order="sorted").encode
_decode = msgspec.msgpack.Decoder().decode
_invoke, _result = msgspec.msgpack.Decoder(Invoke).decode, msgspec.msgpack.Decoder(Result).decode


def _serve(command: int, result: int) -> None:
    """Be the worker: return what is passed."""
    while data := os.read(command, _CHUNK):
        message = _invoke(data[4:])
        value = _decode(message.payload)["value"]
        body = _encode(Result(message.seq, sealed(value) or b"", 0, []))
        os.write(result, _HEAD.pack(len(body)) + body)
    os._exit(0)


@contextlib.contextmanager
def by_hand(value: Any) -> Iterator[Callable[[], Any]]:
    """Yield what makes one call with *value*."""
    down, command = os.pipe()
    result, up = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(command)
        os.close(result)
        _serve(down, up)
    os.close(down)
    os.close(up)
    with tempfile.TemporaryDirectory() as folder:
        spool = Spool(Path(folder), SpoolName(1, "0" * 32), b"\x90")
        try:
            yield _caller(value, spool, command, result)
        finally:
            spool.close()
            os.close(command)
            os.waitpid(pid, 0)
            os.close(result)


def _caller(value: Any, spool: Spool, command: int, result: int) -> Callable[[], Any]:
    numbers, keyed = itertools.count(1), call_keys(run_key(1), "bench.echo", "echo")
    fits = shared().compile(_SCHEMA).fits
    poll = select.poll()
    poll.register(result, select.POLLIN)
    ready, now, table = poll.poll, time.perf_counter, _encode("calls")
    whom = ("bench.echo", 1, "echo", "echo", "call", None, None, 0, None, 1, 0, "confined")

    def call() -> Any:
        payload = sealed({"value": value})
        arguments = None if payload is None else shown(payload)
        if payload is None or arguments is None or not fits(arguments):
            raise ValueError("not fit to be sent")
        number, raw = next(numbers), raw_digest(payload)
        seed, began = keyed(raw), now()
        before = (str(number), *whom, time.time_ns(), "sha256:" + raw.hex(), len(payload))
        intent = spool.begin(before)
        body = _encode(Invoke(number, "echo", "call", payload, seed, 0, None, [], None, ""))
        os.write(command, _HEAD.pack(len(body)) + body)
        until = now() + _LOOK_S
        while not ready(0):
            if now() >= until:
                ready(None)
        data = os.read(result, _CHUNK)
        answer = _result(data[4:])
        output = answer.payload
        shape = surveyed(output)
        if answer.seq != number or not fits(shape):
            raise ValueError("not fit to be taken")
        taken, name = int((now() - began) * 1e6), "sha256:" + raw_digest(output).hex()
        times, usage, end = (1, taken, 0, taken, 0, "[0]"), (None,) * 4, (None,) * 5
        after = (*times, *usage, name, len(output), seed.hex(), 1, *end)
        spool.finish(table, intent, after)
        return shape.value

    return call
