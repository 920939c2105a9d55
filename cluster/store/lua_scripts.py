"""The Lua scripts, as Redis receives them, and one call of a script."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Final, Generic, TypeVar

import msgpack
import orjson

from cluster.attempt_errors import event_message, expired_before_start
from cluster.store.lua_source import with_common
from cluster.store.record import FIELDS, FIELDS_BUT_RESULT, RESULT_AT

R = TypeVar("R")

_FOLDER: Final = files("cluster.store") / "scripts"


@dataclass(frozen=True, slots=True)
class Script:
    """A Lua script with the SHA-1 by which Redis knows it."""

    name: str
    source: bytes
    sha: str


def _load(name: str) -> Script:
    source = with_common(_common(), (_FOLDER / f"{name}.lua").read_text()).encode()
    return Script(name, source, hashlib.sha1(source, usedforsecurity=False).hexdigest())


@functools.cache
def _common() -> str:
    """`_common.lua` with what the scripts are told of this release."""
    return (
        (_FOLDER / "_common.lua")
        .read_text()
        .replace("RECORD, FIELDS)", f"RECORD, {_quoted(FIELDS)})")
        .replace("RECORD, FIELDS_BUT_RESULT)", f"RECORD, {_quoted(FIELDS_BUT_RESULT)})")
        # Lua counts from 1.
        .replace("[RESULT_AT]", f"[{RESULT_AT + 1}]")
        .replace("[ERROR_AT]", f"[{FIELDS.index('error') + 1}]")
        .replace("[INPUT_AT]", f"[{FIELDS.index('input') + 1}]")
        .replace(" EXPIRED_ERROR,", f" {_lua_text(orjson.dumps(EXPIRED).decode())},")
        .replace(" EXPIRED_MESSAGE)", f" {_lua_text(event_message(EXPIRED))})")
    )


def _lua_text(text: str) -> str:
    assert "]]" not in text, "it would end the literal"
    return f"[[{text}]]"


def _quoted(names: Sequence[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)


EXPIRED: Final = expired_before_start()
"""The error of a task that has not started in time: part of the scripts, as each start would have to pass it."""

SCRIPTS: Final = {
    name: _load(name)
    for name in (
        "submit", "start", "progress", "finish", "fail", "mark_lost", "release", "cancel", "watch", "unwatch", "read",
        "claim_due", "prune", "take_tokens", "register_blobs", "claim_blobs", "unregister_blobs", "write_time",
        "become_claimer", "peek_held", "claim_held", "check_slots", "recall", "replace_field", "expire_unstarted",
        "record_checkpoint",
        "register_place", "register_file", "use_file", "borrow_file", "claim_files", "check_file", "claim_places",
        "unregister_places", "append_items", "read_items", "read_log", "read_wait", "read_changes",
        "claim_deliveries", "end_delivery", "redeliver", "forget", "set_priority", "add_cost", "count_buckets",
        "add_children", "wait_for_children", "claim_unwanted", "remove_unwanted", "read_starts",
    )
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Call(Generic[R]):
    """One call of a script. `parse` converts the reply."""

    script: Script
    keys: tuple[str, ...]
    args: tuple[Any, ...]
    parse: Callable[[Any], R]

    @property
    def command(self) -> tuple[Any, ...]:
        return ("EVALSHA", self.script.sha, len(self.keys), *self.keys, *self.args)


def unpack(reply: bytes) -> Any:
    """Decodes a reply that a script packed as MessagePack.

    For an array, Redis 6.2 spends a buffer and a write per element, more than most scripts' commands together.
    """
    return msgpack.unpackb(reply, raw=True)
