"""Settings are read once and validated; an error names the variable."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio
from hypothesis import given
from hypothesis import strategies as st

from cluster.errors import SettingError
from cluster.settings import Settings, check_public, load_settings, variable_of
from cluster.settings.parsers import available_cores
from cluster.settings.pools import Pool, Pools


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("PORT", "http", "a whole number from 1 to 65535"),
        ("PORT", "70000", "a whole number from 1 to 65535"),
        ("SCHEDULER", "scheduler:8786", "tcp://host:8786"),
        ("SCHEDULERS", "tcp://a:1,b", "an address such as"),
        ("SCHEDULERS", "tcp://a:1,tcp://a:1", "1 to 16 different addresses"),
        ("SCHEDULERS", ",".join(f"tcp://a:{port}" for port in range(1, 18)), "1 to 16 different addresses"),
        ("SCHEDULERS", "tls://a:1,tls://b:1,tcp://c:1", "addresses of one scheme"),
        ("SCHEDULER_NUMBER", "1", "0, as SCHEDULERS is not set"),
        ("SCHEDULER_NUMBER", "16", "a whole number from 0 to 15"),
        ("SCHEDULER", "tcp://scheduler:0", "tcp://host:8786"),
        ("SCHEDULER", "tcp://scheduler:99999", "tcp://host:8786"),
        ("DASHBOARD", "127.0.0.1:99999", "HOST:PORT"),
        ("DASHBOARD", ":8787", "HOST:PORT"),
        ("HOST", "http://127.0.0.1", "an address or a name"),
        ("HOST", "127.0.0.1:8000", "an address or a name"),
        ("HOST", "[::1]", "an address or a name"),
        ("METRICS_HOST", "a b", "an address or a name"),
        ("BLOB_URL", "s3:///prefix", "file:// or s3://"),
        ("BLOB_URL", "file://folder/of/blobs", "file:// or s3://"),
        ("OIDC_ISSUER", "https:///path", "https://, or with http:// on loopback"),
        ("OIDC_ISSUER", "http://issuer.example", "https://, or with http:// on loopback"),
        ("OIDC_ISSUER", "http://localhost.issuer.example", "https://, or with http:// on loopback"),
        ("BLOB_URL", "ftp://x/y", "file:// or s3://"),
        ("TASK_MODULES", "my-module", "importable module names"),
        ("RESULT_TTL_SECONDS", "-1", "a whole number from 0"),
        ("ALLOW_PUBLIC", "perhaps", "true or false"),
        ("SHUTDOWN_SECONDS", "nan", "a number of seconds"),
        ("METRICS_PORT", "-1", "a whole number from 0 to 65535"),
        ("LOG_FORMAT", "xml", "json, text or auto"),
        ("LOG_LEVEL", "LOUD", "DEBUG, INFO, WARNING or ERROR"),
        ("ALLOWED_ORIGINS", "https://a.example/path", "without a path"),
        ("ALLOWED_HEADERS", "a b", "names of headers"),
        ("ALLOWED_HOSTS", "https://a.example", "without a port"),
        ("ALLOWED_HOSTS", "a.example:443", "without a port"),
        ("ALLOWED_HOSTS", "a*.example", "*.example.com"),
        ("TRUSTED_PROXIES", "alb.internal", "IP addresses or networks"),
        ("PUBLIC_URL", "api.example.com", "a URL such as https://api.example.com"),
        ("PUBLIC_URL", "https://api.example.com?x=1", "without a query"),
        ("PUBLIC_URL", "https://api.example.com/a b", "without a query"),
        ("PUBLIC_URL", "https://api.example.com:x", "without a query"),
        ("PUBLIC_URL", "https://user@api.example.com", "without a query"),
        ("ROOT_PATH", "tasks", "a path such as /tasks"),
        ("ROOT_PATH", "//evil.example", "a path such as /tasks"),
        ("ROOT_PATH", "/a/../b", "a path such as /tasks"),
        ("ECS_SPOT_SHARE", "70", "a number from 0 to 1"),
        ("KEY_PREFIX", "a b", "letters, digits"),
    ],
)
def test_a_wrong_value_names_the_variable_the_value_and_what_was_expected(
    variable: str, value: str, expected: str
) -> None:
    with pytest.raises(SettingError) as caught:
        load_settings({f"DASK_GRAPHQL_{variable}": value})
    assert f"DASK_GRAPHQL_{variable} is {value!r}" in str(caught.value)
    assert expected in str(caught.value)


def test_a_secret_is_not_shown() -> None:
    with pytest.raises(SettingError) as caught:
        load_settings({"DASK_GRAPHQL_REDIS_URL": "http://:hunter2@redis"})
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://:hunter2@redis", "begins with redis:// or rediss:// or unix://"),
        ("redis:/redis", "begins with redis://"),
        ("redis", "begins with redis://"),
        ("redis://:h@nter2/w#rd@host", "percent-encoded"),
        ("redis://:hunter2/2@host", "percent-encoded"),
        ("redis://:hunter2?2@host", "percent-encoded"),
        ("redis://:hunter2[2@host", "percent-encoded"),
        ("redis://:hunter2#@host/0", "percent-encoded"),
        ("redis://:hunter2", "percent-encoded"),
        ("redis://:hunter 2@host", "percent-encoded"),
        ("redis://host:99999", "a port from 1 to 65535"),
        ("redis://host:0", "a host and optionally a port"),
        ("redis://host:port", "a port from 1 to 65535"),
        ("redis://:hunter2@", "a host and optionally a port"),
        ("redis:///0", "a host and optionally a port"),
        ("redis://::1/0", "in brackets"),
        ("redis://host/abc", "database number"),
        ("redis://host/0/1", "database number"),
        ("redis://host?db=x", "a database number as db"),
        ("redis://host?foo=bar", "no option 'foo'"),
        ("redis://host?decode_responses=true", "no option 'decode_responses'"),
        ("redis://host?socket_timeout=9", "no option 'socket_timeout'"),
        ("redis://host?protocol=4", "2 or 3 as protocol"),
        ("redis://host?ssl_cert_reqs=none", "rediss:// in place of redis://, as the URL has ssl_cert_reqs"),
        ("rediss://host?ssl_cert_reqs=no", "none, optional or required as ssl_cert_reqs"),
        ("unix://", "unix:///run/redis.sock"),
    ],
)
def test_a_url_that_does_not_lead_to_a_redis_is_refused_and_not_shown(url: str, expected: str) -> None:
    with pytest.raises(SettingError) as caught:
        load_settings({"DASK_GRAPHQL_REDIS_URL": url})
    assert str(caught.value).startswith("DASK_GRAPHQL_REDIS_URL is '(not shown")
    assert expected in str(caught.value)
    for part in ("hunter2", "nter2", "w#rd"):
        assert part not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "redis://redis",
        "redis://redis:6379/",
        "redis://user:p%40ss%2Fw%23rd@[::1]:6379/15",
        "redis://:p@ss@redis/0",
        "rediss://:token@redis:6379/0?ssl_ca_certs=/path/ca.pem&ssl_check_hostname=false",
        "rediss://redis?ssl_cert_reqs=none&protocol=3&client_name=dask",
        "unix:///run/redis.sock?db=2&password=p%20w",
        "unix://user:pw@/run/redis.sock",
    ],
)
def test_every_url_that_leads_to_a_redis_is_accepted_and_makes_the_right_connection(url: str) -> None:
    settings = load_settings({"DASK_GRAPHQL_REDIS_URL": url})
    pool: Any = redis.asyncio.BlockingConnectionPool.from_url(settings.redis_url)
    kind = type(pool.make_connection()).__name__
    assert (
        kind
        == {"redis": "Connection", "rediss": "SSLConnection", "unix": "UnixDomainSocketConnection"}[
            url.partition(":")[0]
        ]
    )


def test_a_misspelt_variable_is_refused() -> None:
    with pytest.raises(SettingError, match="DASK_GRAPHQL_PROT"):
        load_settings({"DASK_GRAPHQL_PROT": "8000"})


def test_an_option_wins_over_the_environment() -> None:
    assert load_settings({"DASK_GRAPHQL_PORT": "9000"}, port=9001, host=None).port == 9001


def test_an_empty_variable_counts_as_not_set() -> None:
    assert load_settings({"DASK_GRAPHQL_PORT": " "}).port == 8000


def test_a_minimum_of_workers_above_the_maximum_is_refused() -> None:
    with pytest.raises(SettingError, match="MIN_WORKERS"):
        load_settings({"DASK_GRAPHQL_MIN_WORKERS": "5", "DASK_GRAPHQL_MAX_WORKERS": "4"})


def test_a_node_of_one_of_several_schedulers_has_the_address_of_that_one_unless_another_is_given() -> None:
    several = {"DASK_GRAPHQL_SCHEDULERS": "tcp://a:1,tcp://b:1", "DASK_GRAPHQL_SCHEDULER_NUMBER": "1"}
    settings = load_settings(several)
    assert settings.scheduler == "tcp://b:1"
    assert settings.of_scheduler(0).scheduler == "tcp://a:1"
    assert load_settings(several | {"DASK_GRAPHQL_SCHEDULER": "tcp://10.0.0.1:1"}).scheduler == "tcp://10.0.0.1:1"
    with pytest.raises(SettingError, match="less than the number of addresses in SCHEDULERS, 2"):
        load_settings(several | {"DASK_GRAPHQL_SCHEDULER_NUMBER": "2"})


def test_a_public_address_must_be_allowed() -> None:
    settings = load_settings({"DASK_GRAPHQL_HOST": "0.0.0.0"})  # a worker, for example, ignores it
    with pytest.raises(SettingError, match="ALLOW_PUBLIC"):
        check_public(settings)
    check_public(load_settings({"DASK_GRAPHQL_HOST": "0.0.0.0", "DASK_GRAPHQL_ALLOW_PUBLIC": "yes"}))


@given(
    port=st.integers(1, 65535),
    ttl=st.integers(0, 10**9),
    modules=st.lists(st.from_regex(r"[a-z]{1,8}(\.[a-z]{1,8})?", fullmatch=True), max_size=3),
    drain=st.floats(0, 1e6, allow_nan=False),
    public=st.booleans(),
)
def test_a_child_process_reads_the_same_settings(
    port: int, ttl: int, modules: list[str], drain: float, public: bool
) -> None:
    import keyword

    modules = [name for name in modules if not any(keyword.iskeyword(part) for part in name.split("."))]
    settings = Settings(
        port=port, result_ttl_seconds=ttl, task_modules=tuple(modules), drain_seconds=drain, allow_public=public,
        data_dir=Path("/x/y"),
    )  # fmt: skip
    assert load_settings(settings.environment()) == settings


EVERY: dict[str, tuple[str, Any]] = {
    "redis_url": ("rediss://:pw@redis:6380/1", "rediss://:pw@redis:6380/1"),
    "key_prefix": ("a-b_c.1", "a-b_c.1"),
    "scheduler": ("tls://[::1]:8786", "tls://[::1]:8786"),
    "schedulers": ("tls://[::1]:8786, tls://b:8786", ("tls://[::1]:8786", "tls://b:8786")),
    "scheduler_number": ("1", 1),
    "scheduler_listen": ("tls://0.0.0.0:8786", "tls://0.0.0.0:8786"),
    "release": ("v1-0a2b", "v1-0a2b"),
    "tls_ca": ("/x/ca.pem", "/x/ca.pem"),
    "tls_cert": ("-----BEGIN", "-----BEGIN"),
    "tls_key": ("/x/key.pem", "/x/key.pem"),
    "allow_open_scheduler": ("true", True),
    "dashboard": ("127.0.0.1:8787", "127.0.0.1:8787"),
    "task_modules": (" a.b , c ,", ("a.b", "c")),
    "host": ("localhost", "localhost"),
    "port": ("65535", 65535),
    "allow_public": ("ON", True),
    "expose_tracebacks": ("true", True),
    "authentication": ("required", "required"),
    "oidc_issuer": ("https://issuer.example/", "https://issuer.example/"),
    "oidc_client_id": ("", ""),
    "oidc_scopes": ("openid", "openid"),
    "oidc_token": ("id_token", "id_token"),
    "oidc_parameters": ("audience=x", "audience=x"),
    "jwks_file": ("", ""),
    "jwt_audience": ("dask", "dask"),
    "jwt_max_age_seconds": ("3600", 3600),
    "jwt_default_scopes": ("read, submit", ("read", "submit")),
    "jwt_tenant_claim": ("org", "org"),
    "jwt_tenants_share_keys": ("true", True),
    "task_token_secrets": (f"{'n' * 32}, {'o' * 32}", ("n" * 32, "o" * 32)),
    "task_token_seconds": ("60", 60.0),
    "task_token_max_seconds": ("3600", 3600.0),
    "tenants": ("isolated", "isolated"),
    "submissions_per_minute": ("60", 60),
    "trusted_proxies": ("10.0.7.1/16, ::1", "10.0.0.0/16,::1"),
    "public_url": ("https://API.example.com:8443/tasks/", "https://api.example.com:8443/tasks"),
    "root_path": ("/a/b/", "/a/b"),
    "connections_per_address": ("7", 7),
    "sockets_per_client": ("5", 5),
    "allowed_hosts": ("API.example, *.example.com,[::1]", ("api.example", "*.example.com", "::1")),
    "allowed_origins": ("https://a.example, http://localhost:3000", ("https://a.example", "http://localhost:3000")),
    "allowed_headers": ("Sentry-Trace, x-request-id", ("sentry-trace", "x-request-id")),
    "introspection": ("off", False),
    "graphiql": ("no", False),
    "persisted_operations": ("/x/operations.json", "/x/operations.json"),
    "persisted_operations_only": ("true", True),
    "registered_document_bytes": ("0", 0),
    "wait_limit_seconds": ("5", 5.0),
    "schedules_per_account": ("0", 0),
    "webhooks_per_account": ("0", 0),
    "webhook_networks": ("10.1.7.1/16, ::1", "10.1.0.0/16,::1/128"),
    "document_tokens": ("100", 100),
    "document_depth": ("9", 9),
    "document_aliases": ("0", 0),
    "document_cost": ("50", 50),
    "variable_values": ("99", 99),
    "blob_url": ("s3://bucket/prefix", "s3://bucket/prefix"),
    "data_dir": ("/x/y", Path("/x/y")),
    "result_ttl_seconds": ("0", 0),
    "inline_limit_bytes": ("1000", 1_000),
    "answer_bytes": ("50000000", 50_000_000),
    "input_limit_bytes": ("4000000", 4_000_000),
    "not_before_days": ("1", 1),
    "queue_limit_per_tenant": ("7", 7),
    "tenant_bytes": ("100000", 100_000),
    "operations_per_minute": ("0", 0),
    "waiters_per_client": ("12", 12),
    "task_entry_points": ("off", False),
    "worker_logs": ("/x/logs", "/x/logs"),
    "source_versions": ("true", True),
    "reload_task_modules": ("true", True),
    "fibonacci_max_n": ("5", 5),
    "batch_limit": ("10000", 10_000),
    "subscription_limit": ("1", 1),
    "legacy_websocket": ("true", True),
    "socket_operation_limit": ("2", 2),
    "socket_unsent_bytes": ("64000", 64_000),
    "stream_limit_bytes": ("1000", 1000),
    "file_limit_bytes": ("1000", 1000),
    "file_ttl_seconds": ("60", 60),
    "file_cache_bytes": ("1000000", 1000000),
    "event_limit": ("10", 10),
    "fleet": ("ecs", "ecs"),
    "ecs_cluster": ("arn:aws:ecs:eu-central-1:1:cluster/c", "arn:aws:ecs:eu-central-1:1:cluster/c"),
    "ecs_task_definition": ("worker:7", "worker:7"),
    "ecs_subnets": ("subnet-1, subnet-2", ("subnet-1", "subnet-2")),
    "ecs_security_groups": ("sg-1", ("sg-1",)),
    "ecs_assign_public_ip": ("true", True),
    "ecs_spot_share": ("0.7", 0.7),
    "ecs_capacity": ("ec2", "ec2"),
    "ecs_pool_task_definitions": ("gpu=worker-gpu:3, big=worker-big:1", ("gpu=worker-gpu:3", "big=worker-big:1")),
    "max_cost_per_hour": ("0", 0.0),
    "max_cost_per_day": ("0", 0.0),
    "ecs_vcpu_hour_price": ("0.05", 0.05),
    "ecs_gb_hour_price": ("0.005", 0.005),
    "ecs_spot_discount": ("0.6", 0.6),
    "min_workers": ("0", 0),
    "max_workers": ("7", 7),
    "worker_threads": ("256", 256),
    "worker_memory_bytes": ("1000000", 1_000_000),
    "worker_stuck_seconds": ("0", 0.0),
    "worker_start_seconds": ("300", 300.0),
    "demand_forecast": ("false", False),
    "drain_seconds": ("0.5", 0.5),
    "queue_limit": ("3", 3),
    "lost_worker_limit": ("100", 100),
    "larger_pool": ("false", False),
    "update_drain_seconds": ("1e2", 100.0),
    "children_limit": ("5", 5),
    "depth_limit": ("3", 3),
    "waiting_tasks_limit": ("7", 7),
    "shutdown_seconds": ("1e1", 10.0),
    "keep_alive_seconds": ("90", 90),
    "api_processes": ("4", 4),
    "metrics_port": ("9101", 9101),
    "metrics_host": ("10.0.0.7", "10.0.0.7"),
    "cloudwatch_namespace": ("shop/nodes", "shop/nodes"),
    "log_format": ("json", "json"),
    "log_level": ("DEBUG", "DEBUG"),
    "audit_entries": ("500", 500),
    "pool": ("gpu", "gpu"),
    "pools": (
        '{"gpu": {"cpu": 4, "memory_gib": 24, "gpu": 1, "max_workers": 4, "capacity": "ec2", "price_per_hour": 0.5}}',
        Pools((Pool("gpu", cpu=4, memory_gib=24, gpu=1, max_workers=4, capacity="ec2", price_per_hour=0.5),)),
    ),
}
"""For each setting a text and what is read from it."""


def test_every_setting_is_read_from_its_variable() -> None:
    assert set(EVERY) == {item.name for item in fields(Settings)}
    settings = load_settings({variable_of(name): text for name, (text, _) in EVERY.items()})
    assert {name: getattr(settings, name) for name in EVERY} == {name: value for name, (_, value) in EVERY.items()}
    assert load_settings(settings.environment()) == settings


def test_without_variables_every_setting_has_its_default() -> None:
    assert load_settings({}) == Settings()
    assert load_settings({"PATH": "/bin", "OTHER_PORT": "x"}) == Settings()


def test_a_secret_in_a_misspelt_variable_is_not_shown() -> None:
    with pytest.raises(SettingError) as caught:
        load_settings({"DASK_GRAPHQL_REDIS_URI": "redis://:hunter2@redis"})
    assert "hunter2" not in str(caught.value)


def test_a_secret_is_not_part_of_the_settings_text() -> None:
    assert "hunter2" not in repr(Settings(redis_url="redis://:hunter2@redis"))


@pytest.mark.parametrize(("variable", "value"), [("REDIS_URL", "redis://[::1"), ("BLOB_URL", "s3://[bucket")])
def test_a_broken_url_names_its_variable(variable: str, value: str) -> None:
    with pytest.raises(SettingError, match=variable):
        load_settings({f"DASK_GRAPHQL_{variable}": value})


def test_an_address_has_a_port_that_exists() -> None:
    with pytest.raises(SettingError, match="SCHEDULER"):
        load_settings({"DASK_GRAPHQL_SCHEDULER": "tcp://scheduler:99999"})


def test_pools_are_declared_beside_the_default_and_pass_on_to_child_processes() -> None:
    text = '{"gpu": {"memory_gib": 24, "gpu": 1, "max_workers": 4, "capacity": "ec2"}, "big": {}}'
    settings = load_settings({"DASK_GRAPHQL_POOLS": text, "DASK_GRAPHQL_MAX_WORKERS": "3"})
    assert [(pool.name, pool.max_workers, pool.memory_gib) for pool in settings.all_pools.values()] == [
        ("default", 3, 0), ("gpu", 4, 24), ("big", 1, 0),
    ]  # fmt: skip
    assert load_settings(settings.environment()) == settings
    assert load_settings({}).separate_pools == {}
    assert load_settings({}).declared_pools == Pools()
    assert [pool.name for pool in settings.declared_pools] == [*settings.all_pools]
    assert (
        load_settings({"DASK_GRAPHQL_POOLS": '{"default": {"max_workers": 9}}'}).all_pools["default"].max_workers == 9
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("gpu", 'a JSON object of pools by name, such as {"gpu"'),
        ('{"gpu": {', "it is no JSON: Expecting property name"),
        ('{"gpu": 4}', "a JSON object of pools by name"),
        ('{"GPU": {}}', "names of pools of a-z, 0-9 and _ that begin with a letter, up to 30 characters: 'GPU'"),
        ('{"gpu": {"memory": 4}}', "pool gpu: of cpu, memory_gib, gpu, min_workers, max_workers, spot_share, capacity"),
        ('{"gpu": {"max_workers": 0}}', "pool gpu: max_workers as a whole number from 1 to 10000, not 0"),
        ('{"gpu": {"gpu": 0.5}}', "pool gpu: gpu as a whole number from 0 to 64, not 0.5"),
        ('{"gpu": {"memory_gib": "4"}}', 'pool gpu: memory_gib as a number from 0 to 65536, not "4"'),
        ('{"gpu": {"min_workers": 2}}', "pool gpu: min_workers of at most max_workers, 1"),
        ('{"big": {"price_per_hour": 1}}', "pool big: price_per_hour with the capacity ec2 or managed_instances alone"),
        ('{"gpu": {"capacity": "lambda"}}', "pool gpu: capacity as one of fargate, fargate_arm64, ec2, managed_inst"),
    ],
)
def test_a_wrong_pool_is_refused_with_what_was_expected(text: str, expected: str) -> None:
    with pytest.raises(SettingError) as refused:
        load_settings({"DASK_GRAPHQL_POOLS": text})
    assert expected in str(refused.value)


def test_a_worker_belongs_to_a_pool_that_is_declared_and_fargate_has_no_gpus() -> None:
    with pytest.raises(SettingError, match=r"DASK_GRAPHQL_POOL.*gpu.*a pool of DASK_GRAPHQL_POOLS: default"):
        load_settings({"DASK_GRAPHQL_POOL": "gpu"})
    ecs = dict.fromkeys(("CLUSTER", "TASK_DEFINITION", "SUBNETS", "SECURITY_GROUPS"), "x")
    environment = {f"DASK_GRAPHQL_ECS_{name}": value for name, value in ecs.items()} | {"DASK_GRAPHQL_FLEET": "ecs"}
    with pytest.raises(SettingError, match="pool gpu: capacity ec2, as it has GPUs"):
        load_settings(environment | {"DASK_GRAPHQL_POOLS": '{"gpu": {"gpu": 1}}'})
    managed = '{"gpu": {"gpu": 1, "cpu": 4, "memory_gib": 15, "capacity": "managed_instances"}}'
    with pytest.raises(SettingError, match="pool gpu: the capacity_provider of its instances"):
        load_settings(environment | {"DASK_GRAPHQL_POOLS": managed})
    with pytest.raises(SettingError, match=r"ECS_POOL_TASK_DEFINITIONS.*such as gpu=worker-gpu:3, not 'worker:3'"):
        load_settings(environment | {"DASK_GRAPHQL_ECS_POOL_TASK_DEFINITIONS": "worker:3"})


def test_a_ceiling_needs_the_price_of_every_pool_on_machines() -> None:
    ecs = dict.fromkeys(("CLUSTER", "TASK_DEFINITION", "SUBNETS", "SECURITY_GROUPS"), "x")
    environment = {f"DASK_GRAPHQL_ECS_{name}": value for name, value in ecs.items()} | {
        "DASK_GRAPHQL_FLEET": "ecs", "DASK_GRAPHQL_MAX_COST_PER_DAY": "20",
    }  # fmt: skip
    text = '{"gpu": {"gpu": 1, "cpu": 4, "memory_gib": 15, "capacity": "ec2"%s}}'
    with pytest.raises(SettingError, match=r"MAX_COST_PER_DAY.*on Fargate alone, and pool gpu has no price_per_hour"):
        load_settings(environment | {"DASK_GRAPHQL_POOLS": text % ""})
    priced = load_settings(environment | {"DASK_GRAPHQL_POOLS": text % ', "price_per_hour": 1.01'})
    assert priced.all_pools["gpu"].price_per_hour == 1.01


def test_as_many_api_processes_as_cores_may_be_asked_for(tmp_path: Path) -> None:
    assert load_settings({"DASK_GRAPHQL_API_PROCESSES": "auto"}).api_processes == available_cores()
    with pytest.raises(SettingError, match=r"DASK_GRAPHQL_API_PROCESSES is '0'; expected a whole number .*, or auto"):
        load_settings({"DASK_GRAPHQL_API_PROCESSES": "0"})
    all_cores = available_cores(tmp_path / "missing")
    for quota, cores in (("max 100000", all_cores), ("100000 100000", 1), ("50000 100000", 1)):
        (tmp_path / "cpu.max").write_text(quota)
        assert available_cores(tmp_path / "cpu.max") == cores
