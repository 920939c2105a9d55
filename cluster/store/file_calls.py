"""The calls of the scripts for files: immutable bytes that are known by a tenant and their SHA-256."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from cluster.store.call_builder import CallBuilder, milliseconds
from cluster.store.lua_scripts import Call, unpack

PLACE_SECONDS: Final = 3_600.0
"""How long a place is kept that has not become a file's: time enough to write it, and for a client to upload to it."""
RETRY_SECONDS: Final = 60.0
"""Pause before a failed check or deletion is repeated."""
USERS_PER_CHECK: Final = 100
"""Tasks that are looked up in one check of a file."""


@dataclass(frozen=True, slots=True)
class StoredFile:
    """What Redis knows of a file.

    Attributes:
        sha256: its hash, 64 lower-case hex digits.
        place: where its bytes are in the blob store; empty if they are not a file's yet.
        name: its file name; may be empty.
        source: the key of a task's blob with the same bytes, if it has no place.
        offered: the place that a client may upload to, if it has no place.
    """

    sha256: str
    place: str
    size_bytes: int
    media_type: str
    name: str
    source: str
    offered: str

    @property
    def key(self) -> str:
        """The key of its bytes; empty if they were never seen."""
        return f"{self.place}/data" if self.place else self.source


@dataclass(frozen=True, slots=True)
class FileUser:
    """A task that may use a file no more.

    Attributes:
        due: when it was to be looked up, as Redis wrote it.
    """

    task_id: str
    due: str


class FileCalls(CallBuilder):
    """Builds the calls; a file's shard is the first digit of its hash."""

    _file_ttl: int

    def register_place(
        self, place: str, sha256: str, *, offered_to: str | None = None, size_bytes: int = 0, media_type: str = "",
        name: str = "",
    ) -> Call[str]:  # fmt: skip
        """Registers a place before its bytes are there; it is deleted after PLACE_SECONDS if `register_file` does not
        follow. Returns the place to use.

        Args:
            offered_to: a tenant whose client will write there itself; an earlier offer to it is extended. What it says
                of the file is kept.
        """
        offer = ("", "") if offered_to is None else (offered_to, sha256, size_bytes, media_type, name)
        return self._shard_call(
            "register_place", sha256[0], place, milliseconds(PLACE_SECONDS), *offer, parse=bytes.decode
        )

    def register_file(
        self, tenant: str, sha256: str, place: str, size_bytes: int, media_type: str, name: str, account: str
    ) -> Call[str]:
        """Makes a place a file's. Returns 'NEW', 'KNOWN' (the file was there; the place is deleted) or 'GONE'.

        Args:
            account: against which its bytes count; empty for none.
        """
        return self._shard_call(
            "register_file", sha256[0], tenant, sha256, place, size_bytes, media_type, name, account, self._file_ttl,
            parse=bytes.decode,
        )  # fmt: skip

    def use_file(self, tenant: str, sha256: str, task_id: str = "") -> Call[StoredFile | None]:
        """Notes the use of a file, from which on it is kept for FILE_TTL_SECONDS; with a task, which is then submitted,
        as long as that task's record exists. Returns None if the file is unknown."""

        def parse(reply: bytes) -> StoredFile | None:
            found = [b"" if item is False or item is None else item for item in unpack(reply)]
            if not found:
                return None
            place, size, *texts = found
            media_type, name, source, offered = (text.decode() for text in texts)
            return StoredFile(sha256, place.decode(), int(size or 0), media_type, name, source, offered)

        return self._shard_call("use_file", sha256[0], tenant, sha256, task_id, self._file_ttl, parse=parse)

    def borrow_file(
        self, tenant: str, sha256: str, source: str, task_id: str, size_bytes: int, media_type: str, name: str
    ) -> Call[bool]:
        """Registers a blob of a task's output as a file whose bytes stay where they are."""
        return self._shard_call(
            "borrow_file", sha256[0], tenant, sha256, source, task_id, size_bytes, media_type, name, self._file_ttl,
            parse=bool,
        )  # fmt: skip

    def claim_files(self, digit: str, limit: int) -> Call[list[tuple[str, str, list[FileUser]]]]:
        """Claims files of a shard that are due to be checked: tenant, hash, and tasks to look up for `check_file`."""

        def parse(reply: bytes) -> list[tuple[str, str, list[FileUser]]]:
            claimed = []
            for member, users in unpack(reply):
                tenant, _, sha256 = member.decode().rpartition(":")
                pairs = zip(users[::2], users[1::2], strict=True)
                claimed.append((tenant, sha256, [FileUser(name.decode(), due.decode()) for name, due in pairs]))
            return claimed

        return self._shard_call("claim_files", digit, limit, milliseconds(RETRY_SECONDS), USERS_PER_CHECK, parse=parse)

    def check_file(self, tenant: str, sha256: str, users: Sequence[tuple[FileUser, int | None]]) -> Call[bool]:
        """Deletes a file that nobody uses any more, and returns whether it is gone; its place is deleted later.

        Args:
            users: of `claim_files`, each with the time to look it up again (ms); None if its record is gone.
        """
        flat: list[Any] = []
        for user, again in users:
            flat += (user.task_id, user.due, "" if again is None else again)
        return self._shard_call("check_file", sha256[0], tenant, sha256, self._file_ttl, *flat, parse=bool)

    def claim_places(self, digit: str, limit: int) -> Call[list[str]]:
        """Claims places of a shard whose bytes are to be deleted; `unregister_places` follows."""

        def parse(reply: Sequence[bytes]) -> list[str]:
            return [item.decode() for item in reply]

        return self._shard_call("claim_places", digit, limit, milliseconds(RETRY_SECONDS), parse=parse)

    def unregister_places(self, digit: str, places: Sequence[str]) -> Call[bool]:
        """Removes places whose bytes have been deleted."""
        return self._shard_call("unregister_places", digit, *places, parse=bool)
