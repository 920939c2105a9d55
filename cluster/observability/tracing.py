"""Traces by OpenTelemetry: a submission, its way to a worker and its delivery are one trace.

Off, and nothing of it imported, unless the standard OTEL_* variables name an exporter. The trace context travels as W3C
`traceparent`: in a request's header, in the task's record, and from there to whoever works on the task.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Final, Literal

from cluster.errors import SettingError
from cluster.observability.logs import log_context
from cluster.version import __version__

Kind = Literal["SERVER", "PRODUCER", "CONSUMER", "INTERNAL"]

ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
PROTOCOLS: Final = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")

_tracer: Any = None
_provider: Any = None


class Span:
    """A span that is open, or stands for none.

    Attributes:
        traceparent: its W3C trace context; where nothing is traced, that of its parent.
    """

    def __init__(self, traceparent: str, span: Any = None) -> None:
        self.traceparent = traceparent
        self._span = span

    def link(self, trace: str) -> None:
        """Points at another trace, where this one is traced and that one is there."""
        if self._span is not None and trace:
            from opentelemetry import trace as api

            self._span.add_link(api.get_current_span(_context(trace)).get_span_context())

    def set_outcome(self, error: str | None = None, **attributes: Any) -> None:
        """Adds attributes, and with `error` says that it failed."""
        if self._span is not None:
            self._span.set_attributes(_named(attributes))
            if error is not None:
                from opentelemetry.trace import StatusCode

                self._span.set_status(StatusCode.ERROR, error)


def requested(environment: Mapping[str, str]) -> bool:
    """Whether the OTEL_* variables ask for traces."""
    if environment.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return False
    if exporter := environment.get("OTEL_TRACES_EXPORTER"):
        return exporter != "none"
    return any(environment.get(name) for name in ENDPOINTS)


def set_up_tracing(role: str, name: str = "") -> None:
    """Begins to trace in this process, if OTEL_* variables ask for it.

    Args:
        role: the node's.
        name: the node's own; empty where it has none.

    Raises:
        SettingError: a variable asks for what is not there.
    """
    global _tracer, _provider
    if not requested(os.environ):
        return
    try:
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ModuleNotFoundError as error:
        raise SettingError(
            "OTEL_*", "set", f'the package {error.name}: pip install "dask-graphql[otel]", or OTEL_SDK_DISABLED=true'
        ) from error
    ours = {"service.version": __version__, "service.instance.id": name or f"{role}-{os.getpid()}"}
    if not os.environ.get("OTEL_SERVICE_NAME"):
        ours["service.name"] = f"dask-graphql-{role}"
    # OTEL_RESOURCE_ATTRIBUTES are in it; the provider reads sampler and limits from OTEL_* by itself.
    _provider = TracerProvider(resource=Resource.create(ours))
    _provider.add_span_processor(BatchSpanProcessor(_exporter()))
    _tracer = _provider.get_tracer("dask-graphql", __version__)


def _exporter() -> Any:
    kind = os.environ.get("OTEL_TRACES_EXPORTER") or "otlp"
    if kind == "console":
        from opentelemetry.sdk.trace.export import ConsoleSpanExporter

        return ConsoleSpanExporter()
    if kind != "otlp":
        raise SettingError("OTEL_TRACES_EXPORTER", kind, "otlp, console or none")
    for variable in PROTOCOLS:
        if os.environ.get(variable, "http/protobuf") != "http/protobuf":
            raise SettingError(variable, os.environ[variable], "http/protobuf")
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    return OTLPSpanExporter()


def shut_down_tracing() -> None:
    """Sends what was not sent yet; for a process that does not end in the usual way."""
    if _provider is not None:
        _provider.shutdown()


def enabled() -> bool:
    """Whether this process traces."""
    return _tracer is not None


_NONE: Final = nullcontext(Span(""))


def span(name: str, kind: Kind = "INTERNAL", parent: str = "", **attributes: Any) -> AbstractContextManager[Span]:
    """A span around the block; log lines in it carry the trace's id.

    Args:
        parent: the trace context to go on with; empty for the span that is open here, or a new trace.
        attributes: those whose value is None are left out.
    """
    return _NONE if _tracer is None and not parent else _open(name, kind, parent, attributes)


@contextmanager
def _open(name: str, kind: Kind, parent: str, attributes: Mapping[str, Any]) -> Iterator[Span]:
    if _tracer is None:
        with log_context(traceId=trace_id_of(parent)):
            yield Span(parent)
        return
    with _tracer.start_as_current_span(
        name, context=_context(parent), kind=_kind(kind), attributes=_named(attributes)
    ) as made:
        traceparent = _traceparent(made)
        with log_context(traceId=trace_id_of(traceparent)):
            yield Span(traceparent, made)


def record_span(name: str, kind: Kind, parent: str, began: float, **attributes: Any) -> None:
    """A span that ends now.

    Args:
        began: seconds since 1970.
    """
    if _tracer is not None and parent:
        start, end = int(began * 1e9), time.time_ns()
        made = _tracer.start_span(
            name, context=_context(parent), kind=_kind(kind), attributes=_named(attributes), start_time=min(start, end)
        )
        made.end(end_time=end)


def trace_id_of(traceparent: str) -> str:
    """The trace's id in a `traceparent`, or nothing."""
    parts = traceparent.split("-")
    return parts[1] if len(parts) == 4 else ""


def _context(parent: str) -> Any:
    if not parent:
        return None
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    return TraceContextTextMapPropagator().extract({"traceparent": parent})


def _traceparent(made: Any) -> str:
    context = made.get_span_context()
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


def _kind(kind: Kind) -> Any:
    from opentelemetry.trace import SpanKind

    return SpanKind[kind]


def _named(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """`task_id` is `dask_graphql.task_id`; names with a double underscore are OpenTelemetry's own, with dots."""
    return {
        name.replace("__", ".") if "__" in name else f"dask_graphql.{name}": value
        for name, value in attributes.items()
        if value is not None
    }
