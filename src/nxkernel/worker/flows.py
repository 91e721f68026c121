"""Streams that are open in a worker: iterators of its plugin, each run for one turn at a time.

Between its turns a stream is a suspended generator, as a wrapper is between its two phases, and not
on the Python stack: so whatever else is asked of the worker meanwhile waits for no consumer, and
streams may be read in any order. In a turn it is a call like any other, on top of the stack.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import AbstractContextManager
from typing import Any, Protocol

import attrs

from nxkernel._blob import Blobs, weight
from nxkernel._canonical import encode
from nxkernel._streams import Streams
from nxkernel._wire import (
    Ended,
    Halt,
    Item,
    More,
    Pause,
    Paused,
    Piece,
    Result,
    Slice,
    Window,
)
from nxkernel.errors import NxError
from nxkernel.worker.chance import Chance, Outer
from nxkernel.worker.pipe import Pipe

__all__ = ["Answer", "Flow", "Flows"]

#: What a call, or one turn of a stream, is answered with when it did not fail.
Answer = Result | Paused | Ended
#: A value as it crosses, by its annotation: bytes, the pieces beside it, the blobs in it.
Cross = Callable[[Any, Any], tuple[bytes, list[Piece], Blobs]]


class Perform(Protocol):
    """Does some work as the call on top, and answers for it."""

    def __call__(
        self, seq: int, streams: Streams, work: Callable[[], Answer], *, traceparent: str
    ) -> None:
        """*streams*: what it draws from; *traceparent*: the span around it, or empty."""


@attrs.define(eq=False)
class Flow:
    """One open stream."""

    token: int
    source: Generator[Any, Any, Any]
    streams: Streams
    #: The annotation of its items.
    hint: Any
    #: The span around the call that opened it, or empty: that of each of its turns.
    traceparent: str
    #: The global generators between its turns.
    kept: Outer | None = None
    #: The seq of the turn that it is in, or 0; and what the host has asked for meanwhile.
    turn: int = 0
    paused: bool = False
    halted: bool = False


class Flows:
    """The open streams of one worker, by the seq of the call that opened each."""

    def __init__(
        self,
        pipe: Pipe,
        chance: Chance,
        *,
        cross: Cross,
        perform: Perform,
        accept: Callable[[Any], None],
        watched: Callable[[], AbstractContextManager[None]],
    ) -> None:
        self.pipe = pipe
        self._chance = chance
        self._cross = cross
        self._perform = perform
        self._accept = accept
        self._watched = watched
        self._flows: dict[int, Flow] = {}

    def open(
        self,
        seq: int,
        source: Generator[Any, Any, Any] | None,
        hint: Any,
        streams: Streams,
        traceparent: str,
        window: Window,
    ) -> Answer:
        """Run the first turn of *source*, or answer that there is none."""
        if source is None:
            return Result(seq=seq, payload=encode(None), plugin_us=0, blobs=[])
        flow = self._flows[seq] = Flow(seq, source, streams, hint, traceparent)
        return self._turn(flow, seq, window)

    def accept(self, message: More | Pause | Halt) -> None:
        """Do what the host says of a stream."""
        if isinstance(message, More):
            self._more(message)
        elif isinstance(message, Pause):
            self._pause(message)
        else:
            self._halt(message)

    def _more(self, message: More) -> None:
        """Run the next turn of a stream."""
        flow = self._flow(message.token)
        seq, window = message.seq, message.window
        self._as_call(flow, seq, lambda: self._turn(flow, seq, window))

    def _pause(self, message: Pause) -> None:
        """End the turn that is under way; it may have ended by itself meanwhile."""
        flow = self._flows.get(message.token)
        if flow is not None and flow.turn:
            flow.paused = True

    def _halt(self, message: Halt) -> None:
        """End a stream; it may have ended by itself meanwhile."""
        flow = self._flows.get(message.token)
        if flow is None:
            return
        if flow.turn:
            flow.halted = True
        else:
            self._as_call(flow, message.seq, lambda: self._halted(flow, message.seq))

    def _as_call(self, flow: Flow, seq: int, work: Callable[[], Answer]) -> None:
        self._perform(seq, flow.streams, work, traceparent=flow.traceparent)

    def closing(self, seq: int) -> bool:
        """Whether the call *seq* is a turn of a stream that is to end."""
        return any(flow.turn == seq and flow.halted for flow in self._flows.values())

    def take(self, token: int) -> Flow | None:
        """Give up the stream *token*, for somebody who ends it; None if there is none."""
        return self._flows.pop(token, None)

    def _flow(self, token: int) -> Flow:
        if token not in self._flows:
            raise NxError(f"no stream {token} in this worker")
        return self._flows[token]

    # -- one turn, as the call on top ------------------------------------------------------------

    def _turn(self, flow: Flow, seq: int, window: Window) -> Answer:
        self._go_on(flow, seq)
        try:
            answer = self._run(flow, seq, window)
        except BaseException:
            self._flows.pop(flow.token, None)
            raise
        finally:
            flow.turn = 0
        if isinstance(answer, Paused):
            flow.kept = self._chance.pause()
        else:
            self._flows.pop(flow.token, None)
        return answer

    def _go_on(self, flow: Flow, seq: int) -> None:
        flow.turn, flow.paused = seq, False
        if flow.kept is not None:
            self._chance.go_on(flow.kept)

    def _run(self, flow: Flow, seq: int, window: Window) -> Answer:
        items, size = window.items, window.size
        while True:
            try:
                with self._watched():
                    value = next(flow.source)
            except StopIteration:
                return Ended(seq=seq, plugin_us=0)
            if flow.halted:
                return self._closed(flow, seq)
            payload, pieces, blobs = self._crossed(flow, value)
            self.pipe.send(Item(seq=seq, payload=payload, blobs=pieces))
            items, size = items - 1, size - len(payload) - weight(blobs)
            # What follows a Halt is for whoever comes when the stream has ended.
            while self.pipe.waiting and not flow.halted:
                self._accept(self.pipe.receive())
            if self._is_over(flow):
                return self._closed(flow, seq)
            # What lies in the arena stays there until the host has spoken again.
            if items <= 0 or size <= 0 or flow.paused or _in_arena(pieces):
                return Paused(seq=seq, plugin_us=0)

    @staticmethod
    def _is_over(flow: Flow) -> bool:
        return flow.halted

    def _crossed(self, flow: Flow, value: Any) -> tuple[bytes, list[Piece], Blobs]:
        try:
            return self._cross(value, flow.hint)
        except BaseException:
            flow.source.close()
            raise

    def _halted(self, flow: Flow, seq: int) -> Answer:
        self._go_on(flow, seq)
        flow.halted = True
        try:
            return self._closed(flow, seq)
        finally:
            self._flows.pop(flow.token, None)

    def _closed(self, flow: Flow, seq: int) -> Answer:
        with self._watched():
            flow.source.close()
        return Ended(seq=seq, plugin_us=0)


def _in_arena(pieces: list[Piece]) -> bool:
    return any(isinstance(piece, Slice) for piece in pieces)
