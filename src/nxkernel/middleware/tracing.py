"""A span of OpenTelemetry for every call, and the way on for a plugin's own spans."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any, Final

import attrs

from nxkernel import _forks, _locks
from nxkernel._pickling import Rooted
from nxkernel.dispatch.stack import BootFacts, Layer
from nxkernel.errors import KernelConfigError
from nxkernel.types import TRACEPARENT, Call, CallId, Outcome

__all__ = ["Tracing"]

#: Name of the instrumentation, and beginning of every attribute of ours.
_SCOPE: Final = "nxkernel"


class Tracing(Rooted):
    """Makes a span of each call, as a child of the one around it.

    Calls of the application are children of its current span, brokered calls of the span of the
    call that asked. The worker is told the span as a W3C ``traceparent``, which a plugin finds in
    ``context.traceparent``. It stands first in the stack, so that the span has all of the call.

    A span has names, sizes, digests and times of the call: never an argument, a value or the text
    of an error. *tracer_provider* is the application's own, or else the global one.

    Raises:
        KernelConfigError: without ``opentelemetry-api``, which the extra ``otel`` brings.
    """

    _instead = "a middleware belongs to its kernel; make another one for the kernel there"

    name = "tracing"

    def __init__(self, tracer_provider: Any = None) -> None:
        self._api = _api()
        self._tracer = self._api.get_tracer(_SCOPE, tracer_provider=tracer_provider)
        self._forget()
        _forks.register(self)

    def _forget(self) -> None:
        #: Spans of the calls under way.
        self._spans: dict[CallId, Any] = {}
        self._lock = _locks.lock()

    def abandon(self) -> None:
        """In a forked child: the spans under way are its parent's to end."""
        self._forget()

    def boot(self, facts: BootFacts) -> None:
        """Nothing is needed but the calls."""

    def around(self, call: Call) -> Layer:
        """Begin a span, make the call, end the span with what became of it."""
        span = self._begin(call)
        with self._lock:
            self._spans[call.call_id] = span
        outcome: Outcome | None = None
        try:
            outcome = yield self._told(call, span)
        finally:
            with self._lock:
                self._spans.pop(call.call_id, None)
            if outcome is not None:
                self._end(span, call, outcome)
            span.end()
        return outcome

    def retrying(self, lost: Call, outcome: Outcome, again: Call) -> None:
        """Note on the span of *lost* that it is made again, and why."""
        with self._lock:
            span = self._spans.get(lost.call_id)
        if span is not None:
            code = outcome.error.code if outcome.error else ""
            span.add_event("retry", {"error.type": code, "nxkernel.attempt": again.attempt})

    def close(self) -> None:
        """Nothing is held: the provider is the application's, and flushes when that says so."""

    def _begin(self, call: Call) -> Any:
        with self._lock:
            asking = self._spans.get(call.parent) if call.parent is not None else None
        context = None if asking is None else self._api.set_span_in_context(asking)
        return self._tracer.start_span(
            f"{call.plugin} {call.hook}",
            context=context,
            kind=self._api.SpanKind.CLIENT,
            attributes=_of_call(call),
        )

    def _told(self, call: Call, span: Any) -> Call:
        found = span.get_span_context()
        if not found.is_valid:  # no SDK is there: nobody records
            return call
        flags = int(found.trace_flags) & 0xFF
        traceparent = f"00-{found.trace_id:032x}-{found.span_id:016x}-{flags:02x}"
        return attrs.evolve(call, annotations={**call.annotations, TRACEPARENT: traceparent})

    def _end(self, span: Any, call: Call, outcome: Outcome) -> None:
        if not span.is_recording():
            return
        span.set_attributes(_of_outcome(outcome))
        if outcome.error is not None:
            status = self._api.Status(self._api.StatusCode.ERROR, outcome.error.code)
            span.set_status(status)


def _api() -> Any:
    try:
        return importlib.import_module("opentelemetry.trace")
    except ImportError:
        raise KernelConfigError(
            "Tracing needs opentelemetry-api; install it with "
            '`python -m pip install "nxkernel[otel]"`'
        ) from None


def _of_call(call: Call) -> Mapping[str, Any]:
    facts = {
        "rpc.system": _SCOPE,
        "rpc.service": call.plugin,
        "rpc.method": call.hook,
        "nxkernel.run_id": call.run_id,
        "nxkernel.call_id": call.call_id,
        "nxkernel.impl": call.impl,
        "nxkernel.phase": call.phase,
        "nxkernel.caller": call.caller,
        "nxkernel.level": call.level,
        "nxkernel.historic": call.historic,
        "nxkernel.input.digest": call.input_digest,
        "nxkernel.input.bytes": len(call.payload),
    }
    return {name: value for name, value in facts.items() if value is not None}


def _of_outcome(outcome: Outcome) -> Mapping[str, Any]:
    timing, error = outcome.timing, outcome.error
    used = attrs.asdict(timing.used) if timing.used is not None else {}
    facts = {
        "nxkernel.attempts": outcome.attempts,
        "nxkernel.degraded": outcome.degraded,
        "nxkernel.output.digest": outcome.output_digest,
        "nxkernel.output.bytes": outcome.output_bytes,
        "nxkernel.queue_us": timing.queue_us,
        "nxkernel.transport_us": timing.transport_us,
        "nxkernel.plugin_us": timing.plugin_us,
        "nxkernel.instance": timing.instance,
        **{f"nxkernel.{name}": value for name, value in used.items()},
        "error.type": error.code if error else None,
        "nxkernel.fault": outcome.fault,
        "nxkernel.origin": outcome.origin,
    }
    return {name: value for name, value in facts.items() if value is not None}
