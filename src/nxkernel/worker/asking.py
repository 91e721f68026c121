"""What a plugin asks by its context: other hooks, and what belongs to the call under way.

A call that waits for a reply reads the pipe. Whatever else comes meanwhile is taken as if nobody
waited: a further call runs on top, and is answered before the reply can come.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

from nxkernel._canonical import read
from nxkernel._streams import Streams
from nxkernel._tally import Tally
from nxkernel._wire import Broker, Reply
from nxkernel._wrappers import arriving
from nxkernel.errors import CallRejected, NxError
from nxkernel.worker.crossing import Crossing
from nxkernel.worker.frames import Frame
from nxkernel.worker.pipe import Pipe

__all__ = ["Asking", "remote"]


class Asking:
    """Answers the context of one plugin, by the call that is on top of its *stack*."""

    def __init__(
        self,
        pipe: Pipe,
        crossing: Crossing,
        stack: list[Frame],
        *,
        accept: Callable[[Any], None],
        closing: Callable[[int], bool],
    ) -> None:
        """*accept* takes a message that is no reply; *closing* knows of streams that are closed."""
        self._pipe, self._crossing, self._stack = pipe, crossing, stack
        self._accept, self._closing = accept, closing
        self._thread = threading.get_ident()
        self._asked = 0

    def begin_again(self, pipe: Pipe, crossing: Crossing) -> None:
        """Ask another host's end from now on, as if nothing had been asked yet."""
        self._pipe, self._crossing, self._asked = pipe, crossing, 0

    def call(self, hook: str, arguments: Mapping[str, Any]) -> Any:
        """Ask the host to call *hook*; serve whatever arrives until the reply is there."""
        if threading.get_ident() != self._thread:
            raise CallRejected("context.call works in the thread that runs the hookimpl only")
        if len(self._stack) == 1:
            raise CallRejected("context.call works while a hookimpl runs, not before")
        self._refuse_at_its_end()
        self._pipe.send(self._request(str(hook), arguments))
        while True:
            self._refuse_at_its_end()
            message = self._pipe.receive()
            if isinstance(message, Reply):
                return self._unwrap(message)
            self._accept(message)

    def _refuse_at_its_end(self) -> None:
        """Raise CallRejected in a stream that was closed: there will be no reply."""
        if self._closing(self._stack[-1].seq):
            raise CallRejected("the stream was closed: it cannot call any more")

    def _request(self, hook: str, arguments: Mapping[str, Any]) -> Broker:
        payload, blobs = self._crossing.request(hook, arguments)
        loans = self._stack[-1].loans
        self._asked += 1
        return Broker(
            seq=self._asked,
            within=self._stack[-1].seq,
            hook=hook,
            payload=payload,
            held=self._crossing.parcels.held(loans),
            blobs=self._crossing.parcels.sent(blobs, loans),
        )

    def _unwrap(self, reply: Reply) -> Any:
        if reply.error is not None:
            raise remote(*reply.error)
        return read(
            reply.payload, self._crossing.parcels.opened(reply.blobs, self._stack[-1].loans)
        )

    def streams(self) -> Streams:
        """What the call on top draws from."""
        return self._stack[-1].streams

    def traceparent(self) -> str:
        """The span around the call on top."""
        return self._stack[-1].traceparent

    def tally(self) -> Tally:
        """Where the call on top counts its rows."""
        return self._stack[-1].meter.tally


def remote(code: str, message: str, origin: str) -> NxError:
    """Return an error from elsewhere, with where it began."""
    error = arriving(code, message)
    error.origin = origin  # type: ignore[attr-defined]
    return error
