"""Hosts: the names under which clients reach this api.

A page whose own domain's DNS is made to point to this machine (DNS rebinding) may talk to the api as if it were one of
its pages: to the browser both are one origin. What gives it away is its name in the Host header.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Final

from cluster.settings import Settings
from cluster.settings.parsers import is_loopback

_HOST: Final = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[^\s/?#@:\[\]\\<>^`{|}\"]*)(?::[0-9]{0,5})?")
"""A host and an optional port (RFC 9110, section 7.2). Checks only what is needed to tell the two apart."""


def is_host(host: str) -> bool:
    """Whether a Host header is well-formed; an empty one is."""
    return _HOST.fullmatch(host) is not None


class Hosts:
    """Decides by its Host header whether a request is for this api: ALLOWED_HOSTS, or only loopback's own names if HOST
    is loopback.

    The address that a connection was made to is always allowed, as no DNS leads there: a load balancer's health checks
    name their target by its address. (AWS: docs/aws.md.)
    """

    def __init__(self, settings: Settings) -> None:
        names = settings.allowed_hosts or (() if is_loopback(settings.host) else ("*",))
        self._all = "*" in names
        self._names = frozenset(names)
        self._endings = tuple(name[1:] for name in names if name.startswith("*."))

    def allows(self, host: str, address: str) -> bool:
        """Whether a request may be served.

        Args:
            host: a well-formed Host header. An empty one is allowed: browsers always send one.
            address: this node's end of the connection.
        """
        if self._all:
            return True
        name = _name(host.lower())
        return not name or name in self._names or name.endswith(self._endings or ("\0",)) or _is_own(name, address)


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
