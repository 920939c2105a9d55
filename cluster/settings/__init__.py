"""The settings, read once from the environment into a frozen object that is passed to every part.

Every node reads the same variables, prefix `DASK_GRAPHQL_`. A wrong value stops the node at start. Each module here has
the settings of one role or concern.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, fields, replace
from typing import Any, Final
from urllib.parse import urlsplit

from cluster.errors import SettingError
from cluster.settings.api import ApiSettings
from cluster.settings.authentication import AuthenticationSettings
from cluster.settings.controller import ControllerSettings
from cluster.settings.declaration import PREFIX, SettingsGroup, variable_of
from cluster.settings.observability import ObservabilitySettings
from cluster.settings.parsers import InvalidValue
from cluster.settings.pools import DEFAULT_POOL, WITH_GPUS, Pool, Pools
from cluster.settings.scheduler import SchedulerSettings
from cluster.settings.store import StoreSettings
from cluster.settings.tasks import TaskSettings
from cluster.settings.worker import WorkerSettings

__all__ = ["GROUPS", "PREFIX", "Settings", "check_public", "load_settings", "remove_secrets", "variable_of"]

CLIENT_VARIABLES: Final = ("DASK_GRAPHQL_TOKEN",)
"""Variables with our prefix that client commands read; no node does."""


@dataclass(frozen=True)
class Settings(
    StoreSettings,
    SchedulerSettings,
    TaskSettings,
    ApiSettings,
    AuthenticationSettings,
    WorkerSettings,
    ControllerSettings,
    ObservabilitySettings,
):
    """All settings. Durations are seconds, sizes are bytes."""

    def environment(self) -> dict[str, str]:
        """Returns these settings as environment variables, for a child process."""
        return {variable_of(item.name): _text(getattr(self, item.name)) for item in fields(self)}

    def of_scheduler(self, number: int) -> Settings:
        """These settings, for a node of the scheduler of this number."""
        return replace(self, scheduler_number=number, scheduler=self.scheduler_addresses[number])

    @property
    def all_pools(self) -> dict[str, Pool]:
        """Every pool by its name, `default` first."""
        default = Pool(
            DEFAULT_POOL,
            memory_gib=self.worker_memory_bytes / 2**30,
            min_workers=self.min_workers,
            max_workers=self.max_workers,
            spot_share=self.ecs_spot_share,
            capacity=self.ecs_capacity,
        )
        return {DEFAULT_POOL: default} | {pool.name: pool for pool in self.pools}

    def task_definition_of(self, pool: str) -> str:
        """The ECS task definition of a pool's workers, of its own or the common one."""
        own = dict(pair.split("=", 1) for pair in self.ecs_pool_task_definitions)
        return own.get(pool, self.ecs_task_definition)

    @property
    def separate_pools(self) -> dict[str, Pool]:
        """`all_pools` if there is one beside `default`, else empty: then any worker runs any task."""
        return self.all_pools if any(pool.name != DEFAULT_POOL for pool in self.pools) else {}

    @property
    def declared_pools(self) -> Pools:
        """`pools`, with `default` among them if there is another one."""
        return Pools(tuple(self.separate_pools.values())) or self.pools


GROUPS: Final = tuple(base for base in Settings.__bases__ if issubclass(base, SettingsGroup))
"""The groups of settings, in the order of docs/settings.md."""


def _text(value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def remove_secrets(environment: MutableMapping[str, str]) -> None:
    """Removes the variables that hold secrets of ours: settings that are declared so, and a client's token."""
    secrets = [variable_of(item.name) for item in fields(Settings) if item.metadata["secret"]]
    for variable in (*secrets, *CLIENT_VARIABLES):
        environment.pop(variable, None)


def load_settings(environment: Mapping[str, str] | None = None, **options: Any) -> Settings:
    """Reads the settings.

    Args:
        environment: the variables; default: the process's environment. An empty variable counts as not set.
        options: command-line options, which win over the environment; None counts as not given.

    Raises:
        SettingError: a value is wrong, or a variable with our prefix is unknown (a misspelt one would have no effect).
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
            except InvalidValue as invalid:
                shown = "(not shown: it may hold a password)" if item.metadata["secret"] else text
                raise SettingError(variable, shown, str(invalid)) from None
    values |= {name: value for name, value in options.items() if value is not None}
    settings = Settings(**values)
    if settings.scheduler_number >= len(settings.scheduler_addresses):
        raise SettingError(
            variable_of("scheduler_number"),
            str(settings.scheduler_number),
            f"less than the number of addresses in SCHEDULERS, {len(settings.schedulers)}"
            if settings.schedulers
            else "0, as SCHEDULERS is not set",
        )
    if settings.schedulers and "scheduler" not in values:
        settings = settings.of_scheduler(settings.scheduler_number)
    _check_combinations(settings)
    return settings


def check_public(settings: Settings) -> None:
    """Checks the address of a node that serves the api.

    Raises:
        SettingError: it is a public address, without authentication and without ALLOW_PUBLIC.
    """
    if (
        settings.host not in ("127.0.0.1", "::1", "localhost")
        and not settings.allow_public
        and settings.authentication == "none"
    ):
        raise SettingError(
            variable_of("host"),
            settings.host,
            "127.0.0.1, unless DASK_GRAPHQL_AUTHENTICATION=required, or DASK_GRAPHQL_ALLOW_PUBLIC=true to let anyone "
            "who reaches the address submit",
        )


def _check_combinations(settings: Settings) -> None:
    """Checks the rules between settings.

    Raises:
        SettingError: two settings contradict each other, or one is missing that another needs.
    """
    if settings.min_workers > settings.max_workers:
        raise SettingError(
            variable_of("min_workers"), str(settings.min_workers), f"at most MAX_WORKERS, {settings.max_workers}"
        )
    if settings.answer_bytes < 2 * settings.inline_limit_bytes:
        raise SettingError(
            variable_of("answer_bytes"),
            str(settings.answer_bytes),
            f"at least twice INLINE_LIMIT_BYTES, {2 * settings.inline_limit_bytes}, so that every result can be read",
        )
    if settings.fleet == "ecs":
        for name in ("ecs_cluster", "ecs_task_definition", "ecs_subnets", "ecs_security_groups"):
            if not getattr(settings, name):
                raise SettingError(variable_of(name), None, "a value, as FLEET is ecs")
    if settings.pool not in settings.all_pools:
        raise SettingError(
            variable_of("pool"), settings.pool, f"a pool of {variable_of('pools')}: {', '.join(settings.all_pools)}"
        )
    for pool in settings.pools if settings.fleet == "ecs" else ():
        if pool.gpu and pool.capacity not in WITH_GPUS:
            raise SettingError(
                variable_of("pools"), str(settings.pools), f"pool {pool.name}: capacity {WITH_GPUS[0]}, as it has GPUs"
            )
        if pool.capacity == "managed_instances" and not pool.capacity_provider:
            raise SettingError(
                variable_of("pools"), str(settings.pools), f"pool {pool.name}: the capacity_provider of its instances"
            )
        if bool(pool.cpu) != bool(pool.memory_gib):
            raise SettingError(
                variable_of("pools"), str(settings.pools), f"pool {pool.name}: both cpu and memory_gib, as FLEET is ecs"
            )
    for name in ("max_cost_per_hour", "max_cost_per_day"):
        unpriced = [
            pool.name for pool in settings.all_pools.values() if not pool.on_fargate and not pool.price_per_hour
        ]
        if getattr(settings, name) and (settings.fleet != "ecs" or unpriced):
            shown = f"{getattr(settings, name):g}"
            why = f", and pool {unpriced[0]} has no price_per_hour" if settings.fleet == "ecs" else ""
            raise SettingError(variable_of(name), shown, f"0: prices are known with FLEET=ecs on Fargate alone{why}")
    for address in settings.schedulers:
        if urlsplit(address).scheme != urlsplit(settings.scheduler).scheme:
            expected = f"addresses of one scheme, {urlsplit(settings.scheduler).scheme}:// as that of SCHEDULER"
            raise SettingError(variable_of("schedulers"), ",".join(settings.schedulers), expected)
    given = [name for name in ("tls_ca", "tls_cert", "tls_key") if getattr(settings, name)]
    if given and not settings.scheduler.startswith("tls://"):
        # Certificates that are not used would be mistaken for protection.
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
    if settings.oidc_client_id and not (settings.oidc_issuer and settings.authentication == "required"):
        raise SettingError(
            variable_of("oidc_client_id"), settings.oidc_client_id, "OIDC_ISSUER and AUTHENTICATION=required with it"
        )
    if settings.persisted_operations_only and not settings.persisted_operations:
        raise SettingError(variable_of("persisted_operations_only"), "true", "false, or a file in PERSISTED_OPERATIONS")
