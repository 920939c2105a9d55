"""Tracing with OpenTelemetry: a submission, its run on a worker and its delivery are one trace.

Off, and OpenTelemetry is not imported, unless the standard OTEL_* variables name an exporter. The trace context travels
as W3C `traceparent`: in a request's header, then in the task's record, where every node that works on the task finds
it.
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
    """An open span, or a placeholder if nothing is traced.

    Attributes:
        traceparent: its W3C trace context; that of its parent if nothing is traced.
    """

    def __init__(self, traceparent: str, span: Any = None) -> None:
        self.traceparent = traceparent
        self._span = span

    def link(self, trace: str) -> None:
        """Links this span to another trace, if there is one."""
        if self._span is not None and trace:
            from opentelemetry import trace as api

            self._span.add_link(api.get_current_span(_context(trace)).get_span_context())

    def set_outcome(self, error: str | None = None, **attributes: Any) -> None:
        """Adds attributes. `error` marks the span as failed."""
        if self._span is not None:
            self._span.set_attributes(_named(attributes))
            if error is not None:
                from opentelemetry.trace import StatusCode

                self._span.set_status(StatusCode.ERROR, error)


def requested(environment: Mapping[str, str]) -> bool:
    """Returns whether the OTEL_* variables ask for traces."""
    if environment.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return False
    if exporter := environment.get("OTEL_TRACES_EXPORTER"):
        return exporter != "none"
    return any(environment.get(name) for name in ENDPOINTS)


def set_up_tracing(role: str, name: str = "") -> None:
    """Starts tracing in this process, if OTEL_* variables ask for it.

    Args:
        role: the node's role.
        name: the node's name, or empty.

    Raises:
        SettingError: a variable asks for something that is not supported or not installed.
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
    # Resource.create adds OTEL_RESOURCE_ATTRIBUTES; the provider itself reads sampler and limits from OTEL_*.
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
    """Sends the spans that were not sent yet; for a process that skips the usual exit handlers."""
    if _provider is not None:
        _provider.shutdown()


def enabled() -> bool:
    """Returns whether this process traces."""
    return _tracer is not None


_NONE: Final = nullcontext(Span(""))


def span(name: str, kind: Kind = "INTERNAL", parent: str = "", **attributes: Any) -> AbstractContextManager[Span]:
    """Opens a span around the block; log lines in it have the trace's id.

    Args:
        parent: the trace context to continue; empty for that of the current span, or else a new trace.
        attributes: of the span; those with the value None are left out.
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
    """Records a span that ends now.

    Args:
        began: its start, seconds since 1970.
    """
    if _tracer is not None and parent:
        start, end = int(began * 1e9), time.time_ns()
        made = _tracer.start_span(
            name, context=_context(parent), kind=_kind(kind), attributes=_named(attributes), start_time=min(start, end)
        )
        made.end(end_time=end)


def trace_id_of(traceparent: str) -> str:
    """Returns the trace's id in a `traceparent`, or an empty text."""
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
    """Renames attributes: `task_id` to `dask_graphql.task_id`. A double underscore stands for a dot in OpenTelemetry's
    own names."""
    return {
        name.replace("__", ".") if "__" in name else f"dask_graphql.{name}": value
        for name, value in attributes.items()
        if value is not None
    }
