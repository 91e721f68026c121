"""Spans across the process boundary, recorded by the real SDK on both sides."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import nxkernel as nx
from tests.process.conftest import Opens
from tests.support.zoo import PATIENCE_S, Hooks, Zoo, allow, code_of, folder, patient

SPANS = InMemorySpanExporter()
PROVIDER = TracerProvider()
PROVIDER.add_span_processor(SimpleSpanProcessor(SPANS))


def traced(data: Path, *animals: str) -> nx.Kernel:
    """Return a kernel whose stack begins with tracing."""
    run = nx.Run.create(data, seed=7)
    stack = [nx.Tracing(PROVIDER), *nx.standard_stack(run, rules=allow("traces", "act"))]
    hosting = nx.Hosting(timeout_s=PATIENCE_S, backoff_s=0.0)
    return nx.Kernel(
        "zoo",
        specs=[Hooks],
        run=run,
        plugins=nx.discover(*map(folder, animals)),
        middleware=stack,
        hosting=hosting,
    )


@pytest.fixture
def zoo(open_zoo: Opens) -> Iterator[Zoo]:
    """A kernel of one's own that is traced, and no span of anybody else."""
    SPANS.clear()
    yield open_zoo(traced, "traces", "dies")
    SPANS.clear()


def spans() -> list[ReadableSpan]:
    """Return the spans of the host in the order in which they began."""
    return sorted(SPANS.get_finished_spans(), key=lambda span: span.start_time or 0)


def ids(span: ReadableSpan) -> tuple[str, str]:
    """Return trace and span, in hex."""
    found = span.get_span_context()
    return f"{found.trace_id:032x}", f"{found.span_id:016x}"


def test_a_plugins_own_span_joins_the_trace(zoo: Zoo) -> None:
    """The span that the plugin makes in its worker is a child of the one around its call."""
    outcome = zoo.act("traces", 0)
    (span,) = spans()
    trace, parent, traceparent = outcome.value
    assert (trace, parent) == ids(span)
    assert traceparent.startswith(f"00-{trace}-{parent}-")
    assert span.name == "traces act"


def test_nested_calls_are_one_trace(zoo: Zoo) -> None:
    """Calls and the plugin's own spans hang together, each below the right one."""
    trace, parent, before, inner, after = zoo.act("traces", 1).value
    outer_span, inner_span = (span for span in spans() if span.name == "traces act")
    assert (trace, parent) == ids(outer_span)
    assert tuple(inner[:2]) == ids(inner_span)
    assert inner_span.parent is not None
    assert f"{inner_span.parent.span_id:016x}" == parent
    assert before == after  # the inner call has left it as it was


def test_calls_join_the_trace_of_the_application(zoo: Zoo) -> None:
    """A call within a span of the application is its child."""
    with PROVIDER.get_tracer("app").start_as_current_span("request") as request:
        zoo.act("traces", 0)
    span = next(span for span in spans() if span.name == "traces act")
    assert span.parent is not None
    assert span.parent.span_id == request.get_span_context().span_id


def test_a_span_says_what_became_of_the_call(zoo: Zoo) -> None:
    """Digest, sizes, times and level stand on it; a failure is one, with its code and fault."""
    outcome = zoo.act("traces", 0)
    assert code_of(zoo.act("dies", "exit")) == "plugin.crashed"
    fine, failed = spans()
    assert fine.attributes is not None
    assert fine.attributes["nxkernel.output.digest"] == outcome.output_digest
    assert fine.attributes["nxkernel.level"] == "confined"
    assert isinstance(fine.attributes["nxkernel.cpu_us"], int)
    assert fine.status.is_ok
    assert failed.attributes is not None
    assert failed.attributes["error.type"] == "plugin.crashed"
    assert failed.attributes["nxkernel.fault"] == "plugin"
    assert not failed.status.is_ok


def test_without_tracing_there_is_no_traceparent(open_zoo: Opens) -> None:
    """A plugin finds nothing where nobody traces, and makes traces of its own."""
    zoo = open_zoo(patient, "traces")
    assert zoo.act("traces", 0).value[1:] == ["", ""]
