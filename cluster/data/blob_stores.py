"""The blob store of a worker process, for the parts of graphs that write to it themselves."""

from __future__ import annotations

from functools import lru_cache

from cluster.store.blob_store import BlobStore
from cluster.store.blob_url import open_blob_store


@lru_cache(maxsize=4)
def blob_store(url: str) -> BlobStore:
    """The blob store of a URL; one for the process, because a client of S3 is expensive."""
    return open_blob_store(url)
