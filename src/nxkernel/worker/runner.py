"""The worker's main loop: one call at a time, and further calls while it waits for a reply.

Invariant: the frames of the Python stack are the frames that the host has on its stack for this
worker, in the same order. A call that waits for a brokered reply reads the pipe; whatever call
arrives runs on top of it and is answered before the reply can come.
"""

from __future__ import annotations

import logging
import signal
import sys
from collections.abc import Callable, Generator, Mapping
from contextlib import AbstractContextManager, nullcontext
from types import CoroutineType
from typing import Any

from nxkernel._blob import NONE, Blobs
from nxkernel._canonical import SHORT, encode, read, sealed, trusted
from nxkernel._hookimpls import FoundImpl
from nxkernel._iterators import NoStream, finished, source_of
from nxkernel._streams import Streams
from nxkernel._values import item_hint
from nxkernel._wire import (
    Denied,
    Drawn,
    Failure,
    Fork,
    Forsake,
    Halt,
    Impl,
    Invoke,
    More,
    Pause,
    Piece,
    Ping,
    Pong,
    Ready,
    Result,
    Setup,
    Stop,
)
from nxkernel._wrappers import enter, forsake, leave
from nxkernel.errors import CallRejected, NxError
from nxkernel.types import ImplFacts
from nxkernel.worker.arena import Arena
from nxkernel.worker.asking import Asking, remote
from nxkernel.worker.chance import Chance, Outer
from nxkernel.worker.context import PluginContext
from nxkernel.worker.crossing import Crossing
from nxkernel.worker.denials import Lookout
from nxkernel.worker.failure import BadValue, failure
from nxkernel.worker.flows import Answer, Flows
from nxkernel.worker.frames import Frame, depth
from nxkernel.worker.parcels import Parcels
from nxkernel.worker.pipe import Pipe
from nxkernel.worker.template import Template

__all__ = ["Runner", "log_to_stderr"]


_log = logging.getLogger("nxkernel.plugin")


#: What answers a message of the host as the call on top.
_Work = Callable[[Any, Frame], Answer]


class Runner:
    """Serves the calls of one plugin."""

    def __init__(
        self,
        pipe: Pipe,
        setup: Setup,
        settings: Mapping[str, Any],
        lookout: Lookout,
        chance: Chance,
        arena: Arena | None = None,
    ) -> None:
        self._pipe = pipe
        self._setup = setup
        self._lookout = lookout
        self._chance = chance
        self._crossing = Crossing(setup, Parcels(arena))
        self._impls: Mapping[str, FoundImpl] = {}
        #: Those whose calls nobody watches, if what they return may be as large as most.
        self._usual: Mapping[str, FoundImpl] = {}
        self._stack: list[Frame] = [Frame(seq=0, streams=Streams(setup.import_seed))]
        self._flows = Flows(
            pipe,
            chance,
            cross=self._cross,
            perform=self._perform,
            accept=self._accept,
            watched=lambda: self.watched(True),
        )
        asking = self._asking = Asking(
            pipe, self._crossing, self._stack, accept=self._accept, closing=self._flows.closing
        )
        chance.streams = asking.streams
        #: Wrappers between their two phases, by the seq of the first one.
        self._suspended: dict[int, Generator[Any, Any, Any]] = {}
        #: In the fork of a template: those that wait there.
        self._others: dict[int, Generator[Any, Any, Any]] = {}
        #: Told to end in the middle of calls that nobody waits for any more.
        self._stopped = False
        #: What forks the calls, where each gets a process of its own.
        self.template: Template | None = None
        #: Entered around the plugin's own code: True for a call. A debugger puts itself here.
        self.watched: Callable[[bool], AbstractContextManager[None]] = _unwatched
        self.context = PluginContext(
            plugin_id=setup.plugin,
            settings=settings,
            run_dir=setup.run_dir,
            started_ns=setup.run_started_ns,
            kernel=asking,
        )

    # -- the loop ------------------------------------------------------------------------

    def serve(self, impls: Mapping[str, FoundImpl]) -> None:
        """Say what the plugin implements, then answer until told to stop."""
        self._impls = impls
        if self.watched is _unwatched and self._setup.max_payload >= SHORT:
            self._usual = impls
        self._chance.loaded()
        self._heed_interrupts()
        self._pipe.send(Ready(impls=[_told(impl.facts) for impl in impls.values()]))
        self.answer()

    def answer(self) -> None:
        """Answer until told to stop."""
        while not self._stopped:
            message = self._pipe.receive()
            if type(message) is Invoke:
                self._invoke(message)
            elif isinstance(message, Stop):
                return
            else:
                self._accept(message)

    def _heed_interrupts(self) -> None:
        """Let the host interrupt a call whose caller went away; this process has its last one."""

        def strike(_number: int, _frame: object) -> None:
            if len(self._stack) > 1:
                raise KeyboardInterrupt

        # A debugger has put its own there, and a plugin may have.
        if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
            signal.signal(signal.SIGINT, strike)

    def reborn(self, pipe: Pipe, arena: Arena | None) -> None:
        """Serve another host's end from now on, as if nothing had been called yet."""
        self._pipe, self._crossing = pipe, Crossing(self._setup, Parcels(arena))
        self._flows.pipe = pipe
        self._asking.begin_again(pipe, self._crossing)
        del self._stack[1:]
        # Kept: their generators would be closed here, which is the template's to do.
        self._others, self._suspended = self._suspended, {}
        self.template = None

    def _accept(self, message: Any) -> None:
        if isinstance(message, Invoke):
            self._invoke(message)
        elif isinstance(message, More | Pause | Halt):
            self._flows.accept(message)
        elif isinstance(message, Forsake):
            self._forsake(message.token)
        elif isinstance(message, Fork) and self.template is not None:
            self.template.fork()
        elif isinstance(message, Ping):
            self._pipe.send(Pong(seq=message.seq))
        elif isinstance(message, Stop):
            self._stopped = True
            raise CallRejected("the caller went away")
        else:
            raise NxError(f"unexpected {type(message).__name__} from the host")

    # -- one call ------------------------------------------------------------------------

    def _invoke(self, message: Invoke) -> None:
        streams = Streams(message.seed or self._setup.import_seed)
        frame = Frame(message.seq, streams, message.traceparent)
        self._answer(frame, self._phase if message.window is None else self._stream, message)

    def _perform(
        self, seq: int, streams: Streams, work: Callable[[], Answer], *, traceparent: str
    ) -> None:
        self._answer(Frame(seq, streams, traceparent), lambda *_: work(), None)

    def _answer(self, frame: Frame, work: _Work, given: Any) -> None:
        """Do *work* as the call on top, and send what it answers or why it does not."""
        stack, chance = self._stack, self._chance
        below = stack[-1]
        stack.append(frame)
        entered: tuple[Outer, int, int] | None = None
        # The one at the bottom, which is no call, has no number.
        if below.seq or chance.seeds or chance.watch.seeded:
            entered = self._entered(frame, below)
        try:
            answer: Answer | Failure = work(given, frame)
        except BaseException as error:
            self.tell(frame.seq, error)
            answer = failure(frame.seq, error, frame.inner, self._setup)
        else:
            if self._lookout.stirred or chance.findings:
                self.tell(frame.seq)
        finally:
            if entered is not None:
                self._unnest(entered)
            stack.pop()
        if frame.loans:
            self._crossing.parcels.settled(frame.loans)
        answer.plugin_us, answer.used = frame.meter.read()
        self._pipe.send(answer)
        if below.seq or chance.resting or chance.watch.seeded:
            self._after(frame, below)

    def _entered(self, frame: Frame, below: Frame) -> tuple[Outer, int, int] | None:
        if below.seq:
            return self._nested(frame, below)
        self._chance.begin()
        return None

    def _after(self, frame: Frame, below: Frame) -> None:
        """Do what the host does not wait for, now that it has the answer of *frame*."""
        if below.seq:
            frame.meter.tell(below.meter)
        else:
            self._chance.end()

    def _nested(self, frame: Frame, below: Frame) -> tuple[Outer, int, int]:
        """*frame* begins on top of the call *below*: keep what that must find again.

        It has the room on the Python stack of a call that is alone: what lies below it there are
        other calls, which are not its own doing.
        """
        outer, room = self._chance.enter(), sys.getrecursionlimit()
        frame.depth = depth()
        deepened = room + max(0, frame.depth - below.depth)
        sys.setrecursionlimit(deepened)
        return outer, room, deepened

    def _unnest(self, entered: tuple[Outer, int, int]) -> None:
        outer, room, deepened = entered
        self._chance.leave(outer)
        if sys.getrecursionlimit() == deepened:  # else the plugin has set its own
            sys.setrecursionlimit(room)

    def _phase(self, message: Invoke, frame: Frame) -> Result:
        """Answer: a usual call of plain values in line, all others by :meth:`_other`."""
        impl = self._usual.get(message.impl)
        if impl is None or message.phase != "call" or message.blobs:
            return self._other(message, frame)
        arguments = trusted(message.payload)
        if arguments.keys() != impl.taken:
            arguments = self._crossing.arguments(impl, arguments)
        value = impl.function(**arguments)
        if impl.plain and (payload := sealed(value)) is not None:
            if len(payload) > SHORT:
                self._crossing.hold(payload)
            return Result(message.seq, payload, 0, [])
        return self._unsealed(message, frame, impl, value)

    def _unsealed(self, message: Invoke, frame: Frame, impl: FoundImpl, value: Any) -> Result:
        """Answer with what is not certainly plain."""
        tried = impl.plain
        if isinstance(value, CoroutineType):
            value, tried = finished(value), False
        return self._result(message, frame, value, impl.returns, tried=tried)

    def _other(self, message: Invoke, frame: Frame) -> Result:
        """Answer whatever is asked."""
        if message.error is not None:
            frame.inner = remote(*message.error)
        impl, inner, blobs = self._impl(message), frame.inner, NONE
        if message.blobs:
            blobs = self._crossing.parcels.opened(message.blobs, frame.loans)
        if message.phase == "teardown":
            inner_value = None if inner else read(message.payload, blobs)
            value = self._teardown(impl, message, inner_value, inner)
            return self._result(message, frame, value, Any)
        arguments = self._crossing.arguments(impl, read(message.payload, blobs))
        with self.watched(True):
            value = impl.function(**arguments)
            if message.phase == "setup":
                self._suspended[message.seq] = enter(value)
                return Result(message.seq, encode(None), 0, [])
            if isinstance(value, CoroutineType):
                value = finished(value)
        return self._result(message, frame, value, impl.returns)

    def _result(
        self, message: Invoke, frame: Frame, value: Any, hint: Any, *, tried: bool = False
    ) -> Result:
        payload, pieces, _ = self._crossing.result(value, hint, frame.loans, tried=tried)
        return Result(message.seq, payload, 0, pieces)

    def _stream(self, message: Invoke, frame: Frame) -> Answer:
        window, impl = message.window, self._impl(message)
        assert window is not None
        blobs = self._crossing.parcels.opened(message.blobs, frame.loans)
        arguments = self._crossing.arguments(impl, read(message.payload, blobs))
        with self.watched(True):
            value = impl.function(**arguments)
            if isinstance(value, CoroutineType):
                value = finished(value)
        try:
            source = None if value is None else source_of(value)
        except NoStream as error:
            raise BadValue("contract.output", str(error), {}) from None
        hint = item_hint(impl.returns)
        return self._flows.open(
            message.seq, source, hint, frame.streams, message.traceparent, window
        )

    def _impl(self, message: Invoke) -> FoundImpl:
        impl = self._impls.get(message.impl)
        if impl is None:
            raise NxError(f"no hookimpl {message.impl!r} in this plugin")
        return impl

    def _teardown(self, impl: FoundImpl, message: Invoke, value: Any, inner: NxError | None) -> Any:
        generator = self._suspended.pop(message.token)
        with self.watched(True):
            return leave(generator, value, inner, old_style=impl.facts.hookwrapper)

    def _forsake(self, token: int) -> None:
        """End a wrapper or a stream that nothing resumes; what it raises is for the log alone.

        Raises:
            NxError: when it goes on. No call may run in a process where it does.
        """
        ended, outer = True, self._chance.enter()
        flow = self._flows.take(token)
        try:
            with self.watched(True):
                ended = forsake(self._suspended.pop(token) if flow is None else flow.source)
        except BaseException:
            _log.exception("a wrapper or stream whose call went away failed while it ended")
        finally:
            self._chance.leave(outer)
        if not ended:
            raise NxError("a wrapper or stream whose call went away yields instead of ending")

    # -- accounts and failures -----------------------------------------------------------

    def tell(self, seq: int, error: BaseException | None = None) -> None:
        """Say what the walls refused, what *error* tells of and else; and what was drawn."""
        raised = [] if error is None else self._lookout.reasons(error)
        seen = [denial for denial in self._lookout.news() if denial not in raised]
        if raised or seen:
            told = [[denial.told() for denial in each] for each in (raised, seen)]
            self._pipe.send(Denied(within=seq, raised=told[0], seen=told[1]))
        found = self._chance.news()
        if found:
            self._pipe.send(Drawn(within=seq, found=[finding.told() for finding in found]))

    def _cross(self, value: Any, hint: Any) -> tuple[bytes, list[Piece], Blobs]:
        """A result as bytes; its blobs, as they travel and as they are."""
        return self._crossing.result(value, hint, self._stack[-1].loans)


def _told(facts: ImplFacts) -> Impl:
    return Impl(*(getattr(facts, name) for name in Impl.__struct_fields__))


def _unwatched(_call: bool) -> AbstractContextManager[None]:
    return nullcontext()


def log_to_stderr() -> None:
    """Have what a plugin logs written to its log, for the rest of the process."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger("nxkernel.plugin")
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    root.propagate = False
