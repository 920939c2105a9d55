"""The secrets that nodes read: Dask's TLS material, and the URL of Redis with its token.

They are stored in Secrets Manager and ElastiCache alone: no plan or state of Terraform contains one.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import redis_token
from aws import client
from shell import ROOT, Failed


def write_secrets(found: dict[str, Any], rotate: str | None) -> None:
    """Writes the secrets that have no value yet, and a new value for `rotate`."""
    manager = client("secretsmanager", found)
    if rotate == "tls" or redis_token.value_of(manager, found["dask_tls_secret_arn"]) is None:
        manager.put_secret_value(SecretId=found["dask_tls_secret_arn"], SecretString=json.dumps(dask_tls()))
        print("wrote Dask's TLS material")
    if found.get("redis_replication_group_id") is None:
        print("Redis is your own: its secret is unchanged")
    elif rotate == "redis" or redis_token.value_of(manager, found["redis_url_secret_arn"]) is None:
        redis_token.set_redis_token(manager, found)


def dask_tls() -> dict[str, str]:
    """A new authority and one certificate of it, from `dask-graphql certificates`."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, "-m", "dask_graphql", "certificates", "--out", folder],
            cwd=ROOT, check=False, capture_output=True, text=True,
        )  # fmt: skip
        if done.returncode:
            raise Failed(f"dask-graphql certificates: {done.stderr.strip()}")
        lines = dict(line.split("=", 1) for line in done.stdout.splitlines())
        return {name: Path(lines[f"DASK_GRAPHQL_TLS_{name.upper()}"]).read_text() for name in ("ca", "cert", "key")}
