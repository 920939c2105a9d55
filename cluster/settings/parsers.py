"""The parsers of settings: each turns the text of an environment variable into a value, or says what it expected."""

from __future__ import annotations

import ipaddress
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from cluster.redis_url import InvalidRedisUrl, check_redis_url

MAX_SCHEDULERS: Final = 16
"""A task's scheduler follows from its shard, of which there are so many."""


class InvalidValue(Exception):
    """The text is not a value of the setting. The message says what was expected."""


def integer(minimum: int, maximum: int | None = None) -> Callable[[str], int]:
    expected = f"a whole number from {minimum}" + ("" if maximum is None else f" to {maximum}")

    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise InvalidValue(expected) from None
        if value < minimum or (maximum is not None and value > maximum):
            raise InvalidValue(expected)
        return value

    return parse


def _number(minimum: float, maximum: float, expected: str) -> Callable[[str], float]:
    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            raise InvalidValue(expected) from None
        if not minimum <= value <= maximum or value == float("inf"):
            raise InvalidValue(expected)
        return value

    return parse


def at_least(minimum: float, what: str) -> Callable[[str], float]:
    """A number. `what` names it in errors, as "an amount"."""
    return _number(minimum, float("inf"), f"{what}, {minimum:g} or more")


MAX_PROCESSES: Final = 64


def process_count(text: str) -> int:
    """From 1 to MAX_PROCESSES, or `auto`: as many as this process has cores."""
    if text != "auto":
        try:
            return integer(1, MAX_PROCESSES)(text)
        except InvalidValue as invalid:
            raise InvalidValue(f"{invalid}, or auto") from None
    return min(MAX_PROCESSES, available_cores())


def available_cores(quota_file: Path = Path("/sys/fs/cgroup/cpu.max")) -> int:
    """The cores that this process may use, of the machine's.

    Args:
        quota_file: of cgroup v2: microseconds of processor time in each period, and the period.
    """
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    try:
        quota, period = quota_file.read_text().split()
    except (OSError, ValueError):
        return cores
    return cores if quota == "max" else max(1, min(cores, int(quota) // int(period)))


def seconds(minimum: float) -> Callable[[str], float]:
    return at_least(minimum, "a number of seconds")


fraction = _number(0, 1, "a number from 0 to 1")


def boolean(text: str) -> bool:
    value = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
    if text.lower() not in value:
        raise InvalidValue("true or false")
    return value[text.lower()]


def matching(pattern: str, expected: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise InvalidValue(expected)
        return text

    return parse


def optional(parse: Callable[[str], str]) -> Callable[[str], str]:
    """The empty text, or what `parse` takes."""
    return lambda text: parse(text) if text else ""


def url(*schemes: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        try:
            parts = urlsplit(text)
        except ValueError:  # "Invalid IPv6 URL"
            parts = urlsplit("")
        # A file has no host; everything else has one, or a bucket.
        target = parts.path if parts.scheme == "file" else parts.netloc
        if parts.scheme not in schemes or not target or (parts.scheme == "file" and parts.netloc):
            raise InvalidValue("a URL that begins with " + " or ".join(f"{scheme}://" for scheme in schemes))
        return text

    return parse


def issuer(text: str) -> str:
    """An issuer of tokens (OpenID Connect Discovery 1.0, section 3). Whoever can change what comes over plain HTTP can
    forge every token, so that is for tests on this machine."""
    expected = "a URL that begins with https://, or with http:// on loopback"
    try:
        url("https", "http")(text)
        parts = urlsplit(text)
        if parts.scheme != "https" and not is_loopback(parts.hostname or ""):
            raise InvalidValue(expected)
    except InvalidValue:
        raise InvalidValue(expected) from None
    return text


def is_loopback(host: str) -> bool:
    """Whether a name or an address is this machine's own: `localhost`, 127.0.0.0/8 or ::1."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def valid_redis_url(text: str) -> str:
    try:
        return check_redis_url(text)
    except InvalidRedisUrl as error:
        raise InvalidValue(str(error)) from None


def scheduler_address(text: str) -> str:
    if (
        not re.fullmatch(r"(tcp|tls)://(\[[0-9A-Fa-f:]+\]|[^\s:/\[\]]+):\d{1,5}", text)
        or not 0 < int(text.rpartition(":")[2]) < 65536
    ):
        raise InvalidValue("an address such as tcp://host:8786 or tls://host:8786")
    return text


def scheduler_addresses(text: str) -> tuple[str, ...]:
    addresses = words(text)
    if not 1 <= len(addresses) <= MAX_SCHEDULERS or len(set(addresses)) < len(addresses):
        raise InvalidValue(f"1 to {MAX_SCHEDULERS} different addresses such as tls://host:8786, separated by commas")
    for address in addresses:
        scheduler_address(address)
    return addresses


ROOT_PATH = r"(/[A-Za-z0-9._~-]+)+"
"""The path of a prefix: of characters that mean the same in every URL, HTML page and configuration of a proxy."""


def is_root_path(path: str) -> bool:
    """Whether a path can be a prefix. Browsers remove the segments `.` and `..` from every URL below it."""
    return re.fullmatch(ROOT_PATH, path) is not None and not {".", ".."} & set(path.split("/"))


def root_path(text: str) -> str:
    """A path such as `/tasks`, or none; without a slash at its end."""
    path = text.rstrip("/")
    if path and not is_root_path(path):
        raise InvalidValue("a path such as /tasks, of letters, digits and the characters - . _ ~ between slashes")
    return path


def public_url(text: str) -> str:
    """The base of links, without a slash at its end."""
    expected = "a URL such as https://api.example.com or https://example.com/tasks, without a query"
    try:
        parts = urlsplit(url("https", "http")(text))
        root_path(parts.path)
        _ = parts.port
    except (InvalidValue, ValueError):
        raise InvalidValue(expected) from None
    if parts.query or parts.fragment or "@" in parts.netloc or not parts.hostname or re.search(r"[\s<>\"\\]", text):
        raise InvalidValue(expected)
    return f"{parts.scheme}://{parts.netloc.lower()}{parts.path.rstrip('/')}"


def host_name(text: str) -> str:
    try:
        known = ":" not in text or bool(ipaddress.ip_address(text))
    except ValueError:
        known = False
    if not known or re.search(r"[\s/@?#]", text):
        raise InvalidValue("an address or a name, without a port, such as 127.0.0.1 or ::1")
    return text


def host_and_port(text: str) -> str:
    host, _, port = text.rpartition(":")
    if not host or re.search(r"[\s/@]", host) or not re.fullmatch(r"\d{1,5}", port) or int(port) > 65535:
        raise InvalidValue("HOST:PORT, or empty for no dashboard")
    return text


def words(text: str) -> tuple[str, ...]:
    """Any texts, separated by commas."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def scopes(text: str) -> tuple[str, ...]:
    names = words(text)
    if not names or not set(names) <= {"submit", "priority", "read", "cancel"}:
        raise InvalidValue("of submit, priority, read and cancel, separated by commas")
    return names


def secrets(text: str) -> tuple[str, ...]:
    names = words(text)
    if not names or any(len(name) < 32 for name in names):
        raise InvalidValue(
            "random texts of at least 32 characters, as `openssl rand -hex 32` makes, separated by commas"
        )
    return names


def modules(text: str) -> tuple[str, ...]:
    names = words(text)
    for name in names:
        is_path = "/" in name or name.endswith(".py")
        if not is_path and not all(part.isidentifier() for part in name.split(".")):
            raise InvalidValue("importable module names or paths of files, separated by commas")
    return names


def proxies(text: str) -> str:
    names = words(text)
    try:
        return "*" if "*" in names else ",".join(map(_proxy, names))
    except ValueError:
        raise InvalidValue("IP addresses or networks such as 10.0.0.0/16, separated by commas, or *") from None


def _proxy(name: str) -> str:
    """An address or a network, without the bits behind a network's prefix, as uvicorn expects."""
    network = ipaddress.ip_network(name, strict=False)
    return str(network) if "/" in name else name


def networks(text: str) -> str:
    """Networks or addresses, separated by commas."""
    names = words(text)
    try:
        return ",".join(str(ipaddress.ip_network(name, strict=False)) for name in names)
    except ValueError:
        raise InvalidValue("IP addresses or networks such as 10.0.0.0/16, separated by commas") from None


def hosts(text: str) -> tuple[str, ...]:
    """Names or addresses as in a Host header, in lower case and without a port."""
    names = tuple(name.lower().removeprefix("[").removesuffix("]") for name in words(text))
    for name in names:
        if name != "*" and not re.fullmatch(r"(\*\.)?[^\s/?#@:*\[\]]+", name) and not _is_ip(name):
            raise InvalidValue(
                "names such as api.example.com or *.example.com, without a port, separated by commas, or *"
            )
    return names


def _is_ip(text: str) -> bool:
    try:
        return bool(ipaddress.ip_address(text))
    except ValueError:
        return False


def header_names(text: str) -> tuple[str, ...]:
    names = tuple(name.lower() for name in words(text))
    for name in names:
        if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9a-z-]+", name):  # RFC 9110, section 5.6.2
            raise InvalidValue("names of headers such as x-request-id, separated by commas, or *")
    return names


def origins(text: str) -> tuple[str, ...]:
    names = words(text)
    for origin in names:
        if origin != "*" and not re.fullmatch(r"https?://[^/\s?#@]+", origin):
            raise InvalidValue("origins such as https://app.example.com, without a path, separated by commas, or *")
    return names
