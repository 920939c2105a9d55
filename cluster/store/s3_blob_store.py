"""The blob store in an S3 bucket."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

from cluster.errors import BlobError
from cluster.store.blob_store import BlobStore, Deletion
from cluster.system.ecs_metadata import aws_region

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import ObjectIdentifierTypeDef

MAX_LISTINGS: Final = 16
"""Tasks whose objects are listed at a time."""
MAX_DELETIONS: Final = 1_000
"""Objects in one request to delete them; S3's own limit."""
PERMANENT_ERRORS: Final = ("EntityTooLarge", "InvalidArgument", "KeyTooLongError")
"""Errors of S3 that another try would get as well."""


class S3BlobStore(BlobStore):
    """Blobs as objects in a bucket. boto3 finds credentials, and the region unless ECS sets it."""

    def __init__(self, bucket: str, prefix: str) -> None:
        import boto3
        from botocore.config import Config

        self.bucket, self.prefix = bucket, prefix
        self.client: S3Client = boto3.client(
            "s3",
            region_name=aws_region(),
            config=Config(
                connect_timeout=5,
                read_timeout=60,
                max_pool_connections=32,
                retries={"mode": "standard", "max_attempts": 4},
            ),
        )

    def _key(self, key: str) -> str:
        return f"{self.prefix}/{key}" if self.prefix else key

    def write(self, key: str, data: bytes) -> None:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            self.client.put_object(Bucket=self.bucket, Key=self._key(key), Body=data)
        except (BotoCoreError, ClientError) as error:
            code = error.response["Error"].get("Code") if isinstance(error, ClientError) else None
            raise BlobError(
                f"cannot write the blob {key} to S3: {error}", temporary=code not in PERMANENT_ERRORS
            ) from error

    def read_sync(self, key: str, offset: int, length: int) -> bytes:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            response = self.client.get_object(
                Bucket=self.bucket, Key=self._key(key), Range=f"bytes={offset}-{offset + length - 1}"
            )
            return response["Body"].read()
        except (BotoCoreError, ClientError) as error:
            raise BlobError(f"cannot read the blob {key} from S3: {error}") from error

    def delete(self, task_id: str, *, before: float | None = None) -> None:
        deletion = self._delete([task_id], before)
        if deletion.problem:
            raise BlobError(f"cannot delete the blobs of {task_id} from S3: {deletion.problem}")

    def delete_many(self, task_ids: Sequence[str], *, before: float) -> Deletion:
        return self._delete(task_ids, before)

    def _delete(self, task_ids: Sequence[str], before: float | None) -> Deletion:
        """Lists the objects of tasks in parallel, and deletes up to MAX_DELETIONS in one request."""
        from botocore.exceptions import BotoCoreError, ClientError

        failed: dict[str, str] = {}

        def list_one(task_id: str) -> list[str]:
            try:
                return self._list(task_id, before)
            except (BotoCoreError, ClientError) as error:
                failed[task_id] = str(error)
                return []

        with ThreadPoolExecutor(MAX_LISTINGS) as pool:
            found = list(pool.map(list_one, task_ids))
        owner = {name: task_id for task_id, names in zip(task_ids, found, strict=True) for name in names}
        ordered = list(owner)
        for i in range(0, len(ordered), MAX_DELETIONS):
            names = ordered[i : i + MAX_DELETIONS]
            objects: list[ObjectIdentifierTypeDef] = [{"Key": name} for name in names]
            try:
                response = self.client.delete_objects(Bucket=self.bucket, Delete={"Objects": objects, "Quiet": True})
            except (BotoCoreError, ClientError) as error:
                failed |= {owner[name]: str(error) for name in names}
            else:
                for problem in response.get("Errors", ()):
                    failed[owner[problem["Key"]]] = problem.get("Message", "")
        return Deletion(
            [task_id for task_id in task_ids if task_id not in failed], next(iter(failed.values())) if failed else None
        )

    def _list(self, task_id: str, before: float | None) -> list[str]:
        return [
            item["Key"]
            for page in self.client.get_paginator("list_objects_v2").paginate(
                Bucket=self.bucket, Prefix=self._key(task_id) + "/"
            )
            for item in page.get("Contents", [])
            if before is None or item["LastModified"].timestamp() < before
        ]
