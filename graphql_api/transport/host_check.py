"""Hosts: the names under which clients reach this api.

A page whose own domain's DNS is made to point to this machine (DNS rebinding) may talk to the api as if it were one of
its pages: to the browser both are one origin. What gives it away is its name in the Host header.
"""

from __future__ import annotations

import ipaddress
import re
from enum import Enum, auto
from functools import lru_cache
from typing import Final
from urllib.parse import urlsplit

from cluster.settings import Settings
from cluster.settings.parsers import is_loopback

_HOST: Final = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[^\s/?#@:\[\]\\<>^`{|}\"]*)(?::[0-9]{0,5})?")
"""A host and an optional port (RFC 9110, section 7.2). Checks only what is needed to tell the two apart."""
MAX_HOST_CHARACTERS: Final = 300
"""More than the longest domain name (RFC 1035: 253) with a port."""
CACHED_HOSTS: Final = 1_000
"""Headers whose check is remembered: parsing addresses takes longer than all else that is done with a head."""


class HostCheck(Enum):
    """What a Host or X-Forwarded-Host header is."""

    OURS = auto()
    FOREIGN = auto()
    MALFORMED = auto()


class Hosts:
    """Decides by its Host header whether a request is for this api: ALLOWED_HOSTS, or only loopback's own names if HOST
    is loopback; and always the host of PUBLIC_URL.

    The address that a connection was made to is always allowed, as no DNS leads there: a load balancer's health checks
    name their target by its address. (AWS: docs/aws.md.)
    """

    def __init__(self, settings: Settings) -> None:
        names = settings.allowed_hosts or (() if is_loopback(settings.host) else ("*",))
        self._all = "*" in names
        self._names = frozenset(names) | {urlsplit(settings.public_url).hostname}
        self._endings = tuple(name[1:] for name in names if name.startswith("*."))
        self._check = lru_cache(CACHED_HOSTS)(self._checked)

    def check(self, host: str, address: str) -> HostCheck:
        """What a request's Host header is.

        Args:
            host: the header. An empty one is ours: browsers always send one.
            address: this node's end of the connection.
        """
        return self._check(host, address) if len(host) <= MAX_HOST_CHARACTERS else HostCheck.MALFORMED

    def _checked(self, host: str, address: str) -> HostCheck:
        if not _HOST.fullmatch(host):
            return HostCheck.MALFORMED
        name = _name(host.lower())
        ours = self._all or not name or name in self._names or name.endswith(self._endings) or _is_own(name, address)
        return HostCheck.OURS if ours else HostCheck.FOREIGN


def _name(host: str) -> str:
    """A well-formed Host header without its port, and without the dot of a complete domain name."""
    return host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0].removesuffix(".")


def _is_own(name: str, address: str) -> bool:
    """Whether a name is the address that a connection was made to, or loopback for one on loopback."""
    if is_loopback(name) and is_loopback(address):
        return True
    try:
        return ipaddress.ip_address(name) == ipaddress.ip_address(address)
    except ValueError:
        return False
