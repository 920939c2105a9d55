"""Where webhooks may be sent: never to this system's own network, unless the operator says so.

A name is resolved when a delivery is sent, and the connection goes to an address that was checked: a name that resolves
to a public address first and to a private one a moment later gains nothing (OWASP, server-side request forgery).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import Final, TypeAlias
from urllib.parse import urlsplit

from cluster.errors import BadInput

MAX_URL_LENGTH: Final = 2_048

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

_CARRIERS: Final = tuple(map(ipaddress.IPv6Network, ("::/96", "64:ff9b::/96")))
"""Addresses of IPv6 that stand for one of IPv4, in their last 32 bits: compatible ones, and NAT64 (RFC 6052)."""
_ISATAP: Final = (0x5EFE, 0x0200_5EFE)
"""Before the address of IPv4, in the last 64 bits of any prefix (RFC 5214, section 6.1)."""
_UNICAST: Final = ipaddress.IPv6Network("2000::/3")
"""All of IPv6 that IANA gives out for global use. Outside are site-local addresses (fec0::/10), translated ones
(::ffff:0:0:0/96) and local NAT64 (64:ff9b:1::/48), some of which `is_global` takes for public in some Pythons."""
_SPECIAL: Final = tuple(map(ipaddress.ip_network, ("3fff::/20", "192.0.0.0/24", "192.88.99.0/24")))
"""Not the internet either: examples (RFC 9637), protocols of this network (RFC 6890), retired relays (RFC 7526)."""


def check_receiver_url(text: str, networks: Sequence[Network], argument: str) -> str:
    """A URL that webhooks can be sent to.

    Args:
        networks: private networks that may be reached, also without TLS.
        argument: the name of the argument, for the error.

    Raises:
        BadInput: it is too long, not https, has credentials, or names an address that must not be reached.
    """

    def refuse(expected: str) -> BadInput:
        return BadInput(f"{argument}: {expected}, unlike {text[:200]!r}", argument=argument)

    if len(text) > MAX_URL_LENGTH:
        raise BadInput(f"{argument} has at most {MAX_URL_LENGTH:,} characters", argument=argument, limit=MAX_URL_LENGTH)
    if not text.isascii() or not text.isprintable() or " " in text or "|" in text:
        raise refuse("a URL is of printable ASCII characters, without spaces and `|`; others are percent-encoded")
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    if not host:
        raise refuse("a whole URL, as in https://app.example.com/hooks")
    if parts.scheme != "https" and not (parts.scheme == "http" and networks):
        raise refuse("webhooks are sent to https:// only")
    if parts.username is not None or parts.password is not None or parts.fragment:
        raise refuse("a URL without a user, a password or a fragment; deliveries are signed")
    address = parse_address(host)
    if address is not None and not is_allowed(address, networks, secure=parts.scheme == "https"):
        raise refuse("the address must be public")
    return text


def parse_address(host: str) -> Address | None:
    """The address that a host is; None if it is a name."""
    try:
        return ipaddress.ip_address(host.split("%")[0])
    except ValueError:
        return None


def is_allowed(address: Address, networks: Sequence[Network], *, secure: bool) -> bool:
    """Whether a delivery may be sent to an address.

    Args:
        networks: private networks that may be reached, also without TLS.
        secure: whether it is sent over TLS.
    """
    address = _plain(address)
    if _is_in(address, networks):
        return True
    unicast = address.version == 4 or address in _UNICAST
    return secure and address.is_global and unicast and not address.is_multicast and not _is_in(address, _SPECIAL)


def _is_in(address: Address, networks: Sequence[Network]) -> bool:
    return any(address.version == network.version and address in network for network in networks)


def _plain(address: Address) -> Address:
    """The IPv4 address that an IPv6 address stands for, or the address itself."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo or (None, None))[1]
        carried = _is_in(address, _CARRIERS) or int(address) >> 32 & 0xFFFF_FFFF in _ISATAP
        if inner is None and carried and int(address) > 1:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        return inner or address
    return address
