"""Tables and arrays of several files as one file: a manifest lists the others by their SHA-256.

Its own hash is the `fileId` that passes them on to another task, so equal data is the same input. It is the blob with
the table's or the array's key, and the files that it lists are beside it: their keys begin with its own. Only workers
write manifests. One that a client sends is refused, as the files would be missing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

import orjson

from cluster.store.blob_writer import Written
from cluster.task_types.array_types import Array, ArrayStats, Coordinate
from cluster.task_types.file import File, FileContent, file_id, resolve
from cluster.task_types.table_types import Column, Part, Table

MAGIC: Final = b'{"dask-graphql":"parts"'
"""How every manifest begins."""
MAX_FILES: Final = 10_000
"""Files that one manifest lists; a larger array has no `fileId`. The api links or copies each when it is passed on."""
MAX_BYTES: Final = 16_000_000
"""Maximum length of a manifest."""
TYPICAL_BYTES: Final = 1 << 20
"""Room for one in a cache; the size of its file is that of all that it lists."""
_NAME: Final = re.compile(r"(?:\.[A-Za-z0-9_]+)+(?:/[^/\x00]+)*")


class NotAManifest(ValueError):
    """Bytes that are not a manifest."""


@dataclass(frozen=True)
class Manifest:
    """What a manifest says.

    Attributes:
        data: the table or array, with an empty key.
        files: what was written of each file, by the end of its key.
    """

    data: Table[Any] | Array
    files: dict[str, Written]

    def encode(self) -> bytes:
        """Its bytes, which are equal for equal data."""
        described = {name: value for name, value in asdict(self.data).items() if name not in ("key", "sha256")}
        kind = "table" if isinstance(self.data, Table) else "array"
        files = [[name, it.size_bytes, it.sha256] for name, it in sorted(self.files.items())]
        return orjson.dumps({"dask-graphql": "parts", kind: described, "files": files})

    def file(self, name: str, manifest: FileContent) -> File:
        """One of its files.

        Args:
            manifest: what is known of the manifest itself.
        """
        written = self.files[name]
        made = File(file_id(written.sha256))
        local = manifest.local and f"{manifest.local}{name}"
        resolve(made, FileContent(f"{manifest.key}{name}", written.size_bytes, local=local))
        return made

    def paths(self) -> Iterator[tuple[str, str]]:
        """The name of each file that is part of a folder for other libraries, and its path there: those of a Zarr
        group, or Parquet files in the order of the rows."""
        for name in self.files:
            if name.startswith(".zarr/"):
                yield name, name.removeprefix(".zarr/")
            elif name.endswith(".parquet"):
                yield name, f"part.{int(name.split('.')[1]):05d}.parquet"


def manifest_itself(content: FileContent) -> FileContent:
    """What is known of a manifest as a file of its own, and not as what it stands for."""
    return replace(content, media_type="application/json", size_bytes=TYPICAL_BYTES)


def read_manifest(encoded: bytes) -> Manifest:
    """Reads a manifest.

    Raises:
        NotAManifest: it is none.
    """
    try:
        if not encoded.startswith(MAGIC):
            raise ValueError("it begins otherwise")
        found = orjson.loads(encoded)
        files = {name: Written(size, sha256) for name, size, sha256 in found["files"]}
        for name in files:
            if not _NAME.fullmatch(name) or ".." in name.split("/"):
                raise ValueError(f"{name!r} is not a file of it")
        return Manifest(_table(found["table"]) if "table" in found else _array(found["array"]), files)
    except (ValueError, KeyError, TypeError) as error:
        raise NotAManifest(f"not a list of the files of a table or an array: {error}") from error


def _table(fields: dict[str, Any]) -> Table[Any]:
    columns, parts = [Column(**it) for it in fields["columns"]], [Part(**it) for it in fields["parts"]]
    return Table("", fields["row_count"], columns, fields["size_bytes"], parts)


def _array(fields: dict[str, Any]) -> Array:
    stats = fields["stats"] and ArrayStats(**fields["stats"])
    return Array("", **{**fields, "stats": stats, "coords": [Coordinate(**it) for it in fields["coords"]]})
