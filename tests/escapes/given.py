"""A corpus that others wrote for a prototype, as data, and how its attempts are made here.

`given.json` is theirs, word for word: an attempt has `id`, `group`, `code`, `expect` and perhaps
`isolated`, `policy`, `note`. What differs is the wire, and so `PRELUDE`: a worker of ours reads
commands from descriptor 3 and answers at 4, in frames of MessagePack instead of JSON.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from tests.escapes.attempts import Attempt, Expectation

__all__ = ["GIVEN", "GIVEN_PRELUDE", "read_given"]

#: Goes before the code: what the corpus calls, for our wire. `rd` tells of the call that runs.
GIVEN_PRELUDE: Final = """
import os, sys, errno, ctypes, socket, struct, time, signal, threading, json
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
def sc(nr, *a):
    r = libc.syscall(ctypes.c_long(nr), *[ctypes.c_long(x) if isinstance(x, int) else x for x in a])
    if r == -1:
        e = ctypes.get_errno(); raise OSError(e, os.strerror(e))
    return r
def rd():
    frame = sys._getframe()
    while type(frame.f_locals.get('message')).__name__ != 'Invoke': frame = frame.f_back
    return {'id': frame.f_locals['message'].seq, 'args': [{'kind': 'value', 'value': 'theirs'}]}
def wr(o, raw=False):
    import msgspec
    from nxkernel._canonical import encode
    value = {'kind': 'value', 'value': 'theirs'}
    b = o if raw else msgspec.msgpack.encode(['Result', o['id'], encode(value), 1, []])
    os.write(4, struct.pack('<I', len(b)) + b)
"""
#: What stands for the channel in the code of the groups `protocol` and `net`.
_WIRE: Final = (
    ("os.write(3,", "os.write(4,"),
    ("os.close(3)", "os.close(4)"),
    ("struct.pack('>I'", "struct.pack('<I'"),
)
_PLANS: Final = {"net": "connect", "std": "standard", "tight": "tight", "bind": "listen"}
#: What the host makes of a worker's word: there it was one of nine verdicts, here it is a code.
_VERDICTS: Final = {
    "ok": ("ok",),
    "timeout": ("plugin.timeout",),
    "eof": ("plugin.crashed",),
    "limit": ("plugin.limit",),
    # Seen when it is read, which may be after the first answer was taken: at the next call.
    "duplicate": ("protocol.violation",),
    **dict.fromkeys(("oversize", "badframe", "wrong_id", "badtype"), ("protocol.violation",)),
}
#: id -> what is otherwise here, and why.
_DIFFERENT: Final[dict[str, dict[str, Any]]] = {
    # HOME is there, and it is a folder of the plugin's own: libraries ask for it.
    "l01_environ": {
        "code": "out = [k for k in os.environ if 'SECRET' in k or k in ('USER', 'SSH_AUTH_SOCK')"
        " or k == 'HOME' and not os.environ[k].startswith(H['w'])]"
    },
    # Two pipes instead of a socket pair.
    "l05_inherited_fds": {"expect": {"value": [0, 1, 2, 3, 4, 5, 6]}},
    "n21_scm_rights_out": {"expect": {"deny": ["ENOTSOCK"]}},
    # At `confined` the watchdog ends it (`written_mb`), if it looks in time.
    "m19_fill_w_many_files": {"expect": {"value": 400, "host": "limit"}},
    # An interpreter without memory for one more frame has none for the traceback either, and says
    # it so; 3.11 takes longer to get there than the second that a call has.
    "m10_stack_overflow": {
        "expect": {
            "killed": ["SIGSEGV", "SIGBUS", "SIGXCPU", "SIGKILL"],
            "exc": ["MemoryError", "RecursionError", "SystemError"],
        }
    },
    # What `shutil.copy` takes for a file system without extended attributes.
    "r26_getxattr": {"expect": {"deny": ["ENOTSUP"]}},
}


def read_given(entry: dict[str, Any]) -> Attempt:
    """Return one attempt of the corpus as ours."""
    entry = {**entry, **_DIFFERENT.get(entry["id"], {})}
    code = entry["code"]
    if entry["group"] == "protocol":
        for theirs, ours in _WIRE:
            code = code.replace(theirs, ours)
        # Its own answer is the answer: the hookimpl must not give another.
        code += "\nif 'wr(' in CODE: signal.pause()"
        code = f"CODE = {entry['code']!r}\n{code}"
    isolated = entry.get("isolated")
    return Attempt(
        entry["group"],
        f"given.{entry['id']}",
        GIVEN_PRELUDE + code,
        _expectation(entry["expect"]),
        plan=_PLANS[entry.get("policy", "std")],
        note=entry.get("note", ""),
        isolated=None if isolated is None else _expectation(isolated),
    )


def _expectation(given: dict[str, Any]) -> Expectation:
    host = given.get("host", ())
    verdicts = (host,) if isinstance(host, str) else host
    return Expectation(
        denied=tuple(given.get("deny", ())),
        raises=tuple(given.get("exc", ())),
        value=repr(given["value"]) if "value" in given else None,
        killed=tuple(given.get("killed", ())),
        status=given.get("exit"),
        code=tuple(dict.fromkeys(code for v in verdicts for code in _VERDICTS[v])),
    )


#: All of them, in their order.
GIVEN = tuple(
    read_given(entry)
    for entry in json.loads(Path(__file__).with_name("given.json").read_text("utf-8"))
)
