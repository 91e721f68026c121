"""Descriptors are in a list in the step that opens them, and out of it in the one that closes."""

from __future__ import annotations

import os

import pytest

from nxkernel._system.holding import close_all, into, open_pipes


def test_what_a_function_returns_is_in_the_list() -> None:
    """Beside what was there."""
    held = [1]
    into(held, int, "2")
    assert held == [1, 2]


def test_every_end_of_every_pipe_is_in_the_list() -> None:
    """The end to read first."""
    held: list[int] = []
    open_pipes(held, 2)
    os.write(held[1], b"a")
    os.write(held[3], b"b")
    assert (os.read(held[0], 1), os.read(held[2], 1)) == (b"a", b"b")
    close_all(held)


def test_what_was_closed_is_in_the_list_no_more() -> None:
    """Called twice it closes nothing that somebody else has opened under an old number."""
    held: list[int] = []
    open_pipes(held, 1)
    ends = list(held)
    close_all(held)
    assert held == []
    others: list[int] = []
    open_pipes(others, 1)
    assert others == ends
    close_all(held)
    for end in others:
        os.fstat(end)
    close_all(others)


def test_one_that_cannot_be_closed_leaves_the_others_in_the_list() -> None:
    """They are closed by the next call."""
    held: list[int] = []
    open_pipes(held, 1)
    first, second = held
    os.close(second)
    with pytest.raises(OSError, match="Bad file descriptor"):
        close_all(held)
    os.fstat(first)
    close_all(held)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(first)
