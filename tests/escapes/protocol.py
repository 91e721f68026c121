"""Attempts on the wire, and attempts that are made while a plugin is imported.

The worker is the plugin's: it may write anything at descriptor 4, where its answers go. What it
says costs its own call and its own worker; the next call starts another.
"""

from __future__ import annotations

from collections.abc import Iterator

from tests.escapes.attempts import Attempt, Expectation, killed, raises
from tests.escapes.given import GIVEN_PRELUDE

__all__ = ["IMPORTS", "PROTOCOL"]

_VIOLATION = Expectation(code=("protocol.violation",))
_CRASH = Expectation(code=("plugin.crashed",))
_STAY = "\ntime.sleep(3600)"


def _protocol() -> Iterator[Attempt]:
    def attempt(name: str, code: str, expect: Expectation = _VIOLATION) -> Attempt:
        head = GIVEN_PRELUDE + "import msgspec\nme = rd()['id']\npack = msgspec.msgpack.encode\n"
        return Attempt("protocol", name, head + code + _STAY, expect)

    for name, body in {
        "empty_body": "b''",
        "no_array": "pack({'Result': 1})",
        "no_name": "pack([])",
        "unknown_name": "pack(['Surrender', 1])",
        "a_hosts_message": "pack(['Invoke', 1, 'x', 'call', b'', b'', 0, None])",
        "hello_again": "pack(['Hello', 1, {}])",
        "ready_again": "pack(['Ready', []])",
        "one_field_too_many": "pack(['Result', me, b'\\xc0', 1, [], 1])",
        "one_field_too_few": "pack(['Result', me])",
        "text_for_bytes": "pack(['Result', me, 'text', 1, []])",
        "number_of_another_call": "pack(['Result', me + 1, b'\\xc0', 1, []])",
        "negative_number": "pack(['Result', -1, b'\\xc0', 1, []])",
        "huge_number": "pack(['Result', 2**63, b'\\xc0', 1, []])",
        "payload_not_canonical": "pack(['Result', me, b'\\xcc\\x01', 1, []])",
        "payload_cut_off": "pack(['Result', me, b'\\x92\\xc0', 1, []])",
        "payload_with_more_behind": "pack(['Result', me, b'\\xc0\\xc0', 1, []])",
        "payload_not_a_number": "pack(['Result', me, b'\\xcb\\x7f\\xf8' + bytes(6), 1, []])",
        "payload_of_deep_lists": "pack(['Result', me, b'\\x91' * 200000 + b'\\xc0', 1, []])",
        "deep_lists_for_a_message": "b'\\x91' * 200000 + b'\\xc0'",
        "array_of_four_billion": "b'\\xdd\\xff\\xff\\xff\\xff'",
        "map_of_four_billion": "b'\\x92\\xa6Result\\xdf\\xff\\xff\\xff\\xff'",
        "extension_type": "b'\\xd4\\x05\\x00'",
        "pong_of_no_ping": "pack(['Pong', 77])",
        "blob_of_another_digest": (
            "pack(['Result', me, b'\\xc0', 1, [['Inline', bytes(32), b'x']]])"
        ),
        "blob_beyond_the_arena": (
            "pack(['Result', me, b'\\xc0', 1, [['Slice', bytes(32), 0, 2**40]]])"
        ),
        "blob_that_did_not_come": (
            "pack(['Result', me, b'\\xc7\\x2b\\x01' + bytes(40) + b'a/b', 1, []])"
        ),
    }.items():
        yield attempt(name, f"wr({body}, raw=True)")
    yield attempt("longest_length", "os.write(4, b'\\xff\\xff\\xff\\xff')")
    yield attempt(
        "one_byte_too_long", "os.write(4, struct.pack('<I', 64 * 1024 * 1024 + 1) + bytes(100))"
    )
    yield attempt("answer_and_end", "wr({'id': me}); os._exit(0)", Expectation(code=("ok",)))
    yield attempt(
        "half_an_answer", "os.write(4, b'\\x20\\x00\\x00\\x00\\x92'); os._exit(0)", _CRASH
    )
    yield attempt("close_every_descriptor", "os.closerange(0, 256)", _CRASH)
    yield attempt(
        "length_and_silence",
        "os.write(4, struct.pack('<I', 1000))",
        Expectation(code=("plugin.timeout",)),
    )


def _imports() -> Iterator[Attempt]:
    def attempt(name: str, code: str, expect: Expectation) -> Attempt:
        return Attempt("import", name, code, expect)

    value = Expectation(value="1")
    yield attempt("exit_with_a_number", "sys.exit(5)", raises("SystemExit"))
    yield attempt("interrupt", "raise KeyboardInterrupt", raises("KeyboardInterrupt"))
    yield attempt(
        "error_without_text",
        "class Odd(Exception):\n    def __str__(self): raise ValueError\nraise Odd",
        raises("Odd"),
    )
    yield attempt(
        "error_with_an_odd_code",
        "class Odd(Exception):\n    code = b'\\xff'\nraise Odd('x')",
        raises("Odd"),
    )
    yield attempt("answer_before_being_asked", "os.write(4, bytes(100)); out = 1", _VIOLATION)
    yield attempt("abort", "os.abort()", killed("SIGABRT"))
    yield attempt(
        "no_memory_left", "x = []\nwhile True: x.append(bytearray(1 << 20))", raises("MemoryError")
    )
    yield attempt("print_much", "print('x' * 1000000, flush=True); out = 1", value)
    yield attempt(
        "many_threads",
        "for _ in range(20): threading.Thread(target=time.sleep, args=(3600,)).start()\nout = 1",
        value,
    )
    yield attempt(
        "read_secret", "open('/etc/passwd').read()", raises("PermissionError", "FileNotFoundError")
    )
    yield attempt("fork", "os.fork()", raises("PermissionError"))


PROTOCOL = tuple(_protocol())
IMPORTS = tuple(_imports())
