"""The name by which nodes of release 0.1 send attempts through Dask. To be removed when none of them runs any more."""

from cluster.scheduling.entry_point import run_attempts

__all__ = ["run_attempts"]
