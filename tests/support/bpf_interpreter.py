"""A classic BPF machine for seccomp programs, and the meaning of a rule table beside it.

`run` does what the kernel does with the compiled bytes; `decide` reads the table directly. Neither
shares code with the assembler, so that a fault of the assembler shows as a difference.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

import attrs

from nxkernel.host.sandbox.linux.bpf import ALLOW, Check, Null, RuleTable

X86_64 = 0xC000003E
_LOW = (1 << 32) - 1


@attrs.frozen
class Verdict:
    """What a program answered, and after how many instructions."""

    action: int
    steps: int


_JUMP, _RETURN = 0x05, 0x06
_LOAD, _AND = 0x20, 0x54
_CONDITIONS = {
    0x15: lambda accumulator, constant: accumulator == constant,
    0x35: lambda accumulator, constant: accumulator >= constant,
    0x45: lambda accumulator, constant: accumulator & constant != 0,
}


def run(program: bytes, number: int, args: Sequence[int] = (), arch: int = X86_64) -> Verdict:
    """Run *program* on one call; a program that the kernel would refuse is a ValueError."""
    data = _seccomp_data(number, args, arch)
    accumulator, at, steps = 0, 0, 0
    while at * 8 < len(program):
        code, if_true, if_false, constant = struct.unpack_from("<HBBI", program, at * 8)
        at, steps = at + 1, steps + 1
        if code == _RETURN:
            return Verdict(constant, steps)
        if code in _CONDITIONS:
            at += if_true if _CONDITIONS[code](accumulator, constant) else if_false
        elif code == _JUMP:
            at += constant
        else:
            accumulator = _compute(code, constant, accumulator, data)
    raise ValueError(f"the program runs past its end, to {at}")


def _seccomp_data(number: int, args: Sequence[int], arch: int) -> bytes:
    padded = [*args, *([0] * (6 - len(args)))]
    return struct.pack("<IIQ6Q", number & _LOW, arch, 0, *(a & ((1 << 64) - 1) for a in padded))


def _compute(code: int, constant: int, accumulator: int, data: bytes) -> int:
    if code == _AND:
        return accumulator & constant
    if code != _LOAD:
        raise ValueError(f"instruction {code:#x}")
    if constant % 4 or constant > len(data) - 4:
        raise ValueError(f"load at {constant}")
    return int.from_bytes(data[constant : constant + 4], "little")


def decide(table: RuleTable, number: int, args: Sequence[int]) -> int:
    """Return the action of *table* for one x86_64 call."""
    rule = table.unknown if number > table.highest else table.rules.get(number, table.default)
    return _checked(rule, args) if isinstance(rule, Check) else rule


def _checked(check: Check, args: Sequence[int]) -> int:
    for case in check.cases:
        if all(_holds(condition, args) for condition in case.conditions):
            return case.action
    return check.otherwise


def _holds(condition: object, args: Sequence[int]) -> bool:
    if isinstance(condition, Null):
        return args[condition.argument] == 0
    low = args[condition.argument] & _LOW
    return low & condition.mask in [value & _LOW for value in condition.values]


__all__ = ["ALLOW", "X86_64", "Verdict", "decide", "run"]
