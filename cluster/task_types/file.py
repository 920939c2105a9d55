"""`File`: bytes as an argument of a task function, named by their SHA-256."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final, Self

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

FILE_ID: Final = re.compile(r"sha256:([0-9a-f]{64})")
HASH_CHUNK_BYTES: Final = 1 << 20
MANIFEST: Final = "application/vnd.dask-graphql.parts+json"
"""The media type of a file that lists those of a table or an array (cluster/data/manifest.py)."""


def file_id(sha256: str) -> str:
    """The id of a file, as clients write it."""
    return f"sha256:{sha256}"


@dataclass(frozen=True, slots=True)
class FileContent:
    """What a running task knows of a file.

    Attributes:
        key: of its bytes in the blob store; empty for a file of this machine.
        name: its file name; may be empty.
        local: its path on this machine, if it was made by `File.from_path`.
    """

    key: str
    size_bytes: int
    media_type: str = "application/octet-stream"
    name: str = ""
    local: str = ""


@dataclass(slots=True)
class OpenedFile:
    """The path of a file on this machine, and what keeps it there."""

    path: Path
    pin: object = None


class File:
    """Bytes that a client has uploaded, or that another task has returned as a Blob, a Table or an Array.

    The value of an argument of this type is the text `sha256:<64 hex digits>`, so equal bytes are the same input. In
    the function, the bytes are fetched when they are first asked for, at most once per worker machine. A `File` can be
    passed to the parts of a graph, and to every function that takes a path.

    Attributes:
        id: `sha256:` and 64 lower-case hex digits.
    """

    __slots__ = ("_content", "_opened", "id")

    def __init__(self, id: str) -> None:
        if not FILE_ID.fullmatch(id):
            raise ValueError(f"a file's id is sha256: and 64 lower-case hex digits, not {id[:80]!r}")
        self.id = id
        self._content: FileContent | None = None
        self._opened: OpenedFile | None = None

    @classmethod
    def from_path(cls, path: str | os.PathLike[str], *, media_type: str = "application/octet-stream") -> Self:
        """A file of this machine, for a test that calls a task function.

        Raises:
            OSError: it cannot be read.
        """
        digest = hashlib.sha256()
        with open(path, "rb") as file:
            while chunk := file.read(HASH_CHUNK_BYTES):
                digest.update(chunk)
        made = cls(file_id(digest.hexdigest()))
        local = Path(path).absolute()
        made._content = FileContent("", local.stat().st_size, media_type, local.name, str(local))
        return made

    @property
    def sha256(self) -> str:
        """The hash of its bytes: 64 lower-case hex digits."""
        return self.id.removeprefix("sha256:")

    @property
    def size_bytes(self) -> int:
        """Its length."""
        return self._known.size_bytes

    @property
    def media_type(self) -> str:
        """Its Content-Type, as its first uploader called it."""
        return self._known.media_type

    @property
    def name(self) -> str:
        """Its file name, as its first uploader called it; may be empty."""
        return self._known.name

    def path(self) -> Path:
        """The path of a read-only copy on this machine. It stays as long as this object.

        Of a table of several Parquet files, or of an array in chunks, it is a folder: with the Parquet files in the
        order of the rows, or a Zarr group. Declare the argument `Table` or `Array` to read only what you need of it.

        Raises:
            BlobError: the bytes cannot be fetched.
        """
        if self._opened is None:
            known = self._known
            if known.local and known.media_type == MANIFEST:
                raise RuntimeError("in run_task, a table or an array of several files has no folder: use its methods")
            self._opened = fetch(self.sha256, known)
        return self._opened.path

    def open(self) -> BinaryIO:
        """Opens it for reading bytes. Raises as `path`."""
        return self.path().open("rb")

    def read(self) -> bytes:
        """All its bytes, which must fit into memory. Raises as `path`."""
        return self.path().read_bytes()

    @property
    def _known(self) -> FileContent:
        if self._content is None:
            raise RuntimeError(_NOT_RUNNING)
        return self._content

    def __fspath__(self) -> str:
        return str(self.path())

    def __repr__(self) -> str:
        return f"File({self.id!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, File) and other.id == self.id

    def __hash__(self) -> int:
        return hash(self.id)

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (type(self), self.id, self._content)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        text = core_schema.no_info_before_validator_function(to_text, core_schema.str_schema())
        return core_schema.no_info_after_validator_function(
            cls, text, serialization=core_schema.plain_serializer_function_ser_schema(to_text)
        )


_NOT_RUNNING: Final = (
    "the bytes of a file are known in a running task only; in a test, call the function with File.from_path(...)"
)
_fetch: Callable[[str, FileContent], OpenedFile] | None = None


def use_fetcher(fetch: Callable[[str, FileContent], OpenedFile] | None) -> None:
    """Sets how this process gets the bytes of files; called by the worker's executor."""
    global _fetch
    _fetch = fetch


def fetch(sha256: str, content: FileContent) -> OpenedFile:
    """Brings a file to this machine.

    Raises:
        BlobError: its bytes cannot be fetched.
        RuntimeError: this process is no worker, and the file is not on this machine.
    """
    if content.local:
        return OpenedFile(Path(content.local))
    if _fetch is None:
        raise RuntimeError(_NOT_RUNNING)
    return _fetch(sha256, content)


def content_of(file: File) -> FileContent:
    """What is known of a file.

    Raises:
        RuntimeError: nothing, outside a running task.
    """
    return file._known


def resolve(file: File, content: FileContent) -> None:
    """Tells a file what is known of its bytes."""
    file._content = content


def resolve_like(files: Iterable[File], known: Iterable[File]) -> None:
    """Tells files what is known of those with the same ids."""
    contents = {file.id: file._content for file in known}
    for file in files:
        file._content = contents.get(file.id)


def to_text(value: Any) -> Any:
    """The id of a file; other values are passed on to pydantic unchanged."""
    return value.id if isinstance(value, File) else value


def _restore(cls: type[File], id: str, content: FileContent | None) -> File:
    made = cls(id)
    made._content = content
    return made
