"""Finds the messages in what a connection of Dask receives. No I/O.

A message is

    length of the head, 8 bytes | head | rest of the frames

where the head is the number of frames, the length of each, and the first of them, as many as fit into its length
exactly. Numbers are unsigned, of 8 bytes, in the order of bytes of the machine. The head is read as one piece, and so
is each frame after it: large arrays get memory of their own.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Generator
from typing import Final, NamedTuple

from distributed.protocol.utils import unpack_frames

_LENGTH: Final = struct.Struct("Q")


class Message(NamedTuple):
    """A complete message.

    Attributes:
        length: of all frames together, in bytes.
    """

    frames: list[memoryview]
    length: int


class MessageParser:
    """The messages of one connection.

    Args:
        buffer_bytes: what is received at once; a longer piece is received into memory of its own.
        allocate: returns writable memory of a length.
    """

    def __init__(self, buffer_bytes: int, allocate: Callable[[int], memoryview]) -> None:
        self._allocate = allocate
        self._buffer = memoryview(bytearray(buffer_bytes))
        self._start = self._end = 0
        """What of the buffer is not parsed yet."""
        self._long: memoryview | None = None
        """The long piece that is being received."""
        self._long_end = 0
        self._parsed: list[Message] = []
        self._pieces = self._parse()
        self._wanted = next(self._pieces)

    def buffer(self) -> memoryview:
        """Where to put what is received next; never empty."""
        if self._long is not None:
            return self._long[self._long_end :]
        return self._buffer[self._end :]

    def received(self, count: int) -> list[Message]:
        """Returns the messages that are complete after so many bytes have been put into the buffer."""
        if self._long is not None:
            self._long_end += count
            if self._long_end == len(self._long):
                piece, self._long = self._long, None
                self._wanted = self._pieces.send(piece)
                self._take_pieces()
        else:
            self._end += count
            self._take_pieces()
        parsed, self._parsed = self._parsed, []
        return parsed

    def _take_pieces(self) -> None:
        """Parses what is complete, and makes room for the rest of what is not."""
        while (wanted := self._wanted) <= self._end - self._start:
            # A copy: the buffer is used again. It is writable, as arrays may be made of it.
            piece = memoryview(bytearray(self._buffer[self._start : self._start + wanted]))
            self._start += wanted
            self._wanted = self._pieces.send(piece)
        rest = self._buffer[self._start : self._end]
        if self._wanted > len(self._buffer):
            self._long = self._allocate(self._wanted)
            self._long[: len(rest)] = rest
            self._long_end = len(rest)
            self._start = self._end = 0
        elif self._start:
            self._buffer[: len(rest)] = bytes(rest)
            self._start, self._end = 0, len(rest)

    def _parse(self) -> Generator[int, memoryview, None]:
        """Yields the length of the next piece, and is sent the piece."""
        while True:
            (length,) = _LENGTH.unpack((yield _LENGTH.size))
            frames, missing = unpack_frames((yield length), partial=True)
            for frame_length in missing:
                frames.append((yield frame_length))
            self._parsed.append(Message(frames, length + sum(missing)))
