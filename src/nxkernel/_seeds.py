"""The seed tree: every call's randomness derives from names, never from order, time or place.

The tree has four levels: run ▸ plugin ▸ hook ▸ call. A node is 32 bytes; a child is the keyed
BLAKE2b of its path under its parent, a draw is the keyed BLAKE2b of its purpose under a call key.
Attempt number, worker, process id, arrival order, plugin version and time are not part of any
path, so a call gets the same numbers wherever and whenever it runs.

Both ends of the process boundary use this module, and it needs nothing but the standard library.
``contracts/seed-vectors.json`` holds what it must compute (BLAKE2b: RFC 7693).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from hashlib import blake2b
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random

__all__ = ["Part", "call_key", "call_keys", "child", "draw", "enc", "rng", "root", "run_key"]

#: What a path is made of.
Part = int | str | bytes

#: Bytes of a node of the tree.
KEY_SIZE = 32
#: Most bytes that one draw can give: the longest digest of BLAKE2b.
MAX_DRAW = 64
_ROOT = b"nxseed1/root"
_NODE = b"nxseed1/node"
_DRAW = b"nxseed1/draw"


def enc(parts: Iterable[Part]) -> bytes:
    """Encode *parts* so that different parts never give equal bytes.

    Each part is a tag (``s`` text, ``b`` bytes, ``i`` integer), its length as unsigned 32 bits
    little-endian, and its bytes: UTF-8, the bytes themselves, or two's complement little-endian in
    ``bit_length // 8 + 1`` bytes, which is empty for 0.

    Raises:
        TypeError: for any other type; a bool too, because ``True == 1`` would hide a mistake.
        UnicodeEncodeError: for a lone surrogate.
    """
    return b"".join(map(_enc, parts))


def _enc(part: object) -> bytes:
    if type(part) is bytes:  # most are another each time
        return b"b" + len(part).to_bytes(4, "little") + part
    return _known(part)


# Words and ordinals come again with each call. By type, for 1 and True are equal.
@lru_cache(maxsize=1024, typed=True)
def _known(part: object) -> bytes:
    if isinstance(part, str):
        tag, body = b"s", part.encode()
    elif isinstance(part, bytes):
        tag, body = b"b", part
    elif isinstance(part, int) and not isinstance(part, bool):
        tag, body = b"i", part.to_bytes(_width(part), "little", signed=True)
    else:
        raise TypeError(f"a seed path holds int, str and bytes, not {type(part).__name__}")
    return tag + len(body).to_bytes(4, "little") + body


def _width(number: int) -> int:
    """Bytes of *number*: room for its magnitude and a sign bit.

    That is the shortest two's complement but for -128, -32768 and so on, which get one byte more:
    the published vectors say so, and a change would move every seed.
    """
    return number.bit_length() // 8 + 1 if number else 0


def root(seed: Part) -> bytes:
    """Return the 32 bytes at the root of the tree of *seed*."""
    return blake2b(enc([seed]), digest_size=KEY_SIZE, person=_ROOT).digest()


def child(parent: bytes, *path: Part) -> bytes:
    """Return the 32 bytes of the node at *path* below *parent*."""
    return blake2b(enc(path), digest_size=KEY_SIZE, key=parent, person=_NODE).digest()


def draw(key: bytes, use: str, n: int = KEY_SIZE) -> bytes:
    """Return *n* bytes (1 to 64) for the purpose *use* under a call *key*.

    Different purposes, and different lengths, are independent of each other.

    Raises:
        ValueError: for a length that BLAKE2b does not have.
    """
    if not 1 <= n <= MAX_DRAW:
        raise ValueError(f"a draw has 1 to {MAX_DRAW} bytes, not {n}")
    return blake2b(enc([use]), digest_size=n, key=key, person=_DRAW).digest()


def run_key(seed: Part) -> bytes:
    """Return the root of a run; the run's seed is what its embedder typed."""
    return root(seed)


#: What the path of every call begins with.
_CALL = enc(["call"])


# Two BLAKE2b of three are the same for every call of one hook. Bounded: names of plugins and
# hooks come from manifests, and a process may see many kernels.
@lru_cache(maxsize=1024)
def _hook_key(run: bytes, plugin: str, hook: str) -> bytes:
    return child(child(run, "plugin", plugin), "hook", hook)


def call_key(run: bytes, plugin: str, hook: str, key: Iterable[Part]) -> bytes:
    """Return the call key: the 32 bytes from which one call draws.

    Args:
        run: what :func:`run_key` gave.
        key: the logical call id, stable whatever the order, attempt, worker or process.
    """
    path = _CALL + b"".join(map(_enc, key))
    parent = _hook_key(run, plugin, hook)
    return blake2b(path, digest_size=KEY_SIZE, key=parent, person=_NODE).digest()


def call_keys(run: bytes, plugin: str, hook: str) -> Callable[[bytes], bytes]:
    """Return what gives the call keys of one hook for calls that nobody has named.

    Of the 32 bytes of the digest of their arguments it makes what :func:`call_key` does of
    ``(digest, 0)``.
    """
    parent, first = _hook_key(run, plugin, hook), _CALL + _enc(bytes(KEY_SIZE))[:-KEY_SIZE]
    last = _enc(0)

    def keyed(digest: bytes) -> bytes:
        path = first + digest + last
        return blake2b(path, digest_size=KEY_SIZE, key=parent, person=_NODE).digest()

    return keyed


def rng(key: bytes) -> random.Random:
    """Return a new generator for the call of *key*.

    Its methods give the same values on every Python from 3.8 on.
    """
    import random

    return random.Random(int.from_bytes(draw(key, "py.random"), "little"))
