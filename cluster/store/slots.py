"""Which server of a cluster serves which keys, by the rules of its specification (https://redis.io/docs/latest/operate/
oss_and_stack/reference/cluster-spec/). No I/O."""

from __future__ import annotations

from binascii import crc_hqx
from collections.abc import Sequence
from typing import Any, Final, TypeAlias

Address: TypeAlias = tuple[str, int]
"""Host and port of a server."""

SLOTS: Final = 16_384
KEYLESS: Final = frozenset({"TIME", "INFO", "PUBLISH", "SCRIPT", "PING", "HELLO", "CLUSTER", "WAIT"})
"""Commands without a key: any server takes them. PUBLISH reaches the subscribers of all servers from each of them."""


def slot_of(key: str | bytes) -> int:
    """The slot of a key: of its hash tag, the part between the first { and the next }, if it has one."""
    data = key.encode() if isinstance(key, str) else key
    begin = data.find(b"{")
    end = data.find(b"}", begin + 1) if begin >= 0 else -1
    return crc_hqx(data[begin + 1 : end] if end > begin + 1 else data, 0) % SLOTS


def slot_of_command(command: Sequence[Any]) -> int | None:
    """The slot of a command, by its first key; None if it has none."""
    name = command[0]
    if name in KEYLESS:
        return None
    if name in ("EVALSHA", "EVAL"):
        return slot_of(command[3]) if int(command[2]) else None
    return slot_of(command[1]) if len(command) > 1 else None


class SlotMap:
    """The primary of each slot, as far as is known.

    Attributes:
        nodes: all servers, replicas too.
    """

    def __init__(self, owners: Sequence[Address | None], nodes: Sequence[Address]) -> None:
        self._owners = list(owners)
        self.nodes = tuple(nodes)

    @property
    def primaries(self) -> tuple[Address, ...]:
        """The servers that serve a slot, in the order of their first slots."""
        return tuple(owner for owner in dict.fromkeys(self._owners) if owner is not None)

    def owner(self, slot: int | None) -> Address | None:
        """The primary of a slot; of a command without a key the first one, so that all nodes ask the same clock."""
        if slot is not None:
            return self._owners[slot]
        return next((owner for owner in self._owners if owner is not None), None)

    def move(self, slot: int, owner: Address) -> None:
        """A server said that another one serves this slot."""
        self._owners[slot] = owner


def parse_slots(reply: Sequence[Any], asked: Address) -> SlotMap:
    """Reads the reply to CLUSTER SLOTS.

    Args:
        asked: the server that replied: it leaves out a host that is its own, and one that it does not know is `?`.
    """
    owners: list[Address | None] = [None] * SLOTS
    nodes: dict[Address, None] = {}
    for first, last, *servers in reply:
        for i, server in enumerate(servers):
            host = (server[0] or b"").decode() or asked[0]
            if host == "?":
                continue
            address = (host, int(server[1]))
            nodes[address] = None
            if i == 0:
                owners[first : last + 1] = [address] * (last + 1 - first)
    return SlotMap(owners, list(nodes))
