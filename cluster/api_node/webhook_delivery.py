"""Delivers the ends of tasks to webhooks: at least once, in no order, until the receiver accepts or has had its tries.

One node at a time delivers. What it has claimed and not ended is due again a minute later, so a delivery outlives its
node, Redis's restart and a second deliverer, and its receiver may get it twice, under one id.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import Counter
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from cluster.api_node.leader_service import LeaderService
from cluster.api_node.webhooks import Webhooks
from cluster.errors import StoreUnavailable
from cluster.observability import metrics
from cluster.store.async_store import Store
from cluster.store.keys import SHARDS
from cluster.store.record import Record, TaskState
from cluster.store.webhook_calls import DeliveryOutcome, DueDelivery
from cluster.store.webhooks import WEBHOOK_ID
from cluster.task_types.registry import Registry
from cluster.webhooks.payload import make_payload
from cluster.webhooks.retry_schedule import Answer, Verdict, decide
from cluster.webhooks.sender import Sender
from cluster.webhooks.signature import signed_headers

logger = logging.getLogger(__name__)

POLL_SECONDS: Final = 1.0
"""How often due deliveries are looked for. The end of a task wakes the node at once."""
MAX_IN_FLIGHT: Final = 64
MAX_PER_ACCOUNT: Final = 24
MAX_PER_RECEIVER: Final = 8
"""Requests at once to one host for one account, so that a slow one leaves room for the others. What an account's
receivers answer, or how slowly, never holds up another account, also if both use the same host."""
MIN_POSTPONED_SECONDS: Final = 0.5
"""Shortest pause of a delivery that must wait for its turn. A slow receiver's are twice as long as its last answer
took, so that thousands of them are not claimed in vain each second."""
KEPT_RECEIVER_SECONDS: Final = 60.0


@dataclass(slots=True)
class _Receiver:
    """One host, for one account. Times are those of `time.monotonic`."""

    in_flight: int = 0
    took_seconds: float = 0.0
    rests_until: float = 0.0
    used_at: float = 0.0


class WebhookDeliverer(LeaderService):
    """One node's candidate for the delivery of webhooks.

    Args:
        registry: the task types, whose outputs say what is hidden.
    """

    def __init__(self, store: Store, webhooks: Webhooks, registry: Registry, node: str) -> None:
        super().__init__(store, "webhook delivery", store.calls.webhook_sender_key, node)
        self._webhooks = webhooks
        self._registry = registry
        self._sender: Sender | None = None
        self._sending: set[asyncio.Task[None]] = set()
        self._per_account: Counter[str] = Counter()
        self._receivers: dict[tuple[str, str], _Receiver] = {}

    async def close(self) -> None:
        """Stops; what is in flight is abandoned, and due again a minute after its claim."""
        await self.loop.close()
        for task in self._sending:
            task.cancel()
        await asyncio.gather(*self._sending, return_exceptions=True)
        if self._sender is not None:
            await self._sender.close()
        await self.lease.close()

    async def _round(self) -> None:
        """Claims what is due and begins to send it."""
        await self.lease.acquired()
        if self._sender is None:
            # Before the first delivery: of a table that was not read yet, no webhook and no rotated secret is known.
            await self._webhooks.table.refresh()
            self._sender = Sender(self._webhooks.networks)
        free = MAX_IN_FLIGHT - len(self._sending)
        claimed: list[DueDelivery] = []
        if free > 0:
            calls = [self._store.calls.claim_deliveries(digit, -(-free // len(SHARDS))) for digit in SHARDS]
            claimed = [item for reply in await self._store.run_many(calls) for item in reply]
        self._forget_receivers(time.monotonic())
        for delivery in claimed:
            task = asyncio.create_task(self._deliver(delivery))
            self._sending.add(task)
            task.add_done_callback(self._sent)
        if not claimed:
            await self._wait_for_work(POLL_SECONDS)
        elif len(self._sending) >= MAX_IN_FLIGHT:
            await asyncio.wait(self._sending, return_when=asyncio.FIRST_COMPLETED)

    def _sent(self, task: asyncio.Task[None]) -> None:
        self._sending.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            # It stays claimed, and is due again when the claim ends.
            known = isinstance(error, StoreUnavailable)
            logger.warning("a delivery of a webhook is put off: %s", error, exc_info=None if known else error)

    def _forget_receivers(self, now: float) -> None:
        kept = {
            key: each
            for key, each in self._receivers.items()
            if each.in_flight or max(each.rests_until, each.used_at + KEPT_RECEIVER_SECONDS) > now
        }
        if len(kept) < len(self._receivers):
            self._receivers = kept

    async def _deliver(self, delivery: DueDelivery) -> None:
        record = await self._store.run(self._store.calls.read(delivery.task_id))
        if record is not None and record.submitted_at != delivery.run:
            record = None  # of another run
        url = await self._url(delivery, record)
        if url is None:
            await self._end(delivery, Verdict(DeliveryOutcome.DROPPED), "")
            return
        account, now = delivery.account, time.monotonic()
        receiver = self._receivers.setdefault((account, urlsplit(url).netloc), _Receiver())
        receiver.used_at = now
        rest = receiver.rests_until - now
        if rest > 0 or receiver.in_flight >= MAX_PER_RECEIVER or self._per_account[account] >= MAX_PER_ACCOUNT:
            pause = max(rest, 2 * receiver.took_seconds, MIN_POSTPONED_SECONDS)
            await self._end(delivery, Verdict(DeliveryOutcome.POSTPONED, pause * (1.0 + _draw() / 2)), "")
            return
        receiver.in_flight += 1
        self._per_account[account] += 1
        try:
            answer = await self._send(url, delivery, record)
        finally:
            receiver.in_flight -= 1
            self._per_account[account] -= 1
            if not self._per_account[account]:
                del self._per_account[account]
            receiver.took_seconds = time.monotonic() - now
        if answer.rest_seconds:
            receiver.rests_until = time.monotonic() + answer.rest_seconds
        if answer.gone and WEBHOOK_ID.fullmatch(delivery.to):
            await self._webhooks.disable(delivery.to)
        await self._end(delivery, decide(answer, delivery.tries, _draw()), answer.text)

    async def _url(self, delivery: DueDelivery, record: Record | None) -> str | None:
        """The URL to send to; None if nobody wants this delivery any more."""
        if not WEBHOOK_ID.fullmatch(delivery.to):
            return delivery.to
        webhook = await self._webhooks.latest(delivery.to)
        if webhook is None or webhook.disabled_at is not None:
            return None
        where = webhook.where
        if record is not None:
            # A filter by submitter must not tell whom its owner may not know.
            return webhook.url if where.matches(record, lambda actor: actor.account == webhook.account) else None
        # The record is gone, so what only it could tell counts as met.
        unwanted = where.states is not None and TaskState(delivery.state) not in where.states
        return None if unwanted else webhook.url

    async def _send(self, url: str, delivery: DueDelivery, record: Record | None) -> Answer:
        assert self._sender is not None
        task_type = self._registry.get(delivery.name)
        body = make_payload(delivery, record, None if task_type is None else task_type.output)
        secrets = await self._webhooks.secrets(delivery.account, delivery.to)
        headers = signed_headers(delivery.delivery_id, int(time.time()), body, secrets)
        return await self._sender.send(url, headers, body)

    async def _end(self, delivery: DueDelivery, verdict: Verdict, reply: str) -> None:
        call = self._store.calls.end_delivery(
            delivery, verdict.outcome, pause_seconds=verdict.pause_seconds, reply=reply
        )
        await self._store.run(call)
        metrics.WEBHOOK_DELIVERIES.labels(verdict.outcome).inc()


def _draw() -> float:
    return random.random()  # noqa: S311 - no secret
