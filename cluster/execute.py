"""The name under which attempts travel through Dask, until no node of release 0.1 runs any more."""

from cluster.scheduling.entry_point import run_attempts

__all__ = ["run_attempts"]
