"""The settings of the controller and its fleet of workers."""

from __future__ import annotations

import os
from dataclasses import dataclass

from cluster.settings.declaration import SettingsGroup, setting
from cluster.settings.parsers import at_least, boolean, fraction, integer, matching, seconds, words
from cluster.settings.pools import Pools, pools, task_definitions


@dataclass(frozen=True)
class ControllerSettings(SettingsGroup):
    TITLE = "Controller and fleet"

    min_workers: int = setting(1, integer(0), "Minimum number of workers of the pool `default`.")
    max_workers: int = setting(os.cpu_count() or 1, integer(1), "Maximum number of workers of the pool `default`.")
    pools: Pools = setting(
        Pools(),
        pools,
        "Further pools of workers, which task types choose by `@task(pool=)` or `@task(needs=)`, as a JSON object by "
        "name; the same on every node. Of each pool `cpu` (vCPUs of a worker), `memory_gib` (of a worker, its limit; 0 "
        "for all there is), `gpu` (GPUs of a worker), `min_workers` (0), `max_workers` (1), `spot_share` (0), "
        "`capacity` (`fargate`, `fargate_arm64`, `ec2`, `managed_instances`), `capacity_provider` (its name) and "
        "`price_per_hour` (of a worker on a machine, in US dollars; 0 if unknown), all optional. The pool `default` "
        "always exists: MIN_WORKERS, MAX_WORKERS and WORKER_MEMORY_BYTES are its, unless it is declared here.",
    )
    max_cost_per_hour: float = setting(
        0.0,
        at_least(0, "an amount"),
        "With FLEET=ecs: what all workers may cost per hour at most, in US dollars by the prices here and the "
        "`price_per_hour` of each pool on machines; wins over MIN_WORKERS. Tasks that run are not interrupted. 0: no "
        "ceiling.",
    )
    max_cost_per_day: float = setting(
        0.0,
        at_least(0, "an amount"),
        "The same for a day, from midnight UTC: once it is spent, no worker is started, and those that "
        "run are stopped after the tasks that they have.",
    )
    demand_forecast: bool = setting(
        True,
        boolean,
        "With FLEET=ecs: whether workers are started ahead of demand that came at the same time of earlier hours, days "
        "or weeks (docs/autoscaling.md).",
    )
    worker_start_seconds: float = setting(
        120.0,
        seconds(1),
        "How long a running worker may take until it serves, with the import of its task modules and the making of its "
        "worker states, before the controller stops it. The next one gets twice as long as it, or as the slowest that "
        "served, up to ten times this.",
    )
    update_drain_seconds: float = setting(
        86_400.0,
        seconds(0),
        "How long a worker may continue the tasks that it runs, while it gets no more, after an update: because it is "
        "of an older revision of its ECS task definition, or because the scheduler was replaced by one of another "
        "RELEASE. Then what still runs is requeued, in the first case after DRAIN_SECONDS more. 0: as long as they "
        "take.",
    )
    worker_logs: str = setting(
        "",
        str,
        "Folder in which each worker of a local fleet has a log of its own; the newest 50 are kept. Empty: they write "
        "to the controller's output. `dev` sets it.",
    )
    fleet: str = setting(
        "local",
        matching("local|ecs", "local or ecs"),
        "Where the controller starts workers: `local`: as processes on its machine; `ecs`: as tasks of an ECS cluster.",
    )
    ecs_cluster: str = setting("", str, "With FLEET=ecs: ARN or name of the ECS cluster.")
    ecs_task_definition: str = setting("", str, "With FLEET=ecs: the workers' task definition, family:revision or ARN.")
    ecs_pool_task_definitions: tuple[str, ...] = setting(
        (),
        task_definitions,
        "With FLEET=ecs: task definitions of pools that have their own, with their size and GPUs, as `pool=definition` "
        "separated by commas. The others have ECS_TASK_DEFINITION, with their size.",
    )
    ecs_subnets: tuple[str, ...] = setting((), words, "With FLEET=ecs: subnets of the workers, separated by commas.")
    ecs_security_groups: tuple[str, ...] = setting(
        (), words, "With FLEET=ecs: security groups of the workers, separated by commas."
    )
    ecs_assign_public_ip: bool = setting(
        False, boolean, "With FLEET=ecs: whether workers get public addresses, as in a VPC without NAT or endpoints."
    )
    ecs_spot_share: float = setting(
        0.0,
        fraction,
        "With FLEET=ecs on Fargate: share of the workers that run on Spot, 0 to 1; on demand while Spot has no "
        "capacity.",
    )
    ecs_capacity: str = setting(
        "fargate",
        matching("fargate|ec2", "fargate or ec2"),
        "With FLEET=ecs: `fargate`, or `ec2` for the cluster's default capacity provider of EC2 instances.",
    )
    ecs_vcpu_hour_price: float = setting(
        0.0,
        at_least(0, "an amount"),
        "With FLEET=ecs: price of a Fargate vCPU-hour in US dollars, for `costPerHour` and MAX_COST_PER_HOUR. 0: the "
        "list price of AWS_REGION for the workers' processor (cluster/controller/fargate_prices.json).",
    )
    ecs_gb_hour_price: float = setting(
        0.0,
        at_least(0, "an amount"),
        "With FLEET=ecs: price of a Fargate GB-hour in US dollars, as ECS_VCPU_HOUR_PRICE.",
    )
    ecs_spot_discount: float = setting(0.7, fraction, "With FLEET=ecs: discount of Spot, 0 to 1, for `costPerHour`.")
