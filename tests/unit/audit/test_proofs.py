"""Proofs are those of RFC 9162, are read as they were written, and prove nothing else."""

from __future__ import annotations

import hashlib
import json

import attrs
import pytest

from nxkernel.audit.checkpoint import Checkpoint
from nxkernel.audit.proofs import (
    Consistency,
    Inclusion,
    consistency_path,
    inclusion_path,
    root_of_inclusion,
    root_over,
    roots_of_consistency,
)
from nxkernel.audit.tree import leaf_hash
from nxkernel.errors import AuditError
from tests.unit.audit.logs import CONTRACT, STANDALONE

VECTORS = json.loads((CONTRACT / "vectors.v2.json").read_text(encoding="utf-8"))
LEAVES = [bytes.fromhex(leaf) for leaf in VECTORS["trees"]["leaves"]]
HASHES = [leaf_hash(leaf) for leaf in LEAVES]
#: Paths of the reference implementation of RFC 6962 over these leaves: index, size, hashes.
INCLUSIONS = [
    (0, 1, []),
    (
        0,
        8,
        [
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ],
    ),
    (
        5,
        8,
        [
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ],
    ),
    (2, 3, ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"]),
    (
        1,
        5,
        [
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        ],
    ),
]
CONSISTENCIES = [
    (1, 1, []),
    (
        1,
        8,
        [
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ],
    ),
    (
        6,
        8,
        [
            "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ],
    ),
    (
        2,
        5,
        [
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        ],
    ),
]


@pytest.mark.parametrize(("index", "size", "path"), INCLUSIONS)
def test_inclusion_paths_are_those_of_the_reference(index: int, size: int, path: list[str]) -> None:
    """What other implementations publish comes out, and leads to the root."""
    made = inclusion_path(HASHES[:size], index)
    assert [node.hex() for node in made] == path
    assert root_of_inclusion(index, size, HASHES[index], made) == root_over(HASHES[:size])


@pytest.mark.parametrize(("old", "new", "path"), CONSISTENCIES)
def test_consistency_paths_are_those_of_the_reference(old: int, new: int, path: list[str]) -> None:
    """The same for two states of a tree."""
    made = consistency_path(HASHES[:new], old)
    assert [node.hex() for node in made] == path
    roots = root_over(HASHES[:old]), root_over(HASHES[:new])
    assert roots_of_consistency(old, new, roots[0], made) == roots


def inclusion(index: int = 5, size: int = 8) -> Inclusion:
    """Return a proof about the reference leaves."""
    note = Checkpoint.of("example.com/log", size, root_over(HASHES[:size])).text()
    return Inclusion(LEAVES[index], index, tuple(inclusion_path(HASHES[:size], index)), note)


def consistency(old: int = 3, new: int = 7) -> Consistency:
    """Return a proof about two states of the reference tree."""
    note = Checkpoint.of("example.com/log", new, root_over(HASHES[:new])).text()
    path = tuple(consistency_path(HASHES[:new], old))
    return Consistency(old, root_over(HASHES[:old]), path, note)


def shows(text: str) -> bool:
    """Ask the other verifier what a proof shows."""
    try:
        STANDALONE.check_proof(text)
    except STANDALONE.Unproved:
        return False
    return True


@pytest.mark.parametrize("proof", [inclusion(), inclusion(0, 1), consistency(), consistency(4, 4)])
def test_a_proof_survives_its_text(proof: Inclusion | Consistency) -> None:
    """What was written is read back, also after a mail program had it, and both verifiers agree."""
    text = proof.text()
    assert proof.ok
    assert shows(text)
    assert type(proof).parse(text) == type(proof).parse(text.replace("\n", "\r\n")) == proof


def test_a_tlog_proof_has_the_published_form() -> None:
    """Kind, leaf, index, path, blank line, checkpoint: other tools read it."""
    lines = inclusion().text().split("\n")
    assert lines[0] == "c2sp.org/tlog-proof@v1"
    assert lines[1:3] == ["extra QEFCQw==", "index 5"]
    assert lines[6:9] == ["", "example.com/log", "8"]


FLIP = bytes(32)
BAD = [
    attrs.evolve(inclusion(), leaf=b"another"),
    attrs.evolve(inclusion(), index=4),
    attrs.evolve(inclusion(), index=8),
    attrs.evolve(inclusion(), path=inclusion().path[1:]),
    attrs.evolve(inclusion(), path=(*inclusion().path, FLIP)),
    attrs.evolve(inclusion(), path=(FLIP, *inclusion().path[1:])),
    attrs.evolve(inclusion(), note=Checkpoint.of("example.com/log", 8, FLIP).text()),
    attrs.evolve(inclusion(), note=Checkpoint.of("example.com/log", 0, FLIP).text()),
    attrs.evolve(consistency(), old=2),
    attrs.evolve(consistency(), old=0),
    attrs.evolve(consistency(), old=8),
    attrs.evolve(consistency(), old_root=FLIP),
    attrs.evolve(consistency(), path=()),
    attrs.evolve(consistency(), path=consistency().path[:-1]),
    attrs.evolve(consistency(), path=(*consistency().path, FLIP)),
    attrs.evolve(consistency(4, 4), path=(FLIP,)),
    attrs.evolve(consistency(4, 4), old_root=FLIP),
    attrs.evolve(consistency(4, 8), old=2),
    attrs.evolve(consistency(), note=Checkpoint.of("example.com/log", 7, FLIP).text()),
]


@pytest.mark.parametrize("proof", BAD, ids=[str(number) for number in range(len(BAD))])
def test_a_proof_that_was_changed_proves_nothing(proof: Inclusion | Consistency) -> None:
    """Whatever part of it is another one, both verifiers refuse it."""
    assert not proof.ok
    assert not shows(proof.text())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "c2sp.org/tlog-proof@v2\n" + inclusion().text().partition("\n")[2],
        inclusion().text().replace("index", "number"),
        inclusion().text().replace("index 5", "index -5"),
        inclusion().text().replace("extra QEFCQw==", "extra QEFCQw"),
        inclusion().text().replace("\n\n", "\nAAAA\n\n"),
        inclusion().text().replace("\n\n", "\n", 1),
        inclusion().text().replace("example.com/log\n8", "example.com/log\neight"),
        consistency().text().replace("old 3", "old three"),
    ],
    ids=["empty", "kind", "name", "sign", "base64", "node", "blank", "checkpoint", "number"],
)
def test_anything_else_is_no_proof(text: str) -> None:
    """A file that was mixed up is told apart from a proof that proves nothing."""
    kind = Consistency if text.startswith("nxkernel") else Inclusion
    with pytest.raises(AuditError, match=r"this is no (proof|checkpoint)"):
        kind.parse(text)
    with pytest.raises((STANDALONE.Unreadable, STANDALONE.Unproved, ValueError)):
        STANDALONE.check_proof(text)


@pytest.mark.parametrize("index", [-1, 3])
def test_there_is_no_path_to_a_leaf_that_is_not_there(index: int) -> None:
    """Asking for it is a mistake of the program."""
    with pytest.raises(ValueError, match="no leaf"):
        inclusion_path(HASHES[:3], index)


@pytest.mark.parametrize("old", [0, 4])
def test_no_tree_continues_an_empty_or_a_larger_one(old: int) -> None:
    """There is nothing to prove about those."""
    with pytest.raises(ValueError, match="continues none"):
        consistency_path(HASHES[:3], old)


def test_a_leaf_cannot_pass_for_a_node() -> None:
    """A leaf with the bytes of a node does not take its place in a path."""
    inner = HASHES[0] + HASHES[1]
    root = root_over(HASHES[:2])
    assert hashlib.sha256(b"\x01" + inner).digest() == root
    note = Checkpoint.of("example.com/log", 1, root).text()
    assert not Inclusion(inner, 0, (), note).ok
