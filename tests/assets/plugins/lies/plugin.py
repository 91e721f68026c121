import os
import struct
import threading
import time

import msgspec

import nxkernel as nx

hookimpl = nx.HookimplMarker("zoo")

RESULTS = 4
NIL = b"\xc0"


def frame(body):
    return struct.pack("<I", len(body)) + body


def send(*fields):
    send_body(msgspec.msgpack.encode(fields))


def send_body(body):
    send_bytes(frame(body))


def send_bytes(data):
    view = memoryview(data)
    while view:
        view = view[os.write(RESULTS, view) :]


def result(seq, payload=NIL):
    send("Result", seq, payload, 0, [])


def forge(*fields, more=b"\0"):
    """Answer in the runner's place, and go on talking, so that the worker is replaced.

    In one write: the host has the answer and the rest at once, whatever comes later.
    """
    send_bytes(frame(msgspec.msgpack.encode(fields)) + more)


def forge_failure(seq, code="plugin.raised", message="a lie", details=b"\x80", origin=""):
    forge("Failure", seq, code, message, details, origin, 0)


def drip(_):
    send_bytes(struct.pack("<I", 1000))
    for _ in range(1000):
        send_bytes(b" ")
        time.sleep(0.01)


def two_brokers(seq):
    body = frame(msgspec.msgpack.encode(("Broker", 1, seq, "no_such_hook", b"\x80", 0, [])))
    send_bytes(body + body)


def brokers_without_end(seq):
    for number in range(10**9):
        send("Broker", number, seq, "no_such_hook" * 5000, b"\x80", 0, [])


def close(descriptor):
    os.close(descriptor)
    threading.Event().wait()


#: Every message that answers a call of ours gets the seq that the host gave it.
LIES = {
    "garbage": lambda seq: send_bytes(b"\xff" * 64),
    "4 GiB": lambda seq: send_bytes(b"\xff\xff\xff\xff" + b"x" * 10),
    "no MessagePack": lambda seq: send_body(b"\xc1\xc1"),
    "empty frame": lambda seq: send_body(b""),
    "no message": lambda seq: send_body(b"\x01"),
    "unknown message": lambda seq: send("Shutdown", 1),
    "one field more": lambda seq: send("Result", seq, NIL, 0, [], "more"),
    "one field less": lambda seq: send("Result", seq),
    "other types": lambda seq: send("Result", str(seq), NIL, 0, []),
    "two in one": lambda seq: send_body(msgspec.msgpack.encode(("Result", seq, NIL, 0, [])) * 2),
    "deep message": lambda seq: send_body(b"\x91" * 200_000 + NIL),
    "wide message": lambda seq: send_body(b"\xdd\xff\xff\xff\xff"),
    "wrong seq": lambda seq: result(seq + 1),
    "old seq": lambda seq: result(seq - 1),
    "huge seq": lambda seq: result(2**64 - 1),
    "negative seq": lambda seq: result(-seq),
    "hello": lambda seq: send("Hello", 1, {"socket": "EACCES"}),
    "ready": lambda seq: send("Ready", []),
    "refused": lambda seq: send("Refused", "plugin.start", "no", b"\x80"),
    "pong": lambda seq: send("Pong", seq),
    "host's own": lambda seq: send("Reply", seq, NIL, None),
    "foreign broker": lambda seq: send("Broker", 1, seq + 1, "echo", b"\x81\xa5value\x01", 0, []),
    "unsorted": lambda seq: result(seq, b"\x82\xa1b\x01\xa1a\x02"),
    "twice the key": lambda seq: result(seq, b"\x82\xa1a\x01\xa1a\x02"),
    "NaN": lambda seq: result(seq, b"\xcb\x7f\xf8\0\0\0\0\0\0"),
    "int keys": lambda seq: result(seq, b"\x81\x01\x02"),
    "long int": lambda seq: result(seq, b"\xcd\x00\x01"),
    "float32": lambda seq: result(seq, b"\xca\0\0\0\0"),
    "timestamp": lambda seq: result(seq, b"\xd6\xff\0\0\0\1"),
    "extension": lambda seq: result(seq, b"\xd4\x05\x00"),
    "bad UTF-8": lambda seq: result(seq, b"\xa1\xff"),
    "truncated": lambda seq: result(seq, b"\x92\x01"),
    "trailing": lambda seq: result(seq, NIL + NIL),
    "nothing": lambda seq: result(seq, b""),
    "deep": lambda seq: result(seq, b"\x91" * 200_000 + NIL),
    "wide": lambda seq: result(seq, b"\xdd\xff\xff\xff\xff"),
    "wide map": lambda seq: result(seq, b"\xdf\xff\xff\xff\xff"),
    "long string": lambda seq: result(seq, b"\xdb\xff\xff\xff\xff"),
    "answers twice": lambda seq: forge(
        *("Result", seq, NIL, 0, []),
        more=frame(msgspec.msgpack.encode(("Result", seq, NIL, 0, []))),
    ),
    "half a frame": lambda seq: forge("Result", seq, NIL, 0, [], more=b"\x10"),
    "long time": lambda seq: forge("Result", seq, NIL, 2**64 - 1, []),
    "negative time": lambda seq: forge("Result", seq, NIL, -(2**63), []),
    "host's code": lambda seq: forge_failure(seq, code="policy.denied"),
    "wrapper's code": lambda seq: forge_failure(seq, code="plugin.timeout"),
    "origin": lambda seq: forge_failure(seq, origin="prints"),
    "long text": lambda seq: forge_failure(seq, message="x" * 60_000),
    "bad details": lambda seq: forge_failure(seq, details=b"\xff\xff"),
    "details no map": lambda seq: forge_failure(seq, details=b"\x01"),
    "drip": drip,
    "brokers": brokers_without_end,
    "two brokers": two_brokers,
    "many values": lambda seq: result(seq, b"\xdd\x00\x20\x00\x00" + b"\x80" * 2**21),
    "large hello": lambda seq: send("Hello", 1, {str(n): "" for n in range(200_000)}),
    "closes results": lambda seq: close(RESULTS),
    "closes commands": lambda seq: os.close(3),
}


def item(seq, payload=NIL):
    send("Item", seq, payload, [])


def items_without_end(seq):
    """Until somebody ends this process: by a kill, or by its pipe, which then raises."""
    while True:
        item(seq)


#: The same in a turn of a stream, whose items were fine before.
STREAM_LIES = {
    "beyond the window": lambda seq: [item(seq) for _ in range(1000)],
    "items without end": items_without_end,
    "another's item": lambda seq: item(seq + 1),
    "another's end": lambda seq: send("Ended", seq + 1, 0),
    "another's pause": lambda seq: send("Paused", seq - 1, 0),
    "an item that is no value": lambda seq: item(seq, b"\xc1"),
    "an item in float32": lambda seq: item(seq, b"\xca\0\0\0\0"),
    "an item beyond the frame": lambda seq: send_bytes(struct.pack("<I", 2**31) + b"x" * 100),
    "a value": lambda seq: result(seq, b"\x05"),
    "no value": lambda seq: result(seq),
    "a pong": lambda seq: send("Pong", seq),
    "a blob of nobody": lambda seq: send("Item", seq, NIL, [["Slice", 0, 1 << 40]]),
    "two brokers in a turn": two_brokers,
    "half an item": lambda seq: (send_bytes(struct.pack("<I", 1000)), os._exit(0)),
    "closes in a turn": lambda seq: close(RESULTS),
    # What is no lie by its form; it goes on talking, so that its worker is replaced.
    "an item after the end": lambda seq: forge(
        *("Ended", seq, 0), more=frame(msgspec.msgpack.encode(("Item", seq, NIL, [])))
    ),
    "a pause after the pause": lambda seq: forge(
        *("Paused", seq, 0), more=frame(msgspec.msgpack.encode(("Paused", seq, 0)))
    ),
    "the end of time": lambda seq: forge("Ended", seq, 2**63 - 1, [-1, 2**62, [-5, 2**60]]),
}


class Plugin:
    def __init__(self, context):
        self.runner = context._kernel

    @hookimpl
    def flow(self, value):
        """Yields some numbers, says something on the wire, and goes on."""
        lie, after = value
        yield from range(after)
        STREAM_LIES[lie](self.runner._stack[-1].seq)
        yield "the truth"

    @hookimpl
    def act(self, value):
        if isinstance(value, bytes):
            send_bytes(value)
            os.close(RESULTS)
            return None
        LIES[value](self.runner._stack[-1].seq)
        return "the truth"

    @hookimpl
    def echo(self, value):
        return value
