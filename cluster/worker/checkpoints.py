"""Checkpoints: what a running attempt saves so that a later attempt of the same run continues from there.

A checkpoint is a blob of its attempt, and the record says which attempt saved the newest one. Each attempt writes only
its own blob, so one that was superseded and still runs never changes what its successor reads.
"""

from __future__ import annotations

from typing import Any, Final

import orjson

from cluster.errors import BlobError, StoreUnavailable, TaskError
from cluster.worker.saved_blobs import register
from cluster.worker.task_context import RunningAttempt, require_attempt

FILE_NAME: Final = ".checkpoint"
"""No name of `save_blob` begins with a dot."""
MAX_CHECKPOINT_BYTES: Final = 64 * 2**20
_BYTES, _JSON = b"b", b"j"
"""The first byte of the blob: how the rest is to be read."""


class Checkpoint:
    """Saves how far the running task is, and loads what an earlier attempt saved."""

    def save(self, value: Any) -> None:
        """Saves a value for the attempts that follow if this one fails or is lost. It replaces the one before.

        Args:
            value: bytes, which stay as they are, or what JSON expresses: None, bool, int (64 bits), float, str, list,
                and dict with text as keys.

        Raises:
            RuntimeError: no task is running in this thread.
            ValueError: the value is longer than 64 MiB, or JSON does not express it.
            BlobError: the blob store refuses or does not respond.
            TaskError: the task was cancelled, or another attempt has taken its place.
        """
        attempt = require_attempt()
        data = _encoded(value)
        if attempt.stop.is_set():
            raise _ended()
        is_first = attempt.checkpoint != _key(attempt)
        if is_first:
            register(attempt)
        attempt.blobs.write_with_retries(_key(attempt), data, attempt.stop)
        attempt.checkpoint_bytes = len(data)
        if is_first:
            try:
                may_continue = attempt.record_checkpoint(_key(attempt))
            except StoreUnavailable as error:
                raise BlobError(f"the checkpoint {_key(attempt)} cannot be recorded: {error}") from error
            if not may_continue:
                attempt.stop.set()
                raise _ended()
            attempt.checkpoint = _key(attempt)

    def load(self, default: Any = None) -> Any:
        """Returns the newest checkpoint of this run: what this attempt saved, or an earlier one; `default` if there is
        none, as in the first attempt.

        Raises:
            RuntimeError: no task is running in this thread.
            BlobError: the blob store does not respond.
        """
        attempt = require_attempt()
        if not attempt.checkpoint:
            return default
        data = attempt.blobs.read_sync(attempt.checkpoint, 0, MAX_CHECKPOINT_BYTES + 1)
        return data[1:] if data[:1] == _BYTES else orjson.loads(data[1:])


checkpoint: Final = Checkpoint()


def _ended() -> TaskError:
    return TaskError("CANCELLED", "the task was cancelled, or another attempt has taken its place")


def _key(attempt: RunningAttempt) -> str:
    return f"{attempt.task_id}/{attempt.attempt}/{FILE_NAME}"


def _encoded(value: Any) -> bytes:
    if isinstance(value, bytes | bytearray | memoryview):
        data = _BYTES + bytes(value)
    else:
        try:
            # orjson would write dates and dataclasses, which would come back as other types.
            data = _JSON + orjson.dumps(
                value, option=orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME
            )
        except orjson.JSONEncodeError as error:
            raise ValueError(f"a checkpoint is bytes or a value that JSON expresses: {error}") from error
    if len(data) > MAX_CHECKPOINT_BYTES:
        raise ValueError(f"a checkpoint has at most {MAX_CHECKPOINT_BYTES} bytes, not {len(data)}")
    return data
