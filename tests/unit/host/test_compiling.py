"""Byte code is taken in its turn and from nobody who may already be the plugin."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import attrs
import pytest

from nxkernel._wire import Compiled, Pong, Ready
from nxkernel.host import compiling
from nxkernel.host.compiling import hear_loaded
from nxkernel.host.unanswered import Loss


@attrs.define
class Taking:
    """A compilation of two sources."""

    left: list[str] = attrs.Factory(lambda: ["a.py", "b.py"])
    closed: int = 0

    @property
    def current(self) -> str:
        return self.left[0] if self.left else ""

    def take(self, path: str, data: bytes) -> bool:
        return bool(self.left) and self.left.pop(0) == path

    def close(self) -> None:
        self.closed += 1


def heard(monkeypatch: pytest.MonkeyPatch, taking: Taking | None, *said: Any) -> Any:
    """Return what comes of a worker that says *said*."""
    words = iter(said)

    def hear(*_: object) -> Iterator[Any]:
        return next(words)
        yield

    monkeypatch.setattr(compiling, "hear", hear)
    effects = hear_loaded(None, None, None, taking)  # type: ignore[arg-type]
    with pytest.raises(StopIteration) as caught:
        next(effects)
    return caught.value.value


A, B = Compiled(path="a.py", data=b"1"), Compiled(path="b.py", data=b"")
READY = Ready(impls=[])


def test_what_was_asked_for_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next word is the plugin's own."""
    taking = Taking()
    assert heard(monkeypatch, taking, A, B, READY) == (READY, "while it was starting")
    assert (taking.left, taking.closed) == ([], 1)


@pytest.mark.parametrize("said", [(B,), (A, A), (A, B, A)])
def test_what_is_not_in_its_turn_is_a_violation(
    monkeypatch: pytest.MonkeyPatch, said: tuple[Compiled, ...]
) -> None:
    """Another order, a second time, or once all is done: the plugin may speak by then."""
    taking = Taking()
    word, _ = heard(monkeypatch, taking, *said)
    assert word == Loss("violation", "byte code that it was not asked for")
    assert taking.closed == 1


def test_what_nobody_asked_for_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker with byte code has nothing to compile: the word is handed on as it is."""
    assert heard(monkeypatch, None, A)[0] == A


@pytest.mark.parametrize("word", [Loss("ended"), Loss("deadline"), Pong(seq=1)])
def test_an_end_says_what_was_being_compiled(monkeypatch: pytest.MonkeyPatch, word: Any) -> None:
    """The file that a compiler did not get over is named."""
    taking = Taking()
    assert heard(monkeypatch, taking, A, word) == (word, "while b.py was compiled")
    assert taking.closed == 1
