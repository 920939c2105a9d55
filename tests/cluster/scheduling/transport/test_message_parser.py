"""Messages are found in what is received, however it is cut."""

from __future__ import annotations

import random
import struct
from collections.abc import Sequence

import pytest
from distributed.comm.tcp import _add_frames_header

from cluster.scheduling.transport.message_parser import MessageParser

BUFFER = 64
LENGTHS: Sequence[Sequence[int]] = (
    (),
    (0,),
    (1,),
    (BUFFER - 24,),
    (BUFFER,),
    (BUFFER + 1, 0, 3),
    (5, 0, 0),
    (10 * BUFFER, 10 * BUFFER),
)
"""The lengths of the frames of each message."""


def frame(length: int) -> bytes:
    return random.Random(length).randbytes(length)


def split_after_head(frames: Sequence[bytes], in_head: int) -> bytes:
    """A message whose head has so many of the frames."""
    head = struct.pack(f"Q{len(frames)}Q", len(frames), *map(len, frames)) + b"".join(frames[:in_head])
    return struct.pack("Q", len(head)) + head + b"".join(frames[in_head:])


def parsed(sent: bytes, most_at_once: int) -> list[list[bytes]]:
    parser = MessageParser(BUFFER, lambda length: memoryview(bytearray(length)))
    found = []
    while sent:
        buffer = parser.buffer()
        count = min(len(buffer), len(sent), most_at_once)
        assert count, "a buffer without room"
        buffer[:count] = sent[:count]
        sent = sent[count:]
        found += [[bytes(each) for each in message.frames] for message in parser.received(count)]
    return found


@pytest.mark.parametrize("most_at_once", [1, 7, 8, BUFFER, 10_000])
def test_messages_are_complete_and_in_order_however_the_bytes_arrive(most_at_once: int) -> None:
    messages = [[frame(length) for length in lengths] for lengths in LENGTHS]
    as_dask_sends = b"".join(b"".join(_add_frames_header(frames)[0]) for frames in messages)
    assert parsed(as_dask_sends, most_at_once) == messages


@pytest.mark.parametrize("in_head", range(4))
def test_frames_may_follow_the_head_one_by_one(in_head: int) -> None:
    frames = [frame(length) for length in (3, 5 * BUFFER, 7)]
    assert parsed(split_after_head(frames, in_head) * 2, BUFFER) == [frames, frames]


def test_a_received_frame_is_writable_and_is_not_changed_by_the_next() -> None:
    parser = MessageParser(BUFFER, lambda length: memoryview(bytearray(length)))
    kept = []
    for content in (b"first", b"later"):
        sent = split_after_head([content], 1)
        parser.buffer()[: len(sent)] = sent
        [message] = parser.received(len(sent))
        kept += message.frames
    assert [bytes(each) for each in kept] == [b"first", b"later"]
    assert not any(each.readonly for each in kept)
