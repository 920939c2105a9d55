"""The task id: one input of one task type has one id, on every node, in every language.

The id is the first 32 hex digits of SHA-256 over the RFC 8785 canonical JSON of `{"input": {...}, "task": "<name>",
"version": "<version>"}`, with defaults filled in and integers beyond 2^53 as decimal strings. A run key is a further
member `"run"`, and the tenant's `"salt"` another one, if tenants are kept apart.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache
from types import NoneType
from typing import Any, Final

import orjson
import rfc8785

from cluster.errors import BadInput, BadTaskId
from cluster.task_types.value_types import SAFE_INTEGER, json_integer

ID_DIGITS: Final = 32
TASK_ID: Final = re.compile(rf"[0-9a-f]{{{ID_DIGITS}}}")


def canonical(value: Any) -> Any:
    """Rewrites the integers of a JSON value so that all languages read the same number."""
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int):
        # 2^53 itself is still a number, but the library's integers end one below it; a float is written the same.
        return float(value) if abs(value) == SAFE_INTEGER else json_integer(value)
    if isinstance(value, dict):
        return {key: canonical(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [canonical(item) for item in value]
    return value


def canonical_json(value: Any) -> bytes:
    """RFC 8785 bytes of a JSON value.

    Raises:
        BadInput: the value has no canonical form (a float that is not finite, a lone surrogate).
    """
    if _is_plain(value):
        with suppress(TypeError):  # a lone surrogate
            return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    try:
        return "".join(_pieces(value)).encode()
    except (rfc8785.CanonicalizationError, TypeError) as error:
        raise BadInput(f"the input has no canonical JSON form: {error}") from error


def _is_plain(value: Any) -> bool:
    """Whether orjson writes an object as RFC 8785 demands, in a tenth of the time: if it has no floats (whose form
    differs), no long integers, and only names that sort alike in UTF-8 and in UTF-16."""
    return type(value) is dict and all(
        name.isascii() and (type(item) in (str, bool, NoneType) or (type(item) is int and abs(item) < SAFE_INTEGER))
        for name, item in value.items()
    )


def _pieces(value: Any) -> Iterator[str]:
    """The parts of the JSON text, in a fraction of the library's time; the library only writes unusual numbers."""
    kind = type(value)
    if kind is float:
        yield _float(value)
    elif kind is str:
        yield orjson.dumps(value).decode()
    elif kind in (list, tuple):
        kinds = set(map(type, value))
        if kinds == {float}:
            yield f"[{','.join(map(_float, value))}]"
        elif kinds <= {str, bool, NoneType}:
            yield orjson.dumps(value).decode()
        else:
            before = "["
            for item in value:
                yield before
                yield from _pieces(item)
                before = ","
            yield "]" if value else "[]"
    elif kind is dict:
        before = "{"
        # By UTF-16 code units (RFC 8785, section 3.2.3), which are the characters if all are ASCII.
        for name in sorted(value, key=None if all(map(str.isascii, value)) else _utf_16):
            yield f"{before}{orjson.dumps(name).decode()}:"
            yield from _pieces(value[name])
            before = ","
        yield "}" if value else "{}"
    elif kind is int and -SAFE_INTEGER < value < SAFE_INTEGER:
        yield str(value)
    else:
        yield rfc8785.dumps(canonical(value)).decode()


def _utf_16(name: str) -> bytes:
    return name.encode("utf-16-be")


def _float(value: float) -> str:
    """A float as JavaScript writes it; Python writes the same text if neither uses an exponent."""
    size = abs(value)
    if 1e-4 <= size < 1e15:
        whole = int(value)
        return str(whole) if whole == value else repr(value)
    return rfc8785.dumps(value).decode()


def task_id(name: str, version: str, canonical_input: bytes, salt: str = "", run_key: str = "") -> str:
    """Derives the id from the registered name, the version and the input's canonical JSON.

    `salt` belongs to a tenant, if tenants are kept apart, and `run_key` to a submission that asks for a run of its own.
    Each that is not empty becomes a member of the pre-image, between input and task.
    """
    # The keys of the pre-image are already in RFC 8785's order, so the canonical input is inserted as it is.
    run = b',"run":%b' % rfc8785.dumps(run_key) if run_key else b""
    pre_image = b'{"input":%b%b%b' % (canonical_input, run, _suffix(name, version, salt))
    return hashlib.sha256(pre_image).hexdigest()[:ID_DIGITS]


@lru_cache(1_000)
def _suffix(name: str, version: str, salt: str) -> bytes:
    """The part of the pre-image after the input."""
    salted = b',"salt":%b' % rfc8785.dumps(salt) if salt else b""
    return b'%b,"task":%b,"version":%b}' % (salted, rfc8785.dumps(name), rfc8785.dumps(version))


def check_task_id(text: str) -> str:
    """Returns the id.

    Raises:
        BadTaskId: the text does not have the form of a task id.
    """
    if not TASK_ID.fullmatch(text):
        raise BadTaskId(f"a task id is 32 lowercase hex digits, not {text[:64]!r}")
    return text
