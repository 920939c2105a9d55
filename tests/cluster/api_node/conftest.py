from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from cluster.api_node.result_delivery import ResultDelivery
from cluster.settings import Settings
from cluster.store.async_store import Store


@pytest.fixture
async def expiring_store(settings: Settings) -> AsyncIterator[Store]:
    """A store whose records expire after one second."""
    store = Store(replace(settings, result_ttl_seconds=1))
    yield store
    await store.close()


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
