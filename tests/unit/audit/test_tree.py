"""The tree is that of RFC 6962: its published vectors come out, here and in the other verifier."""

from __future__ import annotations

import json

import pytest

from nxkernel.audit.tree import EMPTY_ROOT, Tree, leaf_hash, node_hash, peaks_of, root_of
from tests.unit.audit.logs import CONTRACT, STANDALONE

TREES = json.loads((CONTRACT / "vectors.v2.json").read_text(encoding="utf-8"))["trees"]
LEAVES = [bytes.fromhex(leaf) for leaf in TREES["leaves"]]
#: Roots of the reference implementation of RFC 6962, after each of the leaves above.
REFERENCE = (
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
)


def test_the_published_roots_are_those_of_the_reference() -> None:
    """The contract has the roots that other implementations of RFC 6962 publish."""
    assert tuple(step["root"] for step in TREES["sizes"]) == REFERENCE


@pytest.mark.parametrize("size", range(1, 9))
def test_both_trees_have_the_reference_roots(size: int) -> None:
    """Grown leaf by leaf or at once, root and frontier are the published ones."""
    step = TREES["sizes"][size - 1]
    hashes = [leaf_hash(leaf) for leaf in LEAVES[:size]]
    at_once, one_by_one = Tree(), Tree()
    at_once.add(hashes)
    for each in hashes:
        one_by_one.add([each])
    other = STANDALONE.Tree(0, b"").grown(hashes)
    for tree in (at_once, one_by_one):
        assert (tree.size, tree.root.hex()) == (size, REFERENCE[size - 1])
        assert tree.frontier.hex() == step["frontier"]
    assert (other.root().hex(), other.frontier().hex()) == (step["root"], step["frontier"])


def test_the_empty_tree_has_the_hash_of_nothing() -> None:
    """Its root is SHA-256 of no bytes, its frontier is empty."""
    assert Tree().root == EMPTY_ROOT == root_of([])
    assert EMPTY_ROOT.hex().startswith("e3b0c44298fc1c149afbf4c8996fb924")
    assert Tree().frontier == b""


def test_a_node_is_no_leaf() -> None:
    """A leaf that has the bytes of a node has another hash than the node."""
    left, right = leaf_hash(b"a"), leaf_hash(b"b")
    assert leaf_hash(left + right) != node_hash(left, right) != node_hash(right, left)


@pytest.mark.parametrize(
    ("size", "frontier"), [(1, b""), (2, bytes(64)), (0, bytes(32)), (-1, b"")]
)
def test_a_frontier_fits_its_size(size: int, frontier: bytes) -> None:
    """A stored frontier of another length than its size asks for is refused."""
    with pytest.raises(ValueError, match="no frontier"):
        peaks_of(size, frontier)
    with pytest.raises(ValueError, match="no frontier"):
        STANDALONE.Tree(size, frontier)


def test_a_copy_grows_on_its_own() -> None:
    """What is added to a copy does not change the original."""
    tree = Tree()
    tree.add([leaf_hash(b"x")])
    copy = tree.copy()
    copy.add([leaf_hash(b"y")])
    assert (tree.size, copy.size) == (1, 2)
    assert tree.root != copy.root
