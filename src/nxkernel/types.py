"""The frozen vocabulary: ids, calls, outcomes, decisions, citations.

Everything here is a value. Nothing here does I/O, knows a process or imports a library beyond
attrs; both ends of the process boundary and every middleware share these words.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal, NewType

import attrs

from nxkernel._blob import NONE, Blobs
from nxkernel._pickling import Portable
from nxkernel._remote import with_remote
from nxkernel._shape import Shape
from nxkernel.errors import HookFailed, NxError, error_for

__all__ = [
    "EMPTY",
    "TRACEPARENT",
    "BBox",
    "Call",
    "CallError",
    "CallId",
    "Citation",
    "Claim",
    "Decision",
    "Diagnostic",
    "Digest",
    "Fault",
    "HookName",
    "HookResult",
    "ImplFacts",
    "Level",
    "Outcome",
    "Phase",
    "PluginId",
    "RunId",
    "Timing",
    "Usage",
]

#: A plugin's id as in its manifest: ``ocr.rapid``.
PluginId = NewType("PluginId", str)
#: The name of a hook: ``read_tokens``.
HookName = NewType("HookName", str)
#: One execution of an application: the name of its run directory.
RunId = NewType("RunId", str)
#: Hierarchical within a run: ``7`` called by the application, ``7.2`` brokered by call ``7``.
CallId = NewType("CallId", str)
#: ``sha256:<64 hex digits>``.
Digest = NewType("Digest", str)

#: Who is to blame for a failed call, like the 4xx and 5xx of HTTP.
Fault = Literal["caller", "plugin", "host"]
#: A plain hookimpl has one phase; a wrapper has two.
Phase = Literal["call", "setup", "teardown"]
#: What holds a plugin; ``host`` marks the embedder's own builtins.
Level = Literal["isolated", "confined", "process", "none", "host"]

#: x0, y0, x1, y1 in pixels of the frame; x1 and y1 exclusive.
BBox = tuple[int, int, int, int]

EMPTY: Mapping[str, Any] = MappingProxyType({})

#: The annotation of a call whose value its worker is told: the span that stands around the call, as
#: a W3C ``traceparent``.
TRACEPARENT = "traceparent"


@attrs.frozen(kw_only=True)
class ImplFacts:
    """What a hookimpl is, as pluggy sees it.

    ``impl`` is the attribute's name in the plugin, ``hook`` the hook it implements (they differ
    under ``specname``).
    """

    impl: str
    hook: HookName
    #: Names of the arguments without a default, in the hookimpl's order.
    args: tuple[str, ...] = ()
    #: Names of the arguments that have a default.
    kwargs: tuple[str, ...] = ()
    wrapper: bool = False
    hookwrapper: bool = False
    tryfirst: bool = False
    trylast: bool = False
    optionalhook: bool = False

    @property
    def wraps(self) -> bool:
        """Whether it stands around the others, in either style."""
        return self.wrapper or self.hookwrapper


@attrs.frozen(kw_only=True)
class CallError(Portable):
    """Why a call has no value."""

    #: A stable code, see :data:`nxkernel.errors.ERROR_CODES`.
    code: str
    #: Byte-identical for the same cause.
    message: str
    #: Facts for programs and for the audit: exit status, exception type, JSON path.
    details: Mapping[str, Any] = EMPTY


@attrs.frozen(kw_only=True)
class Diagnostic:
    """One element of a result that was dropped alone, because it was invalid."""

    #: A short stable word: ``wrong_type``, ``unknown_id``, ``outside`` ...
    code: str
    #: Where it stood in what the provider returned: a JSON Pointer.
    path: str
    #: What its list calls its elements: ``token``.
    kind: str
    #: The plugin that returned it.
    provider: PluginId
    #: What was expected, and where within the element; holds nothing of its value.
    message: str

    def __str__(self) -> str:
        return f"{self.provider}: {self.kind} {self.path}: {self.message} [{self.code}]"


@attrs.frozen(kw_only=True)
class Usage:
    """What a call used beside time."""

    #: Processor time in microseconds, without the calls that ran on top of it.
    cpu_us: int | None = None
    #: Most memory of its process by its end, in KiB; None for a call so short that nobody looked.
    peak_kb: int | None = None
    #: Rows that were read and written, as its storage counted them; None if nothing counted.
    rows_read: int | None = None
    rows_written: int | None = None


@attrs.frozen(kw_only=True, slots=False)  # so that it is made at once: see _altered
class Timing:
    """Where a call's time went, in microseconds."""

    #: Waiting for the worker to start or to become free.
    queue_us: int = 0
    #: From the first byte sent to the last byte received.
    transport_us: int = 0
    #: Inside the plugin's function, as the worker measured it.
    plugin_us: int = 0
    #: What the call used by the worker's own word; None where nobody looked, or the word is none.
    used: Usage | None = None
    #: Which worker of the plugin it was in: they are counted from 1; None if it reached none.
    instance: int | None = None


@attrs.frozen(kw_only=True, slots=False)  # so that it is copied at once: see _altered
class Call(Portable):
    """One invocation of one hookimpl, as the stack sees it.

    Middleware may replace the envelope (``deadline``, ``seed``, ``annotations``) with
    ``attrs.evolve``; the arguments are what they are.
    """

    run_id: RunId
    call_id: CallId
    plugin: PluginId
    impl: str
    hook: HookName
    phase: Phase = "call"
    #: The arguments as they will arrive, read-only and already lowered to plain values.
    arguments: Mapping[str, Any]
    #: Canonical bytes of ``arguments``; exactly what crosses.
    payload: bytes
    #: Digest of ``payload``.
    input_digest: Digest
    #: The blobs to which ``payload`` refers, by the SHA-256 of their bytes.
    blobs: Blobs = NONE
    #: Absolute, in seconds of the kernel's monotonic clock.
    deadline: float
    #: The logical call id: stable whatever the order, attempt, worker or process.
    key: tuple[Any, ...]
    #: The call key of the seed tree (32 bytes), once Determinism has set it.
    seed: bytes | None = None
    #: The call that asked for this one by ``context.call``, if any.
    parent: CallId | None = None
    #: The plugin that asked, or None for the application.
    caller: PluginId | None = None
    #: Which edition of that plugin, or None for the application.
    caller_edition: int | None = None
    #: 0 for the application's calls, then one more for each brokered one.
    depth: int = 0
    #: Which edition of the plugin is asked: counts its reloads, from 1.
    edition: int = 1
    attempt: int = 1
    #: Whether its result is a stream: items, one after another.
    stream: bool = False
    #: Of a stream: seconds for each item, or None.
    item_timeout: float | None = None
    #: How often it may be made again if its worker crashes.
    retries: int = 0
    level: Level = "confined"
    #: A call that is replayed into a new worker.
    historic: bool = False
    #: A historic call, made or replayed: it is made for what it leaves behind.
    lasting: bool = False
    #: A call of the application from within one of its builtins: another call waits for it.
    awaited: bool = False
    #: For ``teardown``: which suspended wrapper to resume, as its ``setup`` gave it.
    token: tuple[int, int] | None = None
    #: For ``teardown``: the error of the inner calls, instead of a result in ``payload``.
    inner_error: CallError | None = None
    #: Whose fault that error is, and the plugin where it began: a wrapper that lets it through
    #: does not answer for it.
    inner_fault: Fault | None = None
    inner_origin: PluginId | None = None
    annotations: Mapping[str, Any] = EMPTY
    #: Nanoseconds inside each middleware that was entered so far, outermost first. The stack adds
    #: to it as the call goes through, whatever copies of the call there are.
    stack_ns: list[int] = attrs.field(factory=list, eq=False, repr=False)


@attrs.frozen(kw_only=True, slots=False)  # so that it is copied at once: see _altered
class Outcome(Portable):
    """The value or the error of one call, with its fault.

    Invariant: ``error is None`` exactly when ``fault is None``.
    """

    plugin: PluginId
    impl: str
    hook: HookName
    call_id: CallId
    value: Any = None
    error: CallError | None = None
    fault: Fault | None = None
    #: For a failure that came out of a nested call: the plugin where it began.
    origin: PluginId | None = None
    attempts: int = 1
    #: Whether a nested call gave its plugin a degraded answer, on which the value may rest.
    degraded: bool = False
    #: Elements of the value that were dropped, in the order in which they stood.
    diagnostics: tuple[Diagnostic, ...] = ()
    #: How many of the elements that could be dropped were, from 0.0 to 1.0.
    lost: float = 0.0
    #: Digest and size of the bytes that the worker sent.
    output_digest: Digest | None = None
    output_bytes: int = 0
    #: Of a stream: how many items its consumer was given, of which digest and size are then.
    items: int | None = None
    #: Digest of what is left of them, where elements were dropped.
    delivered_digest: Digest | None = None
    #: What the decoder saw of ``value``. It is about that very object: a middleware that gives
    #: another value replaces it with ``attrs.evolve`` and never changes it in place.
    shape: Shape | None = attrs.field(default=None, eq=False, repr=False)
    annotations: Mapping[str, Any] = EMPTY
    timing: Timing = attrs.field(factory=Timing, eq=False)

    @property
    def ok(self) -> bool:
        """Whether there is a value."""
        return self.error is None

    @classmethod
    def failed(
        cls,
        call: Call,
        code: str,
        message: str,
        fault: Fault,
        *,
        details: Mapping[str, Any] = EMPTY,
        origin: PluginId | None = None,
        timing: Timing | None = None,
    ) -> Outcome:
        """Build the outcome of a *call* that has no value."""
        return cls(
            plugin=call.plugin,
            impl=call.impl,
            hook=call.hook,
            call_id=call.call_id,
            error=CallError(code=code, message=message, details=details),
            fault=fault,
            origin=origin,
            attempts=call.attempt,
            timing=timing or Timing(),
        )

    def unwrap(self) -> Any:
        """Return the value.

        Raises:
            NxError: of the class that carries ``error.code``.
        """
        error = self.exception()
        if error is not None:
            raise error
        return self.value

    def exception(self) -> NxError | None:
        """Return what :meth:`unwrap` would raise, or None.

        Its ``__cause__`` is the traceback of the plugin's own exception, as text.
        """
        why = self.error
        if why is None:
            return None
        error = error_for(
            why.code, why.message, plugin=self.plugin, hook=self.hook, details=why.details
        )
        return with_remote(error, why.details)


@attrs.frozen(kw_only=True, slots=False)  # so that it is made at once: see _altered
class HookResult(Sequence[Outcome]):
    """What one hook call gave: its value, and an outcome for each provider asked.

    A sequence of outcomes in the order in which the providers were called.
    """

    hook: HookName
    value: Any = None
    #: Why the hook as a whole has no value, or None.
    error: CallError | None = None
    #: Whether a provider was skipped because it failed, elements were dropped or a fallback was
    #: used, here or in a nested call.
    degraded: bool = False
    outcomes: tuple[Outcome, ...] = ()

    @property
    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """Elements that were dropped, in the order of the outcomes."""
        return tuple(each for outcome in self.outcomes for each in outcome.diagnostics)

    def __len__(self) -> int:
        return len(self.outcomes)

    def __getitem__(self, index: Any) -> Any:
        return self.outcomes[index]

    def __iter__(self) -> Iterator[Outcome]:
        return iter(self.outcomes)

    def unwrap(self) -> Any:
        """Return the value.

        Raises:
            HookFailed: when the hook has no value; the result is inside.
        """
        if self.error is None:
            return self.value
        raise HookFailed(self.error.message, result=self, hook=self.hook) from self._reason()

    def _reason(self) -> NxError | None:
        """The exception of the provider that mattered, or else of the first that failed."""
        failed = [outcome for outcome in self.outcomes if outcome.error is not None]
        failed.sort(key=lambda outcome: outcome.error != self.error)
        return failed[0].exception() if failed else None


@attrs.frozen(kw_only=True)
class Decision:
    """A policy decision, in the terms of an OPA decision log."""

    effect: Literal["allow", "deny"]
    #: The id of the rule that decided, or ``default-deny``.
    rule: str
    reason: str


@attrs.frozen(kw_only=True)
class Citation:
    """The link from a claim to a span of evidence."""

    #: Content address of the raw frame.
    frame: Digest
    #: Half-open range of token indices in the frame's recorded tokens.
    start: int
    end: int
    #: The smallest box around those tokens.
    bbox: BBox
    #: The text of those tokens, joined with single spaces.
    quote: str


@attrs.frozen(kw_only=True)
class Claim:
    """One checkable statement of an answer."""

    text: str
    citations: tuple[Citation, ...]
