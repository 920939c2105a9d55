"""The settings of logs and metrics. Tracing has the standard OTEL_* variables."""

from __future__ import annotations

from dataclasses import dataclass

from cluster.settings.declaration import SettingsGroup, setting
from cluster.settings.parsers import host_name, integer, matching


@dataclass(frozen=True)
class ObservabilitySettings(SettingsGroup):
    TITLE = "Logs and metrics"

    metrics_port: int = setting(
        0,
        integer(0, 65535),
        "Port of /metrics on the scheduler, a worker or the controller; 0 for none. An api node serves it on PORT.",
    )
    metrics_host: str = setting(
        "127.0.0.1",
        host_name,
        "Address on which METRICS_PORT listens. Anyone who reaches it can read the metrics: use another than loopback "
        "only in a network of your own.",
    )
    cloudwatch_namespace: str = setting(
        "",
        matching(r"|(?!AWS/)[\w./#:-]{1,255}", "empty, or up to 255 letters, digits and ./-_#:, and not AWS/..."),
        "Namespace of CloudWatch metrics, on ECS; empty for none. Once a minute a line of the node's log has its "
        "metrics in the embedded metric format, by role: about 60 in all, which AWS charges for. Needs logs in JSON.",
    )
    log_format: str = setting(
        "auto",
        matching("json|text|auto", "json, text or auto"),
        "Log format: one JSON object per line, or text. `auto`: JSON in a container, unless stderr is a terminal.",
    )
    log_level: str = setting(
        "INFO",
        matching("DEBUG|INFO|WARNING|ERROR", "DEBUG, INFO, WARNING or ERROR"),
        "Lowest level of the messages that are logged.",
    )
    audit_entries: int = setting(
        10_000,
        integer(0, 1_000_000),
        "How many entries of the audit log Redis keeps, of at most 4 kB each; 0 turns the audit log off. Its lines are "
        "also logged, by the logger `audit`.",
    )
