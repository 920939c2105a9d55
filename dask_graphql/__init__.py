"""Dask functions behind a GraphQL API. Task modules and programs import everything from here:

    from dask_graphql import Client, report_progress, task

Only this package is public: `cluster` and `graphql_api`, which it is built on, change without notice.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cluster.errors import BadInput, TaskError
    from cluster.store.blob_store import BlobStore
    from cluster.task_types.array_types import Array
    from cluster.task_types.batching import Batch
    from cluster.task_types.concurrency import Limit
    from cluster.task_types.file import File
    from cluster.task_types.needs import Needs
    from cluster.task_types.registry import task
    from cluster.task_types.result_fields import Hidden, result_field
    from cluster.task_types.retry_policy import Retries
    from cluster.task_types.table_types import Table
    from cluster.task_types.value_types import BigInt, Blob, Graph, Stream
    from cluster.task_types.worker_state import worker_state
    from cluster.version import __version__
    from cluster.worker.checkpoints import checkpoint
    from cluster.worker.graph_tasks import as_completed
    from cluster.worker.saved_blobs import save_blob
    from cluster.worker.subtasks import Child, gather, submit
    from cluster.worker.task_context import cancelled, report_partial, report_progress
    from dask_graphql.client.async_client import AsyncClient
    from dask_graphql.client.async_handle import AsyncHandle
    from dask_graphql.client.bulk import BulkRefusal, BulkResult, FailureGroup
    from dask_graphql.client.changes import Change
    from dask_graphql.client.errors import (
        ApiUnavailable,
        BadArguments,
        ClientError,
        IdMismatch,
        IdUnknown,
        Refused,
        ResultTimeout,
        TaskCancelled,
        TaskFailed,
        UnknownTaskType,
    )
    from dask_graphql.client.estimates import SubmissionEstimate
    from dask_graphql.client.events import Event
    from dask_graphql.client.handle import Handle
    from dask_graphql.client.handles import Handles
    from dask_graphql.client.items import Item
    from dask_graphql.client.log_lines import LogLine
    from dask_graphql.client.network import BadProxy
    from dask_graphql.client.schedules import Schedule, ScheduleRun
    from dask_graphql.client.submissions import SubmitOptions
    from dask_graphql.client.sync_client import Client
    from dask_graphql.client.task_list import TaskList, TaskSummary, Waiting
    from dask_graphql.client.task_types import TaskType

__all__ = [
    "ApiUnavailable",
    "Array",
    "AsyncClient",
    "AsyncHandle",
    "BadArguments",
    "BadInput",
    "BadProxy",
    "Batch",
    "BigInt",
    "Blob",
    "BlobStore",
    "BulkRefusal",
    "BulkResult",
    "Change",
    "Child",
    "Client",
    "ClientError",
    "Event",
    "FailureGroup",
    "File",
    "Graph",
    "Handle",
    "Handles",
    "Hidden",
    "IdMismatch",
    "IdUnknown",
    "Item",
    "Limit",
    "LogLine",
    "Needs",
    "Refused",
    "ResultTimeout",
    "Retries",
    "Schedule",
    "ScheduleRun",
    "Stream",
    "SubmissionEstimate",
    "SubmitOptions",
    "Table",
    "TaskCancelled",
    "TaskError",
    "TaskFailed",
    "TaskList",
    "TaskSummary",
    "TaskType",
    "UnknownTaskType",
    "Waiting",
    "__version__",
    "as_completed",
    "cancelled",
    "checkpoint",
    "gather",
    "report_partial",
    "report_progress",
    "result_field",
    "save_blob",
    "submit",
    "task",
    "worker_state",
]

_MODULES = {
    "cluster.errors": ("BadInput", "TaskError"),
    "cluster.store.blob_store": ("BlobStore",),
    "cluster.task_types.array_types": ("Array",),
    "cluster.task_types.batching": ("Batch",),
    "cluster.task_types.concurrency": ("Limit",),
    "cluster.task_types.file": ("File",),
    "cluster.task_types.needs": ("Needs",),
    "cluster.task_types.registry": ("task",),
    "cluster.task_types.result_fields": ("Hidden", "result_field"),
    "cluster.task_types.retry_policy": ("Retries",),
    "cluster.task_types.table_types": ("Table",),
    "cluster.task_types.value_types": ("BigInt", "Blob", "Graph", "Stream"),
    "cluster.task_types.worker_state": ("worker_state",),
    "cluster.version": ("__version__",),
    "cluster.worker.checkpoints": ("checkpoint",),
    "cluster.worker.graph_tasks": ("as_completed",),
    "cluster.worker.saved_blobs": ("save_blob",),
    "cluster.worker.subtasks": ("Child", "gather", "submit"),
    "cluster.worker.task_context": ("cancelled", "report_partial", "report_progress"),
    "dask_graphql.client.async_client": ("AsyncClient",),
    "dask_graphql.client.async_handle": ("AsyncHandle",),
    "dask_graphql.client.errors": (
        "ApiUnavailable", "BadArguments", "ClientError", "IdMismatch", "IdUnknown", "Refused", "ResultTimeout",
        "TaskCancelled", "TaskFailed", "UnknownTaskType",
    ),
    "dask_graphql.client.bulk": ("BulkRefusal", "BulkResult", "FailureGroup"),
    "dask_graphql.client.changes": ("Change",),
    "dask_graphql.client.estimates": ("SubmissionEstimate",),
    "dask_graphql.client.events": ("Event",),
    "dask_graphql.client.items": ("Item",),
    "dask_graphql.client.network": ("BadProxy",),
    "dask_graphql.client.schedules": ("Schedule", "ScheduleRun"),
    "dask_graphql.client.submissions": ("SubmitOptions",),
    "dask_graphql.client.handle": ("Handle",),
    "dask_graphql.client.handles": ("Handles",),
    "dask_graphql.client.sync_client": ("Client",),
    "dask_graphql.client.log_lines": ("LogLine",),
    "dask_graphql.client.task_list": ("TaskList", "TaskSummary", "Waiting"),
    "dask_graphql.client.task_types": ("TaskType",),
}  # fmt: skip
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    """Imports a name on first use (PEP 562), so that the client does not load Dask, nor a worker an HTTP client."""
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_MODULE_OF[name]), name)
    return value


def __dir__() -> list[str]:
    return __all__
