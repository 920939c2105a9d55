from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator

import pytest

from cluster.api_node.result_delivery import ResultDelivery
from cluster.store.async_store import Store


@pytest.fixture
async def deliveries(store: Store) -> AsyncIterator[ResultDelivery]:
    """The delivery of a node whose channel is subscribed. A test must leave no subscriber behind."""
    node = ResultDelivery(store, uuid.uuid4().hex, 100_000, lambda _: None)
    await node.start()
    await node.listening.wait()
    yield node
    assert node.subscribers == 0
    # With a timeout, because a lost cancellation would block all following tests.
    async with asyncio.timeout(5):
        await node.close()
