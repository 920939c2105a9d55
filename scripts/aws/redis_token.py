"""Redis's AUTH token: set, and required once every node has it."""

from __future__ import annotations

import secrets as random_secrets
from datetime import UTC, datetime
from typing import Any, Final

from aws import client, services_older_than, tasks_older_than, worker_families
from services import wait_for_services
from shell import waited

DEMANDED: Final = "DEMANDED"
"""Stage of the secret's version whose token Redis requires."""


def set_redis_token(manager: Any, found: dict[str, Any]) -> None:
    """Sets a new AUTH token. Redis accepts the old and the new one (ROTATE) until `deploy` has replaced the nodes and
    requires the new one (SET)."""
    token = random_secrets.token_hex(32)
    modify_token(found, token, "ROTATE")
    manager.put_secret_value(
        SecretId=found["redis_url_secret_arn"], SecretString=f"rediss://:{token}@{found['redis_address']}/0"
    )
    print("Redis has a new AUTH token")


def require_token(found: dict[str, Any]) -> None:
    """Makes Redis accept only the newest token, and no client without one, once every node has it. This happens once
    for each token; a stage of the secret's version records it.

    Nodes read secrets when they start: services whose tasks are older than the token are deployed again. Workers are
    the controller's, and may run for hours: while an older one runs, both tokens stay valid."""
    if found.get("redis_replication_group_id") is None:
        return
    manager, secret = client("secretsmanager", found), found["redis_url_secret_arn"]
    stages: dict[str, list[str]] = manager.describe_secret(SecretId=secret)["VersionIdsToStages"]
    demanded = next((version for version, names in stages.items() if DEMANDED in names), None)
    current = next(version for version, names in stages.items() if "AWSCURRENT" in names)
    if demanded == current:
        return
    since = version_date(manager, secret, current)
    if renewed := services_older_than(found, since):
        ecs = client("ecs", found)
        for service in renewed:
            ecs.update_service(cluster=found["cluster_arn"], service=service, forceNewDeployment=True)
        print("deployed again for the new AUTH token:", ", ".join(renewed))
        wait_for_services(found)
    if workers := [task for family in worker_families(found) for task in tasks_older_than(found, since, family=family)]:
        print(f"Redis accepts the old AUTH token too, for {len(workers)} running workers: `deploy` again when they end")
        return
    url = value_of(manager, secret) or ""
    modify_token(found, url.removeprefix("rediss://:").split("@")[0], "SET")
    options = {"RemoveFromVersionId": demanded} if demanded else {}
    manager.update_secret_version_stage(SecretId=secret, VersionStage=DEMANDED, MoveToVersionId=current, **options)
    print("Redis now requires the newest AUTH token")


def modify_token(found: dict[str, Any], token: str, strategy: str) -> None:
    elasticache, group = client("elasticache", found), found["redis_replication_group_id"]
    for _ in waited(f"Redis {group} to be available"):
        state = elasticache.describe_replication_groups(ReplicationGroupId=group)["ReplicationGroups"][0]
        if state["Status"] == "available":
            break
    elasticache.modify_replication_group(
        ReplicationGroupId=group, AuthToken=token, AuthTokenUpdateStrategy=strategy, ApplyImmediately=True
    )


def value_of(manager: Any, secret: str) -> str | None:
    try:
        return str(manager.get_secret_value(SecretId=secret)["SecretString"])
    except manager.exceptions.ResourceNotFoundException:
        return None


def version_date(manager: Any, secret: str, version: str) -> datetime:
    pages = manager.list_secret_version_ids(SecretId=secret, MaxResults=100)["Versions"]
    return next((each["CreatedDate"] for each in pages if each["VersionId"] == version), datetime.now(UTC))
