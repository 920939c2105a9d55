"""The node's pub/sub connection: notifications of tasks that its subscribers wait for, and broadcasts to all nodes.

A notification means "read this task again" and usually includes the final record, which never changes.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Final

from redis.exceptions import RedisError

from cluster.api_node.speculative_watch import SpeculativeWatches
from cluster.api_node.topics import Topics
from cluster.api_node.watch_queue import WatchQueue
from cluster.store.async_store import Store
from cluster.store.record import Record
from cluster.store.replies import parse_notification, split_notification
from cluster.system.background import BackgroundLoop

logger = logging.getLogger(__name__)

GATHER_SECONDS: Final = 0.002
"""Minimum gap between two deliveries. A single record is delivered at once; records that arrive within the gap are
delivered together, so that each client gets one packet."""
REOPEN_SECONDS: Final = 0.25
"""Pause before a lost connection is opened again."""
PING_SECONDS: Final = 5.0
"""Ping interval on an idle pub/sub connection."""


class NodeChannel:
    """The subscription of one node to its own channel and to the broadcast channel.

    Args:
        on_broadcast: called with each message to all nodes.

    Attributes:
        listening: set while both channels are subscribed.
        disconnected_since: when the connection was lost, seconds since 1970; None while `listening` is set.
    """

    def __init__(
        self,
        store: Store,
        node: str,
        queue: WatchQueue,
        topics: Topics,
        speculative: SpeculativeWatches,
        on_broadcast: Callable[[str], None],
    ) -> None:
        self._store = store
        self._node = node
        self._queue = queue
        self._topics = topics
        self._speculative = speculative
        self._on_broadcast = on_broadcast
        self._gathered: list[tuple[str, Record]] = []
        self._delivered_at = 0.0
        self.loop = BackgroundLoop("node channel", self._listen, pause_seconds=REOPEN_SECONDS, needed=True)
        self.listening = asyncio.Event()
        self.disconnected_since: float | None = time.time()

    async def _listen(self) -> None:
        """Handles messages until the connection is lost. The next round watches all topics again."""
        calls = self._store.calls
        own = calls.node_channel(self._node)
        pubsub = self._store.pubsub([own, calls.all_channel], PING_SECONDS)
        try:
            await pubsub.open()
            self.listening.set()
            self.disconnected_since = None
            self._topics.renew_all()
            async for channel, message in pubsub.messages():
                if channel == own.encode():
                    self._on_notification(message)
                else:
                    self._on_broadcast(message.decode())
        except (RedisError, OSError) as error:
            logger.warning("the pub/sub connection of this node was lost: %s", error)
        finally:
            self.listening.clear()
            self._speculative.invalidate_all()
            self.disconnected_since = self.disconnected_since or time.time()
            await pubsub.close()

    def _on_notification(self, data: bytes) -> None:
        task_id, packed = split_notification(data)
        self._speculative.invalidate(task_id)
        if task_id not in self._topics:
            return
        record = None
        if packed:
            try:
                record = parse_notification(data)[1]
            except Exception:
                # Perhaps sent by another release. Reading the record yields the same.
                logger.warning(
                    "cannot parse the notification of task %s; reading its record instead", task_id, exc_info=True
                )
        if record is None:
            self._queue.request(task_id)
            return
        if not self._gathered:
            loop = asyncio.get_running_loop()
            loop.call_at(max(loop.time(), self._delivered_at + GATHER_SECONDS), self._deliver_gathered)
        self._gathered.append((task_id, record))

    def _deliver_gathered(self) -> None:
        gathered, self._gathered = self._gathered, []
        for task_id, record in gathered:
            self._topics.on_final_notification(task_id, record)
        self._delivered_at = asyncio.get_running_loop().time()
