"""The settings of Redis and the blob store."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cluster.settings.declaration import SettingsGroup, setting
from cluster.settings.parsers import integer, matching, optional, url, valid_redis_url


@dataclass(frozen=True)
class StoreSettings(SettingsGroup):
    TITLE = "Redis and blobs"

    redis_url: str = setting(
        "redis://127.0.0.1:6379/0",
        valid_redis_url,
        "Redis 6.2 or later, or Valkey, with an append-only file: redis://user:password@host:6379/0, `rediss://` for "
        "TLS, or unix:///path. Percent-encode special characters of the password (`@` is `%40`).",
        secret=True,
    )
    key_prefix: str = setting(
        "dg",
        matching(r"[A-Za-z0-9_.-]{1,32}", "1 to 32 letters, digits, '_', '.' or '-'"),
        "First part of every key and channel in Redis, so that several systems can share one server.",
    )
    blob_url: str = setting(
        "",
        optional(url("file", "s3")),
        "Where large values are stored: file:///folder (shared by api nodes and workers) or s3://bucket/prefix. "
        "Empty: the folder `blobs` in DATA_DIR.",
    )
    data_dir: Path = setting(Path(".data"), Path, "Folder for local files: Redis's data, blobs, logs, Dask's files.")
    result_ttl_seconds: int = setting(
        86_400, integer(0), "How long a record and its result are kept after the task ends; 0 keeps them for ever."
    )
    inline_limit_bytes: int = setting(
        1_000_000,
        integer(1_000, 16_000_000),
        "Largest value that is stored in the record itself; larger ones go to the blob store.",
    )
    stream_limit_bytes: int = setting(
        16_000_000,
        integer(1_000, 500_000_000),
        "Largest stream of a task, in bytes of JSON: its items are kept in Redis with the record.",
    )
    file_limit_bytes: int = setting(
        5_000_000_000,
        integer(1_000, 5_000_000_000_000),
        "Largest file that can be uploaded. It also counts in TENANT_BYTES.",
    )
    file_ttl_seconds: int = setting(
        86_400,
        integer(1),
        "How long a file is kept after its last use; longer while a task that uses it is open or its record is kept.",
    )
    event_limit: int = setting(
        1_000, integer(10, 100_000), "Maximum number of events kept for one task; the oldest are dropped first."
    )

    @property
    def blob_store_url(self) -> str:
        """The URL of the blob store, with the default filled in."""
        return self.blob_url or (self.data_dir / "blobs").absolute().as_uri()
