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
from typing import Final
from urllib.parse import urlsplit

from cluster.api_node.leader_service import LeaderService
from cluster.api_node.webhooks import Webhooks
from cluster.observability import metrics
from cluster.store.async_store import Store
from cluster.store.keys import SHARDS
from cluster.store.record import Record, TaskState
from cluster.store.webhook_calls import DeliveryOutcome, DueDelivery
from cluster.store.webhooks import WEBHOOK_ID
from cluster.webhooks.payload import make_payload
from cluster.webhooks.retry_schedule import Answer, Verdict, decide
from cluster.webhooks.sender import Sender
from cluster.webhooks.signature import signed_headers

logger = logging.getLogger(__name__)

POLL_SECONDS: Final = 1.0
"""How often due deliveries are looked for. The end of a task wakes the node at once."""
MAX_IN_FLIGHT: Final = 64
MAX_PER_RECEIVER: Final = 8
"""Requests to one receiver at once, so that a slow one leaves room for the others."""
POSTPONED_SECONDS: Final = 2.0
"""Pause of a delivery whose receiver has its share of requests in flight."""


class WebhookDeliverer(LeaderService):
    """One node's candidate for the delivery of webhooks."""

    def __init__(self, store: Store, webhooks: Webhooks, node: str) -> None:
        super().__init__(store, "webhook delivery", store.calls.webhook_sender_key, node)
        self._webhooks = webhooks
        self._sender: Sender | None = None
        self._sending: set[asyncio.Task[None]] = set()
        self._per_receiver: Counter[str] = Counter()
        self._rests_until: dict[str, float] = {}

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
        free = MAX_IN_FLIGHT - len(self._sending)
        claimed: list[DueDelivery] = []
        if free > 0:
            calls = [self._store.calls.claim_deliveries(digit, -(-free // len(SHARDS))) for digit in SHARDS]
            claimed = [item for reply in await self._store.run_many(calls) for item in reply]
        now = time.monotonic()
        self._rests_until = {host: until for host, until in self._rests_until.items() if until > now}
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
            logger.warning("a delivery of a webhook is put off: %s", error, exc_info=error)

    async def _deliver(self, delivery: DueDelivery) -> None:
        record = await self._store.run(self._store.calls.read(delivery.task_id))
        if record is not None and record.submitted_at != delivery.run:
            record = None  # of another run
        url = self._receiver(delivery, record)
        if url is None:
            await self._end(delivery, Verdict(DeliveryOutcome.DROPPED), "")
            return
        host = urlsplit(url).netloc
        rest = self._rests_until.get(host, 0.0) - time.monotonic()
        if rest > 0 or self._per_receiver[host] >= MAX_PER_RECEIVER:
            pause = max(rest, POSTPONED_SECONDS) * (1.0 + random.random() / 2)  # noqa: S311 - no secret
            await self._end(delivery, Verdict(DeliveryOutcome.POSTPONED, pause), "")
            return
        self._per_receiver[host] += 1
        try:
            answer = await self._send(url, delivery, record)
        finally:
            self._per_receiver[host] -= 1
            if not self._per_receiver[host]:
                del self._per_receiver[host]
        if answer.rest_seconds:
            self._rests_until[host] = time.monotonic() + answer.rest_seconds
        if answer.gone and WEBHOOK_ID.fullmatch(delivery.to):
            await self._webhooks.disable(delivery.to)
        spread = random.random()  # noqa: S311 - no secret
        await self._end(delivery, decide(answer, delivery.tries, spread), answer.text)

    def _receiver(self, delivery: DueDelivery, record: Record | None) -> str | None:
        """The URL to send to; None if nobody wants this delivery any more."""
        if not WEBHOOK_ID.fullmatch(delivery.to):
            return delivery.to
        webhook = self._webhooks.table.value.webhooks.get(delivery.to)
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
        if self._sender is None:
            self._sender = Sender(self._webhooks.networks)
        body = make_payload(delivery, record)
        secrets = await self._webhooks.secrets(delivery.account, delivery.to)
        headers = signed_headers(delivery.delivery_id, int(time.time()), body, secrets)
        return await self._sender.send(url, headers, body)

    async def _end(self, delivery: DueDelivery, verdict: Verdict, reply: str) -> None:
        call = self._store.calls.end_delivery(
            delivery, verdict.outcome, pause_seconds=verdict.pause_seconds, reply=reply
        )
        await self._store.run(call)
        metrics.WEBHOOK_DELIVERIES.labels(verdict.outcome).inc()
