"""The calls of the scripts for deliveries of webhooks: one delivery tells one receiver that one run has ended.

The script that ends a task makes the deliveries in the same step, so none is forgotten; an api node claims what is due.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from cluster.store.call_builder import CallBuilder, milliseconds
from cluster.store.keys import shard_digit
from cluster.store.lua_scripts import Call, unpack

LEASE_SECONDS: Final = 60.0
"""How long a claimed delivery stays with the node that claimed it: longer than one try takes."""


class DeliveryOutcome(StrEnum):
    """How a try of a delivery ended.

    `RETRY`: it failed and is tried again. `POSTPONED`: it was not tried. `DROPPED`: its webhook does not want it.
    """

    DELIVERED = "DELIVERED"
    FAILED = "FAILED"
    RETRY = "RETRY"
    POSTPONED = "POSTPONED"
    DROPPED = "DROPPED"


@dataclass(frozen=True, slots=True)
class DueDelivery:
    """A delivery that a node has claimed.

    Attributes:
        delivery_id: `msg_` and 41 hex digits, the first of them the task's shard. Follows from task, run and receiver.
        task_id, run: the task, and when the run was submitted that has ended, milliseconds since 1970.
        account: whose webhook it is.
        to: the id of a webhook (`wh_...`), or the URL that a submission named.
        name, state: of the task, at its end.
        at: when the task ended, or was submitted again after its end; milliseconds since 1970.
        tries: how often it has been tried.
    """

    delivery_id: str
    task_id: str
    run: int
    account: str
    to: str
    name: str
    state: str
    at: int
    tries: int


class WebhookCalls(CallBuilder):
    """Builds the calls; a delivery is in the shard of its task."""

    def claim_deliveries(self, digit: str, limit: int) -> Call[list[DueDelivery]]:
        """Claims deliveries of a shard that are due, for LEASE_SECONDS; `end_delivery` follows."""

        def parse(reply: bytes) -> list[DueDelivery]:
            claimed = []
            for values in unpack(reply):
                delivery_id, task_id, run, account, to, name, state, at, tries = (value.decode() for value in values)
                claimed.append(
                    DueDelivery(delivery_id, task_id, int(run), account, to, name, state, int(at), int(tries))
                )
            return claimed

        return self._shard_call("claim_deliveries", digit, limit, milliseconds(LEASE_SECONDS), parse=parse)

    def end_delivery(
        self, claimed: DueDelivery, outcome: DeliveryOutcome, *, pause_seconds: float = 0.0, reply: str = ""
    ) -> Call[bool]:
        """Records how a try of a delivery ended. Returns False if it was tried or replayed by somebody else since.

        Args:
            pause_seconds: before it is due again, after RETRY and POSTPONED.
            reply: what came back, for people.
        """
        return self._shard_call(
            "end_delivery", shard_digit(claimed.delivery_id), claimed.delivery_id, claimed.tries, outcome.value,
            milliseconds(pause_seconds), reply, parse=bool,
        )  # fmt: skip

    def redeliver(self, delivery_id: str, account: str) -> Call[bool]:
        """Makes a delivery due again, from its first try on. Returns False if the account has no such delivery."""
        return self._shard_call("redeliver", shard_digit(delivery_id), delivery_id, account, parse=bool)
