"""Traces: W3C trace context in and out, spans exported in batches, next to nothing spent on unsampled requests."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from opentelemetry import context, trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import Link, Span, SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_PROPAGATOR = TraceContextTextMapPropagator()
_TRACER = trace.get_tracer("beegrid")  # a proxy: becomes real with configure_tracing
_LINKS_MAX = 64


def configure_tracing(service: str, endpoint: str | None, ratio: float) -> TracerProvider:
    """Once per process. `ratio` of the requests that bring no trace start a recorded one; a parent's choice is kept.

    `endpoint`: OTLP over HTTP, or None: ids still flow to logs and events, nothing is exported. The caller shuts the
    provider down at the end, which sends what is left.
    """
    sampler = ParentBased(TraceIdRatioBased(ratio if endpoint else 0.0))
    provider = TracerProvider(sampler=sampler, resource=Resource.create({"service.name": service}))
    if endpoint:
        # never SimpleSpanProcessor: it sends within the request (611 requests a second fell to 127)
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint)))
    trace.set_tracer_provider(provider)
    return provider


def current_traceparent() -> str | None:
    """The W3C header of the span at hand, to be stored with an event or sent along; None outside of any."""
    span = trace.get_current_span().get_span_context()
    if not span.is_valid:
        return None
    return f"00-{span.trace_id:032x}-{span.span_id:016x}-{int(span.trace_flags) & 1:02x}"


@contextmanager
def span_from(
    traceparent: str | None, name: str, links: Iterable[str | None] = (), kind: SpanKind = SpanKind.CONSUMER
) -> Iterator[Span]:
    """A current span that continues `traceparent`, with links to other traceparents (at most 64).

    Unreadable ones are left out. An exception marks the span as failed and passes on.
    """
    parent = _extract(traceparent)
    linked = [Link(span) for span in map(_span_context, links) if span is not None]
    with _TRACER.start_as_current_span(name, parent, kind, links=linked[:_LINKS_MAX]) as span:
        yield span


class TracingMiddleware:
    """Continues the caller's trace around every HTTP request."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One server span a request, named after its route; other ASGI scopes pass through."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        parent = _extract(Headers(scope=scope).get("traceparent"))
        span = _TRACER.start_span(scope["method"], parent, SpanKind.SERVER)
        token = context.attach(trace.set_span_in_context(span))
        try:
            await self._app(scope, receive, _watched(send, span) if span.is_recording() else send)
        except BaseException as exc:
            span.record_exception(exc)
            span.set_status(StatusCode.ERROR)
            raise
        finally:
            if span.is_recording():
                route = getattr(scope.get("route"), "path", "unmatched")
                span.update_name(f"{scope['method']} {route}")
                span.set_attribute("http.route", route)
            span.end()
            context.detach(token)


def _watched(send: Send, span: Span) -> Send:
    async def watch(message: Message) -> None:
        if message["type"] == "http.response.start":
            span.set_attribute("http.response.status_code", message["status"])
            if message["status"] >= 500:
                span.set_status(StatusCode.ERROR)
        await send(message)

    return watch


def _extract(traceparent: str | None) -> context.Context:
    # always a new context: a consumer's span must not hang under whatever happens to be current
    return _PROPAGATOR.extract({"traceparent": traceparent} if traceparent else {}, context.Context())


def _span_context(traceparent: str | None) -> trace.SpanContext | None:
    span = trace.get_current_span(_extract(traceparent)).get_span_context()
    return span if span.is_valid else None
