"""The blob store in an S3 bucket."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final, Literal

from cluster.errors import BlobError
from cluster.store.blob_store import CHUNK_BYTES, BlobStore, Deletion, UploadTarget
from cluster.store.blob_writer import BlobWriter, Written
from cluster.system.ecs_metadata import aws_region

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import CompletedPartTypeDef, CopySourceTypeDef, ObjectIdentifierTypeDef

MAX_LISTINGS: Final = 16
"""Tasks whose objects are listed at a time."""
MAX_DELETIONS: Final = 1_000
"""Objects in one request to delete them; S3's own limit."""
PART_BYTES: Final = 8 << 20
"""A blob beyond this size is written in parts of at least this size."""
PARTS_OF_A_SIZE: Final = 1_000
"""After so many parts they get larger by PART_BYTES, as an object has at most 10,000 of them."""
MAX_PUT_BYTES: Final = 5_000_000_000
"""Largest object in one request; S3's own limit is 5 GiB."""
MAX_SIGNED_SECONDS: Final = 7 * 86_400
"""How long a signed URL is valid at most; S3's own limit."""
PERMANENT_ERRORS: Final = ("EntityTooLarge", "InvalidArgument", "KeyTooLongError")
"""Errors of S3 that another try would get as well."""


class S3BlobStore(BlobStore):
    """Blobs as objects in a bucket. boto3 finds credentials, and the region unless ECS sets it."""

    buffer_bytes = PART_BYTES

    def __init__(self, bucket: str, prefix: str) -> None:
        import boto3
        from botocore.config import Config

        self.bucket, self.prefix = bucket, prefix
        self.client: S3Client = boto3.client(
            "s3",
            region_name=aws_region(),
            config=Config(
                # Without it, the URLs that clients upload to would not bind them to a length and a hash.
                signature_version="s3v4",
                s3={"addressing_style": _addressing_style(bucket)},
                connect_timeout=5,
                read_timeout=60,
                max_pool_connections=32,
                retries={"mode": "standard", "max_attempts": 4},
            ),
        )

    @property
    def url(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}"

    def _key(self, key: str) -> str:
        return f"{self.prefix}/{key}" if self.prefix else key

    def open_write(self, key: str) -> BlobWriter:
        return S3Writer(self.client, self.bucket, self._key(key))

    def link(self, source: str, target: str) -> None:
        from botocore.exceptions import BotoCoreError, ClientError

        origin: CopySourceTypeDef = {"Bucket": self.bucket, "Key": self._key(source)}
        try:
            # In several parts if it is large, as one request copies 5 GB at most.
            self.client.copy(origin, self.bucket, self._key(target))
        except (BotoCoreError, ClientError) as error:
            raise BlobError(
                f"cannot copy the blob {source} in S3: {error}", temporary=not _is_missing(error)
            ) from error

    def offer_upload(self, key: str, content: Written, media_type: str, seconds: float) -> UploadTarget | None:
        if content.size_bytes > MAX_PUT_BYTES:
            return None
        signed = {
            "ContentType": media_type,
            "ContentLength": content.size_bytes,
            "ChecksumAlgorithm": "SHA256",
            "ChecksumSHA256": base64.b64encode(bytes.fromhex(content.sha256)).decode(),
        }
        url = self.client.generate_presigned_url(
            "put_object",
            {"Bucket": self.bucket, "Key": self._key(key), **signed},
            ExpiresIn=round(seconds),
        )
        headers = {
            "Content-Type": media_type,
            "Content-Length": str(content.size_bytes),
            "x-amz-checksum-sha256": signed["ChecksumSHA256"],
            "x-amz-sdk-checksum-algorithm": "SHA256",
        }
        return UploadTarget(url, {name: str(value) for name, value in headers.items()})

    def offer_download(self, key: str, media_type: str, disposition: str, seconds: float) -> str | None:
        response = {"ResponseContentType": media_type, "ResponseContentDisposition": disposition}
        return self.client.generate_presigned_url(
            "get_object",
            {"Bucket": self.bucket, "Key": self._key(key), **response},
            ExpiresIn=round(min(seconds, MAX_SIGNED_SECONDS)),
        )

    def has_uploaded(self, key: str, content: Written) -> bool:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            found = self.client.head_object(Bucket=self.bucket, Key=self._key(key), ChecksumMode="ENABLED")
        except (BotoCoreError, ClientError) as error:
            if _is_missing(error):
                return False
            raise _unreadable(key, error) from error
        expected = base64.b64encode(bytes.fromhex(content.sha256)).decode()
        return found.get("ChecksumSHA256") == expected

    def read_chunks(self, key: str, offset: int = 0) -> Iterator[bytes]:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            # S3 refuses a range of an empty object.
            span = {"Range": f"bytes={offset}-"} if offset else {}
            response = self.client.get_object(Bucket=self.bucket, Key=self._key(key), **span)  # type: ignore[arg-type]
            while chunk := response["Body"].read(CHUNK_BYTES):
                yield chunk
        except (BotoCoreError, ClientError) as error:
            raise _unreadable(key, error) from error

    def read_sync(self, key: str, offset: int, length: int) -> bytes:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            response = self.client.get_object(
                Bucket=self.bucket, Key=self._key(key), Range=f"bytes={offset}-{offset + length - 1}"
            )
            return response["Body"].read()
        except (BotoCoreError, ClientError) as error:
            raise _unreadable(key, error) from error

    def delete(self, task_id: str, *, before: float | None = None) -> None:
        deletion = self._delete([task_id], before)
        if deletion.problem:
            raise BlobError(f"cannot delete the blobs of {task_id} from S3: {deletion.problem}")

    def delete_many(self, task_ids: Sequence[str], *, before: float | None) -> Deletion:
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


class S3Writer(BlobWriter):
    """Writes one object: in one request, or in parts (a multipart upload) if it is large. The bucket's lifecycle rule
    deletes the parts of a writer that died."""

    def __init__(self, client: S3Client, bucket: str, key: str) -> None:
        super().__init__()
        self._client, self._bucket, self._key = client, bucket, key
        self._buffer = bytearray()
        self._upload_id = ""
        self._parts: list[CompletedPartTypeDef] = []

    def _write(self, data: memoryview) -> None:
        while data:
            size = PART_BYTES * (1 + len(self._parts) // PARTS_OF_A_SIZE)
            room = size - len(self._buffer)
            self._buffer += data[:room]
            data = data[room:]
            # The last part may be small, and is written by `commit`.
            if data:
                with self._errors():
                    self._write_part()

    def commit(self) -> None:
        try:
            with self._errors():
                if not self._upload_id:
                    self._client.put_object(Bucket=self._bucket, Key=self._key, Body=bytes(self._buffer))
                    return
                self._write_part()
                self._client.complete_multipart_upload(
                    Bucket=self._bucket, Key=self._key, UploadId=self._upload_id,
                    MultipartUpload={"Parts": self._parts},
                )  # fmt: skip
        except BlobError:
            self.discard()
            raise

    def discard(self) -> None:
        if self._upload_id:
            with suppress(BlobError), self._errors():
                self._client.abort_multipart_upload(Bucket=self._bucket, Key=self._key, UploadId=self._upload_id)
        self._buffer.clear()

    def _write_part(self) -> None:
        if not self._upload_id:
            made = self._client.create_multipart_upload(Bucket=self._bucket, Key=self._key, ChecksumAlgorithm="CRC32")
            self._upload_id = made["UploadId"]
        number = len(self._parts) + 1
        response = self._client.upload_part(
            Bucket=self._bucket, Key=self._key, UploadId=self._upload_id, PartNumber=number, Body=bytes(self._buffer),
            ChecksumAlgorithm="CRC32",
        )  # fmt: skip
        part: CompletedPartTypeDef = {"PartNumber": number, "ETag": response["ETag"]}
        # S3 asks for it again when the parts are joined.
        if "ChecksumCRC32" in response:
            part["ChecksumCRC32"] = response["ChecksumCRC32"]
        self._parts.append(part)
        self._buffer.clear()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            yield
        except (BotoCoreError, ClientError) as error:
            code = error.response["Error"].get("Code") if isinstance(error, ClientError) else None
            raise BlobError(
                f"cannot write the blob {self._key} to S3: {error}", temporary=code not in PERMANENT_ERRORS
            ) from error


def _addressing_style(bucket: str) -> Literal["auto", "virtual"]:
    """How URLs name the bucket: in the host name, or those that clients upload to would name no region, and S3 would
    redirect them. Another server than AWS's, or TLS with a dot in the name, may not know that."""
    is_other = any(os.environ.get(name) for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"))
    return "auto" if is_other or "." in bucket else "virtual"


def _is_missing(error: Exception) -> bool:
    response = getattr(error, "response", None) or {}
    return response.get("Error", {}).get("Code") in ("NoSuchKey", "404")


def _unreadable(key: str, error: Exception) -> BlobError:
    return BlobError(f"cannot read the blob {key} from S3: {error}", temporary=not _is_missing(error))
