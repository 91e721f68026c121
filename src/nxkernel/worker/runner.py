"""The worker's main loop: one call at a time, and further calls while it waits for a reply.

Invariant: the frames of the Python stack are the frames that the host has on its stack for this
worker, in the same order. A call that waits for a brokered reply reads the pipe; whatever call
arrives runs on top of it and is answered before the reply can come.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import random
import sys
import threading
import time
from collections.abc import Generator, Mapping
from typing import Any

import attrs

from nxkernel._canonical import NotCanonical, decode, encode
from nxkernel._hookimpls import FoundImpl
from nxkernel._seeds import draw
from nxkernel._values import NotLiftable, lift, lower
from nxkernel._wire import (
    Broker,
    Failure,
    Impl,
    Invoke,
    Ping,
    Pong,
    Ready,
    Reply,
    Result,
    Setup,
    Stop,
)
from nxkernel._wrappers import arriving, enter, leave
from nxkernel.errors import CallRejected, NxError
from nxkernel.worker.context import PluginContext
from nxkernel.worker.failure import describe
from nxkernel.worker.pipe import Pipe

__all__ = ["Runner"]


class _BadValue(Exception):
    """A result that cannot cross, or arguments that do not fit the annotations."""

    def __init__(self, code: str, message: str, details: Mapping[str, Any]) -> None:
        super().__init__(message)
        self.code, self.message, self.details = code, message, dict(details)


@attrs.define
class _Frame:
    """A call that is on the stack."""

    seq: int
    seed: bytes
    #: What ``context.rng`` is during the call, once it was asked for.
    rng: random.Random | None = None


class Runner:
    """Serves the calls of one plugin."""

    def __init__(self, pipe: Pipe, setup: Setup, settings: Mapping[str, Any]) -> None:
        self._pipe = pipe
        self._setup = setup
        self._impls: Mapping[str, FoundImpl] = {}
        self._stack: list[_Frame] = [_Frame(seq=0, seed=setup.import_seed)]
        self._brokered = 0
        #: Wrappers between their two phases, by the seq of the first one.
        self._suspended: dict[int, Generator[Any, Any, Any]] = {}
        self._thread = threading.get_ident()
        self.context = PluginContext(
            plugin_id=setup.plugin,
            settings=settings,
            run_dir=setup.run_dir,
            started_ns=setup.run_started_ns,
            kernel=self,
        )
        _log_to_stderr()

    # -- the loop ------------------------------------------------------------------------

    def serve(self, impls: Mapping[str, FoundImpl]) -> None:
        """Say what the plugin implements, then answer until told to stop."""
        self._impls = impls
        self._pipe.send(Ready(impls=[Impl(**attrs.asdict(i.facts)) for i in impls.values()]))
        while True:
            message = self._pipe.receive()
            if isinstance(message, Stop):
                return
            self._accept(message)

    def _accept(self, message: Any) -> None:
        if isinstance(message, Invoke):
            self._invoke(message)
        elif isinstance(message, Ping):
            self._pipe.send(Pong(seq=message.seq))
        else:
            raise NxError(f"unexpected {type(message).__name__} from the host")

    # -- one call ------------------------------------------------------------------------

    def _invoke(self, message: Invoke) -> None:
        started = time.perf_counter_ns()
        frame = _Frame(seq=message.seq, seed=message.seed or self._setup.import_seed)
        self._stack.append(frame)
        saved = random.getstate() if len(self._stack) > 2 else None
        inner = None if message.error is None else _remote(*message.error)
        try:
            payload = self._phase(message, inner)
        except BaseException as error:
            answer: Result | Failure = self._failure(message, error, inner)
        else:
            answer = Result(seq=message.seq, payload=payload, plugin_us=0)
        finally:
            if saved is not None:
                random.setstate(saved)
            self._stack.pop()
        answer.plugin_us = (time.perf_counter_ns() - started) // 1000
        self._pipe.send(answer)

    def _phase(self, message: Invoke, inner: NxError | None) -> bytes:
        impl = self._impls.get(message.impl)
        if impl is None:
            raise NxError(f"no hookimpl {message.impl!r} in this plugin")
        if message.phase == "teardown":
            return self._cross(self._teardown(impl, message, inner), Any)
        arguments = self._arguments(impl, decode(message.payload))
        value = impl.function(**arguments)
        if message.phase == "setup":
            self._suspended[message.seq] = enter(value)
            return encode(None)
        if inspect.iscoroutine(value):
            value = _run_coroutine(value)
        return self._cross(value, impl.hints.get("return", Any))

    def _arguments(self, impl: FoundImpl, given: Mapping[str, Any]) -> dict[str, Any]:
        names = [*impl.facts.args, *(name for name in impl.facts.kwargs if name in given)]
        try:
            return {name: lift(given[name], impl.hints.get(name, Any)) for name in names}
        except NotLiftable as error:
            raise _BadValue(
                "provider.not_applicable",
                f"an argument does not fit the hookimpl's annotation: {error}",
                {"impl": impl.facts.impl},
            ) from None

    def _teardown(self, impl: FoundImpl, message: Invoke, inner: NxError | None) -> Any:
        generator = self._suspended.pop(message.token)
        value = None if inner else decode(message.payload)
        return leave(generator, value, inner, old_style=impl.facts.hookwrapper)

    # -- failures ------------------------------------------------------------------------

    def _failure(self, message: Invoke, error: BaseException, inner: NxError | None) -> Failure:
        if isinstance(error, _BadValue):
            code, text, details = error.code, error.message, error.details
        elif inner is not None and error is inner:
            # A wrapper that lets the inner error through does not make it its own.
            code, text, details = inner.code, inner.message, {}
        else:
            description = describe(error, self._setup)
            code, text, details = "plugin.raised", description.message, description.details
        return Failure(
            seq=message.seq,
            code=code,
            message=text,
            details=encode(details),
            origin=str(getattr(error, "origin", "")),
            plugin_us=0,
        )

    def _cross(self, value: Any, hint: Any) -> bytes:
        """The canonical bytes of a result, by its annotation or else by what it is."""
        try:
            payload = encode(lower(value, type(value) if hint is Any else hint, "result"))
        except CallRejected as error:
            raise _BadValue("contract.output", error.message, error.details) from None
        except NotCanonical as error:
            raise _BadValue("contract.output", f"result: {error}", {}) from None
        if len(payload) > self._setup.max_payload:
            raise _BadValue("contract.output", f"result {self._too_large(payload)}", {})
        return payload

    def _too_large(self, payload: bytes) -> str:
        return f"has {len(payload)} bytes; the limit is {self._setup.max_payload}"

    # -- brokered calls --------------------------------------------------------------------

    def call(self, hook: str, arguments: Mapping[str, Any]) -> Any:
        """Ask the host to call *hook*; serve whatever arrives until the reply is there."""
        if threading.get_ident() != self._thread:
            raise CallRejected("context.call works in the thread that runs the hookimpl only")
        if len(self._stack) == 1:
            raise CallRejected("context.call works while a hookimpl runs, not before")
        payload = encode({name: lower(v, type(v), name) for name, v in arguments.items()})
        if len(payload) > self._setup.max_payload:
            raise CallRejected(f"the call of {hook!r} {self._too_large(payload)}")
        self._brokered += 1
        seq = self._brokered
        self._pipe.send(
            Broker(seq=seq, within=self._stack[-1].seq, hook=str(hook), payload=payload)
        )
        while True:
            message = self._pipe.receive()
            if isinstance(message, Reply):
                return _unwrap(message)
            self._accept(message)

    def rng(self) -> random.Random:
        """The generator of the call on top.

        It belongs to the call, not to its seed: an equal call later begins anew.
        """
        frame = self._stack[-1]
        if frame.rng is None:
            frame.rng = random.Random(int.from_bytes(self.stream("py.random", 32), "little"))
        return frame.rng

    def stream(self, use: str, size: int) -> bytes:
        """Bytes of the seed tree for the call on top."""
        return draw(self._stack[-1].seed, use, size)


def _unwrap(reply: Reply) -> Any:
    if reply.error is None:
        return decode(reply.payload)
    raise _remote(*reply.error)


def _remote(code: str, message: str, origin: str) -> NxError:
    """An error from elsewhere, and where it began."""
    error = arriving(code, message)
    error.origin = origin  # type: ignore[attr-defined]
    return error


def _run_coroutine(coroutine: Any) -> Any:
    """Run an ``async def`` hookimpl to its end; each depth of nesting has a loop of its own."""
    loop = asyncio.new_event_loop()
    outer = asyncio._get_running_loop()
    asyncio._set_running_loop(None)
    try:
        return loop.run_until_complete(coroutine)
    finally:
        loop.close()
        asyncio._set_running_loop(outer)


def _log_to_stderr() -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger("nxkernel.plugin")
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    root.propagate = False
