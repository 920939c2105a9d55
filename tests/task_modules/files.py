"""Task types that take files and return blobs."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import dask

from dask_graphql import Blob, File, Graph, Hidden, Stream, cancelled, save_blob, task


@dataclass
class Digest:
    sha256: str
    size_bytes: int
    name: str
    media_type: str


@task
def digest_file(file: File, note: str = "") -> Digest:
    """Reads a file."""
    with open(file, "rb") as opened:
        digest = hashlib.file_digest(opened, "sha256")
    return Digest(digest.hexdigest(), file.size_bytes, file.name, file.media_type)


@dataclass
class Pieces:
    blobs: list[Blob]


@task
def split_file(file: File, parts: int = 3) -> Graph[Pieces]:
    """Writes the parts of a file where they lie, each under the same name."""

    def piece(index: int, file: File) -> Blob:
        data = file.read()
        size = -(-len(data) // parts)
        return save_blob("piece.bin", data[index * size : (index + 1) * size])

    pieces = [dask.delayed(piece)(index, file) for index in range(parts)]
    joined: Graph[Pieces] = dask.delayed(lambda blobs: Pieces(list(blobs)))(pieces)
    return joined


@dataclass
class Shard:
    source: File
    blob: Blob
    note: Annotated[str, Hidden] = "for nobody"


@task
def drip_blobs(file: File, folder: str) -> Stream[Shard]:
    """Yields a blob, and then waits for a file `go` in a folder."""

    def items() -> Iterator[Shard]:
        yield Shard(file, save_blob("shard.bin", file.read()[:10]))
        while not Path(folder, "go").exists() and not cancelled():
            time.sleep(0.02)

    return items()
