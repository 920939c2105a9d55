"""The settings of the api: where it listens, and what one request or client may take."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from cluster.settings.declaration import SettingsGroup, setting
from cluster.settings.parsers import (
    boolean,
    header_names,
    host_name,
    hosts,
    integer,
    networks,
    optional,
    origins,
    process_count,
    proxies,
    public_url,
    root_path,
    seconds,
)


@dataclass(frozen=True)
class ApiSettings(SettingsGroup):
    TITLE = "Api"

    host: str = setting("127.0.0.1", host_name, "Address on which the api listens.")
    port: int = setting(8000, integer(1, 65535), "Port on which the api listens.")
    api_processes: int = setting(
        1,
        process_count,
        "Number of processes of an api node, which share its port; auto: one for each core. Limits below are of all "
        "processes together unless they say otherwise.",
    )
    allow_public: bool = setting(
        False,
        boolean,
        "Lets the api listen on a non-loopback address without authentication: anyone who reaches it can submit.",
    )
    trusted_proxies: str = setting(
        "",
        optional(proxies),
        "Addresses or networks of proxies whose X-Forwarded-For, -Proto, -Host and -Prefix headers are trusted, "
        "separated by commas; * for all. By default none: anyone can write these headers.",
    )
    public_url: str = setting(
        "",
        optional(public_url),
        "URL under which clients reach the api, such as https://example.com/tasks: links in responses begin with it, "
        "its host is allowed beside ALLOWED_HOSTS, and its own pages may use the api whatever Host a proxy sends. "
        "By default what requests and TRUSTED_PROXIES say.",
    )
    root_path: str = setting(
        "",
        root_path,
        "Path under which a proxy serves the api, such as /tasks, whether or not the proxy removes it from the URLs "
        "that it passes on. By default the path of PUBLIC_URL. X-Forwarded-Prefix of TRUSTED_PROXIES comes first.",
    )
    allowed_hosts: tuple[str, ...] = setting(
        (),
        hosts,
        "Names under which clients reach the api, such as api.example.com or *.example.com, separated by commas; * for "
        "all. By default loopback's own names if HOST is loopback, else all. The address that a connection was made to "
        "is always allowed.",
    )
    allowed_origins: tuple[str, ...] = setting(
        (),
        origins,
        "Other sites whose pages may use this api, such as https://app.example.com, separated by commas; * for all.",
    )
    allowed_headers: tuple[str, ...] = setting(
        ("*",),
        header_names,
        "Request headers that pages of ALLOWED_ORIGINS may send beside those that the api reads, such as sentry-trace, "
        "separated by commas; * for all.",
    )
    introspection: bool = setting(True, boolean, "Whether clients may read the schema by introspection.")
    graphiql: bool = setting(True, boolean, "Whether a browser gets GraphiQL at /graphql.")
    persisted_operations: str = setting(
        "",
        str,
        "JSON file of operations that clients may call by hash, as relay-compiler, GraphQL Code Generator and "
        "@apollo/generate-persisted-query-manifest write it. Read at start.",
    )
    persisted_operations_only: bool = setting(
        False, boolean, "Refuses every operation that is not in PERSISTED_OPERATIONS."
    )
    registered_document_bytes: int = setting(
        8_000_000,
        integer(0),
        "Maximum memory, in bytes, of documents that clients have registered by their hash on one api process "
        "(Apollo's automatic persisted queries); one takes at most a sixteenth. 0 refuses to register any, and so does "
        "PERSISTED_OPERATIONS_ONLY.",
    )
    document_tokens: int = setting(2_000, integer(10), "Maximum number of tokens in a GraphQL document.")
    document_depth: int = setting(20, integer(1, 100), "Maximum nesting of the fields in a GraphQL document.")
    document_aliases: int = setting(200, integer(0), "Maximum number of aliases in a GraphQL document.")
    document_cost: int = setting(
        10_000,
        integer(10),
        "Maximum cost of an operation: 10 for a field that reads or writes Redis or that may be long, 1 for others, "
        "multiplied by list sizes, and 3 for each input or id of a batch.",
    )
    answer_bytes: int = setting(
        16_000_000,
        integer(10_000),
        "Maximum bytes of one response, or of one item of a subscription, and of the inputs and results read for it; "
        "at least twice INLINE_LIMIT_BYTES.",
    )
    variable_values: int = setting(
        20_000,
        integer(10),
        "Maximum number of values in an operation's variables, nested ones included; five plain items of a list count "
        "as one.",
    )
    batch_limit: int = setting(
        1_000, integer(1, 10_000), "Maximum number of inputs of one submit<Name>Many, and of ids of one taskResults."
    )
    submissions_per_minute: int = setting(
        0,
        integer(0),
        "Maximum submissions per minute of one caller (without authentication: of one address); 0 for no limit.",
    )
    connections_per_address: int = setting(
        2_000,
        integer(1),
        "Maximum number of open connections of one address (of IPv6: of one /64 network) on one api node, counted from "
        "accept on. Those of TRUSTED_PROXIES are not counted.",
    )
    operations_per_minute: int = setting(
        60_000,
        integer(0),
        "Maximum operations, uploads and downloads per minute of one caller (without authentication: of one address) "
        "on one api node, over all transports; 0 for no limit.",
    )
    waiters_per_client: int = setting(
        2_000,
        integer(1),
        "Maximum number of tasks that the open subscriptions of one tenant (without authentication: of one address) "
        "wait for on one api node.",
    )
    wait_limit_seconds: float = setting(
        55.0,
        seconds(0),
        "Longest `waitSeconds` of a query or submission, in seconds. Proxies end a request that is idle for 60 s by "
        "default.",
    )
    sockets_per_client: int = setting(
        1_000,
        integer(1),
        "Maximum number of open WebSockets and event streams of one caller, or address, on one api node.",
    )
    legacy_websocket: bool = setting(
        False,
        boolean,
        "Serves the legacy WebSocket subprotocol graphql-ws (subscriptions-transport-ws) beside graphql-transport-ws.",
    )
    socket_operation_limit: int = setting(1_000, integer(1), "Maximum number of open operations on one WebSocket.")
    socket_unsent_bytes: int = setting(
        8_000_000,
        integer(64_000),
        "Maximum bytes of results that are on their way to one client; further ones stay in Redis until it has read. A "
        "WebSocket with eight times as much unsent is closed.",
    )
    subscription_limit: int = setting(20_000, integer(1), "Maximum number of open subscriptions of one api node.")
    keep_alive_seconds: int = setting(
        75,
        integer(1, 7_200),
        "How long an api node keeps an HTTP connection that is idle. Keep it longer than the load balancer before it "
        "does (60 s by default at AWS, nginx and others), which otherwise sends requests into connections that close.",
    )
    shutdown_seconds: float = setting(
        8.0, seconds(0.1), "How long a stopping api node waits for requests to end before it closes its sockets."
    )
    schedules_per_account: int = setting(
        100,
        integer(0, 1_000),
        "Maximum number of schedules that one tenant sets; with 0 none is set, and those that there are do not run.",
    )
    webhooks_per_account: int = setting(
        20,
        integer(0, 1_000),
        "Maximum number of webhooks that one tenant registers; 0 turns webhooks off, those of submissions too.",
    )
    webhook_networks: str = setting(
        "",
        networks,
        "Private networks that webhooks may reach, also without TLS, such as 10.1.0.0/16, separated by commas. By "
        "default webhooks reach public addresses only.",
    )

    @property
    def base_path(self) -> str:
        """The path under which clients reach the api: ROOT_PATH, or the path of PUBLIC_URL."""
        return self.root_path or urlsplit(self.public_url).path
