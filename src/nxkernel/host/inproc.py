"""A plugin in the host's own process, for debugging: a thread of its own, and nothing around it.

It runs as in a worker: values cross as bytes, one call at a time, and while it waits for a brokered
call others may come on top. What no thread can have is an end that somebody else sets: there is no
deadline, no limit and no kill here, so that a breakpoint may last as long as it takes.

```
exchange (a call's generator) ──▶ queue ──▶ the plugin's thread
                              ◀── done, or a request to call a hook ──
```
"""

from __future__ import annotations

import math
import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import attrs

from nxkernel._blob import NONE, Blobs
from nxkernel._canonical import blobs_of, decode, encode
from nxkernel._streams import Streams
from nxkernel._tally import Tally, current
from nxkernel._values import lower
from nxkernel._wrappers import arriving
from nxkernel.dispatch.effects import Effects, Gate, Signal
from nxkernel.errors import CallRejected, KernelNotRunning, NxError
from nxkernel.host.builtin import Builtins, raised
from nxkernel.host.conversation import Brokers
from nxkernel.host.frame import Frame
from nxkernel.host.replies import Brokered, traceparent_of
from nxkernel.host.slot import Slot
from nxkernel.host.sources import pulled
from nxkernel.host.unanswered import cancelled, lost_with, unmade
from nxkernel.types import Call, CallError, ImplFacts, Outcome, PluginId, Timing

__all__ = ["Resident"]

#: Seconds that a thread gets to end when its kernel is closed; one that hangs is left behind.
_LEAVE_S = 1.0


@attrs.define(eq=False)
class _Job:
    """Something that the plugin's thread does for a session."""

    work: Callable[[], Any]
    #: The call that it is part of, or None for the plugin's import.
    call: Call | None = None
    streams: Streams | None = None
    #: The hook and the arguments that the plugin asks for meanwhile.
    request: tuple[str, bytes, Blobs] | None = None
    #: Nobody waits for it any more.
    gone: bool = False
    done: bool = False
    result: Any = None
    error: BaseException | None = None


@attrs.frozen
class _Reply:
    """The answer to what a job asked."""

    job: _Job
    brokered: Brokered


class Resident:
    """One plugin of the in-process allowlist.

    Invariant: the jobs on the thread's stack are the frames on the slot's stack, but for those
    whose caller went away.
    """

    def __init__(
        self,
        plugin: PluginId,
        *,
        slot: Slot,
        ring: Callable[[], None],
        broker: Brokers,
        load: Callable[[Resident], Builtins],
        unload: Callable[[], None],
        scrub: Callable[[str], str],
        import_seed: bytes,
    ) -> None:
        self.plugin = plugin
        self._slot = slot
        self._ring = ring
        self._broker = broker
        self._load = load
        self._unload = unload
        self._scrub = scrub
        self._import_seed = import_seed
        self._code: Builtins | None = None
        self._inbox: queue.SimpleQueue[_Job | _Reply | None] = queue.SimpleQueue()
        #: At the bottom is what runs outside of every call.
        self._stack: list[_Job] = [_Job(work=lambda: None)]
        self._thread = threading.Thread(
            target=self._serve, name=f"nxkernel-inproc-{plugin}", daemon=True
        )

    @property
    def state(self) -> str:
        """``stopped`` before it is loaded and once it is closed, else ``ready`` or ``busy``."""
        if self._code is None or self._slot.closed:
            return "stopped"
        return "busy" if len(self._stack) > 1 else "ready"

    # -- for the kernel ------------------------------------------------------------------------

    def start(self) -> Effects[BaseException | None]:
        """Import the plugin in its thread; returns what it raised."""
        self._thread.start()
        job = _Job(work=lambda: self._load(self))
        self._inbox.put(job)
        yield Gate(lambda: job.done)
        self._code = job.result
        return job.error

    def impls(self) -> Sequence[ImplFacts]:
        """Return what the loaded plugin implements."""
        return self._code.impls(self.plugin) if self._code is not None else ()

    def exchange(self, call: Call) -> Effects[Outcome]:
        """Make *call* in the plugin's thread and return the outcome."""
        if call.stream:
            return (yield from self._streamed(call))
        job = _Job(work=lambda: self._make(call), call=call)
        return (yield from self._exchanged(call, job)) or cancelled(call)

    def _streamed(self, call: Call) -> Effects[Outcome]:
        if self._code is None:
            raise KernelNotRunning(f"plugin {self.plugin!r} is not loaded")
        turns = _Turns(self, call, Streams(call.seed or self._import_seed))
        return (yield from pulled(self._code.source(call), turns))

    def turn(
        self, call: Call, work: Callable[[], Outcome | None], streams: Streams
    ) -> Effects[Outcome | None]:
        """Do *work*, a turn of the stream of *call*, in the plugin's thread."""
        return self._exchanged(call, _Job(work=work, call=call, streams=streams))

    def drop(self, call: Call, work: Callable[[], Outcome | None], streams: Streams) -> None:
        """Have *work* done in the plugin's thread; nobody waits for it."""
        self._inbox.put(_Job(work=work, call=call, streams=streams, gone=True))

    def _exchanged(self, call: Call, job: _Job) -> Effects[Outcome | None]:
        frame = Frame(
            call_id=call.call_id,
            deadline=math.inf,
            historic=call.historic,
            nested=call.depth > 0 or call.awaited,
        )
        try:
            came = time.perf_counter_ns()
            slot = self._slot
            signal = yield Gate(
                lambda: slot.enter(frame), holds=frame, barred=partial(slot.bars, frame)
            )
            if signal is Signal.CANCELLED or signal is Signal.BARRED:
                frame.barred = signal is Signal.BARRED
                self.forsake(call)
                return unmade(call, frame)
            queued = time.perf_counter_ns() - came
            outcome = yield from self._inside(call, frame, job)
            if outcome is None:
                return None
            took = (time.perf_counter_ns() - came - queued) // 1000
            timing = Timing(
                queue_us=queued // 1000,
                transport_us=took,
                plugin_us=took,
                used=outcome.timing.used,
            )
            return attrs.evolve(outcome, timing=timing)
        finally:
            self._slot.leave(frame)

    def forsake(self, call: Call) -> None:
        """Have the wrapper end that *call* would have left, in the plugin's thread."""
        code = self._code
        if code is not None and call.token is not None:
            self._inbox.put(_Job(work=lambda: code.forsake(call)))

    def retire(self) -> None:
        """Let no call in any more; those under way end with ``lost_by`` set."""
        self._slot.close(lambda worker: None)

    def close(self) -> None:
        """End the thread and take the plugin's modules away."""
        self.retire()
        self._inbox.put(None)
        if self._thread.is_alive():
            self._thread.join(_LEAVE_S)
        self._unload()

    # -- one call ------------------------------------------------------------------------------

    def _inside(self, call: Call, frame: Frame, job: _Job) -> Effects[Outcome | None]:
        if frame.lost_by is None:
            self._inbox.put(job)
        while frame.lost_by is None:
            signal = yield Gate(
                lambda: job.done or bool(job.request) or frame.lost_by is not None, holds=frame
            )
            if job.done:
                return self._outcome(call, job)
            if signal is Signal.CANCELLED or frame.lost_by is not None:
                break
            yield from self._serve_one(call, frame, job)
        job.gone = True
        self._inbox.put(_Reply(job, _refusal("call.cancelled", "the caller went away")))
        return lost_with(call, frame.lost_by) if frame.lost_by is not None else cancelled(call)

    def _serve_one(self, call: Call, frame: Frame, job: _Job) -> Effects[None]:
        """Make the call that *job* asks for, and answer once this frame is on top again."""
        (hook, payload, blobs), job.request = job.request or ("", b"", NONE), None
        self._slot.suspend(frame)
        brokered = yield from self._broker.brokered(call, hook, payload, blobs, math.inf)
        yield Gate(lambda: self._slot.resume(frame), holds=frame)
        if frame.lost_by is None:
            self._inbox.put(_Reply(job, brokered))

    def _make(self, call: Call) -> Outcome:
        if self._code is None:
            raise KernelNotRunning(f"plugin {self.plugin!r} is not loaded")
        return self._code.call(call)

    def _outcome(self, call: Call, job: _Job) -> Outcome | None:
        if job.error is not None:  # what is no Exception: SystemExit, a debugger's quit
            return raised(call, job.error, self._scrub)
        outcome: Outcome | None = job.result
        return outcome

    # -- in the plugin's thread ------------------------------------------------------------------

    def _serve(self) -> None:
        while (item := self._inbox.get()) is not None:
            if isinstance(item, _Job):
                self._perform(item)

    def _perform(self, job: _Job) -> None:
        self._stack.append(job)
        try:
            job.result = job.work()
        except BaseException as error:
            job.error = error
        finally:
            self._stack.pop()
            job.done = True
            self._ring()

    # -- what the plugin's context asks ------------------------------------------------------------

    def call(self, hook: str, arguments: Mapping[str, Any]) -> Any:
        """Ask the kernel to call *hook*; serve whatever arrives until the reply is there."""
        job = self._stack[-1]
        if threading.get_ident() != self._thread.ident:
            raise CallRejected("context.call works in the thread that runs the hookimpl only")
        if job.call is None:
            raise CallRejected("context.call works while a hookimpl runs, not before")
        lowered = {name: lower(v, type(v), name) for name, v in arguments.items()}
        payload = encode(lowered)
        job.request = (str(hook), payload, blobs_of(lowered, payload))
        self._ring()
        while not job.gone:
            item = self._inbox.get()
            if item is None:
                self._inbox.put(None)
                break
            if isinstance(item, _Job):
                self._perform(item)
            elif item.job is job:
                return _unwrap(item.brokered)
        raise KernelNotRunning("the caller went away, or the kernel was closed")

    def streams(self) -> Streams:
        """What the call on top draws from; the same object for the whole of it."""
        job = self._stack[-1]
        if job.streams is None:
            job.streams = Streams((job.call.seed if job.call else None) or self._import_seed)
        return job.streams

    def traceparent(self) -> str:
        """The span around the call on top, or nothing."""
        job = self._stack[-1]
        return traceparent_of(job.call) if job.call is not None else ""

    def tally(self) -> Tally:
        """Where the call on top counts its rows."""
        return current()


@attrs.frozen
class _Turns:
    """Runs one stream in the plugin's thread."""

    _resident: Resident
    _call: Call
    #: What all its turns draw from.
    _streams: Streams

    def do(self, work: Callable[[], Outcome | None]) -> Effects[Outcome | None]:
        """Do *work* there."""
        return self._resident.turn(self._call, work, self._streams)

    def drop(self, work: Callable[[], Outcome | None]) -> None:
        """Have *work* done there."""
        self._resident.drop(self._call, work, self._streams)


def _refusal(code: str, message: str) -> Brokered:
    return Brokered(error=CallError(code=code, message=message))


def _unwrap(brokered: Brokered) -> Any:
    if brokered.error is None:
        return decode(brokered.payload, brokered.blobs)
    error: NxError = arriving(brokered.error.code, brokered.error.message)
    error.origin = brokered.origin  # type: ignore[attr-defined]
    raise error
