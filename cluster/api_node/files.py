"""Files on an api node: uploaded piece by piece, found, and noted as used by a task before that is submitted."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Final, TypeVar

from cluster.api_node.admission_control import Admission
from cluster.data.blob_links import link_source, new_place
from cluster.data.manifest import MAGIC, NotAManifest
from cluster.errors import BadInput, BlobError, FileMismatch, FileNotFound, FileTooLarge
from cluster.settings import Settings
from cluster.store.async_store import Store
from cluster.store.blob_store import CHUNK_BYTES, BlobStore, UploadTarget
from cluster.store.blob_writer import BlobWriter, Written
from cluster.store.file_calls import PLACE_SECONDS, StoredFile
from cluster.task_types.file import file_id
from cluster.task_types.task_type import Bound

T = TypeVar("T")

OFFER_SECONDS: Final = PLACE_SECONDS / 2
"""How long a client may begin to send a file to the blob store itself; its place is kept for twice as long."""
DEFAULT_MEDIA_TYPE: Final = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose a file is.

    Attributes:
        tenant: who may use it; empty if tenants share tasks.
        account: against which its bytes count.
    """

    tenant: str
    account: str


@dataclass(frozen=True, slots=True)
class Announced:
    """What an upload says of itself.

    Attributes:
        size_bytes: its length; None if unknown.
        sha256: its hash; None if unknown.
        name: its file name; may be empty.
    """

    size_bytes: int | None = None
    sha256: str | None = None
    media_type: str = DEFAULT_MEDIA_TYPE
    name: str = ""


class Files:
    """The files of all tenants."""

    def __init__(self, settings: Settings, store: Store, blobs: BlobStore, admission: Admission) -> None:
        self._limit = settings.file_limit_bytes
        self._store = store
        self._blobs = blobs
        self._admission = admission
        self._arriving: Counter[str] = Counter()
        """The bytes that each account is uploading to this node."""

    @property
    def upload_memory_bytes(self) -> int:
        """What one upload holds in this process at most."""
        return CHUNK_BYTES + self._blobs.buffer_bytes

    async def upload(self, chunks: AsyncIterator[bytes], owner: Owner, announced: Announced) -> tuple[StoredFile, bool]:
        """Writes a file as it arrives. Returns it, and whether its tenant did not have it before.

        Raises:
            FileTooLarge, QuotaExceeded: it is too long.
            FileMismatch: its bytes are not what was announced.
        BadInput: they are those of a manifest, which only workers write.
            BlobError: the blob store refuses or does not answer.
            StoreUnavailable: Redis does not answer. Repeating the upload is safe.
        """
        self._check_length(announced.size_bytes or 0)
        await self._check_room(owner.account, announced.size_bytes or 0)
        place = new_place()
        # A thread of its own: the pieces are written in order, and a slow store holds up nobody else's reads.
        with _Thread() as thread:
            writer = await thread.run(lambda: self._blobs.open_write(f"{place}/data"))
            size = 0
            try:
                async for chunk in _joined(chunks):
                    if not size:
                        _check_head(chunk)
                    size += len(chunk)
                    self._arriving[owner.account] += len(chunk)
                    self._check_length(size)
                    await self._check_room(owner.account, 0)
                    await thread.run(_writing(writer, chunk))
                written = writer.written
                _check(written, announced)
                await self._store.run(self._store.calls.register_place(place, written.sha256))
                await thread.run(writer.commit)
            except BaseException:
                thread.run_last(writer.discard)
                raise
            finally:
                self._arriving[owner.account] -= size
                if not self._arriving[owner.account]:
                    del self._arriving[owner.account]
        file = StoredFile(written.sha256, place, written.size_bytes, announced.media_type, announced.name, "", "")
        return await self._register(file, owner)

    async def find(self, owner: Owner, sha256: str) -> StoredFile | None:
        """A file that the owner may use, and keeps for FILE_TTL_SECONDS; None if there is none."""
        found = await self._store.run(self._store.calls.use_file(owner.tenant, sha256))
        if found is None or found.place:
            return found
        if found.source:
            # Until its task's record is gone.
            record = await self._store.read(found.source.partition("/")[0])
            return None if record is None else found
        return await self._adopt(found, owner)

    async def offer(self, owner: Owner, announced: Announced) -> UploadTarget | None:
        """Where a client may send a file itself; None if it is to send it to an api node.

        Args:
            announced: with a length and a hash.

        Raises:
            FileTooLarge, QuotaExceeded: it is too long.
        """
        assert announced.sha256 is not None
        assert announced.size_bytes is not None
        self._check_length(announced.size_bytes)
        await self._check_room(owner.account, announced.size_bytes)
        content = Written(announced.size_bytes, announced.sha256)
        place = new_place()
        target = await asyncio.to_thread(self._offer_at, place, content, announced.media_type)
        if target is None:
            return None
        kept = await self._store.run(
            self._store.calls.register_place(
                place, content.sha256, offered_to=owner.tenant, size_bytes=content.size_bytes,
                media_type=announced.media_type, name=announced.name,
            )
        )  # fmt: skip
        return target if kept == place else await asyncio.to_thread(self._offer_at, kept, content, announced.media_type)

    def _offer_at(self, place: str, content: Written, media_type: str) -> UploadTarget | None:
        return self._blobs.offer_upload(f"{place}/data", content, media_type, OFFER_SECONDS)

    async def use(self, bound: Sequence[Bound], owner: Owner) -> None:
        """Notes that tasks use their files, before they are submitted.

        Raises:
            FileNotFound: one of the files does not exist; nothing may be submitted.
            BlobError: the blob store does not answer.
        """
        users = [(sha256, item.task_id) for item in bound for sha256 in item.files]
        if not users:
            return
        calls = [self._store.calls.use_file(owner.tenant, sha256, task_id) for sha256, task_id in users]
        found = await self._store.run_many(calls)
        adopted: dict[str, bool] = {}
        for (sha256, task_id), file in zip(users, found, strict=True):
            if file is not None and file.place:
                continue
            if sha256 not in adopted:
                adopted[sha256] = file is not None and await self._adopt(file, owner) is not None
            if not adopted[sha256]:
                raise FileNotFound(
                    f"there is no file {file_id(sha256)}: upload it, by POST /files, and submit again; nothing was "
                    "submitted",
                    fileId=file_id(sha256),
                )
            await self._store.run(self._store.calls.use_file(owner.tenant, sha256, task_id))

    async def _adopt(self, found: StoredFile, owner: Owner) -> StoredFile | None:
        """Gives a file a place of its own: a copy of a task's blob, or what a client has uploaded to an offered place.
        Returns None if the bytes are not there (any more)."""
        if found.source:
            await self._check_room(owner.account, found.size_bytes)
            place = new_place()
            await self._store.run(self._store.calls.register_place(place, found.sha256))
            try:
                await asyncio.to_thread(link_source, self._blobs, found, f"{place}/data")
            except NotAManifest:
                return None
            except BlobError as error:
                if error.temporary:
                    raise
                return None
            file, _ = await self._register(replace(found, place=place), owner)
            return file
        content = Written(found.size_bytes, found.sha256)
        if found.offered and await self._has_uploaded(found.offered, content):
            head = await self._blobs.read(f"{found.offered}/data", 0, min(len(MAGIC), found.size_bytes))
            if head == MAGIC:
                return None
            await self._check_room(owner.account, found.size_bytes)
            file, _ = await self._register(replace(found, place=found.offered, offered=""), owner)
            return file
        return None

    async def _has_uploaded(self, place: str, content: Written) -> bool:
        return await asyncio.to_thread(lambda: self._blobs.has_uploaded(f"{place}/data", content))

    async def _register(self, file: StoredFile, owner: Owner) -> tuple[StoredFile, bool]:
        calls = self._store.calls
        register = calls.register_file(
            owner.tenant, file.sha256, file.place, file.size_bytes, file.media_type, file.name, owner.account
        )
        verdict = await self._store.run(register)
        if verdict == "NEW":
            self._admission.count_bytes(owner.account, file.size_bytes)
            return file, True
        known = await self._store.run(calls.use_file(owner.tenant, file.sha256))
        if verdict == "GONE" or known is None:
            raise BlobError("the upload took too long to be completed; repeat it")
        return known, False

    def _check_length(self, size: int) -> None:
        if size > self._limit:
            raise FileTooLarge(f"a file has at most {self._limit} bytes", limit=self._limit)

    async def _check_room(self, account: str, size: int) -> None:
        """Checks that an account has room for `size` bytes besides what it is uploading."""
        await self._admission.admit_bytes(account, size + self._arriving[account])


def _writing(writer: BlobWriter, chunk: bytes) -> Callable[[], int]:
    return lambda: writer.write(chunk)


def _check_head(chunk: bytes) -> None:
    """Refuses the bytes of a manifest: what it lists would be missing.

    Raises:
        BadInput: they are.
    """
    if chunk.startswith(MAGIC):
        raise BadInput(
            "these bytes are the list of the files of a table or an array, without the files: pass on the fileId of "
            "the task's result, or upload its download"
        )


def _check(written: Written, announced: Announced) -> None:
    if announced.sha256 is not None and announced.sha256 != written.sha256:
        raise FileMismatch(
            f"the bytes that arrived have the SHA-256 {written.sha256}, not {announced.sha256}; upload them again"
        )
    if announced.size_bytes is not None and announced.size_bytes != written.size_bytes:
        raise FileMismatch(
            f"{written.size_bytes} bytes arrived, not {announced.size_bytes} as announced; upload them again"
        )


async def _joined(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The same bytes in pieces of about CHUNK_BYTES: each costs a change of threads."""
    parts: list[bytes] = []
    size = 0
    async for chunk in chunks:
        parts.append(chunk)
        size += len(chunk)
        if size >= CHUNK_BYTES:
            yield b"".join(parts)
            parts, size = [], 0
    if parts:
        yield b"".join(parts)


class _Thread:
    """A thread that does one thing after the other."""

    def __enter__(self) -> _Thread:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="upload")
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(wait=False)

    async def run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)

    def run_last(self, work: Callable[[], object]) -> None:
        """Does something after everything else, which nobody waits for."""
        self._pool.submit(work)
