"""The Merkle tree over all rows, as RFC 6962 and RFC 9162 define it.

The hash of a leaf is ``SHA-256(0x00 || leaf)``, that of a node ``SHA-256(0x01 || left || right)``,
the root of the empty tree ``SHA-256("")``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

__all__ = ["EMPTY_ROOT", "SIZE", "Tree", "leaf_hash", "node_hash", "peaks_of", "root_of"]

#: Bytes of a hash.
SIZE = 32
EMPTY_ROOT = hashlib.sha256(b"").digest()


def leaf_hash(leaf: bytes) -> bytes:
    """Return the hash of a leaf with these bytes."""
    return hashlib.sha256(b"\0" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of the node over two hashes."""
    return hashlib.sha256(b"\1" + left + right).digest()


def root_of(peaks: Sequence[bytes]) -> bytes:
    """Return the root of the tree whose perfect subtrees have the roots *peaks*, leftmost first."""
    if not peaks:
        return EMPTY_ROOT
    *rest, root = peaks
    for peak in reversed(rest):
        root = node_hash(peak, root)
    return root


def peaks_of(size: int, frontier: bytes) -> list[bytes]:
    """Split the stored *frontier* of a tree of *size* leaves.

    Raises:
        ValueError: when a tree of that size has another number of perfect subtrees.
    """
    if size < 0 or len(frontier) != SIZE * size.bit_count():
        raise ValueError(f"no frontier of a tree of {size} leaves")
    return [frontier[at : at + SIZE] for at in range(0, len(frontier), SIZE)]


class Tree:
    """A tree that grows; all it keeps is its size and its frontier.

    The frontier has the roots of the perfect subtrees, leftmost and largest first: one for each
    bit that is set in the size. They are all that the tree of any larger size needs.
    """

    __slots__ = ("peaks", "size")

    def __init__(self, size: int = 0, frontier: bytes = b"") -> None:
        self.size = size
        self.peaks = peaks_of(size, frontier)

    def add(self, hashes: Iterable[bytes]) -> None:
        """Append leaves by their hashes."""
        sha256, peaks, size = hashlib.sha256, self.peaks, self.size
        for node in hashes:
            bits = size
            while bits & 1:
                node = sha256(b"\1" + peaks.pop() + node).digest()
                bits >>= 1
            peaks.append(node)
            size += 1
        self.size = size

    @property
    def frontier(self) -> bytes:
        """The frontier as it is stored."""
        return b"".join(self.peaks)

    @property
    def root(self) -> bytes:
        """The root over all leaves."""
        return root_of(self.peaks)

    def copy(self) -> Tree:
        """Return a tree that grows on its own."""
        return Tree(self.size, self.frontier)
