"""Proofs about a log, to be checked by somebody who has only a checkpoint.

An inclusion proof shows that a row is in the log that a checkpoint is of; a consistency proof,
that one state of a log continues another. Both are those of RFC 9162, sections 2.1.3 and 2.1.4.
The first has the text of a tlog proof (https://c2sp.org/tlog-proof), with the leaf as extra data.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Sequence

import attrs

from nxkernel.audit.checkpoint import Checkpoint
from nxkernel.audit.tree import SIZE, Tree, leaf_hash, node_hash, root_of
from nxkernel.errors import AuditError

__all__ = ["Consistency", "Inclusion", "consistency_path", "inclusion_path"]

_INCLUSION = "c2sp.org/tlog-proof@v1"
_CONSISTENCY = "nxkernel.audit.consistency@v2"
_BASE64 = re.compile(r"[A-Za-z0-9+/]*={0,2}")


def root_over(hashes: Sequence[bytes]) -> bytes:
    """Return the root of the tree over leaves with these *hashes*."""
    tree = Tree()
    tree.add(hashes)
    return root_of(tree.peaks)


def _split(count: int) -> int:
    """Return the largest power of two below *count*, which is 2 or more."""
    return 1 << (count - 1).bit_length() - 1


def inclusion_path(hashes: Sequence[bytes], index: int) -> list[bytes]:
    """Return the nodes that lead from leaf number *index*, from 0, to the root.

    Raises:
        ValueError: when there is no such leaf.
    """
    if not 0 <= index < len(hashes):
        raise ValueError(f"no leaf {index} in a tree of {len(hashes)}")
    path: list[bytes] = []
    while len(hashes) > 1:
        half = _split(len(hashes))
        if index < half:
            path.append(root_over(hashes[half:]))
            hashes = hashes[:half]
        else:
            path.append(root_over(hashes[:half]))
            hashes, index = hashes[half:], index - half
    return path[::-1]


def consistency_path(hashes: Sequence[bytes], old: int) -> list[bytes]:
    """Return the nodes that show that the tree over *hashes* continues that of its first *old*.

    Raises:
        ValueError: when the old tree is empty or larger.
    """
    if not 0 < old <= len(hashes):
        raise ValueError(f"a tree of {len(hashes)} leaves continues none of {old}")
    path: list[bytes] = []
    whole = True  # whether the old tree is a subtree that the verifier knows already
    while old < len(hashes):
        half = _split(len(hashes))
        if old <= half:
            path.append(root_over(hashes[half:]))
            hashes = hashes[:half]
        else:
            path.append(root_over(hashes[:half]))
            hashes, old, whole = hashes[half:], old - half, False
    return ([] if whole else [root_over(hashes)]) + path[::-1]


def _climb(index: int, last: int, path: Sequence[bytes]) -> Iterator[tuple[bool, bytes]]:
    """Yield each node of *path* and whether it joins from the left, on the way to the root.

    Raises:
        ValueError: when the path does not end there.
    """
    for node in path:
        if not last:
            raise ValueError("beyond the root")
        left = bool(index & 1) or index == last
        yield left, node
        while left and index and not index & 1:
            index, last = index >> 1, last >> 1
        index, last = index >> 1, last >> 1
    if last:
        raise ValueError("below the root")


def root_of_inclusion(index: int, size: int, leaf: bytes, path: Sequence[bytes]) -> bytes | None:
    """Return the root to which *path* leads from the hash *leaf*, or None if it leads nowhere."""
    node = leaf
    try:
        if not 0 <= index < size:
            return None
        for left, other in _climb(index, size - 1, path):
            node = node_hash(other, node) if left else node_hash(node, other)
    except ValueError:
        return None
    return node


def roots_of_consistency(
    old: int, new: int, old_root: bytes, path: Sequence[bytes]
) -> tuple[bytes, bytes] | None:
    """Return both roots to which *path* leads, or None if it leads nowhere."""
    # A perfect old tree is a node of the new one, which the path then leaves out.
    nodes = [*([old_root] if old & (old - 1) == 0 else []), *path]
    if old == new:
        return None if path or not old else (old_root, old_root)
    if not 0 < old < new or not nodes:
        return None
    index, last = old - 1, new - 1
    while index & 1:
        index, last = index >> 1, last >> 1
    first = second = nodes[0]
    try:
        for left, node in _climb(index, last, nodes[1:]):
            first = node_hash(node, first) if left else first
            second = node_hash(node, second) if left else node_hash(second, node)
    except ValueError:
        return None
    return first, second


@attrs.frozen
class Inclusion:
    """Shows that a row is in the log of a checkpoint."""

    #: The bytes of the row's leaf.
    leaf: bytes
    #: Number of the leaf, from 0: one less than that of the row.
    index: int
    path: tuple[bytes, ...]
    #: Text of the checkpoint, with signatures if it has any.
    note: str

    @property
    def checkpoint(self) -> Checkpoint:
        """The state of the log that the proof is about."""
        return Checkpoint.parse(self.note)

    @property
    def ok(self) -> bool:
        """Whether the path leads from the leaf to the root of the checkpoint."""
        point = self.checkpoint
        found = root_of_inclusion(self.index, point.size, leaf_hash(self.leaf), self.path)
        return found == point.hash

    def text(self) -> str:
        """Return the text of a tlog proof."""
        lines = [_INCLUSION, f"extra {_b64(self.leaf)}", f"index {self.index}"]
        return "\n".join([*lines, *map(_b64, self.path), "", self.note])

    @classmethod
    def parse(cls, text: str) -> Inclusion:
        """Read what :meth:`text` wrote.

        Raises:
            AuditError: when *text* is anything else.
        """
        head, path, note = _parts(text, _INCLUSION, ("extra", "index"))
        if not head["index"].isdecimal():
            raise _no_proof()
        return cls(_bytes(head["extra"]), int(head["index"]), path, note)


@attrs.frozen
class Consistency:
    """Shows that the log of one checkpoint continues that of another."""

    #: Size and root of the older state.
    old: int
    old_root: bytes
    path: tuple[bytes, ...]
    #: Text of the newer checkpoint, with signatures if it has any.
    note: str

    @property
    def checkpoint(self) -> Checkpoint:
        """The newer state of the log."""
        return Checkpoint.parse(self.note)

    @property
    def ok(self) -> bool:
        """Whether the path leads to both roots."""
        new = self.checkpoint
        found = roots_of_consistency(self.old, new.size, self.old_root, self.path)
        return found == (self.old_root, new.hash)

    def text(self) -> str:
        """Return lines: the kind, size and root of the old state, the path, a checkpoint."""
        lines = [_CONSISTENCY, f"old {self.old}", f"root {_b64(self.old_root)}"]
        return "\n".join([*lines, *map(_b64, self.path), "", self.note])

    @classmethod
    def parse(cls, text: str) -> Consistency:
        """Read what :meth:`text` wrote.

        Raises:
            AuditError: when *text* is anything else.
        """
        head, path, note = _parts(text, _CONSISTENCY, ("old", "root"))
        if not head["old"].isdecimal():
            raise _no_proof()
        return cls(int(head["old"]), _bytes(head["root"]), path, note)


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _bytes(text: str) -> bytes:
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise _no_proof() from None
    if _b64(data) != text:
        raise _no_proof()
    return data


def _parts(
    text: str, kind: str, names: tuple[str, ...]
) -> tuple[dict[str, str], tuple[bytes, ...], str]:
    """Split a proof into its named lines, its path, and the checkpoint."""
    head, blank, note = text.replace("\r\n", "\n").partition("\n\n")
    first, *lines = head.split("\n")
    named = dict(line.partition(" ")[::2] for line in lines[: len(names)])
    if first != kind or not blank or tuple(named) != names:
        raise _no_proof()
    path = tuple(_bytes(line) for line in lines[len(names) :])
    if any(len(each) != SIZE for each in path):
        raise _no_proof()
    Checkpoint.parse(note)
    return named, path, note


def _no_proof() -> AuditError:
    return AuditError(
        "this is no proof: expected what `nxkernel audit proof` writes, a line with its kind, two "
        "named lines, hashes, a blank line and a checkpoint"
    )
