"""The list of limits that a submission is subject to."""

from __future__ import annotations

import hashlib
from typing import Final

import orjson

from cluster.store.limit_calls import LimitList
from cluster.task_types.task_id import canonical_json
from cluster.task_types.task_type import Bound

KEY_DIGITS: Final = 32
"""Hex digits of the hash of a key's value."""


def limits_of(bound: Bound, ceiling_of: str, *, always: bool = False) -> LimitList:
    """The limits of a submission; empty for most.

    Args:
        ceiling_of: the account whose running tasks are limited; empty for none.
        always: whether it is subject to the limit of its type even if that has no number.
    """
    name, limit = bound.task_type.name, bound.task_type.concurrency
    if limit is None and not ceiling_of and not always:
        return ""
    limits = [f"t:{name}={limit.max_running}" if limit is not None and limit.key is None else f"t:{name}"]
    if limit is not None and limit.key is not None:
        limits.append(f"k:{name}:{_key_hash(bound, limit.key)}={limit.max_running}")
    if ceiling_of:
        limits.append(f"a:{ceiling_of}")
    return " ".join(limits)


def _key_hash(bound: Bound, key: str) -> str:
    """Identifies the value of an argument: equal values have the same canonical JSON."""
    value = orjson.loads(bound.canonical_input)[key]
    return hashlib.sha256(canonical_json(value)).hexdigest()[:KEY_DIGITS]
