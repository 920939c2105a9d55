"""Tables in a folder, for the tests of what reads them."""

from __future__ import annotations

import uuid
from typing import Any

from cluster.data.data_sink import DataSink
from cluster.data.table_output import store_table
from cluster.data.table_reader import TableReader
from cluster.store.blob_store import BlobStore
from cluster.task_types.table_types import Table
from cluster.worker.graph_tasks import as_completed


def stored(blobs: BlobStore, value: Any, declared: Any = Table) -> Table[Any]:
    """A value as a task's output `result`."""
    return store_table(value, declared, "", DataSink(blobs, f"{uuid.uuid4().hex}/1", as_completed))


def reader(blobs: BlobStore, page_bytes: int = 16_000_000) -> TableReader:
    return TableReader(blobs, page_bytes)
