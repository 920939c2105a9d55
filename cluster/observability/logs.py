"""The log of a node: one line on stderr for each message, as JSON or as text.

Every line names the node, and the task, attempt and trace that it is about, if any. Secrets are redacted. Messages that
clients can trigger repeatedly are logged a few times and then counted.
"""

from __future__ import annotations

import logging
import os
import re
import socket
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TextIO
from urllib.parse import urlsplit

import orjson

from cluster.observability import metrics
from cluster.settings import Settings

MAX_REPEATS: Final = 20
"""Lines from one call site within WINDOW_SECONDS; further ones are counted."""
WINDOW_SECONDS: Final = 10.0
LIMITED: Final = (
    "cluster",
    "graphql_api",
    "uvicorn",
    "distributed",
    "strawberry",
    "asyncio",
    "websockets",
    "py.warnings",
)
"""Loggers with limited repeats. Task functions log as their authors wish."""

DASK_LOGGING: Final = {
    "version": 1,
    "disable_existing_loggers": False,
    "loggers": {
        "distributed.client": {"level": "WARNING"},
        "bokeh": {"level": "ERROR"},
        "tornado": {"level": "CRITICAL"},
    },
}
"""Dask's own levels, without its handlers, so that its lines are handled like all others."""

SECRETS: Final = (
    (re.compile(r"(\w+://[^\s/:@]*):[^\s/@]+@"), r"\1:***@"),
    (re.compile(r"(?i)\b(bearer\s+)[\w.~+/=-]{8,}"), r"\1***"),
    (re.compile(r"\b(dgk_[0-9a-f]+)_[\w-]+"), r"\1_***"),
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END [A-Z ]*PRIVATE KEY-----|$)", re.DOTALL), "***"),
)
"""What looks like a secret: the password of a URL, a bearer token, an API key, a private key."""

LINE_LIMIT: Final = 20_000
"""Longest message and longest traceback, in characters. A traceback keeps its end, which says most."""
CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
"""Control characters, which a client may have sent and a terminal would obey."""

_context: ContextVar[Mapping[str, Any]] = ContextVar("log_context", default={})  # noqa: B039 - never changed in place


@contextmanager
def log_context(**named: Any) -> Iterator[None]:
    """Adds fields to the lines that are logged in the block: `taskId`, `attempt`, `traceId`. Empty ones are left
    out."""
    token = _context.set({**_context.get(), **{name: value for name, value in named.items() if value}})
    try:
        yield
    finally:
        _context.reset(token)


class LogFormatter(logging.Formatter):
    """Formats a message as one line.

    Args:
        node: the fields `role` and `node` (its name).
        json: as a JSON object; else as text.
        secrets: texts to redact wherever they occur.
    """

    def __init__(self, node: Mapping[str, str], *, json: bool, secrets: frozenset[str] = frozenset()) -> None:
        super().__init__()
        self._node = node
        self._json = json
        self._secrets = secrets

    def format(self, record: logging.LogRecord) -> str:
        text = self.redact(record.getMessage()[:LINE_LIMIT]) + getattr(record, "repeats", "")
        trace = self.redact(self.formatException(record.exc_info)[-LINE_LIMIT:]) if record.exc_info else ""
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        named: dict[str, Any] = {**getattr(record, "log_context", {}), **getattr(record, "fields", {})}
        if self._json:
            line = {
                "time": at,
                "level": record.levelname,
                "logger": record.name,
                "message": text,
                **self._node,
                **named,
            }
            return orjson.dumps({**line, "exception": trace} if trace else line, default=str).decode()
        node = f"{self._node['role']}/{self._node['node']}"
        words = "".join(f" {name}={value}" for name, value in named.items())
        shown = CONTROL.sub("?", f"{record.name}{words}: {text}" + (f"\n{trace}" if trace else ""))
        # Further lines of a message are indented, so that none can pass for a line of the log.
        return f"{at} {record.levelname} {node} " + shown.replace("\n", "\n  ")

    def redact(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "***")
        for pattern, instead in SECRETS:
            text = pattern.sub(instead, text)
        return text


class RepeatFilter(logging.Filter):
    """Passes the first MAX_REPEATS lines of a call site within WINDOW_SECONDS, and counts the others."""

    def __init__(self) -> None:
        super().__init__()
        self._seen: dict[tuple[str, int], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        metrics.LOG_LINES.labels(record.levelname if record.levelname in metrics.LEVELS else "INFO").inc()
        if not hasattr(record, "log_context"):
            record.log_context = _context.get()
        if record.name.partition(".")[0] not in LIMITED and record.name not in LIMITED:
            return True
        call_site, now = (record.pathname, record.lineno), time.monotonic()
        began, count = self._seen.get(call_site, (now, 0))
        if now - began > WINDOW_SECONDS:
            if count > MAX_REPEATS:
                record.repeats = f" ({count - MAX_REPEATS} similar messages were suppressed)"
            began, count = now, 0
        self._seen[call_site] = (began, count + 1)
        if count + 1 == MAX_REPEATS:
            record.repeats = f" (similar messages are suppressed for {WINDOW_SECONDS:g} s)"
        return count < MAX_REPEATS


def set_up_logging(settings: Settings, role: str, name: str = "", stream: TextIO | None = None) -> None:
    """Makes all loggers of this process, including Dask's, write this node's log.

    Args:
        role: `api`, `scheduler`, `worker`, `controller`, or `dev`.
        name: this node's name, unique among running nodes; default: host name and process id.
        stream: where to write; default: stderr.
    """
    os.environ.setdefault("DASK_LOGGING", repr(DASK_LOGGING))
    stream = stream or sys.stderr
    handler = logging.StreamHandler(stream)
    node = {"role": role, "node": name or f"{socket.gethostname()}-{os.getpid()}"}
    json = settings.log_format == "json" or (
        settings.log_format == "auto" and not stream.isatty() and in_container(os.environ)
    )
    handler.setFormatter(LogFormatter(node, json=json, secrets=secret_values(settings)))
    handler.addFilter(RepeatFilter())
    logging.basicConfig(level=settings.log_level, handlers=[handler], force=True)
    logging.captureWarnings(True)


def in_container(environment: Mapping[str, str]) -> bool:
    """Returns whether this process runs in a container, whose log a machine reads."""
    variables = ("ECS_CONTAINER_METADATA_URI_V4", "KUBERNETES_SERVICE_HOST", "container")
    return any(environment.get(name) for name in variables) or any(
        Path(mark).exists() for mark in ("/.dockerenv", "/run/.containerenv")
    )


def secret_values(settings: Settings) -> frozenset[str]:
    """Returns the values of secret settings; of a URL, the password."""
    values = {str(getattr(settings, item.name)) for item in fields(settings) if item.metadata["secret"]}
    passwords = {urlsplit(value).password or "" if "://" in value else value for value in values}
    return frozenset(secret for secret in passwords if len(secret) >= 4)
