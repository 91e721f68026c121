"""The stack: the middlewares around one invocation, as generators.

A middleware receives the call, yields it on (perhaps with another envelope) and receives the
outcome; or it returns an outcome at once. Splitting each call at the ``yield`` is what lets one
thread send to many providers before it collects from the first, and lets asyncio drive the same
code. One that is on the path of every call may say the same as two plain functions: see
``entrances``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from operator import attrgetter, is_
from time import perf_counter_ns
from typing import Any, Protocol

import attrs

from nxkernel._blob import NONE, Blobs
from nxkernel._clock import Clock
from nxkernel._pickling import Portable
from nxkernel.dispatch.entrances import Layer, Passage, entrance
from nxkernel.errors import NxError
from nxkernel.hookspecs import HookSpec
from nxkernel.settings import Grant, Permissions, PluginSettings
from nxkernel.types import EMPTY, Call, CallError, Outcome, PluginId, RunId

__all__ = [
    "Asked",
    "BootFacts",
    "Event",
    "Layer",
    "Middleware",
    "Open",
    "PluginFacts",
    "Stack",
    "broken",
    "item_check",
    "open_stack",
]


@attrs.frozen(kw_only=True)
class PluginFacts(Portable):
    """What the stack may know of a plugin."""

    id: PluginId
    version: str
    #: Digest over every file that runs.
    code_digest: str
    #: Counts the plugin's reloads, from 1. Two editions may be there at once, while calls that
    #: began on the old one come to their end; ``Call.edition`` says which one is asked.
    edition: int = 1
    #: Hooks and capabilities that the manifest asks to call back.
    requires: tuple[str, ...] = ()
    #: Effective grants.
    grant: Grant = attrs.field(factory=Grant)
    #: What its manifest asks for, beside what was granted; None where no manifest was read.
    asked: Permissions | None = None
    #: ``{hook: {"input": schema, "output": schema}}``, resolved from the manifest.
    contracts: Mapping[str, Mapping[str, Any]] = EMPTY
    #: Effective settings as they may be shown: secrets are masked.
    settings: PluginSettings = attrs.field(factory=PluginSettings)
    level: str = "confined"
    tags: tuple[str, ...] = ()
    provides: tuple[str, ...] = ()


@attrs.frozen(kw_only=True)
class Event(Portable):
    """Something that happened beside the calls and belongs on record."""

    #: ``breaker.open``, ``worker.exit``, ``policy.decision`` ...
    kind: str
    plugin: str = ""
    data: Mapping[str, Any] = EMPTY


@attrs.frozen(kw_only=True)
class Asked(Portable):
    """A brokered call, as the plugin that made it saw it: what it asked, and what it was told."""

    #: The call in whose middle it asked.
    call: Call
    hook: str
    #: Canonical bytes of the arguments, and the blobs to which they refer.
    payload: bytes
    blobs: Blobs
    #: The same of the value; empty when there is an error.
    answer: bytes = b""
    answer_blobs: Blobs = NONE
    error: CallError | None = None
    #: The plugin in which the error began.
    origin: str = ""
    #: Whether the value lacks somebody, or rests on one that does.
    degraded: bool = False


@attrs.frozen(kw_only=True)
class BootFacts:
    """What every middleware is told once, before the first call."""

    run_id: RunId
    #: The run's seed, as given by the embedder.
    seed: int | str
    clock: Clock
    specs: Mapping[str, HookSpec]
    #: The plugins that run. It changes with them: see the listeners of :class:`Middleware`.
    plugins: Mapping[PluginId, PluginFacts]
    #: Facts about the kernel, the lockfile, the environment: for the run header.
    header: Mapping[str, Any]
    #: Where to report events; goes to the audit log if there is one.
    emit: Callable[[Event], None]


class Middleware(Protocol):
    """One concern around every call.

    ``boot`` may raise a ``PluginDisabled`` subclass for a cause that concerns one plugin: that
    plugin is disabled and ``boot`` is called again without it.

    What else happens is told to those that have a method for it. While the kernel runs, plugins are
    added, reloaded and removed, in any thread, beside calls:

    * ``plugin_added(facts)``: an edition of a plugin is about to get calls. It may raise a
      ``PluginDisabled`` subclass: then it gets none, and what was there before stays.
    * ``plugin_switched(facts)``: from now on new calls go to this edition.
    * ``plugin_removed(facts)``: this edition has had its last call, or was refused after all.
    * ``plugin_disabled(facts, reason)``: a plugin does not run; *reason* is an error code.
    * ``event(event)``: something happened beside the calls.
    * ``asked(asked)``: a plugin is about to be told what it asked for in the middle of its call.
    * ``retrying(lost, outcome, again)``: a call that ended with *outcome* is about to be made anew.
    * ``broken_off(call)``: an interrupt has struck in the host's own code while this call was under
      way. It is over; a layer that it was in or on its way into may have been told nothing of that.
    * ``item(call, outcome)``: an item of a stream, as an outcome of its own, before its consumer
      sees it. It returns that, another value in it, or a failure, which ends the stream.

    And ``through(call)`` may be there beside ``around``, for the calls with which nothing is out of
    the ordinary: see :mod:`nxkernel.dispatch.entrances`.
    """

    @property
    def name(self) -> str:
        """A short noun for ``kernel.explain``."""

    def boot(self, facts: BootFacts) -> None:
        """Prepare for the calls of a run."""

    def around(self, call: Call) -> Layer:
        """Yield the call on exactly once, or return an outcome without yielding."""

    def close(self) -> None:
        """Finish the run; nothing is called afterwards."""


@attrs.define(eq=False)
class Open:
    """A stack that has been entered: the call to send, or the outcome that answered early."""

    names: tuple[str, ...]
    #: What was entered so far, the outermost first.
    passed: list[Passage]
    call: Call
    #: Set when a middleware answered without yielding.
    early: Outcome | None = None

    def close(self, outcome: Outcome) -> Outcome:
        """Hand *outcome* out through every layer that was entered, innermost first."""
        passed, spent, began = self.passed, self.call.stack_ns, perf_counter_ns()
        while passed:
            _, leave, state = passed.pop()
            if leave is None:
                continue
            try:
                outcome = leave(state, outcome)
                if type(outcome) is not Outcome:
                    outcome = _outcome(self.names[len(passed)], outcome, self.call)
            except Exception as error:
                outcome = broken(self.names[len(passed)], error, self.call)
            ended = perf_counter_ns()
            spent[len(passed)] += ended - began
            began = ended
        return outcome


class Stack:
    """The middlewares of one kernel, outermost first, ready to be entered by any call."""

    def __init__(self, middleware: Sequence[Middleware]) -> None:
        self.middleware = tuple(middleware)
        self.names = tuple(each.name for each in middleware)
        self._entrances = tuple(map(entrance, middleware))
        told = [getattr(each, "broken_off", None) for each in middleware]
        self._broken_off = tuple(each for each in told if each is not None)

    def open(self, call: Call) -> Open:
        """Enter the layers from the outside in, until one answers or the call is ready to send.

        A middleware that breaks the protocol never raises here: its call has the outcome
        ``middleware.failed``, fault ``host``, and the layers outside it see that.
        """
        passed: list[Passage] = []
        spent, began = call.stack_ns, perf_counter_ns()
        try:
            for through, around in self._entrances:
                passage = through(call)
                if type(passage) is not tuple:
                    passage = around(call) if passage is None else passage
                    if type(passage) is not tuple:
                        return self._answered(passed, call, passage, began)
                # All three, now: one that has less must not be found when the call was made.
                sent, _, _ = passage
                if sent is not call:
                    call = _same_call(call, sent)
                passed.append(passage)
                ended = perf_counter_ns()
                spent.append(ended - began)
                began = ended
        except Exception as error:
            answer = broken(self.names[len(passed)], error, call)
            return self._answered(passed, call, answer, began)
        return Open(self.names, passed, call)

    def break_off(self, call: Call) -> None:
        """Tell the layers that an interrupt has ended *call*, wherever it was in them."""
        for tell in self._broken_off:
            with suppress(Exception):  # it is the interrupt that its caller is to hear of
                tell(call)

    def _answered(self, passed: list[Passage], call: Call, answer: Any, began: int) -> Open:
        """The layer behind those that were passed has answered, since *began*."""
        call.stack_ns.append(perf_counter_ns() - began)
        opened = Open(self.names, passed, call)
        opened.early = opened.close(_outcome(self.names[len(passed)], answer, call))
        return opened


def open_stack(middleware: Sequence[Middleware], call: Call) -> Open:
    """Enter a stack that is there for one call: see :meth:`Stack.open`."""
    return Stack(middleware).open(call)


def _same_call(given: Call, yielded: Any) -> Call:
    """Check that a middleware changed the envelope at most."""
    if type(yielded) is Call and all(map(is_, _whole(given), _whole(yielded))):
        return yielded
    if not isinstance(yielded, Call):
        raise TypeError(f"yielded {type(yielded).__name__}, expected the call")
    if yielded is not given and not _same_content(given, yielded):
        raise ValueError("changed what the call is; only its envelope may change")
    return yielded


_CONTENT = ("payload", "arguments", "blobs", "stack_ns")
_NAMES = ("input_digest", "plugin", "impl", "hook", "phase", "call_id")
_content, _names = attrgetter(*_CONTENT), attrgetter(*_NAMES)
_whole = attrgetter(*_CONTENT, *_NAMES)


def _same_content(given: Call, yielded: Call) -> bool:
    # Identity, not equality: a middleware passes on what it was given, and comparing is not free.
    if not all(map(is_, _content(given), _content(yielded))):
        return False
    return _names(given) == _names(yielded)


def item_check(middleware: Sequence[Middleware], call: Call) -> Callable[[Outcome], Outcome]:
    """Return what holds an item of the stream of *call* against every layer, the innermost first.

    One that breaks ends the stream with ``middleware.failed``.
    """
    checks = [(each.name, getattr(each, "item", None)) for each in reversed(middleware)]
    wanted = [(name, check) for name, check in checks if check is not None]

    def check(item: Outcome) -> Outcome:
        for name, each in wanted:
            try:
                item = _outcome(name, each(call, item), call)
            except Exception as error:
                return broken(name, error, call)
            if item.error is not None:
                break
        return item

    return check


def _outcome(name: str, value: Any, call: Call) -> Outcome:
    if isinstance(value, Outcome):
        return value
    return broken(name, TypeError(f"returned {type(value).__name__}, expected an outcome"), call)


def broken(name: str, error: Exception, call: Call) -> Outcome:
    """Return the outcome of *call*, in which the middleware *name* has raised *error*."""
    if isinstance(error, NxError):
        return Outcome.failed(call, error.code, f"middleware {name!r}: {error.message}", "host")
    text = f"{type(error).__name__}: {error}"
    return Outcome.failed(call, "middleware.failed", f"middleware {name!r}: {text}", "host")
