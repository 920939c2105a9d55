"""The settings, read once from the environment into a frozen object that is passed to every part.

Every node reads the same variables, prefix `DASK_GRAPHQL_`. A wrong value stops the node at start.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from cluster.errors import SettingError
from cluster.redis_url import InvalidRedisUrl, check_redis_url

PREFIX: Final = "DASK_GRAPHQL_"
CLIENT_VARIABLES: Final = ("DASK_GRAPHQL_TOKEN",)
"""What the command `submit` reads from the same environment; no node's setting."""


class _Refused(Exception):
    """A parser's refusal; carries what was expected."""


def _whole(minimum: int, maximum: int | None = None) -> Callable[[str], int]:
    span = f"a whole number from {minimum}" + ("" if maximum is None else f" to {maximum}")

    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise _Refused(span) from None
        if value < minimum or (maximum is not None and value > maximum):
            raise _Refused(span)
        return value

    return parse


def _number(minimum: float, what: str) -> Callable[[str], float]:
    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = -1.0
        if not minimum <= value < float("inf"):
            raise _Refused(f"{what}, {minimum:g} or more")
        return value

    return parse


def _seconds(minimum: float) -> Callable[[str], float]:
    return _number(minimum, "a number of seconds")


def _url(*schemes: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        try:
            parts = urlsplit(text)
        except ValueError:  # "Invalid IPv6 URL"
            parts = urlsplit("")
        # A file has no host; everything else has one, or a bucket.
        leads = parts.path if parts.scheme == "file" else parts.netloc
        if parts.scheme not in schemes or not leads or (parts.scheme == "file" and parts.netloc):
            raise _Refused("a URL that begins with " + " or ".join(f"{scheme}://" for scheme in schemes))
        return text

    return parse


def _redis_url(text: str) -> str:
    try:
        return check_redis_url(text)
    except InvalidRedisUrl as error:
        raise _Refused(str(error)) from None


def _address(text: str) -> str:
    if (
        not re.fullmatch(r"(tcp|tls)://(\[[0-9A-Fa-f:]+\]|[^\s:/\[\]]+):\d{1,5}", text)
        or not 0 < int(text.rpartition(":")[2]) < 65536
    ):
        raise _Refused("an address such as tcp://host:8786 or tls://host:8786")
    return text


def _host(text: str) -> str:
    try:
        known = ":" not in text or bool(ipaddress.ip_address(text))
    except ValueError:
        known = False
    if not known or re.search(r"[\s/@?#]", text):
        raise _Refused("an address or a name, without a port, as 127.0.0.1 or ::1")
    return text


def _place(text: str) -> str:
    host, _, port = text.rpartition(":")
    if not host or re.search(r"[\s/@]", host) or not re.fullmatch(r"\d{1,5}", port) or int(port) > 65535:
        raise _Refused("HOST:PORT, or nothing for no dashboard")
    return text


def _modules(text: str) -> tuple[str, ...]:
    names = tuple(part.strip() for part in text.split(",") if part.strip())
    for name in names:
        if not all(part.isidentifier() for part in name.split(".")):
            raise _Refused("importable module names, separated by commas")
    return names


def _words(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise _Refused("a number from 0 to 1")
    return value


def _proxies(text: str) -> str:
    names = [part.strip() for part in text.split(",") if part.strip()]
    for name in names:
        try:
            if name != "*":
                ipaddress.ip_network(name, strict=False)
        except ValueError:
            raise _Refused("IP addresses or networks such as 10.0.0.0/16, separated by commas, or *") from None
    return ",".join(names)


def _origins(text: str) -> tuple[str, ...]:
    origins = tuple(part.strip() for part in text.split(",") if part.strip())
    for origin in origins:
        if origin != "*" and not re.fullmatch(r"https?://[^/\s?#@]+", origin):
            raise _Refused("origins such as https://app.example.com, without a path, separated by commas, or *")
    return origins


def _boolean(text: str) -> bool:
    value = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
    if text.lower() not in value:
        raise _Refused("true or false")
    return value[text.lower()]


def _matching(pattern: str, expected: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise _Refused(expected)
        return text

    return parse


def setting(default: Any, parse: Callable[[str], Any], meaning: str, *, secret: bool = False) -> Any:
    """Declares one setting: its default, its parser, and the text for the documentation."""
    return field(default=default, repr=not secret, metadata={"parse": parse, "meaning": meaning, "secret": secret})


@dataclass(frozen=True)
class Settings:
    """All settings. Durations are seconds, sizes are bytes."""

    redis_url: str = setting(
        "redis://127.0.0.1:6379/0",
        _redis_url,
        "Redis 6.2 or later, or Valkey, with an append-only file: redis://user:password@host:6379/0, `rediss://` for "
        "TLS, or unix:///path. Special characters of a password are percent-encoded (`@` is `%40`).",
        secret=True,
    )
    key_prefix: str = setting(
        "dg",
        _matching(r"[A-Za-z0-9_.-]{1,32}", "1 to 32 letters, digits, '_', '.' or '-'"),
        "First part of every key and channel in Redis, so that several systems can share one server.",
    )
    scheduler: str = setting(
        "tcp://127.0.0.1:8786", _address, "Where api nodes, workers and the controller find the Dask scheduler."
    )
    scheduler_listen: str = setting(
        "",
        lambda text: _address(text) if text else "",
        "Where the scheduler listens, if that is not the address by which others find it.",
    )
    tls_ca: str = setting("", str, "With a tls:// scheduler: the authority's certificate, a PEM file or its text.")
    tls_cert: str = setting("", str, "With a tls:// scheduler: this node's certificate, a PEM file or its text.")
    tls_key: str = setting(
        "", str, "With a tls:// scheduler: the private key of TLS_CERT, a PEM file or its text.", secret=True
    )
    allow_open_scheduler: bool = setting(
        False,
        _boolean,
        "Lets the scheduler listen on an address other than loopback without TLS. Only on a network of its own: "
        "whoever reaches it runs any code on every worker.",
    )
    dashboard: str = setting(
        "",
        lambda text: _place(text) if text else "",
        "HOST:PORT of Dask's own dashboard on the scheduler; empty for none. Needs the extra `dashboard` (bokeh).",
    )
    task_modules: tuple[str, ...] = setting(
        (), _modules, "Importable modules with @task functions, separated by commas; the same list for every node."
    )
    host: str = setting("127.0.0.1", _host, "Address on which the api listens.")
    port: int = setting(8000, _whole(1, 65535), "Port on which the api listens.")
    allow_public: bool = setting(
        False,
        _boolean,
        "Lets the api listen on an address other than loopback, where anyone who reaches it may submit.",
    )
    authentication: str = setting(
        "none",
        _matching("none|required", "none or required"),
        "`required`: every caller shows an API key (`dask-graphql keys`) or a JWT (OIDC_ISSUER or JWKS_FILE).",
    )
    oidc_issuer: str = setting(
        "",
        lambda text: _url("https", "http")(text) if text else "",
        "Issuer of JWTs; its keys are found by OpenID Connect discovery.",
    )
    jwks_file: str = setting(
        "", str, "File with the JSON Web Key Set that JWTs are checked with, instead of discovery."
    )
    jwt_audience: str = setting("", str, "The `aud` that a JWT must have. Needed with OIDC_ISSUER or JWKS_FILE.")
    jwt_tenant_claim: str = setting("sub", str, "The claim of a JWT that names the caller's tenant.")
    tenants: str = setting(
        "shared",
        _matching("shared|isolated", "shared or isolated"),
        "`shared`: the same input is one task for all callers. `isolated`: one per tenant, who sees no others.",
    )
    submissions_per_minute: int = setting(
        0,
        _whole(0),
        "Most submissions of one caller (without authentication: of one address) per minute; 0 for no limit.",
    )
    trusted_proxies: str = setting(
        "127.0.0.1",
        _proxies,
        "Addresses or networks of proxies whose X-Forwarded-For tells where a request comes from, separated by commas; "
        "* for all.",
    )
    sockets_per_client: int = setting(
        1_000, _whole(1), "Most open WebSockets and event streams of one caller, or address, on one api node."
    )
    allowed_origins: tuple[str, ...] = setting(
        (),
        _origins,
        "Other sites whose pages may use this api, as https://app.example.com, separated by commas; * for all.",
    )
    introspection: bool = setting(True, _boolean, "Whether clients may ask for the schema.")
    graphiql: bool = setting(True, _boolean, "Whether a browser gets GraphiQL at /graphql.")
    persisted_operations: str = setting(
        "",
        str,
        "JSON file of operations that clients may name by hash: an object of SHA-256 (hex) -> document. Read at start.",
    )
    persisted_operations_only: bool = setting(
        False, _boolean, "Refuses every operation that is not in PERSISTED_OPERATIONS."
    )
    document_tokens: int = setting(2_000, _whole(10), "Most tokens of a GraphQL document.")
    document_depth: int = setting(20, _whole(1, 100), "Deepest nesting of a GraphQL document's fields.")
    document_aliases: int = setting(200, _whole(0), "Most aliases in a GraphQL document.")
    document_cost: int = setting(
        10_000,
        _whole(10),
        "Most that an operation may cost: 10 for a field that asks Redis, 1 for others, times list sizes.",
    )
    variable_values: int = setting(
        20_000,
        _whole(10),
        "Most values, nested ones too, in the variables of an operation; five plain items of lists count as one.",
    )
    blob_url: str = setting(
        "",
        lambda text: _url("file", "s3")(text) if text else "",
        "Where large values lie: file:///folder (shared by api nodes and workers) or s3://bucket/prefix. "
        "Empty: the folder `blobs` below DATA_DIR.",
    )
    data_dir: Path = setting(Path(".data"), Path, "Folder for what a local system keeps: Redis's file, blobs, logs.")
    result_ttl_seconds: int = setting(
        86_400, _whole(0), "How long a record and its result are kept after the end; 0 keeps them for ever."
    )
    inline_limit_bytes: int = setting(
        1_000_000,
        _whole(1_000, 16_000_000),
        "Longest value that a record carries itself; what is longer goes to the blob store.",
    )
    fibonacci_max_n: int = setting(1_000_000_000, _whole(0, 2**31 - 1), "Largest n that `fibonacci` accepts.")
    batch_limit: int = setting(1_000, _whole(1, 10_000), "Most inputs of one submit<Name>Many and ids of taskResults.")
    subscription_limit: int = setting(20_000, _whole(1), "Most open subscriptions of one api node.")
    socket_operation_limit: int = setting(1_000, _whole(1), "Most operations that one WebSocket may have open at once.")
    socket_unsent_bytes: int = setting(
        8_000_000,
        _whole(64_000),
        "Most bytes of results that are on their way to one client; further ones wait in Redis until it has read. A "
        "WebSocket for which eight times as much waits is ended.",
    )
    event_limit: int = setting(
        1_000, _whole(10, 100_000), "Most events that are kept for one task; the oldest go first."
    )
    fleet: str = setting(
        "local",
        _matching("local|ecs", "local or ecs"),
        "Where the controller's workers come from: processes on its machine, or tasks of an ECS cluster (ECS_*).",
    )
    ecs_cluster: str = setting("", str, "With FLEET=ecs: ARN or name of the ECS cluster.")
    ecs_task_definition: str = setting(
        "",
        str,
        "With FLEET=ecs: the workers' task definition, family:revision or ARN.",
    )
    ecs_subnets: tuple[str, ...] = setting((), _words, "With FLEET=ecs: subnets of the workers, separated by commas.")
    ecs_security_groups: tuple[str, ...] = setting(
        (), _words, "With FLEET=ecs: security groups of the workers, separated by commas."
    )
    ecs_assign_public_ip: bool = setting(
        False, _boolean, "With FLEET=ecs: whether workers have public addresses, as in a VPC without NAT or endpoints."
    )
    ecs_spot_share: float = setting(
        0.0,
        _share,
        "With FLEET=ecs on Fargate: which share of the workers is Spot, 0 to 1; on demand where there is none.",
    )
    ecs_capacity: str = setting(
        "fargate",
        _matching("fargate|ec2", "fargate or ec2"),
        "With FLEET=ecs: what workers run on: Fargate, or the cluster's default capacity provider of EC2 instances.",
    )
    ecs_vcpu_hour_price: float = setting(
        0.04048,
        _number(0, "an amount"),
        "With FLEET=ecs: US dollars for a vCPU-hour on Fargate, for `costPerHour`; of us-east-1.",
    )
    ecs_gb_hour_price: float = setting(
        0.004445,
        _number(0, "an amount"),
        "With FLEET=ecs: US dollars for a GB-hour on Fargate, for `costPerHour`; of us-east-1.",
    )
    ecs_spot_discount: float = setting(
        0.7, _share, "With FLEET=ecs: how much less Spot costs, for `costPerHour`, 0 to 1."
    )
    min_workers: int = setting(1, _whole(0), "Fewest workers that the controller keeps.")
    max_workers: int = setting(
        os.cpu_count() or 1, _whole(1), "Most workers that the controller starts. Default: the machine's cores."
    )
    worker_threads: int = setting(
        1, _whole(1, 256), "Tasks that one worker runs at a time. More than one only for code that releases the GIL."
    )
    worker_memory_bytes: int = setting(
        0,
        _whole(0),
        "Memory of one worker. 0: all that the machine or the container has; local workers of one controller share it.",
    )
    worker_stuck_seconds: float = setting(
        120.0,
        _seconds(0),
        "How long the event loop of a worker process may stand still though its threads run, until the process is "
        "replaced. A task that holds the interpreter is not meant: it may. 0: for ever.",
    )
    worker_start_seconds: float = setting(
        120.0,
        _seconds(1),
        "How long a worker that runs may take until it serves, the import of its task modules included, before the "
        "controller stops it. The next one gets twice as long, up to ten times this.",
    )
    drain_seconds: float = setting(
        100.0,
        _seconds(0),
        "How long a worker that is asked to stop goes on with what it runs. Fargate Spot gives 120 s in all.",
    )
    queue_limit: int = setting(
        100_000, _whole(1), "Most tasks that may wait in QUEUED, of all task types; beyond it submissions are refused."
    )
    expose_tracebacks: bool = setting(
        False, _boolean, "Keeps the traceback of a failing task in its record, where clients can read it."
    )
    lost_worker_limit: int = setting(
        3, _whole(1, 100), "How many workers one task may take with it before it is FAILED with WORKER_LOST."
    )
    shutdown_seconds: float = setting(
        8.0, _seconds(0.1), "How long an api node lets requests end before it closes its sockets at a stop."
    )
    metrics_port: int = setting(
        0,
        _whole(0, 65535),
        "Port of /metrics of the scheduler, a worker or the controller; 0 for none. An api node has it on PORT.",
    )
    metrics_host: str = setting(
        "127.0.0.1",
        _host,
        "Address of METRICS_PORT. Whoever reaches it reads the metrics: only in a network of one's own another one.",
    )
    log_format: str = setting(
        "auto",
        _matching("json|text|auto", "json, text or auto"),
        "How the log is written: a JSON object a line, or text. `auto`: JSON in a container, unless at a terminal.",
    )
    log_level: str = setting(
        "INFO", _matching("DEBUG|INFO|WARNING|ERROR", "DEBUG, INFO, WARNING or ERROR"), "What is logged to stderr."
    )

    @property
    def scheduler_bind(self) -> str:
        """The address on which the scheduler listens."""
        return self.scheduler_listen or self.scheduler

    @property
    def blob_store_url(self) -> str:
        """The blob store's URL, with the default filled in."""
        return self.blob_url or (self.data_dir / "blobs").absolute().as_uri()

    def environment(self) -> dict[str, str]:
        """These settings as environment variables, for a process that this one starts."""
        return {variable_of(item.name): _text(getattr(self, item.name)) for item in fields(self)}


def variable_of(name: str) -> str:
    """The environment variable of a setting."""
    return PREFIX + name.upper()


def _text(value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def load_settings(environment: Mapping[str, str] | None = None, **options: Any) -> Settings:
    """Reads the settings.

    Args:
        environment: where the variables are; default: the process's environment. An empty text counts as not set.
        options: command-line options, which win over the environment; None counts as not given.

    Raises:
        SettingError: a value is wrong, or a variable with our prefix is unknown (a misspelt one would be ignored).
    """
    environment = os.environ if environment is None else environment
    known = {variable_of(item.name): item for item in fields(Settings)}
    for variable in environment:
        if variable.startswith(PREFIX) and variable not in known and variable not in CLIENT_VARIABLES:
            # Its value is not shown: it may be a misspelt secret.
            raise SettingError(variable, "(not shown)", "no variable of this name; docs/settings.md lists them")
    values: dict[str, Any] = {}
    for variable, item in known.items():
        text = environment.get(variable, "").strip()
        if text:
            try:
                values[item.name] = item.metadata["parse"](text)
            except _Refused as refused:
                shown = "(not shown: it may hold a password)" if item.metadata["secret"] else text
                raise SettingError(variable, shown, str(refused)) from None
    settings = replace(Settings(**values), **{name: value for name, value in options.items() if value is not None})
    return _checked(settings)


def check_public(settings: Settings) -> None:
    """For the node that serves the api.

    Raises:
        SettingError: it would listen on a public address, where nobody is asked who they are and nobody said it may.
    """
    if (
        settings.host not in ("127.0.0.1", "::1", "localhost")
        and not settings.allow_public
        and settings.authentication == "none"
    ):
        raise SettingError(
            variable_of("host"),
            settings.host,
            "127.0.0.1, unless DASK_GRAPHQL_AUTHENTICATION=required, or DASK_GRAPHQL_ALLOW_PUBLIC=true says that "
            "whoever reaches the address may submit",
        )


def _checked(settings: Settings) -> Settings:
    """Rules between settings."""
    if settings.min_workers > settings.max_workers:
        raise SettingError(
            variable_of("min_workers"), str(settings.min_workers), f"at most MAX_WORKERS, {settings.max_workers}"
        )
    if settings.fleet == "ecs":
        for name in ("ecs_cluster", "ecs_task_definition", "ecs_subnets", "ecs_security_groups"):
            if not getattr(settings, name):
                raise SettingError(variable_of(name), None, "a value, as FLEET is ecs")
    given = [name for name in ("tls_ca", "tls_cert", "tls_key") if getattr(settings, name)]
    if given and not settings.scheduler.startswith("tls://"):
        # What is not used would be taken for protection.
        expected = f"a tls:// address, as {variable_of(given[0])} is set"
        raise SettingError(variable_of("scheduler"), settings.scheduler, expected)
    if settings.scheduler_listen and urlsplit(settings.scheduler_listen).scheme != urlsplit(settings.scheduler).scheme:
        raise SettingError(
            variable_of("scheduler_listen"), settings.scheduler_listen, "the scheme of SCHEDULER, tcp:// or tls://"
        )
    if settings.tenants == "isolated" and settings.authentication == "none":
        raise SettingError(
            variable_of("tenants"), "isolated", "shared, or DASK_GRAPHQL_AUTHENTICATION=required with it"
        )
    if settings.oidc_issuer and settings.jwks_file:
        raise SettingError(variable_of("jwks_file"), settings.jwks_file, "nothing, as OIDC_ISSUER is set")
    if (settings.oidc_issuer or settings.jwks_file) and not settings.jwt_audience:
        raise SettingError(
            variable_of("jwt_audience"), None, "the audience that the issuer writes into tokens for this api"
        )
    if settings.persisted_operations_only and not settings.persisted_operations:
        raise SettingError(variable_of("persisted_operations_only"), "true", "false, or a file in PERSISTED_OPERATIONS")
    return settings
