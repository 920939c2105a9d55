"""The libraries of the extra `data`, imported on first use."""

from __future__ import annotations

import sys
from typing import Any

from cluster.errors import DaskGraphQLError


class DataExtraMissing(DaskGraphQLError):
    """This node lacks what tables and arrays need."""


def pyarrow() -> Any:
    """The module `pyarrow`.

    Raises:
        DataExtraMissing: it is not installed.
    """
    try:
        import pyarrow
    except ImportError as error:
        raise DataExtraMissing(
            "tables need pyarrow on the workers that write them and on the api nodes: pip install 'dask-graphql[data]'"
        ) from error
    return pyarrow


def numpy() -> Any:
    """The module `numpy`.

    Raises:
        DataExtraMissing: it is not installed.
    """
    try:
        import numpy
    except ImportError as error:
        raise DataExtraMissing(
            "arrays need numpy on the workers that write them and on the api nodes: pip install 'dask-graphql[data]'"
        ) from error
    return numpy


def release_unused() -> None:
    """Returns to the system what allocators keep for reuse, after a lot of work: Arrow's, and by its `malloc_trim` on
    Linux that of numpy and Python. Takes milliseconds."""
    if "pyarrow" in sys.modules:
        for pool in (pyarrow().default_memory_pool(), pyarrow().system_memory_pool()):
            pool.release_unused()
