"""Tasks, records, Dask and the fleet. Knows nothing of GraphQL.

A task module needs only what is exported here.
"""

from cluster.context import cancelled, report_progress, save_blob
from cluster.errors import BadInput, TaskError
from cluster.fields import Hidden, result_field
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
    "cancelled",
    "report_progress",
    "result_field",
    "save_blob",
    "task",
]
