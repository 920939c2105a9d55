"""Tasks, records, Dask and the fleet, independent of GraphQL.

Task modules import from `dask_graphql`. The names that they imported from here before still work.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cluster.errors import BadInput, TaskError
    from cluster.task_types.registry import task
    from cluster.task_types.result_fields import Hidden, result_field
    from cluster.task_types.value_types import BigInt, Blob, Graph
    from cluster.version import __version__
    from cluster.worker.graph_tasks import as_completed
    from cluster.worker.saved_blobs import save_blob
    from cluster.worker.task_context import cancelled, report_partial, report_progress

__all__ = [
    "BadInput",
    "BigInt",
    "Blob",
    "Graph",
    "Hidden",
    "TaskError",
    "__version__",
    "as_completed",
    "cancelled",
    "report_partial",
    "report_progress",
    "result_field",
    "save_blob",
    "task",
]

_MODULES = {
    "BadInput": "errors", "BigInt": "task_types.value_types", "Blob": "task_types.value_types",
    "Graph": "task_types.value_types", "Hidden": "task_types.result_fields", "TaskError": "errors",
    "__version__": "version", "as_completed": "worker.graph_tasks", "cancelled": "worker.task_context",
    "report_partial": "worker.task_context", "report_progress": "worker.task_context",
    "result_field": "task_types.result_fields", "save_blob": "worker.saved_blobs", "task": "task_types.registry",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    """Imports a name when it is first used (PEP 562)."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    return value
