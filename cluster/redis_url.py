"""Which URLs lead to a Redis. What redis-py would accept silently and fail on later is refused when a node starts."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import parse_qsl, urlsplit

DEFAULT_PORT: Final = 6379
SCHEMES: Final = ("redis", "rediss", "unix")
OPTIONS: Final = {
    "db": (r"[0-9]{1,9}", "a database number"),
    "protocol": ("[23]", "2 or 3"),
    "username": (".+", "a name"),
    "password": (".+", "a password"),
    "client_name": (r"[!-~]+", "a name without spaces"),
    "ssl_cert_reqs": ("none|optional|required", "none, optional or required"),
    "ssl_check_hostname": ("(?i:true|false|yes|no|1|0)", "true or false"),
    "ssl_ca_certs": (".+", "a file"),
    "ssl_ca_path": (".+", "a folder"),
    "ssl_ca_data": (".+", "a certificate"),
    "ssl_certfile": (".+", "a file"),
    "ssl_keyfile": (".+", "a file"),
    "ssl_password": (".+", "a password"),
    "ssl_ciphers": (".+", "a list of ciphers"),
}
"""The options of redis-py that the URL may contain. Of the others, the product itself sets timeouts, pools and retries,
and one (decode_responses) would make the replies unreadable."""


class InvalidRedisUrl(ValueError):
    """The URL does not lead to a Redis. The message says what was expected, and repeats nothing of the URL but the
    names of options."""


def check_redis_url(url: str) -> str:
    """Returns the URL.

    Raises:
        InvalidRedisUrl: the URL does not lead to a Redis.
    """
    try:
        parts = urlsplit(url)
        port, host = parts.port, parts.hostname
    except ValueError:
        # "Port out of range 0-65535", "Invalid IPv6 URL"; or the `:` or `[` of a password.
        expected = f"a port from 1 to 65535 and an address in brackets if it is IPv6, {_ENCODING}"
        raise InvalidRedisUrl(expected) from None
    if parts.scheme not in SCHEMES or not url[len(parts.scheme) :].startswith("://"):
        raise InvalidRedisUrl("a URL that begins with " + " or ".join(f"{scheme}://" for scheme in SCHEMES))
    if "#" in url or "@" in parts.path or "@" in parts.query or re.search(r"[\s\x00-\x1f]", url):
        raise InvalidRedisUrl(_ENCODING)
    if parts.scheme == "unix":
        if len(parts.path) < 2:
            raise InvalidRedisUrl("the path of a socket, as in unix:///run/redis.sock?db=0")
    elif not host or port == 0:
        raise InvalidRedisUrl(f"a host and optionally a port, as in {parts.scheme}://host:6379/0")
    elif not re.fullmatch(r"(/[0-9]{0,9})?", parts.path):
        raise InvalidRedisUrl(f"at most a database number after the host, as in {parts.scheme}://host:6379/0")
    _check_options(parts.scheme, parts.query)
    return url


def address_of(url: str) -> tuple[str, int]:
    """Host and port of a URL that was checked; of a Unix socket its path and 0."""
    parts = urlsplit(url)
    return (parts.path, 0) if parts.scheme == "unix" else (parts.hostname or "", parts.port or DEFAULT_PORT)


def with_address(url: str, address: tuple[str, int]) -> str:
    """The URL of another server of the same cluster: with the same user, password and options.

    Raises:
        ConnectionError: the URL is that of a Unix socket, and the others of a cluster listen elsewhere.
    """
    parts, (host, port) = urlsplit(url), address
    if parts.scheme == "unix":
        raise ConnectionError("the server is one of a cluster: REDIS_URL must begin with redis:// or rediss://")
    user, at, _ = parts.netloc.rpartition("@")
    return parts._replace(netloc=f"{user}{at}[{host}]:{port}" if ":" in host else f"{user}{at}{host}:{port}").geturl()


def _check_options(scheme: str, query: str) -> None:
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name not in OPTIONS:
            raise InvalidRedisUrl(f"no option {name[:40]!r} in the URL; the options are {', '.join(OPTIONS)}")
        pattern, meaning = OPTIONS[name]
        if not re.fullmatch(pattern, value, re.DOTALL):
            raise InvalidRedisUrl(f"{meaning} as {name} in the URL")
        if name.startswith("ssl_") and scheme != "rediss":
            raise InvalidRedisUrl(f"rediss:// in place of {scheme}://, as the URL has {name}")


_ENCODING: Final = (
    "special characters of the user and the password percent-encoded (@ as %40, # as %23, / as %2F, ? as %3F, : as "
    "%3A, [ as %5B)"
)
