"""Which blob store a URL names."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

from cluster.store.blob_store import BlobStore
from cluster.store.folder_blob_store import FolderBlobStore
from cluster.store.s3_blob_store import S3BlobStore


def open_blob_store(url: str) -> BlobStore:
    """Returns the blob store of a URL: `file:///folder` or `s3://bucket/prefix`."""
    parts = urlsplit(url)
    if parts.scheme == "s3":
        return S3BlobStore(parts.netloc, parts.path.strip("/"))
    return FolderBlobStore(Path(unquote(parts.path)))
