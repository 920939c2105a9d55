"""Task types that take files and return blobs."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import dask

from dask_graphql import Array, Blob, File, Graph, Hidden, Stream, Table, cancelled, gather, save_blob, submit, task


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


@dataclass
class HandedOn:
    digests: list[Digest]
    items: list[int]
    rows: int
    stations: int
    values: list[float]


@task
def hand_on(file: File, table: Table, array: Array) -> HandedOn:
    """Hands its own arguments on to children, and the results of children to other children; reads some itself."""
    pieces = submit(split_file, file=file, parts=2).result()
    digests = gather(*(submit(digest_file, file=each) for each in (file, pieces.blobs[1])))
    made, chunks = gather(
        submit("make_partitions", rows=100, partitions=2), submit("make_chunks", rows=4, columns=6, chunk=3)
    )
    facts, twice = gather(submit("describe_table", table=made, more=[table]), submit("double_array", array=chunks))
    sums = gather(*(submit("sum_array", array=each) for each in (array, twice)))
    stations = submit("sum_by_station", table=made).result()
    items = submit("counting", upto=3).result()
    return HandedOn(
        list(digests), items, facts.row_count, len(stations.to_pandas()), [*sums, float(twice.to_numpy().sum())]
    )
