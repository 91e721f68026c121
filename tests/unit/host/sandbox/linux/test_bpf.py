"""The assembler: what a program answers is what its table says, for every table and every call."""

from __future__ import annotations

import errno
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nxkernel._linux import SELF_PID, patch_pid
from nxkernel.host.sandbox.linux.bpf import (
    ALLOW,
    KILL,
    Case,
    Check,
    Null,
    OneOf,
    RuleTable,
    compile_table,
    refuse,
)
from tests.support import bpf_interpreter

# Few values, so that random arguments often satisfy random conditions.
_WORDS = [0, 1, 2, 3, 0x80, 0x10F00, 0x20000000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF]
words = st.sampled_from(_WORDS) | st.integers(0, 0xFFFFFFFF)
arguments = st.lists(
    words | st.sampled_from([1 << 32, (1 << 32) | 1, (1 << 64) - 1]), min_size=6, max_size=6
)
actions = st.sampled_from([ALLOW, KILL, *(refuse(n) for n in (1, 13, 22, 38, 95))])
conditions = st.builds(Null, st.integers(0, 5)) | st.builds(
    OneOf,
    st.integers(0, 5),
    st.lists(words, min_size=1, max_size=6).map(tuple),
    st.just(0xFFFFFFFF) | words,
)
cases = st.builds(Case, st.lists(conditions, max_size=4).map(tuple), actions)
checks = st.builds(Check, st.lists(cases, max_size=3).map(tuple), actions)
tables = st.builds(
    RuleTable,
    st.dictionaries(st.integers(0, 40), actions | checks, max_size=30),
    default=actions,
    unknown=actions,
    highest=st.just(40),
)


@given(table=tables, args=st.lists(arguments, min_size=1, max_size=4))
@settings(max_examples=150)
def test_program_means_what_its_table_says(table, args):
    """Every number, listed, unlisted or unknown, gets the action that the table gives it."""
    program = compile_table(table)
    for number in [*range(43), 0x3FFFFFFF]:
        for values in args:
            expected = bpf_interpreter.decide(table, number, values)
            assert bpf_interpreter.run(program, number, values).action == expected


@given(table=tables, args=arguments, number=st.integers(0, 0xFFFFFFFF))
@settings(max_examples=100)
def test_x32_and_other_machines_are_killed(table, args, number):
    """No table opens a number of the x32 ABI or of another machine."""
    program = compile_table(table)
    assert bpf_interpreter.run(program, number | 0x40000000, args).action == KILL
    for arch in (0x40000003, 0xC00000B7, 0):  # i386, aarch64, none
        assert bpf_interpreter.run(program, number, args, arch).action == KILL


def test_search_is_shallow():
    """Unlike a chain, the search needs about log2 steps, however many rules there are."""
    rules = {number: refuse(1 + number % 100) for number in range(512)}
    program = compile_table(RuleTable(rules, default=KILL, unknown=KILL, highest=511))
    steps = [bpf_interpreter.run(program, number).steps for number in range(512)]
    assert max(steps) <= 5 + 2 * 10


def test_branches_longer_than_a_conditional_jump():
    """A subtree of more than 255 instructions is still jumped over to the right place."""
    rules = {number: refuse(1 + number % 4000) for number in range(1500)}
    table = RuleTable(rules, default=KILL, unknown=ALLOW, highest=1499)
    program = compile_table(table)
    for number in range(1502):
        expected = bpf_interpreter.decide(table, number, [0] * 6)
        assert bpf_interpreter.run(program, number).action == expected


def test_too_long_for_the_kernel_is_refused():
    """A program beyond BPF_MAXINSNS is an error here, not EINVAL in a worker."""
    rules = {number: refuse(1 + number % 4000) for number in range(3000)}
    with pytest.raises(ValueError, match="4096"):
        compile_table(RuleTable(rules, default=KILL, unknown=KILL, highest=2999))


def test_too_long_a_case_is_refused():
    """A jump out of a case never wraps around into another one."""
    long = Check((Case((OneOf(0, tuple(range(300))),)),), KILL)
    with pytest.raises(ValueError, match="conditional jump"):
        compile_table(RuleTable({1: long}, default=KILL, unknown=KILL))


def test_condition_without_values_is_refused():
    """A list of accepted values that was left empty is a mistake of the table."""
    with pytest.raises(ValueError, match="could never hold"):
        OneOf(0, ())


def test_equal_checks_share_a_block():
    """The same check for ten calls costs one block, not ten."""
    check = Check((Case((Null(0),)),), KILL)
    one = compile_table(RuleTable({2: check}, default=KILL, unknown=KILL))
    ten = compile_table(RuleTable({2 * n: check for n in range(10)}, default=KILL, unknown=KILL))
    block = 6 * 8
    assert len(ten) - len(one) < 9 * block


def test_refusal_carries_its_errno():
    """The action of a refusal is SECCOMP_RET_ERRNO with the number in its low half."""
    assert refuse(errno.EPERM) == 0x00050001


def test_pid_is_patched_in_constants_alone():
    """Only the constant of an instruction is replaced, never the same bytes across two fields."""
    marker = struct.pack("<I", SELF_PID)
    constant = b"\x15\x00\x00\x00" + marker
    across = b"\x15\x00" + marker + b"\x00\x00"
    assert patch_pid(constant + across, 4711) == b"\x15\x00\x00\x00\x67\x12\x00\x00" + across


@given(pid=st.integers(1, 1 << 22), other=st.integers(1, 1 << 22))
def test_patched_program_knows_its_own_pid_alone(pid, other):
    """A call that takes a pid is open for the process itself and for no other."""
    check = Check((Case((OneOf(0, (SELF_PID,)),)),), refuse(1))
    table = RuleTable({62: check}, default=KILL, unknown=KILL)
    program = patch_pid(compile_table(table), pid)
    assert bpf_interpreter.run(program, 62, [pid]).action == ALLOW
    expected = ALLOW if other == pid else refuse(1)
    assert bpf_interpreter.run(program, 62, [other]).action == expected
