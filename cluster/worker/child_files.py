"""Files of children: as arguments, by reference, and in their results."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cluster.data.blob_links import link_source, new_place
from cluster.errors import TaskError
from cluster.store.blob_store import BlobStore
from cluster.store.file_calls import StoredFile
from cluster.store.thread_store import ThreadStore
from cluster.task_types.array_types import Array
from cluster.task_types.data_files import ArrayFile, TableFile
from cluster.task_types.data_reading import attach
from cluster.task_types.file import File, FileContent, file_id, resolve
from cluster.task_types.table_types import Table
from cluster.task_types.task_type import Bound, TaskType
from cluster.task_types.walk import instances_in


@dataclass(frozen=True)
class ChildFiles:
    """The files that children of one attempt take and make.

    Attributes:
        user: id of the task that reads them.
    """

    store: ThreadStore
    blobs: BlobStore
    user: str
    tenant: str

    def use(self, bound: Bound, tenant: str, account: str) -> None:
        """Notes that a child uses its files, before it is submitted.

        Raises:
            TaskError: one of them does not exist (FILE_NOT_FOUND).
            BlobError: the blob store does not respond.
        """
        for sha256 in bound.files:
            call = self.store.calls.use_file(tenant, sha256, bound.task_id)
            found = self.store.run(call)
            if found is not None and not found.place and found.source:
                self._adopt(found, tenant, account)
                found = self.store.run(call)
            if found is None or not found.place:
                raise TaskError("FILE_NOT_FOUND", f"there is no file {file_id(sha256)}")

    def _adopt(self, found: StoredFile, tenant: str, account: str) -> None:
        """Gives the blob of a task a place of its own, as an api node does."""
        place, calls = new_place(), self.store.calls
        self.store.run(calls.register_place(place, found.sha256))
        link_source(self.blobs, found, f"{place}/data")
        self.store.run(
            calls.register_file(tenant, found.sha256, place, found.size_bytes, found.media_type, found.name, account)
        )

    def read(self, task_type: TaskType, result: bytes) -> Any:
        """The output of a child. Tables and arrays in it have the methods that read them, as arguments have."""
        value = task_type.output.read(result)
        if not task_type.output.declared.holds_data:
            return value
        for table in instances_in(value, Table):
            self._attach(table, TableFile)
        for array in instances_in(value, Array):
            self._attach(array, ArrayFile)
        return value

    def _attach(self, data: Table[Any] | Array, kind: type[File]) -> None:
        if data.sha256 is None:
            return
        file = kind(file_id(data.sha256))
        found = self.store.run(self.store.calls.use_file(self.tenant, file.sha256, self.user))
        if found is not None and found.key:
            resolve(file, FileContent(found.key, found.size_bytes, found.media_type, found.name))
            attach(data, file, None)
