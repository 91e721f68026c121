"""Each code leads to its class and its next step."""

from __future__ import annotations

import pytest

from nxkernel.errors import ERROR_CODES, ErrorCode, HookFailed, NxError, error_for
from tests.support.exceptions import tree


@pytest.mark.parametrize("row", ERROR_CODES.values(), ids=lambda row: row.code)
def test_a_code_says_what_happened_and_what_to_do(row: ErrorCode) -> None:
    """Each row has its code as key, and two sentences."""
    assert ERROR_CODES[row.code] is row
    assert row.meaning.endswith(".")
    assert row.next_step.endswith(".")


@pytest.mark.parametrize("code", sorted(ERROR_CODES))
def test_error_for_gives_the_class_of_the_code(code: str) -> None:
    """The exception has code, plugin, hook and details; HookFailed needs a result to be one."""
    error = error_for(code, "what happened", plugin="p", hook="h", details={"a": 1})
    expected = ERROR_CODES[code].raises
    assert type(error) is (NxError if expected is HookFailed else expected)
    assert (error.code, error.plugin, error.hook) == (code, "p", "h")
    assert error.details == {"a": 1}
    assert str(error) == f"[{code}] what happened"


def test_every_default_code_is_in_the_table() -> None:
    """An exception that is raised without a code has one that is documented."""
    for cls in tree(NxError) - {NxError}:
        assert cls.default_code in ERROR_CODES
        assert issubclass(cls, ERROR_CODES[cls.default_code].raises)


def test_an_unknown_code_is_an_error_all_the_same() -> None:
    """A code of a newer version does not hide the message."""
    error = error_for("future.code", "later")
    assert type(error) is NxError
    assert (error.code, error.message) == ("future.code", "later")


def test_exit_codes() -> None:
    """The command line tells policy, integrity and sandbox failures apart."""
    expected = {
        "call.rejected": 1,
        "kernel.config": 2,
        "policy.denied": 3,
        "permission.not_granted": 3,
        "audit.tampered": 4,
        "lock.mismatch": 4,
        "sandbox.unavailable": 5,
    }
    assert {code: error_for(code, "").exit_code for code in expected} == expected
