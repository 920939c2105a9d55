"""Second names for the blobs of tasks, by which they become files."""

from __future__ import annotations

import secrets
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from cluster.data.manifest import MAX_BYTES, read_manifest
from cluster.store.blob_store import BlobStore
from cluster.store.file_calls import StoredFile
from cluster.task_types.file import MANIFEST

PARALLEL_LINKS: Final = 16
"""How many blobs get a second name at a time: a table may have thousands of files."""


def new_place() -> str:
    """A new place for the bytes of a file."""
    return f"uploads/{secrets.token_hex(16)}"


def link_source(blobs: BlobStore, found: StoredFile, key: str) -> None:
    """Gives the blob of a task a second name, and to the files that it lists, if it is a manifest.

    Raises:
        BlobError: there is no such blob (then `temporary` is False), or the store does not answer.
        NotAManifest: its media type says that it lists files, and it does not.
    """
    if found.media_type == MANIFEST:
        manifest = read_manifest(blobs.read_sync(found.source, 0, MAX_BYTES))
        with ThreadPoolExecutor(PARALLEL_LINKS, thread_name_prefix="link") as pool:
            links = [pool.submit(blobs.link, found.source + name, key + name) for name in manifest.files]
            for link in links:
                link.result()
    blobs.link(found.source, key)
