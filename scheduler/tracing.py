"""Traces: one delivery followed from its POST to its outcome, through every process, by its id.

The context of the accepting request is stored with the post (W3C traceparent), so that what a
worker does days later hangs below it. Off, which is the default, a hook costs one comparison and
OpenTelemetry is not imported. Where traces go is said by the standard variables
(OTEL_EXPORTER_OTLP_ENDPOINT, …); what goes there holds ids, names of channels, hosts and statuses,
and no address, text or credential.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Protocol

from aiohttp import ClientHandlerType, ClientRequest, ClientResponse

from scheduler import __version__
from scheduler.logs import redact_text

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Tracer

Attributes = Mapping[str, str | int]

HOW = "install estafette[tracing], or unset ESTAFETTE_TRACING"
_NOTHING: AbstractContextManager[None] = nullcontext()
_NONE: Attributes = {}
_tracer: Tracer | None = None


class TracingError(Exception):
    """Traces are wanted and cannot be made."""


class Traced(Protocol):
    """What a span says of a delivery."""

    @property
    def id(self) -> str: ...
    @property
    def post_id(self) -> str: ...
    @property
    def account_id(self) -> str: ...
    @property
    def attempt(self) -> int: ...
    @property
    def trace(self) -> str | None: ...


def on() -> bool:
    """Whether anything is traced: ask before preparing what only a span needs."""
    return _tracer is not None


@asynccontextmanager
async def exporting() -> AsyncIterator[None]:
    """Make spans and send them off while the context lasts. Error: TracingError."""
    global _tracer  # noqa: PLW0603 -- as for metrics: one a process
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise TracingError(f"traces need OpenTelemetry: {HOW}") from error
    resource = Resource.create()
    if str(resource.attributes["service.name"]).startswith("unknown_service"):
        resource = resource.merge(Resource({"service.name": "estafette"}))
    provider = TracerProvider(resource=resource)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    _tracer = provider.get_tracer("estafette", __version__)
    try:
        yield
    finally:
        _tracer = None
        await asyncio.to_thread(provider.shutdown)  # sends what is left


def span(
    name: str, parent: str | None = None, attributes: Attributes = _NONE, *, serves: bool = False
) -> AbstractContextManager[None]:
    """A span around what is done inside, below `parent` (a traceparent) or what is around it.
    `serves`: it answers somebody's request."""
    if _tracer is None:
        return _NOTHING
    return _around(_tracer, name, parent, attributes, serves=serves)


def record(
    name: str, parent: str | None, begun_us: int, ended_us: int, attributes: Attributes = _NONE
) -> None:
    """A span of what is over; moments are microseconds since 1970."""
    if _tracer is None or parent is None:
        return
    made = _tracer.start_span(
        name, _context(parent), attributes=_clean(attributes), start_time=begun_us * 1000
    )
    made.end(ended_us * 1000)


def note(attributes: Attributes) -> None:
    """Say more of the span around."""
    if _tracer is None:
        return
    from opentelemetry.trace import get_current_span

    get_current_span().set_attributes(_clean(attributes))


def here() -> str | None:
    """The traceparent of the span around; None when there is none, or nobody keeps it."""
    if _tracer is None:
        return None
    from opentelemetry.trace import get_current_span

    context = get_current_span().get_span_context()
    if not context.is_valid:
        return None
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


def of(delivery: Traced, **more: str | int) -> Attributes:
    """What names a delivery in a span."""
    return {
        "estafette.delivery.id": delivery.id,
        "estafette.post.id": delivery.post_id,
        "estafette.account.id": delivery.account_id,
        "estafette.attempt": delivery.attempt,
        **{f"estafette.{name}": value for name, value in more.items()},
    }


def record_all(name: str, begun_us: int, ended_us: int, traced: Iterable[Traced]) -> None:
    """One span a delivery of what was done for all of them at once."""
    if _tracer is None:
        return
    for delivery in traced:
        record(name, delivery.trace, begun_us, ended_us, of(delivery))


async def client_span(request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
    """Middleware of an aiohttp client: a span a request. The path may hold a credential (a
    webhook's does), so that a span has only the host."""
    attributes: Attributes = {
        "http.request.method": request.method,
        "server.address": request.url.host or "",
        "server.port": request.url.port or 0,
    }
    with span(f"HTTP {request.method}", None, attributes):
        response = await handler(request)
        note({"http.response.status_code": response.status})
        return response


@contextmanager
def _around(
    tracer: Tracer, name: str, parent: str | None, attributes: Attributes, *, serves: bool
) -> Iterator[None]:
    from opentelemetry.trace import SpanKind, StatusCode

    with tracer.start_as_current_span(
        name,
        None if parent is None else _context(parent),
        kind=SpanKind.SERVER if serves else SpanKind.INTERNAL,
        attributes=_clean(attributes),
        record_exception=False,  # its words may hold what must not leave
        set_status_on_exception=False,
    ) as made:
        try:
            yield
        except BaseException as error:
            made.set_status(StatusCode.ERROR)
            made.set_attribute("error.type", type(error).__name__)
            raise


def _context(parent: str) -> Context:
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    return TraceContextTextMapPropagator().extract({"traceparent": parent})


def _clean(attributes: Attributes) -> dict[str, str | int]:
    return {
        name: redact_text(value) if isinstance(value, str) else value
        for name, value in attributes.items()
    }
