"""For the tests of task modules: `run_task` runs a task in this process as a worker does, without Redis and Dask;
`running_system` starts a real system on private ports.

Installed with pytest, the fixture `dask_graphql_system` is a client of such a system, which all tests share.
"""

from dask_graphql.testing.outcomes import Attempt, Outcome
from dask_graphql.testing.run import RunOptions, run_task
from dask_graphql.testing.system import SystemNotReady, running_system

__all__ = ["Attempt", "Outcome", "RunOptions", "SystemNotReady", "run_task", "running_system"]
