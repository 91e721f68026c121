"""Whatever calls come and go, a call finds the bytes that it was given, and nobody else's place."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from nxkernel._blob import Blob, name_of
from nxkernel._wire import HEAVY, Inline, Slice
from nxkernel.host.arena import Arena
from nxkernel.host.memory import memory_file
from nxkernel.host.parcels import Parcels

SIZE, KEPT = 10 * HEAVY, 4 * HEAVY
SIZES = (HEAVY, HEAVY + 1, 2 * HEAVY, 3 * HEAVY - 5, 6 * HEAVY)
BLOBS = st.builds(
    lambda size, seed: Blob(bytes([seed + 1]) * size), st.sampled_from(SIZES), st.integers(0, 2)
)


class Calls(RuleBasedStateMachine):
    """A worker's calls, with blobs of which many come again."""

    def __init__(self) -> None:
        super().__init__()
        self.arena = Arena(memory_file(), memory_file(), SIZE, lasting=True, kept=KEPT)
        self.parcels = Parcels(1 << 26, self.arena)
        #: Of each call on the worker: where its blobs begin, and the slices that it has.
        self.stack: list[tuple[int, list[Slice]]] = []
        #: What is still read for calls that nobody waits for.
        self.left: list[Slice] = []

    def teardown(self) -> None:
        self.parcels.close()

    @rule(blobs=st.lists(BLOBS, min_size=1, max_size=4))
    def begin(self, blobs: list[Blob]) -> None:
        """A call comes on top."""
        self.stack.append((self.parcels.height, []))
        self._give(blobs)

    @precondition(lambda self: self.stack)
    @rule(blobs=st.lists(BLOBS, min_size=1, max_size=3))
    def reply(self, blobs: list[Blob]) -> None:
        """The call on top is given more, by the answer to what it asked."""
        self._give(blobs)

    def _give(self, blobs: list[Blob]) -> None:
        mark, has = self.stack[-1]
        by_name = {name_of(each): each for each in blobs}
        known = {piece.name for piece in has}
        pieces = self.parcels.sent(by_name, mark)
        for piece in pieces:
            if isinstance(piece, Inline):
                assert piece.data == by_name[piece.name].bytes()
            else:
                assert piece.size == by_name[piece.name].size
                has.append(piece)
        assert {piece.name for piece in pieces} == by_name.keys() - known

    @precondition(lambda self: self.stack and self.stack[-1][1])
    @rule(data=st.data())
    def drop(self, data: st.DataObject) -> None:
        """The worker of the call on top has dropped what it was given last."""
        mark, has = self.stack[-1]
        held = data.draw(st.integers(0, len(has)))
        self.parcels.keep(mark, held)
        del has[held:]

    @precondition(lambda self: self.stack)
    @rule()
    def answer(self) -> None:
        """The call on top is answered."""
        mark, _ = self.stack.pop()
        self.parcels.lower(mark)

    @precondition(lambda self: self.stack)
    @rule()
    def leave(self) -> None:
        """Nobody waits any more for the call on top, which goes on."""
        mark, has = self.stack.pop()
        self.parcels.leave(mark)
        self.left += has

    @rule()
    def settle(self) -> None:
        """Those that were left have ended."""
        self.parcels.settle()
        self.left.clear()

    @rule()
    def rest(self) -> None:
        """Time passes."""
        self.parcels.rest()

    @invariant()
    def each_has_its_bytes(self) -> None:
        """And no other slice of any call lies in the same pages."""
        slices = [*self.left, *(piece for _, has in self.stack for piece in has)]
        places = sorted((p.offset, p.offset + p.size) for p in slices)
        for (_, end), (begin, _) in pairwise(places):
            assert end <= begin
        for piece in slices:
            data = bytes(self.arena.down.view[piece.offset : piece.offset + piece.size])
            assert name_of(Blob(data)) == piece.name
        assert self.arena.used == bool(slices)


TestCalls = Calls.TestCase
TestCalls.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
