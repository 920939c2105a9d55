"""What one address may hold of an api node before it says who it is: connections, and messages that are not complete.

Behind a proxy every connection comes from one address. Those of TRUSTED_PROXIES are therefore bounded only together
with all others; the proxy bounds its own clients.
"""

from __future__ import annotations

import resource
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final

from cluster.settings import Settings
from cluster.system.counts import Counts, MakeCounts
from graphql_api.auth.callers import address_caller_name

UNFINISHED_BYTES_PER_ADDRESS: Final = 32_000_000
"""Size of the bodies and WebSocket messages that an address has begun and not ended: eight of the largest."""
UNFINISHED_BYTES: Final = 256_000_000
"""The same of all addresses together."""
ALL: Final = ""
"""The name under which what all addresses hold is counted."""
SPARE_FILES: Final = 100
"""Files that connections leave to the rest of the process: Redis, the scheduler, blobs, pages."""


class AddressLimits:
    """Counts what each address holds on one node.

    Args:
        make_counts: makes the counts.
    """

    def __init__(self, settings: Settings, make_counts: MakeCounts = lambda _: Counts()) -> None:
        self._per_address = settings.connections_per_address
        self._in_all = max(SPARE_FILES, resource.getrlimit(resource.RLIMIT_NOFILE)[0] - SPARE_FILES)
        trusted = settings.trusted_proxies
        self._trusts_all = trusted == "*"
        self._trusted = () if self._trusts_all else tuple(ip_network(text, strict=False) for text in _words(trusted))
        self._connections = make_counts("connections")
        self._unfinished = make_counts("unfinished")
        self.connections = 0

    def is_proxy(self, host: str) -> bool:
        """Whether an address is one of TRUSTED_PROXIES."""
        if self._trusts_all:
            return True
        address = _parse(host) if self._trusted else None
        return address is not None and any(address in network for network in self._trusted)

    def connect(self, host: str) -> bool:
        """Counts a connection. Returns False, and counts nothing, if there is no room for it."""
        client = address_caller_name(host)
        if self.connections >= self._in_all:
            return False
        if self._connections[client] >= self._per_address and not self.is_proxy(host):
            return False
        self._connections.add(client)
        self.connections += 1
        return True

    def disconnect(self, host: str) -> None:
        """Gives back what `connect` counted."""
        self.connections -= 1
        self._connections.add(address_caller_name(host), -1)

    def hold(self, host: str, size: int) -> bool:
        """Counts `size` more bytes of unfinished messages (fewer, if negative). Returns False if they are too many;
        they are counted all the same, until the caller ends the message."""
        client = address_caller_name(host)
        self._unfinished.add(client, size)
        self._unfinished.add(ALL, size)
        if size <= 0:
            return True
        if self._unfinished[ALL] > UNFINISHED_BYTES:
            return False
        return self._unfinished[client] <= UNFINISHED_BYTES_PER_ADDRESS or self.is_proxy(host)


class UnfinishedMessage:
    """What has arrived of one body or WebSocket message, counted against its address until `release`."""

    __slots__ = ("_host", "_limits", "_size")

    def __init__(self, limits: AddressLimits, host: str) -> None:
        self._limits = limits
        self._host = host
        self._size = 0

    def grow_to(self, size: int) -> bool:
        """Sets the size, in bytes. Returns False if the address holds too much; `release` is due all the same."""
        added, self._size = size - self._size, size
        return self._limits.hold(self._host, added)

    def release(self) -> None:
        """The message is complete, or was given up."""
        if self._size:
            self.grow_to(0)


def _parse(host: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(host)
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


def _words(text: str) -> list[str]:
    return [word for word in text.split(",") if word]
