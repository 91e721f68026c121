"""Tracing: a span for every call, with the real SDK."""

from __future__ import annotations

import sys
from typing import Any

import attrs
import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

from nxkernel.dispatch.stack import open_stack
from nxkernel.errors import KernelConfigError
from nxkernel.host.replies import traceparent_of
from nxkernel.middleware.tracing import Tracing
from nxkernel.types import Call
from tests.unit.audit.logs import failed, make_call, ok


@pytest.fixture
def recorder() -> InMemorySpanExporter:
    """What records spans."""
    return InMemorySpanExporter()


@pytest.fixture
def tracing(recorder: InMemorySpanExporter) -> Tracing:
    """The middleware, with a provider of its own."""
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(recorder))
    return Tracing(provider)


def through(tracing: Tracing, call: Call, outcome: Any = None) -> Call:
    """Send *call* through the stack and return it as it would have been sent."""
    opened = open_stack([tracing], call)
    opened.close(outcome or ok(opened.call))
    return opened.call


def test_every_call_has_a_span(tracing: Tracing, recorder: InMemorySpanExporter) -> None:
    """Its name says who was asked for what, its attributes what became of it."""
    through(tracing, make_call("7"))
    (span,) = recorder.get_finished_spans()
    assert span.name == "ocr.rapid read_tokens"
    assert span.attributes is not None
    assert span.attributes["nxkernel.call_id"] == "7"
    assert span.attributes["nxkernel.plugin_us"] == 3


def test_no_argument_and_no_value_is_told(tracing: Tracing, recorder: InMemorySpanExporter) -> None:
    """Spans leave the machine: they hold names, sizes, digests and times, and no text of errors."""
    through(tracing, make_call("1"))
    call = make_call("2")
    through(tracing, call, failed(call, exception="KeyError"))
    for span in recorder.get_finished_spans():
        assert "geheim" not in span.to_json()


def test_the_worker_is_told_the_span(tracing: Tracing, recorder: InMemorySpanExporter) -> None:
    """The annotation is a traceparent of the span, which the host takes and passes on."""
    sent = through(tracing, make_call())
    context = recorder.get_finished_spans()[0].get_span_context()
    assert context is not None
    told, _, flags = traceparent_of(sent).rpartition("-")
    assert told == f"00-{context.trace_id:032x}-{context.span_id:016x}"
    assert int(flags, 16) & 1


def test_a_call_that_is_not_sampled_says_so(recorder: InMemorySpanExporter) -> None:
    """The flag travels, so that a plugin's SDK records nothing either."""
    sent = through(Tracing(TracerProvider(sampler=ALWAYS_OFF)), make_call())
    assert not int(traceparent_of(sent)[-2:], 16) & 1
    assert recorder.get_finished_spans() == ()


def test_a_retry_is_an_event_of_the_span(tracing: Tracing, recorder: InMemorySpanExporter) -> None:
    """A call that was lost and made again is one span, on which the loss is noted."""
    call = make_call("1", retries=1)
    opened = open_stack([tracing], call)
    tracing.retrying(call, failed(call, "plugin.crashed"), attrs.evolve(call, attempt=2))
    opened.close(ok(opened.call))
    (span,) = recorder.get_finished_spans()
    (event,) = span.events
    assert event.name == "retry"
    assert dict(event.attributes or {}) == {"error.type": "plugin.crashed", "nxkernel.attempt": 2}


def test_a_call_that_is_broken_off_ends_its_span(
    tracing: Tracing, recorder: InMemorySpanExporter
) -> None:
    """Whatever interrupts the host, no span stays open and none is kept."""
    layer = tracing.around(make_call())
    next(layer)
    layer.close()
    assert len(recorder.get_finished_spans()) == 1
    assert tracing._spans == {}


@pytest.mark.parametrize(
    "said", [None, 7, "", "00-xyz", "00-" + "A" * 32 + "-" + "1" * 16 + "-01", "\n" + "0" * 55]
)
def test_what_is_no_traceparent_is_not_passed_on(said: object) -> None:
    """Another middleware may write the annotation; only the form of the standard crosses."""
    assert traceparent_of(make_call(annotations={"traceparent": said})) == ""


def test_without_the_library_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra is named at once, not at the first call."""
    monkeypatch.setitem(sys.modules, "opentelemetry.trace", None)
    with pytest.raises(KernelConfigError, match=r"nxkernel\[otel\]"):
        Tracing()


def test_without_an_sdk_nothing_is_recorded_and_nothing_told() -> None:
    """The API alone does nothing; calls go through as they are."""
    call = make_call()
    opened = open_stack([Tracing()], call)
    assert opened.call is call
    assert opened.close(ok(call)).ok
