"""Tasks, records, Dask and the fleet. Knows nothing of GraphQL.

A task module needs only what is exported here.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cluster.context import cancelled, report_partial, report_progress, save_blob
    from cluster.errors import BadInput, TaskError
    from cluster.fields import Hidden, result_field
    from cluster.graphs import as_completed
    from cluster.registry import task
    from cluster.values import BigInt, Blob, Graph
    from cluster.version import __version__

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
    "BadInput": "errors", "BigInt": "values", "Blob": "values", "Graph": "values", "Hidden": "fields",
    "TaskError": "errors", "__version__": "version", "as_completed": "graphs", "cancelled": "context",
    "report_partial": "context", "report_progress": "context", "result_field": "fields",
    "save_blob": "context", "task": "registry",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    """Loads a name when it is first asked for (PEP 562), so that the client, which needs few, starts quickly."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    return value
