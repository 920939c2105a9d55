"""Makes Dask tasks of the attempts that api nodes send.

`Client.map` would have the same result. But its graph is pickled on the node, and unpickled here in another thread, and
there is a future on the node for each Dask task, which the scheduler keeps informed: all that for the call of one
function. docs/designs/0027-attempts-without-graphs.md has the figures.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from cluster.scheduling import dask_internals
from cluster.scheduling.attempt_keys import attempt_key
from cluster.scheduling.attempt_messages import AttemptBatch, MalformedMessage, decode
from cluster.scheduling.demand import Demand
from cluster.scheduling.entry_point import run_attempts
from cluster.scheduling.fair_order import FairOrder
from cluster.scheduling.pools import required

if TYPE_CHECKING:
    from distributed import Scheduler, SchedulerPlugin

logger = logging.getLogger(__name__)


class AttemptReceiver:
    """Receives the messages of `attempt_messages`.

    Args:
        plugin: ours, which needs not be told of the Dask tasks: `demand` and `order` are.
    """

    def __init__(self, scheduler: Scheduler, plugin: SchedulerPlugin, demand: Demand, order: FairOrder) -> None:
        self._scheduler = scheduler
        self._plugin = plugin
        self._demand = demand
        self._order = order

    def on_message(self, pool: object = "", batches: object = (), client: str = "", **_: Any) -> None:
        """Handles one message of a client."""
        try:
            self._add(*decode(pool, batches))
        except MalformedMessage as error:
            logger.error("attempts of the client %s are refused, and dispatched again later: %s", client, error)
        except Exception:
            # It would end the connection, and with it what else the node is sending.
            logger.exception("attempts of the client %s could not be added; they are dispatched again later", client)

    def _add(self, pool: str, batches: list[AttemptBatch]) -> None:
        """Adds batches in the order in which they were sent. What is known by its key is not added again."""
        resources = required(pool) if pool else None
        added = []
        for name, priority, share, attempts in batches:
            members = [(task_id, number) for task_id, number, _ in attempts]
            key = attempt_key(name, members)
            if key in self._scheduler.tasks or not self._demand.add_batch(key, name, members, pool):
                continue
            place = self._order.add(key, name, len(members), priority, share)
            try:
                dask_internals.create_task(self._scheduler, key, run_attempts, (name, attempts), place, resources)
            except BaseException:
                # There is no Dask task whose end would remove it.
                self._demand.remove(key)
                self._order.remove(key)
                raise
            dask_internals.fail_at_first_loss(self._scheduler, key)
            added.append(key)
        dask_internals.start_tasks(self._scheduler, added, informed=self._plugin)
