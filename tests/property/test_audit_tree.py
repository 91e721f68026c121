"""Laws of the tree: whatever is written verifies, and any one change to it does not."""

from __future__ import annotations

import hashlib
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nxkernel.audit.checkpoint import Checkpoint
from nxkernel.audit.columns import leaf
from nxkernel.audit.log import AuditLog
from nxkernel.audit.proofs import Consistency, Inclusion, consistency_path, inclusion_path
from nxkernel.audit.schema import TABLES
from nxkernel.audit.tree import Tree, leaf_hash
from nxkernel.dispatch.stack import Event
from tests.unit.audit.logs import (
    STANDALONE,
    Ticks,
    boot_facts,
    every_row,
    facts_of,
    failed,
    inspect,
    make_call,
    ok,
    tampering,
)

TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=40)
INT64 = st.integers(-(2**63), 2**63 - 1)
BLOB = st.binary(max_size=40)
FACT = st.one_of(st.none(), INT64, TEXT, BLOB)

STEP = st.one_of(
    st.tuples(st.just("call"), TEXT, TEXT, st.booleans()),
    st.tuples(st.just("open"), TEXT, TEXT, st.booleans()),
    st.tuples(st.just("event"), TEXT, TEXT, st.booleans()),
    st.tuples(st.just("plugin"), TEXT, TEXT, st.booleans()),
)


def write(log: AuditLog, step: tuple[str, str, str, bool]) -> None:
    """Write what *step* says."""
    kind, first, second, flag = step
    call = make_call(first, plugin=second)
    if kind == "call":
        outcome = ok(call) if flag else failed(call, exception=second)
        log.finish(log.intend(call), call, outcome, len(first))
    elif kind == "open":
        log.intend(call)
    elif kind == "event":
        log.event(Event(kind=first, data={second: first}))
    else:
        log.plugin(facts_of(first), disabled=second if flag else None)


@contextmanager
def written(steps: list[tuple[str, str, str, bool]]) -> Iterator[tuple[Path, Checkpoint]]:
    """Write a run with *steps* into a log of its own."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "audit.db"
        log = AuditLog(path, Ticks())
        log.begin_run(boot_facts())
        for step in steps:
            write(log, step)
        checkpoint = log.end_run()
        log.close()
        yield path, checkpoint


@given(st.lists(STEP, max_size=12))
@settings(max_examples=40)
def test_whatever_is_written_verifies(steps: list[tuple[str, str, str, bool]]) -> None:
    """Both verifiers find an honest log sound, with and without its checkpoint."""
    with written(steps) as (path, checkpoint):
        assert inspect(path, checkpoint).ok
        assert inspect(path).head == checkpoint


@given(st.lists(STEP, max_size=6), st.data())
@settings(max_examples=50)
def test_any_change_of_one_value_is_found(
    steps: list[tuple[str, str, str, bool]], data: st.DataObject
) -> None:
    """Whichever value of whichever row becomes another, the log does not verify.

    What the row of the last batch says besides the tree, no later batch has seen: that takes a
    checkpoint.
    """
    with written(steps) as (path, checkpoint):
        seq, name = data.draw(st.sampled_from(every_row(path)))
        (table,) = [table for table in TABLES if table.name == name]
        column = data.draw(st.sampled_from(table.names))
        value = data.draw(FACT)
        with tampering(path) as connection:
            if not replace(connection, name, column, seq, value):
                return
        assert not inspect(path, checkpoint if seq == checkpoint.size else None).ok


def replace(connection: sqlite3.Connection, table: str, column: str, seq: int, value: Any) -> bool:
    """Set one value; return whether that changed anything."""
    query = f"SELECT {column} FROM {table} WHERE seq = ?"
    before = connection.execute(query, (seq,)).fetchone()
    connection.execute(f"UPDATE OR IGNORE {table} SET {column} = ? WHERE seq = ?", (value, seq))
    return bool(connection.execute(query, (seq,)).fetchone() != before)


@given(st.lists(STEP, min_size=2, max_size=8), st.data())
@settings(max_examples=40)
def test_any_missing_rows_are_found_with_the_checkpoint(
    steps: list[tuple[str, str, str, bool]], data: st.DataObject
) -> None:
    """Whatever set of rows is taken away, from the middle or the end, it is missed."""
    with written(steps) as (path, checkpoint):
        rows = every_row(path)
        gone = data.draw(st.sets(st.sampled_from(rows), min_size=1))
        with tampering(path) as connection:
            for seq, table in gone:
                connection.execute(f"DELETE FROM {table} WHERE seq = ?", (seq,))
        report = inspect(path, checkpoint)
        assert {problem.kind for problem in report.problems} <= {"missing", "truncated", "forged"}
        assert not report.ok


@given(st.integers(-(2**63), 2**63 - 1), st.sampled_from(TABLES), st.lists(FACT, max_size=40))
def test_both_verifiers_compute_the_same_leaf(seq: int, table: Any, facts: list[Any]) -> None:
    """Two encoders, written apart, agree on every row that the format allows."""
    row = [seq, table.name, *facts]
    assert STANDALONE.leaf_hash(row) == leaf_hash(leaf(row))


def root_by_definition(leaves: list[bytes]) -> bytes:
    """Return the root as RFC 6962, section 2.1, defines it: by halves."""
    if len(leaves) == 1:
        return leaf_hash(leaves[0])
    half = 1 << (len(leaves) - 1).bit_length() - 1
    parts = root_by_definition(leaves[:half]) + root_by_definition(leaves[half:])
    return hashlib.sha256(b"\1" + parts).digest()


@given(st.lists(st.binary(max_size=5), min_size=1, max_size=70), st.data())
def test_a_tree_that_grows_has_the_root_of_the_definition(
    leaves: list[bytes], data: st.DataObject
) -> None:
    """However it is cut into batches and taken up again from its frontier."""
    tree, hashes = Tree(), [leaf_hash(each) for each in leaves]
    while tree.size < len(hashes):
        step = data.draw(st.integers(1, len(hashes) - tree.size))
        tree = Tree(tree.size, tree.frontier)
        tree.add(hashes[tree.size : tree.size + step])
    assert tree.root == root_by_definition(leaves)


@given(st.lists(st.integers(0, 1), max_size=20))
@settings(max_examples=20)
def test_any_order_of_two_writers_is_one_chain(order: list[int]) -> None:
    """However two kernels take turns, their rows are numbered without gaps and verify."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "audit.db"
        logs = [AuditLog(path, Ticks()) for _ in range(2)]
        for number, log in enumerate(logs):
            log.begin_run(boot_facts(f"run-{number}"))
        for turn in order:
            logs[turn].intend(make_call())
        for log in logs:
            log.close()
        assert inspect(path).ok
        with closing(sqlite3.connect(path)) as connection:
            (intents,) = connection.execute("SELECT count(*) FROM intents").fetchone()
        assert intents == len(order)


@given(st.integers(1, 90), st.data())
def test_every_leaf_has_a_proof_and_every_state_another(size: int, data: st.DataObject) -> None:
    """Both verifiers take them; with one bit of any node flipped, neither does."""
    leaves = [str(number).encode() for number in range(size)]
    hashes = [leaf_hash(each) for each in leaves]
    index, old = data.draw(st.integers(0, size - 1)), data.draw(st.integers(1, size))
    note = Checkpoint.of("log", size, root_by_definition(leaves)).text()
    path = tuple(inclusion_path(hashes, index))
    proofs: list[Any] = [Inclusion(leaves[index], index, path, note)]
    old_root = root_by_definition(leaves[:old])
    proofs.append(Consistency(old, old_root, tuple(consistency_path(hashes, old)), note))
    for proof in proofs:
        assert len(proof.path) <= (size - 1).bit_length() + 1
        assert proof.ok
        STANDALONE.check_proof(proof.text())
        for at in range(len(proof.path)):
            node = bytearray(proof.path[at])
            node[data.draw(st.integers(0, 31))] ^= 1
            bad = attrs.evolve(proof, path=(*proof.path[:at], bytes(node), *proof.path[at + 1 :]))
            assert not bad.ok
            with pytest.raises(STANDALONE.Unproved):
                STANDALONE.check_proof(bad.text())
