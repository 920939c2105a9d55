"""Task types that take files and return blobs."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import dask

from dask_graphql import Blob, File, Graph, save_blob, task


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
