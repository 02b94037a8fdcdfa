"""Traces over Kafka: each recorded event's trace goes on through the hop, and the batch links to all of them.

Only events whose trace is recorded (the flag in their traceparent) cost anything; the others pass theirs on unchanged.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from opentelemetry import trace
from opentelemetry.trace import Link, Span, SpanContext, SpanKind, TraceFlags
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from shared.kit.consuming.decode import Unreadable
from shared.kit.messaging.work import Event

_PROPAGATOR = TraceContextTextMapPropagator()
Item = Event[Any] | Unreadable


def _recorded(item: Item) -> bool:
    return isinstance(item, Event) and item.traceparent is not None and item.traceparent.endswith("-01")


def _context_of(traceparent: str) -> SpanContext:
    _, trace_id, span_id, flags = traceparent.split("-")
    return SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=TraceFlags(int(flags, 16)))


def _traceparent(span: Span) -> str:
    context = span.get_span_context()
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


@contextmanager
def consuming(topic: str, items: Sequence[Item]) -> Iterator[list[Item]]:
    """Spans around one batch: yields the items, recorded ones with the traceparent of their span in this hop."""
    recorded = [item for item in items if _recorded(item)]
    if not recorded:
        yield list(items)
        return
    tracer = trace.get_tracer("beegrid.consumer")
    links = [Link(_context_of(item.traceparent)) for item in recorded if isinstance(item, Event) and item.traceparent]
    attributes = {"messaging.system": "kafka", "messaging.destination.name": topic}
    with tracer.start_as_current_span(
        f"{topic} batch", kind=SpanKind.CONSUMER, links=links, attributes=attributes
    ) as batch:
        batch.set_attribute("messaging.batch.message_count", len(items))
        spans: list[Span] = []
        continued: list[Item] = []
        for item in items:
            if isinstance(item, Event) and _recorded(item):
                parent = _PROPAGATOR.extract({"traceparent": item.traceparent or ""})
                link = [Link(batch.get_span_context())]
                span = tracer.start_span(f"{topic} process", parent, SpanKind.CONSUMER, attributes, link)
                spans.append(span)
                item = replace(item, traceparent=_traceparent(span))
            continued.append(item)
        try:
            yield continued
        finally:
            for span in spans:
                span.end()
