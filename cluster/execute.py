"""Where Dask keys of the release before find the entry point of attempts: `cluster.execute.run_attempts`."""

from cluster.worker.executor import run_attempts

__all__ = ["run_attempts"]
